//! Usage from heads, bodies and frames, and reservations that last as long as a body.
#![cfg(feature = "http")]

use std::convert::Infallible;

use buttress_token_budget::{Amounts, Dimension, TokenBudget, TokenBudgetLayer};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::response::Parts;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, ServiceExt, service_fn};

fn budget() -> TokenBudget {
    TokenBudget::new(
        Dimension::TOTAL,
        "1000/hour rolling".parse().expect("it is a quota"),
    )
}

fn spent(budget: &TokenBudget) -> u64 {
    let standing = &budget.balances("")[0];
    1_000 - standing.remaining + standing.debt
}

fn layer(
    budget: &TokenBudget,
) -> TokenBudgetLayer<
    impl Clone + buttress_core::Ask<Request<()>, Demand = buttress_token_budget::BudgetDemand>,
> {
    TokenBudgetLayer::from(budget.clone())
        .by(|_: &Request<()>| Some(""))
        .estimate(Amounts::total(400))
}

fn number(text: &[u8]) -> Option<Amounts> {
    std::str::from_utf8(text)
        .ok()?
        .parse()
        .ok()
        .map(Amounts::total)
}

#[tokio::test(start_paused = true)]
async fn usage_of_the_head() {
    let budget = budget();
    let layer =
        layer(&budget).measure_head(|head: &Parts| number(head.headers.get("used")?.as_bytes()));
    let service = layer.layer(service_fn(async |_: Request<()>| {
        let response = Response::builder()
            .header("used", "70")
            .body(Full::new(Bytes::from("hi")));
        Ok::<_, Infallible>(response.unwrap())
    }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(spent(&budget), 400, "it lasts as long as the body");
    response.into_body().collect().await.unwrap();
    assert_eq!(spent(&budget), 70);
}

#[tokio::test(start_paused = true)]
async fn usage_of_the_whole_body() {
    let budget = budget();
    let layer = layer(&budget).measure_body(number);
    let service = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("120"))))
    }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!((&body[..], spent(&budget)), (&b"120"[..], 120));
}

/// One response whose frames are numbers.
async fn stream_of(
    budget: &TokenBudget,
    frames: Vec<Result<&'static str, &'static str>>,
    read: usize,
) {
    let layer = layer(budget).measure_frames(|_: &Parts| {
        let mut sum = 0;
        move |piece: &[u8]| {
            sum += std::str::from_utf8(piece).ok()?.parse::<u64>().ok()?;
            Some(Amounts::total(sum))
        }
    });
    let service = layer.layer(service_fn(move |_: Request<()>| {
        let frames = frames.clone();
        async move {
            let frames = stream::iter(frames)
                .map(|text| text.map(|text| Frame::data(Bytes::from_static(text.as_bytes()))));
            Ok::<_, Infallible>(Response::new(StreamBody::new(frames)))
        }
    }));
    let response = service
        .oneshot(Request::new(()))
        .await
        .expect("the service does not fail");
    let mut body = response.into_body();
    for _ in 0..read {
        let _ = body.frame().await;
    }
}

#[tokio::test(start_paused = true)]
async fn usage_frame_by_frame() {
    let full = budget();
    stream_of(&full, vec![Ok("30"), Ok("x"), Ok("12")], 4).await;
    assert_eq!(spent(&full), 42);
    let broken = budget();
    stream_of(&broken, vec![Ok("30"), Err("reset")], 2).await;
    assert_eq!(spent(&broken), 400, "at least what was reserved");
    let over = budget();
    stream_of(&over, vec![Ok("450"), Err("reset")], 2).await;
    assert_eq!(spent(&over), 450, "and more if more was seen");
    let left = budget();
    stream_of(&left, vec![Ok("30"), Ok("500"), Ok("12")], 2).await;
    assert_eq!(spent(&left), 530);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_2xx_gives_all_back() {
    for status in [
        StatusCode::NOT_FOUND,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
    ] {
        let budget = budget();
        let service =
            layer(&budget)
                .measure_body(number)
                .layer(service_fn(move |_: Request<()>| {
                    let body = Full::new(Bytes::from("120"));
                    let response = Response::builder().status(status).body(body);
                    std::future::ready(Ok::<_, Infallible>(response.unwrap()))
                }));
        let _response = service.oneshot(Request::new(())).await.unwrap();
        assert_eq!(spent(&budget), 0, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_are_responses() {
    let budget = budget();
    let layer = TokenBudgetLayer::from(budget.clone())
        .estimate(Amounts::total(600))
        .respond_http();
    let service = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hi"))))
    }));
    let first = service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    let second = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(second.headers()["retry-after"], "3600");
    assert!(second.headers().contains_key("ratelimit"));
}
