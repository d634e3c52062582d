//! The `[priority_queue]` table of a configuration file.

use std::time::Duration;

use buttress_core::duration::Setting;
use serde::Deserialize;

use crate::layer::PriorityQueueLayer;
use crate::settings::{DEFAULT_CAPACITY, Settings};

/// A queue as a configuration file writes it: `concurrency`, and as wanted `capacity`, `max_wait`, `fair`,
/// `ageing`, `rate_aware` and `enabled`.
///
/// ```
/// use buttress_priority_queue::PriorityQueueConfig;
///
/// let config: PriorityQueueConfig =
///     serde_json::from_str(r#"{"concurrency": 12, "max_wait": "60s", "ageing": "30s"}"#)?;
/// assert_eq!(config.layer().queue().status().limit, 12);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Fields")]
#[non_exhaustive]
pub struct PriorityQueueConfig {
    /// Whether the layer stands in the stack.
    pub enabled: bool,
    /// How many requests may be in flight.
    pub concurrency: u32,
    /// How many may wait.
    pub capacity: usize,
    /// How long one waits at most.
    pub max_wait: Option<Duration>,
    /// Whether tenants take turns inside a priority.
    pub fair: bool,
    /// After how long a waiter rises one priority.
    pub ageing: Option<Duration>,
    /// Whether the admissions below are asked before a place is handed out: whoever builds the stack says
    /// `after(..)` then.
    pub rate_aware: bool,
}

impl PriorityQueueConfig {
    /// The settings of such a queue.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            capacity: self.capacity,
            max_wait: self.max_wait,
            fair: self.fair,
            ageing: self.ageing,
            ..Settings::new(self.concurrency)
        }
    }

    /// A layer as configured; how requests are read is for the layer to say. After `tenant(..)` say
    /// `fair(config.fair)`.
    ///
    /// # Panics
    ///
    /// Not for a configuration that was read; one that was changed since may make no sense.
    #[must_use]
    pub fn layer(&self) -> PriorityQueueLayer {
        match PriorityQueueLayer::of(self.settings()) {
            Ok(layer) => layer,
            Err(error) => panic!("{error}"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default = "enabled")]
    enabled: bool,
    concurrency: u64,
    capacity: Option<u64>,
    max_wait: Option<Setting>,
    #[serde(default)]
    fair: bool,
    ageing: Option<Setting>,
    #[serde(default)]
    rate_aware: bool,
}

fn enabled() -> bool {
    true
}

impl TryFrom<Fields> for PriorityQueueConfig {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let concurrency = u32::try_from(fields.concurrency).ok().filter(|n| *n > 0);
        let Some(concurrency) = concurrency else {
            return Err(format!(
                "`concurrency` is {}; give a number from 1 to {}",
                fields.concurrency,
                u32::MAX
            ));
        };
        let capacity = match fields.capacity {
            Some(capacity) => usize::try_from(capacity).unwrap_or(usize::MAX),
            None => DEFAULT_CAPACITY,
        };
        let config = Self {
            enabled: fields.enabled,
            concurrency,
            capacity,
            max_wait: fields.max_wait.map(|setting| setting.0),
            fair: fields.fair,
            ageing: fields.ageing.map(|setting| setting.0),
            rate_aware: fields.rate_aware,
        };
        config
            .settings()
            .check()
            .map_err(|error| error.to_string())?;
        Ok(config)
    }
}
