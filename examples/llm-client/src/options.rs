//! What can be said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

/// A team of agents asks a language model through the layers, and then the same without them.
///
/// Without `--base-url` the model is a stub on loopback with 60 requests and 150,000 tokens a minute, and a
/// minute of it lasts five seconds.
#[derive(Clone, Debug, clap::Parser)]
#[command(version)]
pub struct Options {
    /// How many agents there are.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub agents: u32,

    /// How many requests they make together.
    #[arg(long, default_value_t = 240, conflicts_with = "seconds")]
    pub requests: u64,

    /// For how many seconds they make requests instead.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seconds: Option<u64>,

    /// A file with the tables retry, priority_queue, circuit_breaker, token_budget and rate_limit.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// A real endpoint, with the key of the environment's OPENAI_API_KEY.
    /// What its quotas are only you know, so a file must say it.
    #[arg(long, value_name = "URL", requires = "config")]
    pub base_url: Option<Uri>,

    /// Which model is asked.
    #[arg(long, default_value = "gpt-4o")]
    pub model: String,

    /// Streams the answers.
    #[arg(long)]
    pub stream: bool,

    /// Reserves what this part of the answers so far did not exceed, such as 0.9, instead of the longest
    /// possible answer.
    #[arg(long, value_name = "QUANTILE", value_parser = quantile)]
    pub learn: Option<f64>,
}

impl Options {
    /// How many requests there are, if that is what ends a run.
    #[must_use]
    pub fn requests(&self) -> Option<u64> {
        self.seconds.is_none().then_some(self.requests)
    }

    /// How long requests are made, if that is what ends a run.
    #[must_use]
    pub fn time(&self) -> Option<Duration> {
        self.seconds.map(Duration::from_secs)
    }
}

fn quantile(text: &str) -> Result<f64, String> {
    let quantile = text.parse().ok();
    quantile
        .filter(|quantile| *quantile > 0.0 && *quantile < 1.0)
        .ok_or_else(|| "write a number between 0 and 1, such as 0.9".to_owned())
}
