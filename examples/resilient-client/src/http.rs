//! The upstream and the client over HTTP.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use buttress::MetricsLayer;
use buttress::core::{BoxError, ByError};
use buttress::http::ByStatus;
use buttress::metrics::Http;
use tokio::net::TcpListener;
use tower::ServiceBuilder;

use crate::layers::Layers;
use crate::upstream::{Does, Upstream};
use crate::voice::Say;

pub(crate) async fn serve(listener: TcpListener, upstream: Upstream) -> io::Result<()> {
    let answer = async move || match upstream.next() {
        Does::Works => (StatusCode::OK, "hello"),
        Does::Fails => (StatusCode::SERVICE_UNAVAILABLE, "no"),
        Does::Hangs => std::future::pending().await,
    };
    axum::serve(listener, Router::new().route("/", get(answer))).await
}

pub(crate) async fn ask(
    address: SocketAddr,
    measure: MetricsLayer<Http, ByStatus<ByError>>,
    layers: Layers,
    requests: u32,
    say: &Say,
) -> Result<u32, BoxError> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let client = buttress::reqwest::client(http.clone()).layer(
        ServiceBuilder::new()
            .layer(measure)
            .layer(layers.retry.http().wrap_bodies(reqwest::Body::wrap))
            .layer(layers.pace.respond_http())
            .layer(layers.breaker.respond_http())
            .layer(layers.timeout.respond_http()),
    );
    let mut served = 0;
    for number in 1..=requests {
        let request = http.get(format!("http://{address}/")).build()?;
        // An error is that of reqwest, as every layer answers with a response.
        let response = client.execute(request).await?;
        let status = response.status();
        let after = response.headers().get("retry-after");
        let after = after.and_then(|seconds| seconds.to_str().ok());
        say(&match after {
            Some(seconds) => format!("request {number}: {status}, come back in {seconds} s"),
            None => format!("request {number}: {status}"),
        });
        // A call has succeeded when its body has been read; one that is dropped before says nothing.
        response.bytes().await?;
        served += u32::from(status.is_success());
    }
    Ok(served)
}
