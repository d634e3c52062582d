//! What the provider has debited: a plain log of times and amounts, in windows that roll.
//!
//! It shares no code with the layers that it is there to judge, and no idea: nothing is estimated, merged or
//! refilled. An entry counts from its instant until the window has passed over it. Pure: the time is a
//! parameter.

use std::collections::VecDeque;
use std::time::Duration;

use buttress_core::time::Instant;

/// What a provider allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests in a window.
    pub requests: u64,
    /// Tokens in a window.
    pub tokens: u64,
    /// How long the window is: a minute, unless the stub's times are scaled down.
    pub window: Duration,
}

/// When a provider debits the tokens of an answer, whose length it does not know either when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debit {
    /// All that the answer may have, when the request arrives; corrected when the answer has ended, as
    /// OpenAI and Azure do.
    Maximum,
    /// So many tokens, when the request arrives; corrected when the answer has ended.
    Estimate(u64),
    /// Each token when it is produced, as Anthropic and Mistral do.
    Produced,
}

/// Which limit a request would have broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// That of requests.
    Requests,
    /// That of tokens.
    Tokens,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which limit.
    pub kind: Kind,
    /// What it is.
    pub limit: u64,
    /// What is debited in the window.
    pub used: u64,
    /// What the request would add.
    pub requested: u64,
    /// When it would fit if nothing else came; none if it never will.
    pub retry_in: Option<Duration>,
}

/// Where a limit stands, as a response's head tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// How long until all of it is left.
    pub reset: Duration,
}

/// An answer that is being produced.
#[derive(Debug)]
pub struct Running {
    /// The number of its entry in the log of tokens.
    entry: u64,
    input: u64,
    produced: u64,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that were admitted.
    pub admitted: u64,
    /// Requests that were refused for the limit of requests.
    pub refused_requests: u64,
    /// Requests that were refused for the limit of tokens.
    pub refused_tokens: u64,
    /// Tokens that were read and produced.
    pub tokens: u64,
    /// The most requests that any window held.
    pub most_requests: u64,
    /// The most tokens that any window held, as they were debited.
    pub most_tokens: u64,
}

impl Totals {
    /// Requests that were refused.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused_requests + self.refused_tokens
    }
}

/// The account.
#[derive(Debug)]
pub struct Account {
    limits: Limits,
    debit: Debit,
    count_refused: bool,
    requests: Log,
    tokens: Log,
    totals: Totals,
}

impl Account {
    /// An account on which nothing has been debited. With `count_refused`, requests that are refused count
    /// as requests.
    #[must_use]
    pub fn new(limits: Limits, debit: Debit, count_refused: bool) -> Self {
        Self {
            limits,
            debit,
            count_refused,
            requests: Log::default(),
            tokens: Log::default(),
            totals: Totals::default(),
        }
    }

    /// Debits a request that has arrived, if both limits allow it.
    ///
    /// # Errors
    ///
    /// Which of them does not, and when it would.
    pub fn arrive(
        &mut self,
        input: u64,
        most_output: u64,
        now: Instant,
    ) -> Result<Running, Refusal> {
        let Limits {
            requests, tokens, ..
        } = self.limits;
        self.forget(now);
        let debited = match self.debit {
            Debit::Maximum => input.saturating_add(most_output),
            Debit::Estimate(output) => input.saturating_add(output.min(most_output)),
            Debit::Produced => input,
        };
        let refused = self
            .refusal(Kind::Requests, &self.requests, requests, 1, now)
            .or_else(|| self.refusal(Kind::Tokens, &self.tokens, tokens, debited, now));
        if refused.is_none() || self.count_refused {
            self.requests.push(now, 1);
        }
        match refused.map(|refused| refused.kind) {
            None => self.totals.admitted += 1,
            Some(Kind::Requests) => self.totals.refused_requests += 1,
            Some(Kind::Tokens) => self.totals.refused_tokens += 1,
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        let entry = self.tokens.push(now, debited);
        self.totals.tokens += input;
        self.note();
        Ok(Running {
            entry,
            input,
            produced: 0,
        })
    }

    /// Counts tokens that were produced.
    pub fn produce(&mut self, running: &mut Running, tokens: u64, now: Instant) {
        running.produced += tokens;
        self.totals.tokens += tokens;
        if self.debit == Debit::Produced {
            self.forget(now);
            self.tokens.push(now, tokens);
            self.note();
        }
    }

    /// Puts what was used in the place of what was debited.
    pub fn end(&mut self, running: &Running, now: Instant) {
        if self.debit != Debit::Produced {
            self.forget(now);
            let used = running.input + running.produced;
            self.tokens.correct(running.entry, used);
            self.note();
        }
    }

    /// Where the limits of requests and of tokens stand.
    pub fn standings(&mut self, now: Instant) -> [Standing; 2] {
        self.forget(now);
        let window = self.limits.window;
        let of = |log: &Log, limit: u64| Standing {
            limit,
            remaining: limit.saturating_sub(log.held),
            reset: log.entries.back().map_or(Duration::ZERO, |newest| {
                (newest.at + window).saturating_duration_since(now)
            }),
        };
        [
            of(&self.requests, self.limits.requests),
            of(&self.tokens, self.limits.tokens),
        ]
    }

    /// What has come of it.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    fn refusal(
        &self,
        kind: Kind,
        log: &Log,
        limit: u64,
        requested: u64,
        now: Instant,
    ) -> Option<Refusal> {
        (log.held.saturating_add(requested) > limit).then(|| Refusal {
            kind,
            limit,
            used: log.held,
            requested,
            retry_in: log
                .free_at(limit, requested)
                .map(|at| (at + self.limits.window).saturating_duration_since(now)),
        })
    }

    fn forget(&mut self, now: Instant) {
        let window = self.limits.window;
        self.requests.forget(now, window);
        self.tokens.forget(now, window);
    }

    fn note(&mut self) {
        let Totals {
            most_requests,
            most_tokens,
            ..
        } = &mut self.totals;
        *most_requests = (*most_requests).max(self.requests.held);
        *most_tokens = (*most_tokens).max(self.tokens.held);
    }
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    units: u64,
}

/// Entries in the order of their instants.
#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<Entry>,
    /// How many were forgotten, so that an entry keeps its number.
    forgotten: u64,
    /// The sum of the entries.
    held: u64,
}

impl Log {
    fn push(&mut self, at: Instant, units: u64) -> u64 {
        self.held += units;
        self.entries.push_back(Entry { at, units });
        self.forgotten + self.entries.len() as u64 - 1
    }

    fn correct(&mut self, number: u64, units: u64) {
        let index = number
            .checked_sub(self.forgotten)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            self.held = self.held - entry.units + units;
            entry.units = units;
        }
    }

    fn forget(&mut self, now: Instant, window: Duration) {
        while let Some(oldest) = self.entries.front()
            && oldest.at + window <= now
        {
            self.held -= oldest.units;
            self.forgotten += 1;
            self.entries.pop_front();
        }
    }

    /// The entry with which enough is gone for so many units more.
    fn free_at(&self, limit: u64, requested: u64) -> Option<Instant> {
        let mut held = self.held;
        let mut entries = self.entries.iter();
        let enough = entries.find(|entry| {
            held -= entry.units;
            held.saturating_add(requested) <= limit
        });
        enough.map(|entry| entry.at)
    }
}
