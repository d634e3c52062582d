//! The page and the policy that it is served under belong together.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("../../src/status/page.html");
const POLICY: &str = include_str!("../../src/status/page.csp");

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).expect("it starts");
    let (inside, after) = rest.split_once(end).expect("it ends");
    assert!(!after.contains(start), "there is more than one {start}");
    inside
}

#[test]
fn the_policy_lets_this_script_and_this_style_run_and_no_other() {
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    let script = hash(between(PAGE, "<script>", "</script>"));
    let style = hash(between(PAGE, "<style>", "</style>"));
    assert_eq!(
        POLICY.trim(),
        format!(
            "default-src 'none'; script-src {script}; style-src {style}; img-src data:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "the page was changed: write this into page.csp"
    );
}

#[test]
fn the_page_needs_nothing_else_and_makes_no_markup_of_what_it_is_told() {
    for outside in ["http:", "https:", "//cdn", "@import", "url("] {
        assert!(!PAGE.contains(outside), "{outside}");
    }
    for markup in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        " style=",
        " onclick=",
    ] {
        assert!(!PAGE.contains(markup), "{markup}");
    }
}
