//! Many requests at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get as on_get;
use buttress::http::header;
use buttress::{ClientIp, Quota, RateLimitLayer};
use futures_util::future::join_all;

use crate::support::{Answer, client, send, serve};

/// Sends all at once, through as many connections as they need.
async fn at_once(requests: impl IntoIterator<Item = reqwest::RequestBuilder>) -> Vec<Answer> {
    let tasks: Vec<_> = requests
        .into_iter()
        .map(|request| tokio::spawn(send(request)))
        .collect();
    let answers = join_all(tasks).await.into_iter();
    answers.map(|answer| answer.expect("an answer")).collect()
}

fn app(quota: Quota) -> Router {
    let limit = RateLimitLayer::new(quota).by(ClientIp::peer());
    let limit = limit.respond_http().headers();
    let handler = async || {
        tokio::task::yield_now().await;
        "yes"
    };
    Router::new().route("/", on_get(handler)).route_layer(limit)
}

async fn two_hundred(address: SocketAddr) -> Vec<Answer> {
    let client = client();
    at_once((0..200).map(|_| client.get(format!("http://{address}/")))).await
}

/// Exactly 50 are admitted; `period` is when all have come back, `next` when one has.
fn assert_fifty(answers: &[Answer], policy: &str, next: u64) {
    let (admitted, refused): (Vec<&Answer>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((admitted.len(), refused.len()), (50, 150));
    assert!(refused.iter().all(|answer| answer.status == 429));
    for answer in answers {
        assert_eq!(answer.field("ratelimit-policy"), policy);
        assert_eq!(answer.left().len(), 1);
    }
    let left = admitted.iter().map(|answer| answer.left()[0].1);
    let left: Vec<u64> = left.collect();
    assert!(left.iter().all(|left| *left < 50), "{left:?}");
    assert!(left.contains(&0), "the last tells that it was: {left:?}");
    for answer in refused {
        assert_eq!(answer.left()[0].1, 0, "{answer:?}");
        let wait = answer.number("retry-after");
        assert!((1..=next).contains(&wait), "{answer:?}");
        assert_eq!(answer.field("content-type"), "application/problem+json");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_at_once_of_fifty_a_minute() {
    // Rolling, so that nothing comes back while they run.
    let address = serve(app(Quota::rolling(50, Duration::from_secs(60)))).await;
    let answers = two_hundred(address).await;
    assert_fifty(&answers, "\"default\";q=50;w=60", 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_at_once_of_a_bucket_of_fifty() {
    // One unit comes back in six minutes.
    let address = serve(app(Quota::every(Duration::from_secs(360)).burst(50))).await;
    let answers = two_hundred(address).await;
    assert_fifty(&answers, "\"default\";q=50;w=18000", 360);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_at_once_each_get_their_own_and_all_share_the_rest() {
    let hour = Duration::from_secs(3600);
    let limit = RateLimitLayer::new(Quota::rolling(10, hour))
        .global(Quota::rolling(75, hour))
        .by(header("x-client"));
    let limiter = limit.limiter().clone();
    let app = Router::new()
        .route("/", on_get(async || "yes"))
        .route_layer(limit.respond_http());
    let address = serve(app).await;
    let client = client();
    let requests = (0..300).map(|index| {
        let request = client.get(format!("http://{address}/"));
        request.header("x-client", (index % 20).to_string())
    });
    let answers = at_once(requests).await;

    let mut admitted = BTreeMap::new();
    for (index, answer) in answers.iter().enumerate() {
        *admitted.entry(index % 20).or_insert(0) += u64::from(answer.status == 200);
    }
    assert!(admitted.values().all(|count| *count <= 10), "{admitted:?}");
    assert_eq!(admitted.values().sum::<u64>(), 75);
    let status = limiter.status();
    assert_eq!((status.admitted, status.refused), (75, 225));
    // What the shared quota refused was not taken from a client.
    for (client, count) in admitted {
        let left = limiter.peek(client.to_string());
        assert_eq!(left[0].remaining, 10 - count, "{client}");
    }
}
