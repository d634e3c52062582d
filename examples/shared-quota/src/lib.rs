//! Twenty agents share a quota of 60 requests and 150,000 tokens a minute for an hour, through the layers of
//! the example `llm-client`, in virtual time.
//!
//! The provider is the stub of `provider-stub`, which keeps an exact account of its own. What a run shows is
//! explained in `docs/shared-quota.md`.

mod memory;

use std::time::Duration;

use buttress::core::BoxError;
use http::Uri;
use llm_client::{Config, Counts, Ledger, Team, layered, noted};
use provider_stub::{Answers, Debit, Limits, Provider, Settings, Totals};

const SECOND: Duration = Duration::from_secs(1);

/// How long a run is.
pub const HOUR: Duration = Duration::from_secs(3_600);

/// How many requests the provider allows in a minute.
pub const REQUESTS: u64 = 60;

/// How many tokens the provider allows in a minute.
pub const TOKENS: u64 = 150_000;

/// What part of the answers do not exceed what is reserved for them, where that is learned.
pub const LEARNED: f64 = 0.87;

/// The most that an answer may have.
const MOST_OUTPUT: u64 = 4_096;

/// Which quota the agents use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Short questions and answers.
    Requests,
    /// Long ones.
    Tokens,
}

/// What is reserved for an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reserve {
    /// All that it may have.
    Maximum,
    /// What this part of the answers do not exceed, known beforehand.
    Quantile(f64),
    /// What this part of the answers did not exceed so far.
    Learned(f64),
}

/// A run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Which quota is used up.
    pub load: Load,
    /// When the provider debits tokens.
    pub debit: Debit,
    /// What is reserved for an answer.
    pub reserve: Reserve,
    /// How long the client's windows are: the provider's minute, and a margin.
    pub window: Duration,
    /// How long the run is.
    pub time: Duration,
    /// What the run's chances follow from.
    pub seed: u64,
}

impl Case {
    /// An hour, with a second of margin.
    #[must_use]
    pub const fn new(load: Load, debit: Debit, reserve: Reserve) -> Self {
        Self {
            load,
            debit,
            reserve,
            window: Duration::from_secs(61),
            time: HOUR,
            seed: 1,
        }
    }

    fn answers(&self) -> Answers {
        let (median, per_second) = match self.load {
            Load::Requests => (250.0, 30.0),
            Load::Tokens => (1_000.0, 80.0),
        };
        Answers {
            median,
            sigma: 0.6,
            per_second,
            shortest: 2 * SECOND,
            longest: 30 * SECOND,
        }
    }

    fn config(&self) -> Result<Config, BoxError> {
        let window = self.window.as_secs();
        let text = format!(
            r#"
            [retry]
            attempts = 4
            base = "500ms"
            methods = ["*"]

            [priority_queue]
            concurrency = 20
            ageing = "30s"
            rate_aware = true

            [circuit_breaker]
            consecutive_failures = 5

            [token_budget]
            limits = ["{TOKENS}/{window}s rolling"]

            [rate_limit]
            quotas = ["{REQUESTS}/{window}s rolling", "{REQUESTS}/{window}s burst 5"]
            "#
        );
        Ok(Config::read(&text)?)
    }

    fn team(&self) -> Team {
        Team {
            agents: 20,
            requests: None,
            time: None,
            endpoint: Uri::from_static("http://memory/v1/chat/completions"),
            key: None,
            model: "gpt-4o".to_owned(),
            stream: true,
            input: match self.load {
                Load::Requests => [100, 500],
                Load::Tokens => [1_000, 2_000],
            },
            most_output: match self.load {
                Load::Requests => MOST_OUTPUT / 4,
                Load::Tokens => MOST_OUTPUT,
            },
            output: 0,
            think: [SECOND / 10, SECOND],
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The provider's account.
    pub totals: Totals,
    /// The agents' counts.
    pub counts: Counts,
    /// How much of the hour's requests were made.
    pub requests_used: f64,
    /// How much of the hour's tokens were used.
    pub tokens_used: f64,
    /// How many of the requests that came to the provider it refused.
    pub refused: f64,
}

/// Runs a case.
///
/// # Errors
///
/// If its configuration makes no sense.
pub fn run(case: &Case) -> Result<Shown, BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(work(case))
}

async fn work(case: &Case) -> Result<Shown, BoxError> {
    let answers = case.answers();
    let provider = Provider::new(Settings {
        limits: Limits {
            requests: REQUESTS,
            tokens: TOKENS,
            window: 60 * SECOND,
        },
        debit: case.debit,
        answers,
        beat: SECOND,
        seed: case.seed,
        ..Settings::default()
    });
    let mut team = case.team();
    let learn = match case.reserve {
        Reserve::Learned(quantile) => Some(quantile),
        _ => None,
    };
    team.output = match case.reserve {
        Reserve::Quantile(quantile) => answers.quantile(quantile).min(team.most_output),
        _ => team.most_output,
    };
    let ledger = Ledger::default();
    let (client, _) = layered(
        &case.config()?,
        learn,
        noted(&ledger, memory::service(&provider)),
    )?;
    let hour = tokio::time::timeout(case.time, team.work(&client, &ledger));
    let _ = hour.await;

    let totals = provider.totals();
    let counts = ledger.counts().clone();
    let minutes = case.time.as_secs_f64() / 60.0;
    let asked = totals.admitted + totals.refused();
    Ok(Shown {
        totals,
        counts,
        requests_used: totals.admitted as f64 / (REQUESTS as f64 * minutes),
        tokens_used: totals.tokens as f64 / (TOKENS as f64 * minutes),
        refused: totals.refused() as f64 / asked.max(1) as f64,
    })
}
