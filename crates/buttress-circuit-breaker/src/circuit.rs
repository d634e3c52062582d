//! The state machine of one circuit: no lock, no clock, no randomness of its own.
//!
//! Times are nanoseconds since a beginning that the caller chooses; slices of windows are aligned to it.
//! A time is asked for only where it decides, because reading a clock costs as much as the rest.

use std::sync::Arc;

use crate::call::{Call, Kind, Refused, Seen};
use crate::open_time::OpenTime;
use crate::probes::Probes;
use crate::settings::{Growth, Recovery, Settings, Window};
use crate::state::State;
use crate::window::{CallRing, Mark, Ring, TimeRing};

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open {
        until: u128,
    },
    HalfOpen(Probes),
    /// One of the states that somebody asked for.
    Told(State),
}

/// One circuit.
///
/// Whoever is admitted gets the circuit's generation, which every change of phase raises; what is recorded
/// or given back under an earlier one changes nothing.
#[derive(Clone, Debug)]
pub struct Circuit {
    settings: Arc<Settings>,
    /// From which time on a call is slow: strictly longer.
    slow_call: u64,
    phase: Phase,
    generation: u32,
    run: u32,
    ring: Ring,
    open_time: OpenTime,
    /// The sweep that let everything through again.
    swept_at: u128,
    opened: u64,
    would_have_opened: u64,
}

impl Circuit {
    /// A closed circuit.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            slow_call: slow_call(&settings),
            phase: Phase::Closed,
            generation: 0,
            run: 0,
            ring: ring(&settings),
            open_time: OpenTime::new(&settings),
            swept_at: 0,
            opened: 0,
            would_have_opened: 0,
            settings,
        }
    }

    /// What it goes by.
    #[must_use]
    pub const fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Goes by other settings from now on. The state stays, an open circuit stays open for as long as it was
    /// to be, and open times go on growing from where they were. A window of calls keeps those that it has
    /// room for; a window that gets another shape is emptied.
    pub fn set(&mut self, settings: Arc<Settings>) {
        match (&self.ring, settings.window) {
            (Ring::Calls(held), Window::Calls(calls)) if !settings.counts_runs_only() => {
                if settings.window != self.settings.window {
                    self.ring = Ring::Calls(held.resized(calls));
                }
            }
            (Ring::Time(_), Window::Time(_))
                if !settings.counts_runs_only() && settings.window == self.settings.window => {}
            _ => self.ring = ring(&settings),
        }
        self.slow_call = slow_call(&settings);
        self.open_time = self.open_time.under(&self.settings, &settings);
        self.settings = settings;
    }

    /// The state. A circuit whose open time is over is open until the next call.
    #[must_use]
    pub const fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen(_) => State::HalfOpen,
            Phase::Told(state) => state,
        }
    }

    /// The generation of what is admitted now.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// How many failures came in a row.
    #[must_use]
    pub const fn run(&self) -> u32 {
        self.run
    }

    /// Sets how many failures came in a row, for whoever counts them elsewhere.
    pub fn set_run(&mut self, run: u32) {
        self.run = run;
    }

    /// Whether a call would be admitted.
    ///
    /// # Errors
    ///
    /// The refusal that [`admit`](Self::admit) would answer with.
    pub fn would_admit(&self, now: u64) -> Result<(), Refused> {
        match &self.phase {
            Phase::Closed => Ok(()),
            Phase::Open { until } => self.is_over(*until, now),
            Phase::HalfOpen(probes) => probes.have_place(&self.settings, now),
            Phase::Told(State::ForcedOpen) => Err(Refused { wait: None }),
            Phase::Told(_) => Ok(()),
        }
    }

    /// Admits a call, and gives it the generation.
    ///
    /// # Errors
    ///
    /// If the circuit is open, or half-open with all its probes out.
    pub fn admit(&mut self, now: u64) -> Result<u32, Refused> {
        self.would_admit(now)?;
        if let Phase::Open { until } = self.phase {
            // ## Open => (HalfOpen | Closed)
            match self.settings.recovery {
                Recovery::Swept { .. } => {
                    self.enter(Phase::Closed);
                    self.swept_at = until;
                }
                _ => self.enter(Phase::HalfOpen(Probes::default())),
            }
        }
        if let Phase::HalfOpen(probes) = self.phase
            && !probes.have_room(&self.settings)
        {
            // ## HalfOpen => HalfOpen: the probes that are out count for nothing any more.
            self.enter(Phase::HalfOpen(Probes::default()));
        }
        if let Phase::HalfOpen(probes) = &mut self.phase {
            probes.out += 1;
            probes.last = now;
        }
        Ok(self.generation)
    }

    /// Records a call that was admitted under `generation`. `draw` is uniform over all numbers of 64 bits.
    #[inline]
    pub fn record(
        &mut self,
        generation: u32,
        call: Call,
        now: impl Fn() -> u64,
        draw: impl FnOnce() -> u64,
    ) {
        if generation != self.generation {
            return;
        }
        let mark = Mark {
            failed: call.kind != Kind::Success,
            slow: call.waited > self.slow_call,
        };
        match self.phase {
            Phase::Closed => {
                if self.trips(call.kind, mark, &now) {
                    self.open(now(), draw);
                }
            }
            Phase::HalfOpen(probes) => self.judge(probes, mark, now, draw),
            Phase::Told(State::MetricsOnly) => {
                if self.trips(call.kind, mark, &now) {
                    self.would_have_opened += 1;
                    self.forget();
                }
            }
            Phase::Told(State::ForcedClosed) => {
                self.trips(call.kind, mark, &now);
            }
            Phase::Open { .. } | Phase::Told(_) => {}
        }
    }

    /// Hears that the head of a call that was admitted under `generation` took so many nanoseconds. A slow
    /// probe opens the circuit again now, however long its body takes.
    pub fn head(
        &mut self,
        generation: u32,
        waited: u64,
        now: impl FnOnce() -> u64,
        draw: impl FnOnce() -> u64,
    ) {
        let is_probe = generation == self.generation
            && matches!(self.phase, Phase::HalfOpen(_))
            && matches!(self.settings.recovery, Recovery::Probes { .. });
        if is_probe && self.is_slow(waited) {
            self.open(now(), draw);
        }
    }

    /// Gives back the place of a call that was admitted under `generation` and of which nothing is known;
    /// whether that made room.
    pub fn give_back(&mut self, generation: u32) -> bool {
        match &mut self.phase {
            Phase::HalfOpen(probes) if generation == self.generation => {
                probes.out = probes.out.saturating_sub(1);
                true
            }
            _ => false,
        }
    }

    /// Whether somebody who left after so many nanoseconds had waited too long.
    #[must_use]
    pub const fn is_slow(&self, waited: u64) -> bool {
        waited > self.slow_call
    }

    /// Opens, whatever the windows say: a run of failures that was counted elsewhere is over the limit.
    pub fn trip(&mut self, now: u64, draw: impl FnOnce() -> u64) {
        if matches!(self.phase, Phase::Closed) {
            self.open(now, draw);
        }
    }

    /// Closes with empty windows, and takes back what was told.
    pub fn reset(&mut self) {
        self.open_time = OpenTime::new(&self.settings);
        self.enter(Phase::Closed);
    }

    /// Stays in a state until it is reset: [`State::ForcedOpen`], [`State::ForcedClosed`],
    /// [`State::Disabled`] or [`State::MetricsOnly`]; any other resets.
    pub fn tell(&mut self, state: State) {
        self.reset();
        match state {
            State::Closed | State::Open | State::HalfOpen => {}
            told => self.phase = Phase::Told(told),
        }
    }

    /// What it has seen.
    #[must_use]
    pub fn seen(&mut self, now: u64) -> Seen {
        let (probes_out, wait) = match self.phase {
            Phase::HalfOpen(probes) => (probes.out, None),
            Phase::Open { until } => (
                0,
                self.is_over(until, now)
                    .map_or_else(|r| r.wait, |()| Some(0)),
            ),
            _ => (0, None),
        };
        Seen {
            state: self.state(),
            consecutive_failures: self.run,
            window: self.ring.tally(now),
            probes_out,
            wait,
            opened: self.opened,
            would_have_opened: self.would_have_opened,
        }
    }

    fn is_over(&self, until: u128, now: u64) -> Result<(), Refused> {
        let first = until.saturating_add(u128::from(self.settings.refuses_at_end));
        match first.checked_sub(now.into()) {
            None | Some(0) => Ok(()),
            Some(wait) => Err(Refused { wait: Some(wait) }),
        }
    }

    /// Records a call in the window and the run, and tells whether a limit is reached.
    #[inline]
    fn trips(&mut self, kind: Kind, mark: Mark, now: impl Fn() -> u64) -> bool {
        match kind {
            Kind::Success => self.run = 0,
            Kind::Failure => self.run = self.run.saturating_add(1),
            Kind::Throttled => {}
        }
        let window = self.ring.record(mark, now);
        let settings = &*self.settings;
        let is_run =
            kind == Kind::Failure && settings.in_a_row.is_some_and(|count| self.run >= count);
        let is_judged = mark.failed || !settings.judges_failures_only;
        is_run
            || (is_judged
                && window.calls >= settings.enough_calls()
                && settings.is_over_a_rate(&window))
    }

    fn judge(
        &mut self,
        mut probes: Probes,
        mark: Mark,
        now: impl Fn() -> u64,
        draw: impl FnOnce() -> u64,
    ) {
        probes.out = probes.out.saturating_sub(1);
        match self.settings.recovery {
            Recovery::Probes { .. } if mark.failed || mark.slow => return self.open(now(), draw),
            Recovery::Probes { close_after, .. } => {
                probes.good += 1;
                if probes.good >= close_after {
                    return self.reset();
                }
            }
            Recovery::Trial { calls } => {
                probes.trial.add(mark);
                if probes.trial.calls >= u64::from(self.settings.minimum_calls.min(calls)) {
                    // ## HalfOpen => (Open | Closed)
                    return match self.settings.is_over_a_rate(&probes.trial) {
                        true => self.open(now(), draw),
                        false => self.reset(),
                    };
                }
            }
            Recovery::Swept { .. } => return self.reset(),
        }
        self.phase = Phase::HalfOpen(probes);
    }

    /// ## (Closed | HalfOpen) => Open
    fn open(&mut self, now: u64, draw: impl FnOnce() -> u64) {
        let settings = Arc::clone(&self.settings);
        if let Growth::Plus { relax_every } = settings.growth {
            let every = u128::from(relax_every);
            let sweeps = (u128::from(now) / every).saturating_sub(self.swept_at / every);
            let sweeps = u64::try_from(sweeps).unwrap_or(u64::MAX);
            self.open_time.relax(&settings, sweeps);
        }
        let until = u128::from(now) + self.open_time.take(&settings, draw);
        let until = match settings.recovery {
            Recovery::Swept { every } => until.next_multiple_of(every.into()),
            _ => until,
        };
        self.opened += 1;
        self.enter(Phase::Open { until });
    }

    fn enter(&mut self, phase: Phase) {
        self.generation = self.generation.wrapping_add(1);
        self.phase = phase;
        self.forget();
    }

    fn forget(&mut self) {
        self.run = 0;
        self.ring.clear();
    }
}

fn ring(settings: &Settings) -> Ring {
    match settings.window {
        _ if settings.counts_runs_only() => Ring::None,
        Window::Calls(calls) => Ring::Calls(CallRing::new(calls)),
        Window::Time(time) => Ring::Time(Box::new(TimeRing::new(nanos(time.as_nanos())))),
    }
}

fn slow_call(settings: &Settings) -> u64 {
    let slow_call = settings.slow_call;
    slow_call.map_or(u64::MAX, |time| nanos(time.as_nanos()))
}

fn nanos(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}
