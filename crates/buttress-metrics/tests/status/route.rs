//! The status over HTTP.

use buttress_circuit_breaker::{CircuitBreaker, Settings, State};
use buttress_metrics::Status;
use buttress_rate_limit::{Quota, RateLimiter};
use serde_json::json;

use crate::support::{Answer, TOKEN, send};

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

fn breaker() -> CircuitBreaker {
    CircuitBreaker::new(Settings::consecutive_failures(3)).expect("a breaker")
}

fn status(breaker: &CircuitBreaker) -> Status {
    Status::new()
        .add("up/stream <b>", breaker.clone())
        .add("rate", RateLimiter::new(Quota::per_second(1)))
}

fn assert_kept_by_nobody(answer: &Answer) {
    assert_eq!(answer.field("cache-control"), "no-store", "{answer:?}");
    assert_eq!(
        answer.field("x-content-type-options"),
        "nosniff",
        "{answer:?}"
    );
}

#[tokio::test]
async fn programs_get_json_and_browsers_a_page() {
    let app = status(&breaker()).router();
    for (path, accept) in [
        ("GET /status", "*/*"),
        ("GET /status", "application/json"),
        ("GET /status.json", "text/html"),
    ] {
        let answer = send(&app, path, &[("accept", accept)], "").await;
        assert_eq!(
            (answer.code, answer.field("content-type")),
            (200, "application/json")
        );
        assert_eq!(answer.json()["layers"]["rate"]["kind"], "rate_limit");
        assert_eq!(answer.field("vary"), "accept");
        assert_kept_by_nobody(&answer);
    }
    let page = send(&app, "GET /status", &[BROWSER], "").await;
    assert_eq!(
        (page.code, page.field("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(page.text.starts_with("<!doctype html>"));
    assert!(
        page.field("content-security-policy")
            .starts_with("default-src 'none'; script-src 'sha256-")
    );
    assert_eq!(page.field("vary"), "accept");
    assert_kept_by_nobody(&page);
    assert!(
        !page.text.contains("up/stream"),
        "names come as values only"
    );
}

#[tokio::test]
async fn it_can_be_nested() {
    let app = axum::Router::new().nest("/admin", status(&breaker()).router());
    assert_eq!(send(&app, "GET /admin/status", &[], "").await.code, 200);
    assert_eq!(send(&app, "GET /status", &[], "").await.code, 404);
}

async fn order(app: &axum::Router, fields: &[(&str, &str)], layer: &str, command: &str) -> Answer {
    let body = json!({"layer": layer, "command": command}).to_string();
    send(app, "POST /status", fields, &body).await
}

#[tokio::test]
async fn commands_are_off_unless_there_is_a_token() {
    let breaker = breaker();
    let off = status(&breaker);
    let bearer = format!("Bearer {TOKEN}");
    let answer = order(
        &off.router(),
        &[("authorization", &bearer)],
        "up/stream <b>",
        "force_open",
    )
    .await;
    assert_eq!(answer.code, 403);
    assert_kept_by_nobody(&answer);
    let told = send(&off.router(), "GET /status", &[], "").await.json();
    assert_eq!(told["controls"], false);
    assert_eq!(told["layers"]["up/stream <b>"].get("commands"), None);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn only_who_has_the_token_commands() {
    let breaker = breaker();
    let app = status(&breaker).controls(TOKEN).unwrap().router();
    let longer = format!("Bearer {TOKEN}x");
    let basic = format!("Basic {TOKEN}");
    for fields in [
        &[][..],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Bearer wrong-token-of-it")],
        &[("authorization", &longer)],
        &[("authorization", &basic)],
        &[("authorization", TOKEN)],
        &[("cookie", "token=a-token-for-tests")],
    ] {
        let answer = order(&app, fields, "up/stream <b>", "force_open").await;
        assert_eq!(
            (answer.code, answer.field("www-authenticate")),
            (401, "Bearer"),
            "{fields:?}"
        );
        assert_kept_by_nobody(&answer);
    }
    assert_eq!(breaker.state(), State::Closed);

    let bearer = format!("bearer {TOKEN}");
    let fields = [("authorization", &*bearer)];
    for (command, state) in [
        ("force_open", State::ForcedOpen),
        ("force_closed", State::ForcedClosed),
        ("reset", State::Closed),
    ] {
        let answer = order(&app, &fields, "up/stream <b>", command).await;
        assert_eq!(answer.code, 200, "{answer:?}");
        assert_eq!(breaker.state(), state);
        let told = answer.json();
        let layer = &told["layers"]["up/stream <b>"];
        assert_eq!(layer["breaker"]["state"], state.as_str());
        assert_eq!(
            layer["commands"],
            json!(["reset", "force_open", "force_closed"])
        );
        assert_eq!(told["layers"]["rate"].get("commands"), None);
    }
}

#[tokio::test]
async fn a_wrong_command_says_what_is_wrong() {
    let breaker = breaker();
    let app = status(&breaker).controls(TOKEN).unwrap().router();
    let bearer = format!("Bearer {TOKEN}");
    let fields = [("authorization", &*bearer)];
    let layer = "up/stream <b>";
    for (answer, code, says) in [
        (
            order(&app, &fields, "nobody", "reset").await,
            404,
            "no layer has this name",
        ),
        (
            order(&app, &fields, "rate", "reset").await,
            422,
            "cannot be told `reset`",
        ),
        (
            order(&app, &fields, layer, "explode").await,
            422,
            "it can be `reset`, `force_open`",
        ),
        (
            send(&app, "POST /status", &fields, "").await,
            400,
            "send {\"layer\"",
        ),
        (
            send(&app, "POST /status", &fields, "{\"layer\": \"rate\"}").await,
            400,
            "`command`",
        ),
        (
            send(&app, "POST /status", &fields, &"x".repeat(5_000)).await,
            413,
            "",
        ),
        (send(&app, "PUT /status", &fields, "").await, 405, ""),
    ] {
        assert_eq!(answer.code, code, "{answer:?}");
        assert!(answer.text.contains(says), "{answer:?}");
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_router_takes_any_state() {
    let app: axum::Router<String> = status(&breaker()).router();
    let _: axum::Router = app.with_state(String::new());
}
