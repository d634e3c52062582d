//! Requests that a limit does not concern.

use std::net::SocketAddr;

use buttress_core::Exempt;
use buttress_http::{ClientIp, Networks, PeerAddr, Preflight, allow_list};
use http::{Method, Request};

#[test]
fn a_preflight_is_an_options_with_both_fields() {
    let exempts = |method, fields: &[&str]| {
        let mut builder = Request::builder().method(method);
        for field in fields {
            builder = builder.header(*field, "x");
        }
        Preflight.exempts(&builder.body(()).unwrap())
    };
    let both = ["origin", "access-control-request-method"];
    assert!(exempts(Method::OPTIONS, &both));
    assert!(!exempts(Method::POST, &both));
    assert!(!exempts(Method::OPTIONS, &["origin"]));
    assert!(!exempts(
        Method::OPTIONS,
        &["access-control-request-method"]
    ));
    assert!(!exempts(Method::OPTIONS, &[]));
}

#[test]
fn an_allow_list_goes_by_the_clients_own_address() {
    let office = Networks::parse(["192.0.2.0/24", "2001:db8::1"]).unwrap();
    let list = allow_list(ClientIp::peer(), office.clone());
    let exempts = |peer: &str| {
        let mut request = Request::new(());
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(PeerAddr(peer));
        list.exempts(&request)
    };
    assert!(exempts("192.0.2.7:1"));
    assert!(exempts("[::ffff:192.0.2.7]:1"));
    assert!(!exempts("192.0.3.7:1"));
    assert!(exempts("[2001:db8::1]:1"));
    assert!(
        !exempts("[2001:db8::2]:1"),
        "the /64 of an allowed address is not allowed"
    );
    assert!(
        !list.exempts(&Request::new(())),
        "who is not known is not exempt"
    );

    let everyone = Networks::parse(["10.0.0.0/8"]).unwrap();
    let proxied = allow_list(ClientIp::peer().behind(everyone), office);
    let mut request = Request::new(());
    let proxy: SocketAddr = "10.0.0.1:1".parse().unwrap();
    request.extensions_mut().insert(PeerAddr(proxy));
    let forged = "192.0.2.7, 203.0.113.9".parse().unwrap();
    request.headers_mut().insert("x-forwarded-for", forged);
    assert!(!proxied.exempts(&request));
}
