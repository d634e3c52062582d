//! What becomes of a service that is offered more than it can serve, over real HTTP on loopback.
//!
//! `cargo run --release -p buttress-benches --bin overload [-- SECONDS]` takes some minutes, prints a table,
//! and writes it to `docs/overload.md` and a plot of it to `docs/overload.svg`.
//!
//! Twelve workers take 50 ms for a request each. That is time of timers and not of processors, as load
//! generator and server share one machine.

mod load;
mod outcome;
mod plot;
mod report;
mod stacks;

use std::error::Error;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use axum::Router;
use buttress_benches::machine;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::outcome::Level;

/// Times the capacity.
const LEVELS: [u32; 4] = [1, 2, 5, 10];

fn main() -> Result<(), Box<dyn Error>> {
    let seconds = match env::args().nth(1) {
        Some(text) => text.parse().map_err(|error| {
            format!("the seconds of a level are `{text}` ({error}); give a number such as 12")
        })?,
        None => 12,
    };
    let time = Duration::from_secs(u64::max(seconds, 4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut output = io::stdout().lock();
    let capacity = runtime.block_on(async {
        let server = Served::new(stacks::service()).await?;
        io::Result::Ok(load::capacity(server.address, time).await)
    })?;
    let head = report::head(&machine::describe(), capacity, time);
    writeln!(output, "{head}")?;
    let mut levels: Vec<Level> = Vec::new();
    for (stack, make) in stacks::ALL {
        let unloaded = runtime.block_on(async {
            let server = Served::new(make()).await?;
            io::Result::Ok(load::unloaded(server.address).await)
        })?;
        for times in LEVELS {
            let rate = capacity * f64::from(times);
            // Nothing is left over from one level to the next.
            let ended = runtime.block_on(async {
                let server = Served::new(make()).await?;
                io::Result::Ok(load::offer(server.address, rate, time).await)
            })?;
            let level = Level::new(stack, times, capacity, &unloaded, &ended, time);
            writeln!(output, "{}", report::row(&level))?;
            levels.push(level);
        }
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    fs::write(docs.join("overload.svg"), report::plots(&levels))?;
    let page = docs.join("overload.md");
    let text = report::replace_table(&fs::read_to_string(&page)?, &head, &levels)?;
    fs::write(&page, text)?;
    writeln!(output, "written to docs/overload.md and docs/overload.svg")?;
    Ok(())
}

/// An app on a port of its own, until this is dropped.
struct Served {
    address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
}

impl Served {
    async fn new(app: Router) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        // A bare router would apply its layers anew for every connection, and most of those here keep their
        // state in what they make then.
        let app = app.into_make_service();
        Ok(Self {
            address: listener.local_addr()?,
            task: tokio::spawn(async move { axum::serve(listener, app).await }),
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}
