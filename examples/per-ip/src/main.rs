//! `per-ip`: see the library for what it does, and `--help` for how to start it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to whoever started it"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use buttress::{ClientIp, Networks, Quota};
use clap::Parser;
use per_ip::{Config, Limiters, Reload, app};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// An axum app whose routes are limited per client address and per API key.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDR")]
    listen: SocketAddr,

    /// A quota for `POST /chat`, kept per client address; may be given several times. A file that has
    /// `quotas` wins over it.
    #[arg(long, default_value = "5/minute", value_name = "QUOTA")]
    quota: Vec<Quota>,

    /// A network of proxies whose `X-Forwarded-For` is believed; may be given several times.
    #[arg(long, value_name = "CIDR")]
    trust_proxy: Vec<String>,

    /// A TOML file with the limits. An edit is in force within seconds.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How long requests in flight have to finish. With what starting and stopping takes this stays below five
/// seconds.
const GRACE: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let proxies = Networks::parse(&arguments.trust_proxy)
        .map_err(|error| format!("--trust-proxy: {error}"))?;
    let base = Config::new(arguments.quota);
    let (reload, config) = match &arguments.config {
        Some(path) => {
            let (reload, config) = Reload::start(path, base)?;
            (Some(reload), config)
        }
        None => (None, base),
    };
    let limiters = Limiters::new(&config).map_err(|error| format!("--quota: {error}"))?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| format!("--listen {}: {error}", arguments.listen))?;
    let address = listener
        .local_addr()
        .map_err(|error| format!("--listen {}: {error}", arguments.listen))?;

    let app = app(limiters.clone(), ClientIp::peer().behind(proxies));
    if let Some(reload) = reload {
        tokio::spawn(reload.follow(limiters));
    }
    greet(address, &config);
    serve(listener, app).await
}

/// Serves until a signal comes, then finishes what is in flight, but not for ever.
async fn serve(listener: TcpListener, app: axum::Router) -> Result<(), String> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let (stop, mut stopped) = watch::channel(false);
    let mut grace = stopped.clone();
    let server = axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    });
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
        let _ = stop.send(true);
    });
    tokio::select! {
        result = server => result.map_err(|error| error.to_string()),
        () = async {
            let _ = grace.wait_for(|stopped| *stopped).await;
            tokio::time::sleep(GRACE).await;
        } => {
            tracing::info!("some clients still hold requests open; leaving them");
            Ok(())
        }
    }
}

fn greet(address: SocketAddr, config: &Config) {
    let quotas: Vec<String> = config.chat.iter().map(ToString::to_string).collect();
    println!(
        "listening on http://{address}; /chat allows {} per client",
        quotas.join(", ")
    );
    println!("try:");
    println!("  curl -i -d hello http://{address}/chat");
    println!(
        "  for i in 1 2 3 4 5 6; do curl -s -o /dev/null -w '%{{http_code}}\\n' -d hello http://{address}/chat; done"
    );
    println!("  curl -i -H 'X-Api-Key: alice' 'http://{address}/search?q=tower'");
    println!("  curl -s http://{address}/status");
    println!("Ctrl-C stops it.");
}
