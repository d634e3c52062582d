//! The obvious circuit: it keeps every call that it ever saw, and counts them anew for every question.

use buttress_circuit_breaker::State;
use buttress_circuit_breaker::algorithm::Kind;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Window {
    Calls(usize),
    /// The length of a slice.
    Slices(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) in_a_row: Option<usize>,
    /// Tenths.
    pub(crate) failure_rate: Option<usize>,
    pub(crate) slow_call_rate: Option<usize>,
    pub(crate) slow_call: Option<u64>,
    pub(crate) window: Window,
    pub(crate) minimum_calls: usize,
    pub(crate) open_for: u64,
    pub(crate) growth: u64,
    pub(crate) open_max: u64,
    pub(crate) probes: usize,
    pub(crate) close_after: usize,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    at: u64,
    kind: Kind,
    slow: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    rules: Rules,
    state: State,
    until: u64,
    reopened: u32,
    ended: Vec<Ended>,
    out: Vec<usize>,
    good: usize,
    /// The calls that were admitted in the state that holds now.
    current: Vec<usize>,
}

impl Model {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: State::Closed,
            until: 0,
            reopened: 0,
            ended: Vec::new(),
            out: Vec::new(),
            good: 0,
            current: Vec::new(),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// None if it is admitted, else for how long it is refused.
    pub(crate) fn admit(&mut self, call: usize, now: u64) -> Option<Option<u64>> {
        if self.state == State::Open {
            if now < self.until {
                return Some(Some(self.until - now));
            }
            self.enter(State::HalfOpen);
        }
        if self.state == State::HalfOpen {
            if self.out.len() >= self.rules.probes {
                return Some(None);
            }
            self.out.push(call);
        }
        self.current.push(call);
        None
    }

    pub(crate) fn leave(&mut self, call: usize) {
        self.out.retain(|&other| other != call);
    }

    pub(crate) fn end(&mut self, call: usize, kind: Kind, waited: u64, now: u64) {
        if !self.current.contains(&call) {
            return;
        }
        let slow = self.rules.slow_call.is_some_and(|limit| waited > limit);
        self.leave(call);
        match self.state {
            State::HalfOpen if kind != Kind::Success || slow => {
                self.reopened += 1;
                self.open(now);
            }
            State::HalfOpen => {
                self.good += 1;
                if self.good >= self.rules.close_after {
                    self.reopened = 0;
                    self.enter(State::Closed);
                }
            }
            _ => {
                let at = now;
                self.ended.push(Ended { at, kind, slow });
                if self.is_over(kind, now) {
                    self.open(now);
                }
            }
        }
    }

    fn is_over(&self, kind: Kind, now: u64) -> bool {
        let counted = self
            .ended
            .iter()
            .rev()
            .filter(|e| e.kind != Kind::Throttled);
        let run = counted.take_while(|e| e.kind == Kind::Failure).count();
        if kind == Kind::Failure && self.rules.in_a_row.is_some_and(|count| run >= count) {
            return true;
        }
        let inside: Vec<_> = match self.rules.window {
            Window::Calls(calls) => self.ended.iter().rev().take(calls).collect(),
            Window::Slices(slice) => {
                let first = (now / slice).saturating_sub(9);
                self.ended
                    .iter()
                    .filter(|e| e.at / slice >= first)
                    .collect()
            }
        };
        let enough = match self.rules.window {
            Window::Calls(calls) => self.rules.minimum_calls.min(calls),
            Window::Slices(_) => self.rules.minimum_calls,
        };
        let failed = inside.iter().filter(|e| e.kind != Kind::Success).count();
        let slow = inside.iter().filter(|e| e.slow).count();
        let reaches = |count: usize, tenths: Option<usize>| {
            tenths.is_some_and(|tenths| count * 10 >= tenths * inside.len())
        };
        inside.len() >= enough
            && (reaches(failed, self.rules.failure_rate)
                || reaches(slow, self.rules.slow_call_rate))
    }

    fn open(&mut self, now: u64) {
        let time = self.rules.open_for * self.rules.growth.pow(self.reopened.min(12));
        self.enter(State::Open);
        self.until = now + time.min(self.rules.open_max);
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.ended.clear();
        self.out.clear();
        self.current.clear();
        self.good = 0;
    }
}
