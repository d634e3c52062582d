//! Limits inside limits.

use axum::Router;
use axum::routing::get as on_get;
use buttress::http::received_policies;
use buttress::{ApiKey, ClientIp, Quota, RateLimitLayer};
use serde_json::json;
use sfv::{BareItem, ListEntry, Parser};

use crate::support::{Answer, get_with, serve};

/// A limit per client of 3 around one per key of 2 around one for everybody of 4.
fn nested() -> Router {
    let for_all = RateLimitLayer::new(Quota::per_hour(4).named("all")).respond_http();
    let per_key = RateLimitLayer::new(Quota::per_hour(2).named("key"))
        .by(ApiKey::header("x-api-key"))
        .respond_http();
    let per_client = RateLimitLayer::new(Quota::per_hour(3).named("client"))
        .by(ClientIp::peer())
        .respond_http();
    Router::new()
        .route("/", on_get(async || "yes"))
        .route_layer(for_all.headers())
        .layer(per_key.headers())
        .layer(per_client.headers())
}

fn left(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, left)| ((*name).to_owned(), *left))
        .collect()
}

/// The members of a field as any reader of structured fields sees them: all lines as one list.
fn members(answer: &Answer, name: &str) -> Vec<(String, Vec<(String, i64)>)> {
    let list = Parser::new(&answer.lines(name).join(", "))
        .parse::<sfv::List>()
        .unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    let member = |entry: &ListEntry| {
        let ListEntry::Item(item) = entry else {
            panic!("an inner list: {answer:?}");
        };
        let BareItem::String(name) = &item.bare_item else {
            panic!("no string: {answer:?}");
        };
        let parameters = item.params.iter().map(|(name, value)| match value {
            BareItem::Integer(number) => (name.as_str().to_owned(), i64::from(*number)),
            other => panic!("no number: {other:?}"),
        });
        (name.as_str().to_owned(), parameters.collect())
    };
    list.iter().map(member).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fields_of_all_limits_are_one_list() {
    let address = serve(nested()).await;
    let admitted = get_with(address, "/", "x-api-key", "a").await;
    assert_eq!(admitted.status, 200);
    assert_eq!(
        admitted.left(),
        left(&[("all", 3), ("key", 1), ("client", 2)])
    );

    let limits = members(&admitted, "ratelimit");
    let names: Vec<&str> = limits.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["all", "key", "client"]);
    for (name, parameters) in &limits {
        let [(r, remaining), (t, grows_in)] = &parameters[..] else {
            panic!("{name}: {parameters:?}");
        };
        assert_eq!((&**r, &**t), ("r", "t"));
        assert!(
            (1..=3).contains(remaining) && (890..=1800).contains(grows_in),
            "{limits:?}"
        );
    }
    let policies = members(&admitted, "ratelimit-policy");
    let policy = |name: &str, units| {
        let parameters = vec![("q".to_owned(), units), ("w".to_owned(), 3600)];
        (name.to_owned(), parameters)
    };
    assert_eq!(
        policies,
        [policy("all", 4), policy("key", 2), policy("client", 3)]
    );
    assert_eq!(received_policies(&admitted.fields).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_its_own_limit_and_carries_those_around_it() {
    let address = serve(nested()).await;
    let ask = async |key| get_with(address, "/", "x-api-key", key).await;
    assert_eq!(ask("a").await.status, 200);
    assert_eq!(ask("a").await.status, 200);

    // Refused in the middle: what is further in is not asked and not spent.
    let by_key = ask("a").await;
    assert_eq!(by_key.status, 429);
    assert_eq!(by_key.json()["violated-policies"], json!(["key"]));
    assert_eq!(by_key.left(), left(&[("key", 0), ("client", 0)]));

    // Refused outside: nothing further in is told of.
    let by_client = ask("b").await;
    assert_eq!(by_client.status, 429);
    assert_eq!(by_client.json()["violated-policies"], json!(["client"]));
    assert_eq!(by_client.left(), left(&[("client", 0)]));
    assert!(by_client.number("retry-after") <= by_key.number("retry-after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_quotas_of_one_layer_are_one_decision_where_two_layers_are_two() {
    let per_minute = Quota::per_hour(1).named("short");
    let app = |path, limit: RateLimitLayer| {
        let limit = limit.by(ClientIp::peer()).respond_http().headers();
        Router::new().route(path, on_get(async || "yes").route_layer(limit))
    };
    let long = Quota::per_day(10).named("long");
    let together = app(
        "/together",
        RateLimitLayer::new(per_minute.clone()).and(long.clone()),
    );
    let apart = app("/apart", RateLimitLayer::new(per_minute)).layer(
        RateLimitLayer::new(long)
            .by(ClientIp::peer())
            .respond_http()
            .headers(),
    );
    let address = serve(together.merge(apart)).await;
    let ask = async |path| get_with(address, path, "x-unused", "").await;
    for (path, rest) in [("/together", 9), ("/apart", 7)] {
        for _ in 0..3 {
            ask(path).await;
        }
        let refused = ask(path).await;
        assert_eq!(refused.status, 429);
        // Each refused request spends of the outer layer, and of neither quota of one layer.
        let rest = if path == "/apart" { rest - 1 } else { rest };
        assert!(
            refused.left().contains(&("long".to_owned(), rest)),
            "{refused:?}"
        );
    }
}
