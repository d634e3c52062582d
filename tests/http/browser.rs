//! What scripts of another origin may read, with tower-http's CORS.

use axum::Router;
use axum::routing::get as on_get;
use buttress::http::{EXPOSED, Fields};
use buttress::{ClientIp, Preflight, Quota, RateLimitLayer};
use tower_http::cors::{Any, CorsLayer};

use crate::support::{Answer, client, send, serve};

async fn from_script(url: &str) -> Answer {
    send(client().get(url).header("origin", "https://app.example")).await
}

/// The names that `Access-Control-Expose-Headers` lists.
fn exposed(answer: &Answer) -> Vec<String> {
    let lines = answer.lines("access-control-expose-headers").into_iter();
    lines
        .flat_map(|line| line.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_another_origin_read_every_field_of_answers_and_refusals() {
    let fields = Fields {
        x_ratelimit: true,
        ..Fields::default()
    };
    let limit = RateLimitLayer::new(Quota::per_hour(1))
        .by(ClientIp::peer())
        .unless(Preflight)
        .respond_http()
        .headers()
        .fields(fields);
    let cors = CorsLayer::new().allow_origin(Any).expose_headers(EXPOSED);
    let app = Router::new().route("/", on_get(async || "yes"));
    let address = serve(app.layer(limit).layer(cors)).await;
    let url = format!("http://{address}/");

    for status in [200, 429] {
        let answer = from_script(&url).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.field("access-control-allow-origin"), "*");
        let exposed = exposed(&answer);
        let told = answer.fields.keys().map(|name| name.as_str());
        let told: Vec<_> = told
            .filter(|name| name.contains("ratelimit") || *name == "retry-after")
            .collect();
        assert_eq!(told.len(), if status == 429 { 6 } else { 5 }, "{told:?}");
        for name in told {
            assert!(
                exposed.iter().any(|each| each == name),
                "{name}: {exposed:?}"
            );
        }
    }

    let preflight = client()
        .request(http::Method::OPTIONS, &url)
        .header("origin", "https://app.example")
        .header("access-control-request-method", "GET");
    let preflight = send(preflight).await;
    assert_eq!(preflight.status, 200, "it costs nothing and is not refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_word_a_script_reads_none() {
    let limit = RateLimitLayer::new(Quota::per_hour(1))
        .respond_http()
        .headers();
    let cors = CorsLayer::new().allow_origin(Any);
    let app = Router::new().route("/", on_get(async || "yes"));
    let address = serve(app.layer(limit).layer(cors)).await;
    let answer = from_script(&format!("http://{address}/")).await;
    assert_eq!(exposed(&answer), [""; 0]);
}
