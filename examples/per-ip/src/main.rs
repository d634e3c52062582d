//! `per-ip`: see the library for what it does, and `--help` for how to start it.

use std::fmt::Display;
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use buttress::{ClientIp, Networks, Quota};
use clap::Parser;
use per_ip::{Config, Limiters, Operations, Reload, admin, app, serve_grpc};
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

    /// The address to listen on for gRPC, where `per_ip.Chat/Say` is under the limit of `POST /chat`.
    #[arg(long, value_name = "ADDR")]
    grpc_listen: Option<SocketAddr>,

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

    /// Where the counts of quotas of a day or more survive a restart: `FILE.chat` and `FILE.search`.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// A file with the token for `GET /bans` and `DELETE /bans/{hash}`, which are not there without it.
    #[arg(long, value_name = "FILE")]
    admin_token: Option<PathBuf>,
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
        .with_writer(io::stderr)
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told if this fails.
            let _ = writeln!(io::stderr(), "error: {error}");
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
    let limiters = Limiters::kept(&config, arguments.state.as_deref())
        .map_err(|error| format!("--quota or --state: {error}"))?;
    let token = arguments.admin_token.as_deref().map(token).transpose()?;
    let (listener, address) = listen("--listen", arguments.listen).await?;
    let grpc = match arguments.grpc_listen {
        Some(address) => Some(listen("--grpc-listen", address).await?),
        None => None,
    };

    let client = ClientIp::peer().behind(proxies);
    if arguments.state.is_some() {
        // What cannot be written is to be known now, and not when it is needed.
        limiters
            .save()
            .map_err(|error| format!("--state: {error}"))?;
        tokio::spawn(limiters.clone().save_every_minute());
    }
    if let Some(reload) = reload {
        tokio::spawn(reload.follow(limiters.clone()));
    }
    // Signals are caught before anybody learns that there is something to stop.
    let asked_to_stop = asked_to_stop().map_err(|error| format!("signals: {error}"))?;
    let grpc_address = grpc.as_ref().map(|(_, address)| *address);
    // Whoever closed the output wants no greeting.
    let _ = greet(io::stdout().lock(), address, grpc_address, &config);
    let grpc = grpc.map(|(listener, _)| listener);
    let operations = Operations::new(&limiters);
    tokio::spawn(operations.clone().keep_up());
    let mut routes = app(limiters.clone(), client.clone(), &operations);
    if let Some(token) = token {
        routes = routes.merge(admin(&limiters, &token));
    }
    let http = (listener, routes);
    let grpc = grpc.map(|listener| (listener, client));
    let served = serve(http, grpc, (&limiters, &operations), asked_to_stop).await;
    if arguments.state.is_some() {
        limiters.save().map_err(|error| error.to_string())?;
    }
    served
}

/// The token in a file, without the end of its line.
fn token(path: &Path) -> Result<String, String> {
    let wrong = |what: &dyn Display| format!("--admin-token {}: {what}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    match text.trim() {
        "" => Err(wrong(
            &"the file is empty; write a long random text into it",
        )),
        token => Ok(token.to_owned()),
    }
}

async fn listen(option: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let wrong = |error: io::Error| format!("{option} {address}: {error}");
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    Ok((listener, address))
}

/// Ends with the first signal that asks the program to stop.
fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Serves until it is asked to stop, then finishes what is in flight, but not for ever.
async fn serve(
    (listener, routes): (TcpListener, Router),
    grpc: Option<(TcpListener, ClientIp)>,
    (limiters, operations): (&Limiters, &Operations),
    asked_to_stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    let (stop, stopped) = watch::channel(false);
    let until_stopped = || {
        let mut stopped = stopped.clone();
        async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }
    };
    let http = async {
        axum::serve(
            listener,
            routes.into_make_service_with_connect_info::<SocketAddr>(),
        )
        .with_graceful_shutdown(until_stopped())
        .await
        .map_err(|error| error.to_string())
    };
    let grpc = async {
        match grpc {
            Some((listener, client)) => {
                serve_grpc(listener, limiters, client, operations, until_stopped())
                    .await
                    .map_err(|error| error.to_string())
            }
            None => Ok(()),
        }
    };
    tokio::spawn(async move {
        asked_to_stop.await;
        tracing::info!("stopping");
        let _ = stop.send(true);
    });
    tokio::select! {
        result = async { tokio::try_join!(http, grpc) } => result.map(drop),
        () = async {
            until_stopped().await;
            tokio::time::sleep(GRACE).await;
        } => {
            tracing::info!("some clients still hold requests open; leaving them");
            Ok(())
        }
    }
}

fn greet(
    mut out: impl Write,
    address: SocketAddr,
    grpc: Option<SocketAddr>,
    config: &Config,
) -> io::Result<()> {
    let quotas: Vec<String> = config.chat.iter().map(ToString::to_string).collect();
    let quotas = quotas.join(", ");
    let url = format!("http://{address}");
    let grpc = grpc.map_or_else(String::new, |grpc| {
        format!("per_ip.Chat/Say on {grpc} shares that limit\n")
    });
    write!(
        out,
        "listening on {url}; /chat allows {quotas} per client\n\
         {grpc}try:\n  \
           curl -i -d hello {url}/chat\n  \
           for i in 1 2 3 4 5 6; do curl -s -o /dev/null -w '%{{http_code}}\\n' -d hello {url}/chat; done\n  \
           curl -i -H 'X-Api-Key: alice' '{url}/search?q=tower'\n  \
           curl -s {url}/status    # in a browser it is a page\n  \
           curl -s {url}/metrics\n\
         Ctrl-C stops it.\n"
    )
}
