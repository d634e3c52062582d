//! A budget for retries, shared by all who spend from it.

mod changed;

use std::fmt;
use std::sync::Arc;

use buttress_core::time::{Instant, now};
use buttress_core::{Now, Outcome};

use crate::rule::{BudgetRule, Kind};
use crate::slices::Slices;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::tokens::{Accrual, RETRY, Terms};

/// A retry, in the numbers of a window, which may be negative.
const ONE: i64 = RETRY.cast_signed();

/// A budget for retries. Clones are one budget, and so are all services of a layer.
///
/// Without one, an upstream that fails gets as many times its load as there are attempts, and may never
/// recover from it (Bronson and others, "Metastable Failures in Distributed Systems", HotOS 2021).
#[derive(Clone)]
pub struct RetryBudget(Arc<Shared>);

/// What a budget has seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetSnapshot {
    /// How many retries it would allow now, or the tokens that are left where a rule counts those. No
    /// number if it allows all.
    pub balance: Option<f64>,
    /// How many retries it has allowed.
    pub allowed: u64,
    /// How many it has refused.
    pub refused: u64,
    /// How many retries run, for a rule that counts them.
    pub in_flight: u64,
}

struct Shared {
    rule: BudgetRule,
    start: Instant,
    /// Deposits touch only this, and while it is full they only read it.
    balance: AtomicU64,
    ages: Mutex<Ages>,
    requests: AtomicU64,
    retries: AtomicU64,
    allowed: AtomicU64,
    refused: AtomicU64,
}

/// What moves with time.
#[derive(Clone, Copy, Debug, Default)]
struct Ages {
    accrual: Accrual,
    slices: Slices,
}

/// An attempt that has ended, as far as a budget is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// Whether it was the call's first.
    pub(crate) is_first: bool,
    pub(crate) outcome: Outcome,
    /// Whether it would be worth another attempt, or the upstream said to make none.
    pub(crate) is_retryable: bool,
    /// What was paid for it.
    pub(crate) price: u64,
}

/// A request in flight, for a rule that counts them.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Option<RetryBudget>);

/// What a retry has paid, and its place among those in flight.
#[derive(Debug, Default)]
pub(crate) struct Payment {
    pub(crate) price: u64,
    _place: Place,
}

#[derive(Debug, Default)]
struct Place(Option<RetryBudget>);

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(BudgetRule::default())
    }
}

impl From<BudgetRule> for RetryBudget {
    fn from(rule: BudgetRule) -> Self {
        Self::new(rule)
    }
}

impl RetryBudget {
    /// A budget that starts now.
    #[must_use]
    pub fn new(rule: BudgetRule) -> Self {
        Self(Arc::new(Shared {
            rule,
            start: now(),
            balance: AtomicU64::new(full(&rule)),
            ages: Mutex::new(Ages::default()),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            allowed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// What it allows.
    #[must_use]
    pub fn rule(&self) -> BudgetRule {
        self.0.rule
    }

    /// Pays in for a request whose first attempt has ended in an answer or an error. A retry layer does it
    /// by itself; this is for callers of their own.
    pub fn deposit(&self) {
        match self.0.rule.0 {
            Kind::Balance { ratio, terms } => self.0.give(&terms, ratio),
            Kind::Window { .. } => self.0.deposit_in_window(&Now::new()),
            _ => {}
        }
    }

    /// Takes one retry, if there is one. A retry layer does it by itself; this is for callers of their own.
    /// Where retries are counted in flight it only tells whether one could go.
    #[must_use]
    pub fn withdraw(&self, now: &Now) -> bool {
        self.pay(Outcome::Failure, false, now).is_some()
    }

    /// Starts anew, with what it had at first. What is in flight stays counted.
    pub fn reset(&self, now: &Now) {
        let mut ages = self.0.ages.lock();
        ages.accrual.restart(self.0.since_start(now));
        ages.slices = Slices::default();
        self.0.balance.store(full(&self.0.rule), Ordering::Relaxed);
    }

    /// What it holds and what it has seen.
    #[must_use]
    pub fn snapshot(&self, now: &Now) -> BudgetSnapshot {
        let shared = &*self.0;
        BudgetSnapshot {
            balance: shared.holds(now),
            allowed: shared.allowed.load(Ordering::Relaxed),
            refused: shared.refused.load(Ordering::Relaxed),
            in_flight: shared.retries.load(Ordering::Relaxed),
        }
    }

    /// A request comes in that may be retried.
    pub(crate) fn begin(&self, now: &Now) -> InFlight {
        match self.0.rule.0 {
            Kind::Window { .. } => self.0.deposit_in_window(now),
            Kind::InFlight { share, .. } if share > 0 => {
                self.0.requests.fetch_add(1, Ordering::Relaxed);
                return InFlight(Some(self.clone()));
            }
            _ => {}
        }
        InFlight(None)
    }

    /// An attempt has ended.
    #[inline]
    pub(crate) fn heard(&self, ended: Ended) {
        match self.0.rule.0 {
            Kind::Balance { ratio, terms } => {
                let says_nothing = matches!(ended.outcome, Outcome::Refused | Outcome::TimedOut);
                if ended.is_first && !says_nothing {
                    self.0.give(&terms, ratio);
                }
            }
            Kind::Throttle { ratio, most } => self.0.throttle(ratio, most, ended),
            Kind::Prices(prices) if ended.outcome == Outcome::Success => {
                let back = match ended.is_first {
                    true => prices.first_success,
                    false => ended.price,
                };
                self.0.give(&Terms::without_time(prices.capacity), back);
            }
            _ => {}
        }
    }

    /// Pays for a retry after such an end; `lost` if the request may never have arrived.
    pub(crate) fn pay(&self, outcome: Outcome, lost: bool, now: &Now) -> Option<Payment> {
        let payment = match self.0.rule.0 {
            Kind::Unlimited => Some(Payment::default()),
            Kind::Balance { terms, .. } => self
                .0
                .take_with_time(&terms, now)
                .then(|| Payment::of(RETRY)),
            Kind::Throttle { most, .. } => {
                let tokens = self.0.balance.load(Ordering::Relaxed);
                (tokens > most / 2).then(Payment::default)
            }
            Kind::Prices(prices) => {
                let price = match lost || outcome == Outcome::TimedOut {
                    true => prices.lost,
                    false => prices.retry,
                };
                self.0.take(price).then(|| Payment::of(price))
            }
            Kind::Window { reserve, .. } => {
                let mut ages = self.0.ages_at(now);
                let enough = ages.slices.sum().saturating_add(reserve) >= ONE;
                if enough {
                    ages.slices.add(-ONE);
                }
                enough.then(|| Payment::of(RETRY))
            }
            Kind::InFlight { least, share } => self.0.enter(least, share).then(|| Payment {
                price: 0,
                _place: Place(Some(self.clone())),
            }),
        };
        let counter = match payment {
            Some(_) => &self.0.allowed,
            None => &self.0.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        payment
    }

    /// Gives back what was paid for an attempt that was not made.
    pub(crate) fn give_back(&self, payment: Payment, now: &Now) {
        let price = payment.price;
        match self.0.rule.0 {
            Kind::Balance { terms, .. } => self.0.give(&terms, price),
            Kind::Prices(prices) => self.0.give(&Terms::without_time(prices.capacity), price),
            Kind::Window { .. } => self.0.ages_at(now).slices.add(ONE),
            Kind::Unlimited | Kind::Throttle { .. } | Kind::InFlight { .. } => {}
        }
        self.0.allowed.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a budget starts with.
fn full(rule: &BudgetRule) -> u64 {
    match rule.0 {
        Kind::Balance { terms, .. } => terms.reserve,
        Kind::Throttle { most, .. } => most,
        Kind::Prices(prices) => prices.capacity,
        Kind::Unlimited | Kind::Window { .. } | Kind::InFlight { .. } => 0,
    }
}

impl Shared {
    #[inline]
    fn give(&self, terms: &Terms, amount: u64) {
        // A full budget is the usual one, and reading it disturbs no other thread.
        if self.balance.load(Ordering::Relaxed) < terms.capacity {
            self.change(|balance| Some(terms.after_deposit(balance, amount)));
        }
    }

    fn take(&self, price: u64) -> bool {
        self.change(|balance| Terms::after_payment(balance, price))
    }

    /// Adds what time has brought and takes one retry, as one step of the balance. Whoever asks waits for
    /// another who is about to add what is due to both.
    fn take_with_time(&self, terms: &Terms, now: &Now) -> bool {
        if terms.per_second == 0 {
            return self.take(RETRY);
        }
        let mut ages = self.ages.lock();
        let due = ages.accrual.advance(terms, self.since_start(now));
        let mut paid = false;
        self.change(|balance| {
            let balance = terms.after_deposit(balance, due);
            let left = Terms::after_payment(balance, RETRY);
            paid = left.is_some();
            Some(left.unwrap_or(balance))
        });
        paid
    }

    fn change(&self, change: impl FnMut(u64) -> Option<u64>) -> bool {
        self.balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change)
            .is_ok()
    }

    fn throttle(&self, ratio: u64, most: u64, ended: Ended) {
        if ended.is_retryable && ended.outcome != Outcome::Refused {
            self.change(|tokens| Some(tokens.saturating_sub(RETRY)));
        } else if ended.outcome == Outcome::Success {
            self.give(&Terms::without_time(most), ratio);
        }
    }

    fn deposit_in_window(&self, now: &Now) {
        if let Kind::Window { ratio, .. } = self.rule.0 {
            let ratio = i64::try_from(ratio).unwrap_or(i64::MAX);
            self.ages_at(now).slices.add(ratio);
        }
    }

    fn enter(&self, least: u64, share: u64) -> bool {
        let requests = self.requests.load(Ordering::Relaxed);
        let of_requests = u128::from(requests) * u128::from(share) / u128::from(RETRY);
        let most = least.max(u64::try_from(of_requests).unwrap_or(u64::MAX));
        let enter = |retries: u64| (retries < most).then_some(retries + 1);
        self.retries
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter)
            .is_ok()
    }

    fn holds(&self, now: &Now) -> Option<f64> {
        let retries = |units: u64| units as f64 / RETRY as f64;
        match self.rule.0 {
            Kind::Unlimited => None,
            Kind::Balance { terms, .. } => {
                let mut ages = self.ages.lock();
                let due = ages.accrual.advance(&terms, self.since_start(now));
                self.change(|balance| Some(terms.after_deposit(balance, due)));
                Some(retries(self.balance.load(Ordering::Relaxed)))
            }
            Kind::Throttle { .. } => Some(retries(self.balance.load(Ordering::Relaxed))),
            Kind::Prices(_) => Some(self.balance.load(Ordering::Relaxed) as f64),
            Kind::Window { reserve, .. } => {
                let sum = self.ages_at(now).slices.sum().saturating_add(reserve);
                Some(retries(u64::try_from(sum).unwrap_or(0)))
            }
            Kind::InFlight { least, share } => {
                let requests = self.requests.load(Ordering::Relaxed) as f64;
                let most = (least as f64).max((requests * retries(share)).floor());
                Some((most - self.retries.load(Ordering::Relaxed) as f64).max(0.0))
            }
        }
    }

    /// What moves with time, moved up to now.
    fn ages_at(&self, now: &Now) -> impl std::ops::DerefMut<Target = Ages> {
        let mut ages = self.ages.lock();
        if let Kind::Window { slice, .. } = self.rule.0 {
            let slice = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX).max(1);
            ages.slices.advance(self.since_start(now) / slice);
        }
        ages
    }

    fn since_start(&self, now: &Now) -> u64 {
        let elapsed = now.get().saturating_duration_since(self.start);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Payment {
    fn of(price: u64) -> Self {
        Self {
            price,
            _place: Place(None),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(budget) = &self.0 {
            budget.0.requests.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(budget) = &self.0 {
            budget.0.retries.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("rule", &self.0.rule)
            .finish_non_exhaustive()
    }
}
