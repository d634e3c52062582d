//! `llm-client`: see the library for its layers, and `--help` for how to start it.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use axum::http::Uri;
use buttress::core::BoxError;
use buttress::core::time::now;
use clap::Parser;
use llm_client::{Client, Config, Ledger, Options, Team, layered, noted};
use provider_stub::{Provider, Settings};
use tokio::net::TcpListener;
use tower::ServiceExt;

/// How many times faster than a real provider the stub is.
const FASTER: u32 = 12;

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told if this fails.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn say(line: &str) {
    // Whoever closed the output wants no more lines.
    let _ = writeln!(io::stdout(), "{line}");
}

async fn run(options: &Options) -> Result<(), BoxError> {
    let config = match &options.config {
        Some(path) => {
            let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
            Config::read(&text).map_err(|error| told(&error))?
        }
        None => Config::read(include_str!("../client.toml"))?,
    };
    let http = reqwest::Client::builder().build()?;
    let http = buttress::reqwest::client(http).into_service();

    let (endpoint, provider) = endpoint(options).await?;
    let ledger = Ledger::default();
    let (client, budget) = layered(&config, options.learn, noted(&ledger, http.clone()))?;
    say(&format!("with the layers, asking {endpoint}:"));
    let stopped = work(&team(options, endpoint)?, &client, &ledger).await;
    if let Some(budget) = budget {
        let reserved = budget.status().granted[buttress::Dimension::TOTAL.index()];
        say(&format!("  {reserved} tokens reserved"));
    }
    let Some(provider) = provider else {
        return Ok(());
    };
    tell(&provider);
    if stopped {
        return Ok(());
    }

    let (endpoint, provider) = stub().await?;
    let ledger = Ledger::default();
    say("\nthe same without any layer:");
    work(
        &team(options, endpoint)?,
        &noted(&ledger, http).boxed_clone(),
        &ledger,
    )
    .await;
    tell(&provider);
    Ok(())
}

/// Where the agents ask.
async fn endpoint(options: &Options) -> Result<(Uri, Option<Provider>), BoxError> {
    if let Some(base) = &options.base_url {
        if cfg!(not(feature = "tls")) && base.scheme_str() == Some("https") {
            return Err(format!(
                "`--base-url {base}`: this build has no TLS; build it with `--features tls`"
            )
            .into());
        }
        let endpoint = format!(
            "{}/chat/completions",
            base.to_string().trim_end_matches('/')
        );
        return Ok((endpoint.parse()?, None));
    }
    let minute = Settings::default().faster(FASTER).limits.window;
    say(&format!(
        "a provider on loopback: 60 requests and 150k tokens a minute, {FASTER} times faster than real ones, so \
         that a minute lasts {minute:?}"
    ));
    let (endpoint, provider) = stub().await?;
    Ok((endpoint, Some(provider)))
}

/// A provider that has not been asked yet.
async fn stub() -> Result<(Uri, Provider), BoxError> {
    let provider = Provider::new(Settings::default().faster(FASTER));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}/v1/chat/completions", listener.local_addr()?);
    let router = provider.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((endpoint.parse()?, provider))
}

fn team(options: &Options, endpoint: Uri) -> Result<Team, BoxError> {
    let key = match &options.base_url {
        Some(_) => {
            let key = std::env::var("OPENAI_API_KEY");
            let missing = "`--base-url` needs a key: set OPENAI_API_KEY in the environment";
            Some(key.map_err(|_| missing)?)
        }
        None => None,
    };
    Ok(Team {
        agents: options.agents,
        requests: options.requests(),
        time: options.time(),
        endpoint,
        key,
        model: options.model.clone(),
        stream: options.stream,
        input: [100, 1_000],
        most_output: 1_024,
        output: 1_024,
        think: [Duration::from_millis(10), Duration::from_millis(100)],
    })
}

/// Lets a team work, tells how it goes, and how it went. True if it was told to stop.
async fn work(team: &Team, client: &Client<reqwest::Error>, ledger: &Ledger) -> bool {
    let start = now();
    let mut work = std::pin::pin!(team.work(client, ledger));
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    ticks.tick().await;
    let stopped = loop {
        tokio::select! {
            () = &mut work => break false,
            _ = tokio::signal::ctrl_c() => break true,
            _ = ticks.tick() => say(&ledger.progress(start.elapsed())),
        }
    };
    say(&format!("{}", ledger.counts()));
    stopped
}

/// What the provider's own account says.
fn tell(provider: &Provider) {
    let totals = provider.totals();
    say(&format!(
        "  the provider: {} requests admitted, {} refused; at most {} requests and {} tokens in any minute",
        totals.admitted,
        totals.refused(),
        totals.most_requests,
        totals.most_tokens
    ));
}
