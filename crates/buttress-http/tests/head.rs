//! Requests read without their body.

use buttress_core::{Exempt, Key, KeyHash, Seed};
use buttress_http::{RequestHead, by_head};
use http::{Request, Version};

fn hash<B>(key: &impl Key<Request<B>>, request: &Request<B>) -> Option<KeyHash> {
    let seed = Seed::fixed(1);
    let mut hasher = seed.hasher();
    key.hash_key(request, &mut hasher).then(|| hasher.finish())
}

#[test]
fn closures_need_no_annotation_and_serve_every_body() {
    let tenant = by_head(|head| head.headers.get("x-tenant").cloned());
    let path = by_head(|head| Some(head.uri.path().to_owned()));
    let with_text = Request::builder()
        .uri("/a")
        .header("x-tenant", "t")
        .body("text")
        .unwrap();
    let with_bytes = Request::builder()
        .uri("/a")
        .header("x-tenant", "t")
        .body(vec![1])
        .unwrap();
    assert!(hash(&tenant, &with_text).is_some());
    assert_eq!(hash(&tenant, &with_text), hash(&tenant, &with_bytes));
    assert_eq!(hash(&path, &with_text), Some(Seed::fixed(1).hash("/a")));
    assert_eq!(hash(&tenant, &Request::new(())), None);
}

#[test]
fn a_closure_that_says_yes_or_no_is_an_exemption() {
    let health = by_head(|head| head.uri.path() == "/health");
    let exempts = |path| health.exempts(&Request::builder().uri(path).body(()).unwrap());
    assert!(exempts("/health"));
    assert!(!exempts("/chat"));
}

#[test]
fn the_missing_key_can_be_named() {
    let tenant = by_head(|head| head.headers.get("x-tenant").cloned());
    let missing = |key: &dyn Key<Request<()>>| key.missing().as_str().to_owned();
    assert_eq!(missing(&tenant), "The request has no key to limit it by.");
    let named = tenant.named("tenant (`x-tenant`)");
    assert_eq!(
        missing(&named),
        "The request has no tenant (`x-tenant`) to limit it by."
    );
}

#[test]
fn a_head_has_all_but_the_body() {
    let mut request = Request::put("/a?b")
        .version(Version::HTTP_2)
        .body(())
        .unwrap();
    request.extensions_mut().insert(7_u8);
    let head = RequestHead::from(&request);
    assert_eq!(head.method, "PUT");
    assert_eq!(head.uri, "/a?b");
    assert_eq!(head.version, Version::HTTP_2);
    assert!(head.headers.is_empty());
    assert_eq!(head.extensions.get(), Some(&7_u8));
}
