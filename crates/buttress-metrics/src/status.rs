//! How all layers of a process stand, as one value and as a page.

#[cfg(feature = "axum")]
mod accept;
mod refusals;
mod report;
mod requests;
#[cfg(feature = "axum")]
mod route;
mod token;

use std::fmt;
use std::sync::Arc;

use buttress_core::Now;
use buttress_core::status::{Command, Report};
use buttress_core::time::{Instant, now};
use buttress_core::wall::WallClock;

use crate::registry::Metrics;
use refusals::Ring;
use token::Token;

pub use refusals::{RECENT, RefusalObserver};
pub use report::{EventsReport, FORMAT, LayerStatus, Refusal, RefusalsReport, StatusReport};
pub use token::TokenError;

/// The handles of layers by name, and how all of them stand.
///
/// ```
/// use buttress_circuit_breaker::{CircuitBreaker, Settings};
/// use buttress_metrics::Status;
/// use buttress_rate_limit::{Quota, RateLimiter};
///
/// let limiter = RateLimiter::new(Quota::per_minute(5));
/// let breaker = CircuitBreaker::new(Settings::consecutive_failures(5))?;
/// let status = Status::new()
///     .add("chat", limiter.clone())
///     .add("upstream", breaker);
///
/// limiter.check("alice", 1)?;
/// let report = status.report();
/// assert_eq!(report.layers[0].report.admitted, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The report is one value of serde (feature `serde`), whose format is described in `docs/operations/status.md`.
/// With feature `axum`, `router` serves it as JSON and as a page.
///
/// Clones tell the same of the layers that were added before they were made.
#[derive(Clone)]
pub struct Status {
    layers: Vec<(Arc<str>, Arc<dyn Report + Send + Sync>)>,
    metrics: Option<Metrics>,
    refusals: Arc<Ring>,
    start: Instant,
    wall: WallClock,
    token: Option<Token>,
}

impl Status {
    /// A status of no layers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            layers: Vec::new(),
            metrics: None,
            refusals: Arc::new(Ring::new(RECENT)),
            start: now(),
            wall: WallClock::system(),
            token: None,
        }
    }

    /// Adds the handle of a layer: a limiter, a budget, a breaker, a queue, what a
    /// [`MetricsLayer`](crate::MetricsLayer) has seen, or a [`Report`] of your own. A name that is there
    /// already gets this handle instead of its own.
    #[must_use]
    pub fn add(
        mut self,
        name: impl Into<Arc<str>>,
        handle: impl Report + Send + Sync + 'static,
    ) -> Self {
        let name = name.into();
        let handle: Arc<dyn Report + Send + Sync> = Arc::new(handle);
        match self.layers.iter_mut().find(|(held, _)| *held == name) {
            Some((_, held)) => *held = handle,
            None => self.layers.push((name, handle)),
        }
        self
    }

    /// Also tells what the layers of these metrics have decided, by the same names.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// An observer for the layer of this name, which keeps its latest refusals for the status; all layers
    /// together have room for [`RECENT`]. Beside metrics: `.observe((metrics.layer(name),
    /// status.observer(name)))`.
    #[must_use]
    pub fn observer(&self, name: impl Into<Arc<str>>) -> RefusalObserver {
        RefusalObserver::new(name.into(), Arc::clone(&self.refusals))
    }

    /// Tells the time by this clock instead of the system's.
    #[must_use]
    pub fn wall_clock(mut self, wall: WallClock) -> Self {
        self.wall = wall;
        self
    }

    /// Lets whoever has the token give commands: reset a breaker, force it open or closed. The token is sent as
    /// `Authorization: Bearer`, never as a cookie, so no other site can send it along.
    ///
    /// # Errors
    ///
    /// If the token is shorter than [`Self::SHORTEST_TOKEN`], or cannot be sent in a header.
    pub fn controls(mut self, token: impl AsRef<str>) -> Result<Self, TokenError> {
        self.token = Some(Token::new(token.as_ref())?);
        Ok(self)
    }

    /// Whether commands are taken.
    #[must_use]
    pub const fn has_controls(&self) -> bool {
        self.token.is_some()
    }

    /// Whether this is the token, for a route of your own. The time it takes does not tell how much of it is
    /// right.
    #[must_use]
    pub fn may_command(&self, token: impl AsRef<[u8]>) -> bool {
        self.token
            .as_ref()
            .is_some_and(|held| held.is(token.as_ref()))
    }

    /// How many characters a token has at least.
    pub const SHORTEST_TOKEN: usize = token::SHORTEST;

    /// How all layers stand.
    ///
    /// Keyed handles go through their tables for it, which takes microseconds for every thousand keys.
    #[must_use]
    pub fn report(&self) -> StatusReport {
        let now = Now::new();
        let mut events = self
            .metrics
            .as_ref()
            .map_or_else(Vec::new, Metrics::snapshot);
        let mut layers = Vec::with_capacity(self.layers.len());
        for (name, handle) in &self.layers {
            let seen = events.iter().position(|seen| *seen.name == **name);
            let commands = self.token.as_ref().map_or(&[][..], |_| handle.commands());
            layers.push(LayerStatus {
                name: name.to_string(),
                report: handle.report(&now),
                commands,
                events: seen.map(|seen| events.remove(seen).into()),
            });
        }
        // Those that nobody added a handle of.
        layers.extend(events.into_iter().map(LayerStatus::observed));
        let instant = now.get();
        StatusReport {
            format: FORMAT,
            at: self.wall.at(instant),
            up: instant.saturating_duration_since(self.start),
            controls: self.token.is_some(),
            layers,
            refusals: self.refusals.report(instant),
        }
    }

    /// Gives a layer a command.
    ///
    /// # Errors
    ///
    /// If there is no such layer, or it has no such command; then nothing changes.
    pub fn command(&self, layer: &str, command: Command) -> Result<(), CommandError> {
        let mut layers = self.layers.iter();
        let (_, handle) = layers
            .find(|(name, _)| **name == *layer)
            .ok_or(CommandError::NoSuchLayer)?;
        match handle.command(command) {
            true => Ok(()),
            false => Err(CommandError::NoSuchCommand(command)),
        }
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.layers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Status")
            .field("layers", &names)
            .field("controls", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// No layer has this name.
    NoSuchLayer,
    /// The layer cannot be told this.
    NoSuchCommand(Command),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchLayer => f.write_str("no layer has this name; the status lists all names"),
            Self::NoSuchCommand(command) => write!(
                f,
                "the layer cannot be told `{command}`; the status lists the commands of each"
            ),
        }
    }
}

impl std::error::Error for CommandError {}
