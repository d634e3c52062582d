//! What limits are kept by.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use buttress_core::{Key, KeyHash, Seed};
use buttress_http::{
    Anonymous, ApiKey, ClientIp, ForwardedField, MatchedRoute, Networks, PeerAddr, Route, Upstream,
    extension, header, or_anonymous,
};
use http::{HeaderName, HeaderValue, Request};

fn hash(key: &impl Key<Request<()>>, request: &Request<()>) -> Option<KeyHash> {
    let seed = Seed::fixed(1);
    let mut hasher = seed.hasher();
    key.hash_key(request, &mut hasher).then(|| hasher.finish())
}

fn by_hand(key: impl std::hash::Hash) -> Option<KeyHash> {
    Some(Seed::fixed(1).hash(key))
}

fn missing(key: &impl Key<Request<()>>) -> String {
    key.missing().as_str().to_owned()
}

fn from(peer: &str) -> Request<()> {
    let mut request = Request::new(());
    let peer: SocketAddr = peer.parse().expect("an address");
    request.extensions_mut().insert(PeerAddr(peer));
    request
}

fn with(lines: &[(&'static str, &[u8])]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value).expect("a value");
        request.headers_mut().append(*name, value);
    }
    request
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn the_peer_is_hashed_like_its_address() {
    let key = ClientIp::peer();
    assert_eq!(hash(&key, &from("192.0.2.1:5")), by_hand(ip("192.0.2.1")));
    assert_eq!(hash(&key, &from("192.0.2.1:6")), by_hand(ip("192.0.2.1")));
    assert_eq!(
        hash(&key, &from("[::ffff:192.0.2.1]:5")),
        by_hand(ip("192.0.2.1"))
    );
    assert_eq!(hash(&key, &Request::new(())), None);
    let sentence = missing(&key);
    assert!(sentence.contains("into_make_service_with_connect_info::<SocketAddr>()"));
    assert!(sentence.contains("PeerAddr"));
}

#[test]
fn ipv6_is_grouped_as_asked() {
    let request = from("[2001:db8:1:2:3::4]:5");
    assert_eq!(
        hash(&ClientIp::peer(), &request),
        by_hand(ip("2001:db8:1:2::"))
    );
    let narrow = ClientIp::peer().group_v6(128);
    assert_eq!(hash(&narrow, &request), by_hand(ip("2001:db8:1:2:3::4")));
    let wide = ClientIp::peer().group_v6(48);
    assert_eq!(
        hash(&wide, &request),
        by_hand(wide.group(ip("2001:db8:1:9::")))
    );
    let address = ClientIp::peer().address((&request).into());
    assert_eq!(address, Some(ip("2001:db8:1:2:3::4")));
}

#[test]
#[should_panic(expected = "found 129")]
fn an_ipv6_prefix_has_no_more_than_128_bits() {
    let _ = ClientIp::peer().group_v6(129);
}

#[test]
fn only_trusted_proxies_are_believed_and_only_in_one_field() {
    let proxies = || Networks::parse(["10.0.0.0/8"]).unwrap();
    let forwarded = |peer| {
        let mut request = from(peer);
        for (name, value) in [
            ("x-forwarded-for", "1.1.1.1, 203.0.113.1, 10.0.0.2"),
            ("forwarded", "for=203.0.113.2"),
        ] {
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert(name, value);
        }
        request
    };
    let key = ClientIp::peer().behind(proxies());
    assert_eq!(
        hash(&key, &forwarded("10.0.0.1:1")),
        by_hand(ip("203.0.113.1"))
    );
    assert_eq!(
        hash(&key, &forwarded("192.0.2.1:1")),
        by_hand(ip("192.0.2.1"))
    );
    assert_eq!(
        hash(&ClientIp::peer(), &forwarded("10.0.0.1:1")),
        by_hand(ip("10.0.0.1"))
    );
    let standard = ClientIp::peer()
        .behind(proxies())
        .field(ForwardedField::Forwarded);
    assert_eq!(
        hash(&standard, &forwarded("10.0.0.1:1")),
        by_hand(ip("203.0.113.2"))
    );
}

#[derive(Clone)]
struct Connection(SocketAddr);

#[test]
fn the_peer_can_come_from_any_extension() {
    let key = ClientIp::from_extension(|connection: &Connection| connection.0.ip());
    let mut request = from("192.0.2.1:1");
    assert_eq!(hash(&key, &request), None);
    assert!(missing(&key).contains("Connection"));
    let connection = Connection("192.0.2.2:1".parse().unwrap());
    request.extensions_mut().insert(connection);
    assert_eq!(hash(&key, &request), by_hand(ip("192.0.2.2")));
    assert_eq!(hash(&ClientIp::peer(), &request), by_hand(ip("192.0.2.1")));
}

#[cfg(feature = "axum")]
#[test]
fn the_peer_is_axums_unless_the_server_has_a_better_one() {
    use axum::extract::connect_info::{ConnectInfo, MockConnectInfo};

    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let mut request = Request::new(());
    let extensions = request.extensions_mut();
    extensions.insert(MockConnectInfo(address("192.0.2.1:1")));
    assert_eq!(hash(&ClientIp::peer(), &request), by_hand(ip("192.0.2.1")));
    let extensions = request.extensions_mut();
    extensions.insert(ConnectInfo(address("192.0.2.2:1")));
    assert_eq!(hash(&ClientIp::peer(), &request), by_hand(ip("192.0.2.2")));
    let extensions = request.extensions_mut();
    extensions.insert(PeerAddr(address("192.0.2.3:1")));
    assert_eq!(hash(&ClientIp::peer(), &request), by_hand(ip("192.0.2.3")));
}

#[test]
fn a_header_is_hashed_like_its_text() {
    let key = header("X-Tenant");
    assert_eq!(hash(&key, &with(&[("x-tenant", b"acme")])), by_hand("acme"));
    let utf8 = "größe".as_bytes();
    assert_eq!(hash(&key, &with(&[("x-tenant", utf8)])), by_hand("größe"));
    let bytes: &[u8] = b"\xff\xfe";
    assert_eq!(hash(&key, &with(&[("x-tenant", bytes)])), by_hand(bytes));
    assert_eq!(hash(&key, &with(&[("x-tenant", b"")])), None);
    assert_eq!(hash(&key, &with(&[])), None);
    let twice = with(&[("x-tenant", b"a"), ("x-tenant", b"b")]);
    assert_eq!(hash(&key, &twice), None, "ambiguous");
    assert!(missing(&key).contains("`x-tenant`"));
    let named = header(HeaderName::from_static("x-tenant"));
    assert_eq!(
        hash(&named, &with(&[("x-tenant", b"acme")])),
        by_hand("acme")
    );
}

#[test]
#[should_panic(expected = "the name of a header")]
fn a_headers_name_must_be_one() {
    let _ = header("x tenant");
}

#[test]
fn api_keys_come_from_a_header_or_as_bearer_tokens() {
    let key = ApiKey::header("x-api-key");
    assert_eq!(
        hash(&key, &with(&[("x-api-key", b"s3cret")])),
        by_hand("s3cret")
    );
    assert_eq!(hash(&key, &with(&[("x-api-key", b"")])), None);
    assert!(missing(&key).contains("`x-api-key`"));

    let bearer = ApiKey::bearer();
    for (value, token) in [
        (&b"Bearer s3cret"[..], Some("s3cret")),
        (b"bEARER  s3cret", Some("s3cret")),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Bearers3cret", None),
        (b"Basic s3cret", None),
        (b"", None),
    ] {
        let request = with(&[("authorization", value)]);
        assert_eq!(
            hash(&bearer, &request),
            token.and_then(by_hand),
            "{value:?}"
        );
    }
    assert!(missing(&bearer).contains("Authorization: Bearer"));
    assert_eq!(
        format!("{bearer:?} {key:?}"),
        "ApiKey(\"authorization\") ApiKey(\"x-api-key\")"
    );
}

#[test]
fn routes_are_hashed_with_or_without_the_method() {
    let mut request = Request::post("/users/7").body(()).unwrap();
    assert_eq!(hash(&MatchedRoute::new(), &request), None);
    assert!(missing(&MatchedRoute::new()).contains("route_layer"));
    let route = Route(Arc::from("/users/{id}"));
    request.extensions_mut().insert(route);
    assert_eq!(hash(&MatchedRoute::new(), &request), by_hand("/users/{id}"));
    let pair = by_hand(("POST", "/users/{id}"));
    assert_eq!(hash(&MatchedRoute::with_method(), &request), pair);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn routes_and_peers_are_read_under_axum() {
    use axum::extract::connect_info::MockConnectInfo;
    use axum::routing::get;
    use tower_service::Service;

    let read = |request: axum::extract::Request, next: axum::middleware::Next| async move {
        let seed = Seed::fixed(1);
        let mut hasher = seed.hasher();
        let key = (ClientIp::peer(), MatchedRoute::new());
        assert!(key.hash_key(&request, &mut hasher));
        let found = hasher.finish();
        drop(next.run(request).await);
        format!("{found:?}")
    };
    let peer: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let mut router: axum::Router = axum::Router::new()
        .route("/users/{id}", get(|| async { "" }))
        .route_layer(axum::middleware::from_fn(read))
        .layer(MockConnectInfo(peer));
    let mut answers = Vec::new();
    for path in ["/users/7", "/users/8"] {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let body = router.call(request).await.unwrap().into_body();
        answers.push(axum::body::to_bytes(body, 99).await.unwrap());
    }
    assert!(!answers[0].is_empty());
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn an_extension_is_hashed_like_its_value() {
    let key = extension::<u64>();
    let mut request = Request::new(());
    assert_eq!(hash(&key, &request), None);
    assert!(missing(&key).contains("`u64`"));
    request.extensions_mut().insert(7_u64);
    assert_eq!(hash(&key, &request), by_hand(7_u64));
}

#[test]
fn those_without_a_key_share_one_limit_only_when_asked_for() {
    let key = or_anonymous(ApiKey::header("x-api-key"));
    assert_eq!(hash(&key, &with(&[])), by_hand(Anonymous));
    assert_eq!(hash(&key, &with(&[("x-api-key", b"a")])), by_hand("a"));

    // A part that was there must not split the shared limit.
    let pair = or_anonymous((ClientIp::peer(), ApiKey::header("x-api-key")));
    assert_eq!(hash(&pair, &from("192.0.2.1:1")), by_hand(Anonymous));
    assert_eq!(hash(&pair, &from("192.0.2.2:1")), by_hand(Anonymous));
}

#[test]
fn keys_join_as_tuples_and_go_into_stacks() {
    fn shared<T: Send + Sync + Clone + std::fmt::Debug + 'static>(_: &T) {}

    let pair = (ClientIp::peer(), header("x-tenant"));
    let mut request = from("192.0.2.1:1");
    assert_eq!(hash(&pair, &request), None);
    request
        .headers_mut()
        .insert("x-tenant", HeaderValue::from_static("a"));
    let a = hash(&pair, &request);
    request
        .headers_mut()
        .insert("x-tenant", HeaderValue::from_static("b"));
    assert!(a.is_some());
    assert_ne!(a, hash(&pair, &request));
    assert!(missing(&pair).contains("PeerAddr") && missing(&pair).contains("x-tenant"));

    shared(&or_anonymous(ApiKey::bearer()));
    shared(&pair);
    shared(&(MatchedRoute::new(), extension::<u64>()));
}

#[cfg(feature = "tonic")]
#[test]
fn tonic_knows_the_peer_unless_it_is_no_address() {
    use tonic::transport::server::TcpConnectInfo;

    let connected = |remote_addr: Option<&str>| {
        let mut request = Request::new(());
        request.extensions_mut().insert(TcpConnectInfo {
            local_addr: None,
            remote_addr: remote_addr.map(|address| address.parse().expect("an address")),
        });
        request
    };
    let key = ClientIp::peer();
    assert_eq!(
        hash(&key, &connected(Some("[2001:db8::1]:5"))),
        by_hand(ip("2001:db8::"))
    );
    assert_eq!(hash(&key, &connected(None)), None);
    let mut both = connected(Some("192.0.2.1:5"));
    let told: SocketAddr = "192.0.2.7:5".parse().expect("an address");
    both.extensions_mut().insert(PeerAddr(told));
    assert_eq!(hash(&key, &both), by_hand(ip("192.0.2.7")));
}

#[test]
fn an_upstream_is_its_host_and_if_wanted_the_port() {
    let to = |uri: &str| Request::get(uri).body(()).expect("a request");
    let host = Upstream::host();
    for uri in ["http://api.example/v1", "https://API.example:8443/"] {
        assert_eq!(hash(&host, &to(uri)), by_hand("api.example"), "{uri}");
    }
    let both = Upstream::host_and_port();
    for (uri, port) in [
        ("http://api.example/", 80_u16),
        ("https://api.example/", 443),
        ("https://api.example:8443/", 8443),
    ] {
        assert_eq!(
            hash(&both, &to(uri)),
            by_hand(("api.example", port)),
            "{uri}"
        );
    }
    assert_eq!(hash(&host, &to("/v1")), None, "as servers see it");
    assert_eq!(
        hash(&both, &to("other://api.example/")),
        None,
        "which port?"
    );
    assert!(missing(&host).contains("an absolute URI"));
}
