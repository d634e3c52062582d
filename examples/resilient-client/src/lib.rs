//! A client through four layers, and an upstream on loopback that works, fails for some calls, and works
//! again. Every layer says what it does.
//!
//! The layers stand in [`Layers`], the client of HTTP around them in `http.rs`, that of gRPC in `grpc.rs`.
//! The upstream counts calls, not time, so that each run shows the same.

mod grpc;
mod http;
mod layers;
mod upstream;
mod voice;

use std::fmt;

use buttress::Quota;
use buttress::core::{BoxError, Now};
use tokio::net::TcpListener;

pub use layers::Layers;
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
    let layers = Layers::new(options, &say);
    let budget = layers.retry.retry_budget().clone();
    let breaker = layers.breaker.breaker().clone();
    let served = match options.grpc {
        true => {
            let server = tokio::spawn(grpc::serve(listener, upstream.clone()));
            let served = grpc::ask(address, layers, options.requests, &say).await?;
            server.abort();
            served
        }
        false => {
            let server = tokio::spawn(http::serve(listener, upstream.clone()));
            let served = http::ask(address, layers, options.requests, &say).await?;
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

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} requests served with {} calls; {} retries, {} refused by the breaker, which opened {} times",
            self.served, self.requests, self.calls, self.retries, self.refused, self.opened,
        )
    }
}
