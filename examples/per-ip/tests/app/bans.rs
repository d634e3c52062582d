//! The ban list.

use std::time::Duration;

use crate::support::{Answer, chat, direct, limiters, send};
use axum::Router;
use axum::http::Request;
use per_ip::admin;
use serde_json::json;

const BANS: &str = "quotas = [\"1/second\"]\n[ban]\nafter = 3\nlength = \"10m\"\n";

fn app(text: &str) -> Router {
    let limiters = limiters(text);
    direct(&limiters).merge(admin(&limiters, "open sesame"))
}

async fn ask(app: &Router, method: &str, path: &str, token: &str) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("Bearer {token}"));
    send(app, request, "").await
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_is_banned_and_can_be_let_in_again() {
    let app = app(BANS);
    let list = async || ask(&app, "GET", "/bans", "open sesame").await.json();
    assert_eq!(list().await, json!([]));
    assert_eq!(chat(&app, "192.0.2.1").await.status, 200);
    for wait in ["1", "1", "600"] {
        let refused = chat(&app, "192.0.2.1").await;
        assert_eq!((refused.status, refused.field("retry-after")), (429, wait));
    }
    tokio::time::advance(Duration::from_millis(1_500)).await;
    assert_eq!(chat(&app, "192.0.2.1").await.status, 429);
    assert_eq!(chat(&app, "192.0.2.2").await.status, 200);

    let bans = list().await;
    assert_eq!(
        (&bans[0]["seconds"], &bans[0]["refusals"]),
        (&json!(599.0), &json!(4))
    );
    let path = format!("/bans/{}", bans[0]["hash"].as_str().unwrap());
    assert_eq!(ask(&app, "DELETE", &path, "open sesame").await.status, 204);
    assert_eq!(list().await, json!([]));
    assert_eq!(chat(&app, "192.0.2.1").await.status, 200);
    assert_eq!(ask(&app, "DELETE", &path, "open sesame").await.status, 404);
    assert_eq!(
        ask(&app, "DELETE", "/bans/alice", "open sesame")
            .await
            .status,
        400
    );
}

#[tokio::test(start_paused = true)]
async fn without_the_token_nobody_sees_or_lifts() {
    let app = app(BANS);
    for token in ["", "open", "open sesame!", "Open sesame"] {
        for (method, path) in [("GET", "/bans"), ("DELETE", "/bans/1")] {
            let answer = ask(&app, method, path, token).await;
            assert_eq!((answer.status, &*answer.body), (401, ""), "{token}");
            assert_eq!(answer.field("www-authenticate"), "Bearer");
        }
    }
    assert_eq!(send(&app, Request::get("/bans"), "").await.status, 401);
    let plain = direct(&limiters(BANS));
    assert_eq!(
        ask(&plain, "GET", "/bans", "open sesame").await.status,
        404,
        "not there"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_word_of_it_nobody_is_banned() {
    let app = app("quotas = [\"1/second\"]");
    for _ in 0..50 {
        chat(&app, "192.0.2.1").await;
    }
    assert_eq!(
        ask(&app, "GET", "/bans", "open sesame").await.json(),
        json!([])
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(chat(&app, "192.0.2.1").await.status, 200);
}
