//! The status page in a real browser.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::browser::Browser;
use crate::process::{Program, TOKEN, directory};
use crate::zoo::{self, HOSTILE};

/// What the breaker's card says of its state.
const CHIP: &str = "document.querySelector('[data-layer=breaker] .chip').textContent";

const FORCE_OPEN: &str = "[data-layer=breaker] [data-command=force_open]";
const RESET: &str = "[data-layer=breaker] [data-command=reset]";

const IS_LIVE: &str = "return document.getElementById('live').textContent === 'live'";

/// How many requests the page says have been started.
const STARTED: &str =
    "document.querySelector('[data-layer=client] dd').textContent.replaceAll(',', '')";

#[test]
fn it_updates_itself_and_its_buttons_work_with_the_token() {
    let mut program = Program::start(
        "page",
        &["--requests", "1000000", "--pace", "20/second burst 1"],
    );
    let browser = Browser::start("page-profile");
    browser.open(&format!("http://{}/status", program.address));
    browser.until(IS_LIVE);
    assert_eq!(
        browser.run("return document.querySelectorAll('#layers section').length"),
        4
    );

    let before = browser.run(&format!("return +{STARTED}"));
    browser.until(&format!("return +{STARTED} > {before}"));
    browser.until(&format!("return {CHIP} === 'closed'"));

    browser.click(FORCE_OPEN);
    browser.type_in("#token", "a-wrong-token-for-tests");
    browser.click("#ask button.main");
    browser.until("return document.querySelector('[data-layer=breaker] .said').textContent === 'The token is not right.'");
    assert_ne!(
        program.status()["layers"]["breaker"]["breaker"]["state"],
        "forced_open"
    );

    browser.click(FORCE_OPEN);
    browser.type_in("#token", TOKEN);
    browser.click("#ask button.main");
    browser.until(&format!("return {CHIP} === 'forced open'"));
    let status = program.status();
    assert_eq!(
        status["layers"]["breaker"]["breaker"]["state"],
        "forced_open"
    );
    browser.until("return document.querySelectorAll('#refusals tbody tr').length > 5");

    browser.click(RESET);
    browser.until(&format!("return {CHIP} === 'closed'"));
    assert_eq!(
        program.status()["layers"]["breaker"]["breaker"]["state"],
        "closed"
    );

    let complaints = browser.complaints();
    let of_the_page = complaints
        .iter()
        .filter(|text| !text.contains("401 (Unauthorized)"));
    assert_eq!(of_the_page.count(), 0, "{complaints:?}");

    program.process.kill();
    browser.until("return document.getElementById('live').textContent.startsWith('no answer')");
}

#[test]
fn it_fits_every_screen_in_light_and_dark_whatever_the_names() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let address = runtime.block_on(zoo::serve());
    let browser = Browser::start("zoo-profile");
    let pictures = directory("pictures");
    browser.open(&format!("http://{address}/status"));
    browser.until(IS_LIVE);

    let names = browser
        .run("return [...document.querySelectorAll('#layers h2')].map((name) => name.textContent)");
    assert_eq!(names[0], HOSTILE);
    assert_eq!(
        browser.run("return document.querySelectorAll('#layers img, #layers b').length"),
        0
    );
    assert_eq!(browser.run("return document.title"), "Status");

    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        for (device, width, height) in [
            ("desktop", 1280, 900),
            ("phone", 390, 844),
            ("small", 320, 568),
        ] {
            browser.look_as(width, height, scheme);
            browser.until(&format!("return innerWidth === {width}"));
            let widest = browser.run("return document.documentElement.scrollWidth");
            assert_eq!(
                widest,
                json!(width),
                "{device} in {scheme} scrolls sideways"
            );
            // Nothing sticks out of its card either, but tables that scroll by themselves.
            let out = browser.run(
                "return [...document.querySelectorAll('section *')].filter((one) => !one.closest('.wide') && \
                 one.getBoundingClientRect().right > one.closest('section').getBoundingClientRect().right + 0.5)\
                 .map((one) => one.outerHTML)",
            );
            assert_eq!(out, json!([]), "{device} in {scheme}");
            let picture = BASE64_STANDARD
                .decode(browser.screenshot())
                .expect("base64");
            assert!(picture.len() > 10_000, "{device} in {scheme} is empty");
            std::fs::write(pictures.join(format!("{scheme}-{device}.png")), picture)
                .expect("a file");
        }
        grounds.push(browser.run("return getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(grounds[0], grounds[1], "dark is not light");
    assert_eq!(browser.complaints(), [""; 0]);
}
