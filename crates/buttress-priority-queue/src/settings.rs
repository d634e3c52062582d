//! What a queue is told, as a value.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use buttress_core::duration::LONGEST_SETTING;

use crate::limit::Limit;
use crate::priority::{MAX_LEVELS, Urgency};
use crate::queue::Rules;

/// How many may wait if nothing is said.
pub const DEFAULT_CAPACITY: usize = 100;

/// How many may wait at most: a queue that is longer answers nobody in time.
pub const MAX_CAPACITY: usize = 1 << 20;

/// How many partitions there can be.
pub const MAX_PARTITIONS: usize = 64;

/// What a queue is told: how many at once, how many wait, and in which order.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How many requests may be in flight.
    pub limit: Limit,
    /// How many may wait.
    pub capacity: usize,
    /// How many of a level may wait, whatever room there is in all. A request counts for the level that it
    /// came with; levels that are not named have no capacity of their own.
    pub capacities: Vec<(u8, usize)>,
    /// How long one waits at most.
    pub max_wait: Option<Duration>,
    /// After how long a waiter rises one level.
    pub ageing: Option<Duration>,
    /// Whether tenants take turns inside a level.
    pub fair: bool,
    /// After how long of never being empty the latest arrival of a level goes first.
    pub newest_first_after: Option<Duration>,
    /// How many levels of urgency there are.
    pub levels: u8,
    /// Which share of the limit only requests of this level or above may use.
    pub reserve: Option<(f64, u8)>,
    /// Which share of the limit each partition may use at most.
    pub partitions: Vec<f64>,
}

impl Settings {
    /// So many at once, 100 waiting, four levels, in order of arrival.
    #[must_use]
    pub fn new(limit: impl Into<Limit>) -> Self {
        Self {
            limit: limit.into(),
            capacity: DEFAULT_CAPACITY,
            capacities: Vec::new(),
            max_wait: None,
            ageing: None,
            fair: false,
            newest_first_after: None,
            levels: 4,
            reserve: None,
            partitions: Vec::new(),
        }
    }

    /// Lets so many of a level wait, whatever room there is in all.
    #[must_use]
    pub fn capacity_of(mut self, urgency: &impl Urgency, waiting: usize) -> Self {
        let level = urgency.level();
        self.capacities.retain(|(other, _)| *other != level);
        self.capacities.push((level, waiting));
        self
    }

    /// How many of this level may wait.
    pub(crate) fn most_of(&self, level: u8) -> usize {
        let mut capacities = self.capacities.iter();
        let own = capacities.find(|(other, _)| *other == level);
        own.map_or(usize::MAX, |(_, capacity)| *capacity)
    }

    /// Keeps a share of the limit for requests of this level or above.
    #[must_use]
    pub fn reserve(mut self, share: f64, from: &impl Urgency) -> Self {
        self.reserve = Some((share, from.level()));
        self
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    ///
    /// Which does not, what was found, and what it may be.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.capacity > MAX_CAPACITY {
            let most = format!("give at most {MAX_CAPACITY}");
            return Err(SettingsError::new("capacity", self.capacity, most));
        }
        self.check_capacities()?;
        let times = [
            ("max_wait", self.max_wait),
            ("ageing", self.ageing),
            ("newest_first_after", self.newest_first_after),
        ];
        for (name, time) in times {
            if let Some(time) = time.filter(|time| time.is_zero() || *time > LONGEST_SETTING) {
                let fix = format!(
                    "give a time above zero, at most {}s",
                    LONGEST_SETTING.as_secs()
                );
                return Err(SettingsError::new(name, format!("{time:?}"), fix));
            }
        }
        if !(1..=MAX_LEVELS).contains(&self.levels) {
            let fix = format!("give a number from 1 to {MAX_LEVELS}");
            return Err(SettingsError::new("levels", self.levels, fix));
        }
        if let Some((share, level)) = self.reserve {
            // A number that is none compares false with everything.
            if !(share > 0.0 && share < 1.0) {
                let fix = "give a share above 0 and below 1, such as 0.2";
                return Err(SettingsError::new("reserve", share, fix));
            }
            if level == 0 || level >= self.levels {
                let fix = format!("keep it for a level from 1 to {}", self.levels - 1);
                return Err(SettingsError::new("reserve", format!("level {level}"), fix));
            }
        }
        if self.partitions.len() > MAX_PARTITIONS {
            let fix = format!("give at most {MAX_PARTITIONS}");
            return Err(SettingsError::new("partitions", self.partitions.len(), fix));
        }
        let bad = |share: &&f64| !(**share > 0.0 && **share <= 1.0);
        if let Some(share) = self.partitions.iter().find(bad) {
            let fix = "give shares above 0 and at most 1, such as 0.3";
            return Err(SettingsError::new("partitions", share, fix));
        }
        Ok(())
    }

    fn check_capacities(&self) -> Result<(), SettingsError> {
        for (level, capacity) in &self.capacities {
            if *capacity > MAX_CAPACITY {
                let most = format!("give at most {MAX_CAPACITY}");
                return Err(SettingsError::new("capacities", capacity, most));
            }
            if *level >= self.levels {
                let fix = format!("name a level from 0 to {}", self.levels.saturating_sub(1));
                return Err(SettingsError::new(
                    "capacities",
                    format!("level {level}"),
                    fix,
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            top: self.levels.clamp(1, MAX_LEVELS) - 1,
            ageing: self.ageing.map(nanos),
            fair: self.fair,
            newest_first_after: self.newest_first_after.map(nanos),
        }
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Why settings make no sense: which one, what was found, and what it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    setting: &'static str,
    problem: Box<str>,
}

impl SettingsError {
    pub(crate) fn new(
        setting: &'static str,
        found: impl fmt::Display,
        fix: impl fmt::Display,
    ) -> Self {
        Self {
            setting,
            problem: format!("is {found}; {fix}").into(),
        }
    }

    /// The name of the setting, as configurations write it.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.setting, self.problem)
    }
}

impl Error for SettingsError {}
