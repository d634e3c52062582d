//! What the waiting room asks of the accounts.

use buttress_core::KeyHash;
use buttress_quota::algorithm::Account;

use crate::decision::Refused;
use crate::forecast::Forecast;
use crate::line::ONE_LINE;

/// The real accounts.
pub(crate) trait Ledger {
    /// Whether `cost` fits now.
    fn check(&self, key: KeyHash, cost: u64, now: u64) -> Result<(), Refused>;

    /// Spends `cost` and tells at which instant, or says why not.
    fn spend(&self, key: KeyHash, cost: u64, now: u64) -> Result<u64, Refused>;

    /// Takes back what was spent at `spent_at` and never used.
    fn give_back(&self, key: KeyHash, cost: u64, spent_at: u64, now: u64);

    /// The settings, and a copy of the account of all keys together.
    fn forecast(&self) -> Forecast;

    /// A copy of a key's account.
    fn account(&self, key: KeyHash, now: u64) -> Account;

    /// Who waits behind whom.
    fn scope(&self) -> Scope;
}

/// What limits are kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Per key: every key has a line of its own.
    Keyed,
    /// For all keys together: there is one line.
    Global,
    /// Both.
    Both,
}

/// The line that a key waits in.
pub(crate) fn line_of(scope: Scope, key: KeyHash) -> KeyHash {
    match scope {
        Scope::Global => ONE_LINE,
        Scope::Keyed | Scope::Both => key,
    }
}
