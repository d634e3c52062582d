//! What became of the requests, by priority.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use buttress::Priority;

/// Keeps count. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Counts>>);

/// The counts.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// By priority, the least urgent first.
    pub rows: [Row; 4],
    /// Attempts that the provider refused with 429.
    pub throttled: u64,
    /// Tokens that the answers say were used.
    pub used: u64,
}

/// The requests of one priority.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Requests that agents made.
    pub sent: u64,
    /// Requests whose whole answer came.
    pub done: u64,
    /// Requests that a layer refused.
    pub refused: u64,
    /// Requests that failed otherwise: the provider's word, or the network's.
    pub failed: u64,
    /// How long each waited before it first went to the provider.
    pub waits: Vec<Duration>,
}

impl Ledger {
    /// The counts, to change them.
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("nobody panics while holding it")
    }

    /// One line on how it stands.
    #[must_use]
    pub fn progress(&self, since: Duration) -> String {
        let counts = self.counts();
        format!(
            "  {:4.0} s: {} sent, {} done, {} refused, {} failed, {} upstream 429s",
            since.as_secs_f64(),
            counts.sum(|row| row.sent),
            counts.sum(|row| row.done),
            counts.sum(|row| row.refused),
            counts.sum(|row| row.failed),
            counts.throttled
        )
    }

    /// The row of a priority, to change it.
    pub fn at(&self, priority: Priority, change: impl FnOnce(&mut Row)) {
        change(&mut self.counts().rows[priority as usize]);
    }
}

impl Counts {
    /// All rows together.
    #[must_use]
    pub fn sum(&self, of: impl Fn(&Row) -> u64) -> u64 {
        self.rows.iter().map(of).sum()
    }
}

impl Row {
    /// The wait that this part of the requests did not exceed.
    #[must_use]
    pub fn wait(&self, part: f64) -> Duration {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a length is an index"
        )]
        let index = (waits.len() as f64 * part) as usize;
        let last = waits.len().saturating_sub(1);
        waits.get(index.min(last)).copied().unwrap_or_default()
    }
}

/// The table that a run ends with.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  priority   sent   done  refused  failed  wait p50  wait p99"
        )?;
        for priority in Priority::ALL.into_iter().rev() {
            let row = &self.rows[priority as usize];
            writeln!(
                f,
                "  {:8} {:6} {:6} {:8} {:7} {:>9} {:>9}",
                priority.as_str(),
                row.sent,
                row.done,
                row.refused,
                row.failed,
                seconds(row.wait(0.5)),
                seconds(row.wait(0.99)),
            )?;
        }
        write!(
            f,
            "  {} tokens used, {} upstream 429s",
            self.used, self.throttled
        )
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
