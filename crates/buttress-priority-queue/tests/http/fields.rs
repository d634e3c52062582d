//! Priority, deadline and tenant are believed only of those who are trusted.

use std::net::SocketAddr;
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{Key, Now, Seed};
use buttress_http::{CallDeadline, Networks, PeerAddr, TimeoutField};
use buttress_priority_queue::{
    DeadlineFields, DeadlineOf, Priority, PriorityField, PriorityOf, TenantField, Trust,
};
use http::Request;
use http::header::HeaderName;

const NAME: HeaderName = HeaderName::from_static("x-said");

fn friends() -> Trust {
    Trust::peers(Networks::parse(["10.0.0.0/8"]).unwrap())
}

fn from(peer: &str, said: &str) -> Request<()> {
    let peer: SocketAddr = peer.parse().unwrap();
    let builder = Request::builder()
        .header(NAME, said)
        .extension(PeerAddr(peer));
    // What a request says of another address does not make its peer a friend.
    builder
        .header("x-forwarded-for", "10.0.0.1")
        .body(())
        .unwrap()
}

const FRIEND: &str = "10.1.2.3:80";
const STRANGER: &str = "192.0.2.1:80";

#[test]
fn a_priority_is_a_name_or_a_level() {
    let field = PriorityField::new(NAME, friends());
    let level = |peer, said| field.level_of(&from(peer, said));
    for (said, expected) in [
        ("critical", 3),
        ("HIGH", 2),
        (" low ", 0),
        ("7", 7),
        ("+7", 1),
        ("-1", 1),
        ("256", 1),
        ("urgent", 1),
        ("", 1),
    ] {
        assert_eq!(level(FRIEND, said), expected, "{said:?}");
        assert_eq!(level(STRANGER, said), 1, "{said:?}");
    }
    let nobody = PriorityField::new(NAME, Trust::default()).otherwise(Priority::Low);
    assert_eq!(nobody.level_of(&from(FRIEND, "critical")), 0);
    let twice = Request::builder()
        .header(NAME, "high")
        .header(NAME, "low")
        .body(())
        .unwrap();
    assert_eq!(
        PriorityField::new(NAME, Trust::everybody()).level_of(&twice),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_comes_from_this_process_or_from_friends_and_the_earliest_counts() {
    let fields = [TimeoutField::grpc(), TimeoutField::millis(NAME)];
    let reader = DeadlineFields::new(fields, friends());
    let of = |request: &Request<()>| {
        let deadline = reader.deadline_of(request, &Now::new());
        deadline.map(|deadline| deadline - now())
    };
    let mut request = from(FRIEND, "250");
    assert_eq!(of(&request), Some(Duration::from_millis(250)));
    request
        .headers_mut()
        .insert("grpc-timeout", "100m".parse().unwrap());
    assert_eq!(of(&request), Some(Duration::from_millis(100)));
    CallDeadline::tighten(request.extensions_mut(), now() + Duration::from_millis(50));
    assert_eq!(of(&request), Some(Duration::from_millis(50)));
    let mut stranger = from(STRANGER, "1");
    assert_eq!(of(&stranger), None);
    CallDeadline::tighten(stranger.extensions_mut(), now() + Duration::from_millis(50));
    assert_eq!(of(&stranger), Some(Duration::from_millis(50)));
}

#[test]
fn a_tenant_is_what_a_friend_says() {
    let seed = Seed::fixed(1);
    let field = TenantField::new(NAME, friends());
    let tenant = |peer, said| {
        let mut hasher = seed.hasher();
        let known = field.hash_key(&from(peer, said), &mut hasher);
        known.then(|| hasher.finish())
    };
    assert_eq!(tenant(STRANGER, "a"), None);
    assert!(tenant(FRIEND, "a").is_some());
    assert_ne!(tenant(FRIEND, "a"), tenant(FRIEND, "b"));
}
