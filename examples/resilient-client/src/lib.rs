//! A client through four layers, and an upstream on loopback that works, fails for some calls, and works
//! again. Every layer says what it does.
//!
//! With `--listen` it serves `/status` and `/metrics` while it asks, and afterwards.
//!
//! The layers stand in [`Layers`], the client of HTTP around them in `http.rs`, that of gRPC in `grpc.rs`.
//! The upstream counts calls, not time, so that each run shows the same.

mod grpc;
mod http;
mod layers;
mod operations;
mod upstream;
mod voice;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::Router;
use buttress::Quota;
use buttress::core::{BoxError, Now};
use tokio::net::TcpListener;

use operations::Operations;

pub use layers::{Heard, Layers};
pub use upstream::Upstream;
pub use voice::Say;

/// What is to be shown.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How many requests to send, one after the other.
    #[arg(long, default_value_t = 30)]
    pub requests: u32,

    /// After how many calls the upstream fails.
    #[arg(long, default_value_t = 5)]
    pub healthy: u32,

    /// For how many calls it fails: the second is never answered, the others get 503.
    #[arg(long, default_value_t = 4)]
    pub failing: u32,

    /// At which pace calls are made.
    #[arg(long, default_value = "20/second burst 1", value_name = "QUOTA")]
    pub pace: Quota,

    /// Also wait for the circuit breaker to let calls through again, instead of failing at once.
    #[arg(long)]
    pub patient: bool,

    /// Ask through a tonic channel instead of reqwest.
    #[arg(long)]
    pub grpc: bool,

    /// Serve `/status` and `/metrics` here, also when all requests are sent, until Ctrl-C.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,

    /// A file with a token of at least 16 characters, by which the breaker can be reset and forced from
    /// `/status`.
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub token: Option<PathBuf>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How many requests were sent.
    pub requests: u32,
    /// How many of them were served.
    pub served: u32,
    /// How many calls came to the upstream.
    pub calls: u32,
    /// How many retries the budget paid for.
    pub retries: u64,
    /// How many calls the breaker refused.
    pub refused: u64,
    /// How often the breaker opened.
    pub opened: u64,
}

/// Starts the upstream, sends the requests and tells what happens.
///
/// # Errors
///
/// If the upstream or the client cannot be started.
pub async fn run(options: &Options, say: Say) -> Result<Summary, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    say(&format!("upstream on {address}"));
    let upstream = Upstream::new(options.healthy, options.failing);
    let token = options.token.as_deref().map(token).transpose()?;
    let operations = Operations::new(token.as_deref())?;
    let layers = Layers::new(options, &say, &operations);
    let budget = layers.retry.retry_budget().clone();
    let breaker = layers.breaker.breaker().clone();
    let served = match options.grpc {
        true => {
            let server = tokio::spawn(grpc::serve(listener, upstream.clone()));
            let measure = operations.measure().grpc_client();
            let routes = operations.routes(&layers, measure.handle());
            serve(options.listen, operations, routes, &say).await?;
            let served = grpc::ask(address, measure, layers, options.requests, &say).await?;
            server.abort();
            served
        }
        false => {
            let server = tokio::spawn(http::serve(listener, upstream.clone()));
            let measure = operations.measure().http_client();
            let routes = operations.routes(&layers, measure.handle());
            serve(options.listen, operations, routes, &say).await?;
            let served = http::ask(address, measure, layers, options.requests, &say).await?;
            server.abort();
            served
        }
    };
    Ok(Summary {
        requests: options.requests,
        served,
        calls: upstream.calls(),
        retries: budget.snapshot(&Now::new()).allowed,
        refused: breaker.snapshot().refused,
        opened: breaker.metrics().opened,
    })
}

/// The token in a file, without the end of its line.
fn token(path: &Path) -> Result<String, BoxError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(format!("--token {}: {error}", path.display()).into()),
    }
}

/// Serves what those see who run it, as long as the process runs, if that was asked for.
async fn serve(
    address: Option<SocketAddr>,
    operations: Operations,
    routes: Router,
    say: &Say,
) -> Result<(), BoxError> {
    let Some(address) = address else {
        return Ok(());
    };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("--listen {address}: {error}"))?;
    say(&format!(
        "status on http://{}/status",
        listener.local_addr()?
    ));
    tokio::spawn(operations.keep_up());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(())
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} requests served with {} calls; {} retries, {} refused by the breaker, which opened {} times",
            self.served, self.requests, self.calls, self.retries, self.refused, self.opened,
        )
    }
}
