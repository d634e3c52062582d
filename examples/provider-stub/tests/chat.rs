//! What is answered, and when.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use buttress_core::time::now;
use provider_stub::{Debit, Limits, Provider, Settings};
use serde_json::{Value, json};
use tower::ServiceExt;

async fn ask(provider: &Provider, body: impl Into<Body>) -> Response<Body> {
    let request = Request::post("/v1/chat/completions").body(body.into());
    let answer = provider.router().oneshot(request.expect("a request")).await;
    answer.expect("routers do not fail")
}

async fn text(response: Response<Body>) -> String {
    let body = to_bytes(response.into_body(), usize::MAX).await;
    String::from_utf8(body.expect("a body").to_vec()).expect("text")
}

async fn json_of(response: Response<Body>) -> Value {
    serde_json::from_str(&text(response).await).expect("JSON")
}

fn question(stream: bool) -> String {
    json!({
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "x".repeat(400)}],
        "max_tokens": 1_000,
        "stream": stream,
        "stream_options": {"include_usage": stream},
    })
    .to_string()
}

fn tiny(requests: u64, tokens: u64) -> Provider {
    let limits = Limits {
        requests,
        tokens,
        window: Duration::from_secs(60),
    };
    Provider::new(Settings {
        limits,
        debit: Debit::Maximum,
        ..Settings::default()
    })
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_its_time_and_tells_its_usage() {
    let provider = Provider::new(Settings::default());
    let start = now();
    let response = ask(&provider, question(false)).await;
    assert!(now() - start >= Duration::from_secs(2));
    assert!(now() - start <= Duration::from_millis(30_500));
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    assert_eq!(headers["x-ratelimit-limit-requests"], "60");
    assert_eq!(headers["x-ratelimit-remaining-requests"], "59");
    assert_eq!(headers["x-ratelimit-reset-requests"], "1m0s");
    assert_eq!(headers["x-ratelimit-remaining-tokens"], "148893");
    let answer = json_of(response).await;
    let usage = &answer["usage"];
    assert_eq!(usage["prompt_tokens"], 107, "a hundred, four, and three");
    let produced = usage["completion_tokens"].as_u64().expect("a number");
    let content = answer["choices"][0]["message"]["content"].as_str();
    assert_eq!(content.expect("text").len() as u64, 4 * produced);
    assert_eq!(provider.totals().tokens, 107 + produced);
    let again = json_of(ask(&provider, question(false)).await).await;
    assert_eq!(again["usage"], *usage, "the same question, the same answer");
}

#[tokio::test(start_paused = true)]
async fn a_stream_comes_in_pieces_and_its_usage_last() {
    let provider = Provider::new(Settings::default());
    let response = ask(&provider, question(true)).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let start = now();
    let text = text(response).await;
    assert!(now() - start >= Duration::from_secs(2));
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    let (done, events) = events.split_last().expect("events");
    assert_eq!(*done, "data: [DONE]");
    let chunk = |event: &&str| -> Value {
        serde_json::from_str(event.strip_prefix("data: ").expect("data")).expect("JSON")
    };
    let chunks: Vec<Value> = events.iter().map(chunk).collect();
    let (last, chunks) = chunks.split_last().expect("chunks");
    assert_eq!(last["choices"], json!([]));
    let content = chunks.iter().filter_map(|chunk| {
        assert_eq!(chunk["usage"], Value::Null);
        chunk["choices"][0]["delta"]["content"].as_str()
    });
    let produced: usize = content.map(str::len).sum::<usize>() / 4;
    assert_eq!(last["usage"]["completion_tokens"], produced);
    assert!(chunks.len() > 5);
    let finish = &chunks.last().expect("chunks")["choices"][0]["finish_reason"];
    assert_eq!(finish, "stop");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_left_is_debited_as_far_as_it_came() {
    let provider = tiny(60, 1_300);
    let response = ask(&provider, question(true)).await;
    let refused = ask(&provider, question(true)).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    drop(response);
    let response = ask(&provider, question(true)).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn too_many_tokens_are_refused_as_openai_does() {
    let provider = tiny(60, 1_200);
    let first = ask(&provider, question(true)).await;
    let refused = ask(&provider, question(false)).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let millis: u64 = refused.headers()["retry-after-ms"]
        .to_str()
        .expect("text")
        .parse()
        .expect("a number");
    assert!((59_000..=60_000).contains(&millis), "{millis}");
    assert_eq!(refused.headers()["retry-after"], "60");
    let body = json_of(refused).await;
    let error = &body["error"];
    assert_eq!(error["type"], "tokens");
    assert_eq!(error["code"], "rate_limit_exceeded");
    let message = error["message"].as_str().expect("text");
    assert!(
        message.contains("Limit 1200, Used 1107, Requested 1107. Please try again in 59."),
        "{message}"
    );
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_and_too_large_ones_are_told_apart() {
    let provider = tiny(1, 1_200);
    drop(ask(&provider, question(true)).await);
    let body = json_of(ask(&provider, question(true)).await).await;
    assert_eq!(body["error"]["type"], "requests");

    let refused = ask(&tiny(1, 1_000), question(true)).await;
    assert!(!refused.headers().contains_key("retry-after"));
    let body = json_of(refused).await;
    let message = body["error"]["message"].as_str().expect("text");
    assert!(message.starts_with("Request too large"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_explained() {
    let provider = Provider::new(Settings::default());
    for (body, found) in [
        ("{", "could not parse the JSON body"),
        (r#"{"messages": []}"#, "Missing required parameter: 'model'"),
        (
            r#"{"model": "x"}"#,
            "Missing required parameter: 'messages'",
        ),
        (r#"{"model": "x", "messages": []}"#, "empty array"),
        (
            r#"{"model": 3, "messages": []}"#,
            "expected a string, but got a number",
        ),
        (
            r#"{"model": "x", "messages": [{"role": "user", "content": "?"}], "max_tokens": 0}"#,
            "Invalid 'max_tokens'",
        ),
        (
            r#"{"model": "x", "messages": [{"role": "user", "content": "?"}], "stream": "yes"}"#,
            "Invalid type for 'stream'",
        ),
    ] {
        let response = ask(&provider, body).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        let body = json_of(response).await;
        assert_eq!(body["error"]["type"], "invalid_request_error");
        let message = body["error"]["message"].as_str().expect("text");
        assert!(message.contains(found), "{message}");
    }
    let request = Request::get("/v1/models").body(Body::empty());
    let answer = provider.router().oneshot(request.expect("a request")).await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::NOT_FOUND);
    assert_eq!(provider.totals().admitted, 0);
}
