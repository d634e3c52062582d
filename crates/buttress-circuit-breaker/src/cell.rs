//! One circuit, shared between threads.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use buttress_core::{KeyHash, LimitId, Now, Reason, Rejection, When, duration};

use crate::call::{Call, Kind, Refused, Seen};
use crate::circuit::Circuit;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::state::{Change, State};
use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard};
use crate::word::{Mode, Word};

/// A circuit behind a lock, and a word that spares most calls the lock.
///
/// The word changes its generation and its mode under the lock only. The run of failures in it is counted
/// without: by compare-and-swap, so that a count never survives a change of generation.
///
/// The word lies next to the count of those who hold the cell, which every call writes: where a lean call
/// needs the one it has the other.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Cell {
    word: AtomicU64,
    /// At how many failures in a row the circuit trips, for the mode that counts them in the word.
    in_a_row: AtomicU32,
    circuit: Mutex<Circuit>,
    key: KeyHash,
    pub(crate) shared: Arc<Shared>,
}

impl Cell {
    pub(crate) fn new(key: KeyHash, shared: Arc<Shared>) -> Self {
        let current = shared.current.lock().clone();
        let mut circuit = Circuit::new(current.settings);
        if current.told != State::Closed {
            circuit.tell(current.told);
        }
        Self {
            word: AtomicU64::new(word_of(&circuit).bits()),
            in_a_row: AtomicU32::new(in_a_row(circuit.settings())),
            circuit: Mutex::new(circuit),
            key,
            shared,
        }
    }

    pub(crate) const fn key(&self) -> KeyHash {
        self.key
    }

    /// Admits a call; its generation and whether its time matters.
    #[inline]
    pub(crate) fn admit(&self, now: &Now) -> Result<Word, Rejection> {
        let word = self.word();
        match word.mode() {
            Mode::Guarded => self.admit_guarded(now),
            Mode::Run | Mode::Watched | Mode::Unwatched => Ok(word),
        }
    }

    #[cold]
    fn admit_guarded(&self, now: &Now) -> Result<Word, Rejection> {
        let nanos = self.shared.nanos(now);
        let admitted = self.change(false, |circuit| {
            let generation = circuit.admit(nanos)?;
            let is_timed = circuit.settings().slow_call.is_some();
            Ok(Word::new(generation, Mode::Guarded, is_timed, 0))
        });
        admitted.map_err(|refused| {
            self.shared.refused.fetch_add(1, Relaxed);
            self.rejection(refused)
        })
    }

    pub(crate) fn would_admit(&self, now: &Now) -> Result<(), Rejection> {
        if self.word().mode() != Mode::Guarded {
            return Ok(());
        }
        let nanos = self.shared.nanos(now);
        let answer = self.circuit.lock().would_admit(nanos);
        answer.map_err(|refused| self.rejection(refused))
    }

    fn rejection(&self, refused: Refused) -> Rejection {
        let when = refused.wait.map_or(When::Unknown, |wait| {
            When::After(duration::from_nanos(wait))
        });
        Rejection::new(Reason::CircuitOpen, when).by(LimitId {
            policy: self.shared.id,
            key: self.key,
            quota: 0,
        })
    }

    /// Whether a call that went well changes nothing, of whichever generation it is.
    #[inline]
    pub(crate) fn is_without_failures(&self) -> bool {
        let word = self.word();
        word.mode() == Mode::Run && word.run() == 0
    }

    /// Records a call that was admitted under a generation.
    #[inline]
    pub(crate) fn record(&self, generation: u32, call: Call, now: &Now) {
        let word = self.word();
        let is_watched = word.generation() == generation && word.mode() == Mode::Watched;
        if !(is_watched && self.record_watched(word, call, now)) {
            self.record_otherwise(generation, call, now);
        }
    }

    #[inline(never)]
    fn record_otherwise(&self, generation: u32, call: Call, now: &Now) {
        loop {
            let word = self.word();
            if word.generation() != generation {
                return;
            }
            let is_done = match word.mode() {
                Mode::Watched => self.record_watched(word, call, now),
                Mode::Run => self.record_run(word, call.kind, now),
                Mode::Guarded => return self.record_probe(generation, call, now),
                Mode::Unwatched => return,
            };
            if is_done {
                return;
            }
        }
    }

    /// Records a call in the window; not if the mode has changed.
    #[inline]
    fn record_watched(&self, word: Word, call: Call, now: &Now) -> bool {
        if word.is_by_time() {
            // Read here, so that nobody waits for the lock meanwhile.
            now.get();
        }
        let mut circuit = self.circuit.lock();
        if self.word() != word {
            return false;
        }
        let generation = word.generation();
        let nanos = || self.shared.nanos(now);
        circuit.record(generation, call, nanos, || self.shared.draw());
        if circuit.generation() != generation {
            self.tripped(circuit);
        }
        true
    }

    /// ## Closed => Open: nothing else that is watched ends by itself.
    #[cold]
    fn tripped(&self, circuit: MutexGuard<'_, Circuit>) {
        let changed = self.publish(&circuit, State::Closed);
        drop(circuit);
        // Whoever waits for something else is to learn that waiting will not help.
        self.shared.announce_room();
        self.announce(changed);
    }

    /// Counts a call in the word; not if the word has changed.
    fn record_run(&self, word: Word, kind: Kind, now: &Now) -> bool {
        let run = match kind {
            Kind::Success if word.run() == 0 => return true,
            Kind::Throttled => return true,
            Kind::Success => 0,
            Kind::Failure => word.run() + 1,
        };
        if run >= self.in_a_row.load(Relaxed) {
            return self.trip(word, now);
        }
        self.swap(word, word.with_run(run))
    }

    #[cold]
    fn record_probe(&self, generation: u32, call: Call, now: &Now) {
        let nanos = || self.shared.nanos(now);
        self.change(true, |circuit| {
            circuit.record(generation, call, nanos, || self.shared.draw());
        });
    }

    /// Opens, as one more failure makes the run too long; not if the word has changed.
    #[cold]
    fn trip(&self, word: Word, now: &Now) -> bool {
        let nanos = self.shared.nanos(now);
        self.change(true, |circuit| {
            // The lock is held: whoever still changes the run does so before this, or comes too late.
            let generation = word.generation().wrapping_add(1);
            let opening = Word::new(generation, Mode::Guarded, word.is_timed(), 0);
            let claims = self.swap(word, opening);
            if claims {
                circuit.trip(nanos, || self.shared.draw());
            }
            claims
        })
    }

    /// Hears how long the head of a call took.
    pub(crate) fn head(&self, generation: u32, waited: u64, now: &Now) {
        let word = self.word();
        if word.generation() == generation && word.mode() == Mode::Guarded {
            let nanos = || self.shared.nanos(now);
            // It may open, and whoever waits for a place must learn until when.
            self.change(true, |circuit| {
                circuit.head(generation, waited, nanos, || self.shared.draw());
            });
        }
    }

    /// Gives back the place of a call of which nothing is known.
    #[cold]
    pub(crate) fn give_back(&self, generation: u32) {
        let word = self.word();
        if word.generation() == generation && word.mode() == Mode::Guarded {
            self.change(true, |circuit| circuit.give_back(generation));
        }
    }

    pub(crate) fn is_slow(&self, waited: u64) -> bool {
        self.circuit.lock().is_slow(waited)
    }

    pub(crate) fn tell(&self, state: State) {
        self.change(true, |circuit| circuit.tell(state));
    }

    /// Tells it what all circuits were told last, which is looked up under the lock: of two who tell
    /// different things at once, all circuits and those that are made later end with the same one's.
    pub(crate) fn tell_as_all(&self) {
        self.change(true, |circuit| {
            let told = self.shared.current.lock().told;
            circuit.tell(told);
        });
    }

    /// Goes by the settings that all circuits go by, looked up as what they are told.
    pub(crate) fn set_as_all(&self) {
        {
            let mut circuit = self.circuit.lock();
            let settings = Arc::clone(&self.shared.current.lock().settings);
            self.in_a_row.store(in_a_row(&settings), Relaxed);
            circuit.set(settings);
            loop {
                let word = self.word();
                if word.mode() == Mode::Run {
                    circuit.set_run(word.run());
                }
                if self.swap(word, word_of(&circuit)) {
                    break;
                }
            }
        }
        self.shared.announce_room();
    }

    pub(crate) fn state(&self) -> State {
        self.circuit.lock().state()
    }

    pub(crate) fn seen(&self, now: &Now) -> Seen {
        let nanos = self.shared.nanos(now);
        let mut circuit = self.circuit.lock();
        let word = self.word();
        if word.mode() == Mode::Run {
            circuit.set_run(word.run());
        }
        circuit.seen(nanos)
    }

    /// How much would be forgotten with this circuit; none if it must not be, because a new one would be made
    /// in another state.
    pub(crate) fn evidence(&self, now: &Now) -> Option<u64> {
        let seen = self.seen(now);
        let evidence = u64::from(seen.consecutive_failures) + seen.window.failed + seen.window.slow;
        let told = self.shared.current.lock().told;
        (seen.state == told).then_some(evidence)
    }

    /// Changes the circuit under its lock, and tells of it once the lock is free.
    #[inline]
    fn change<R>(&self, makes_room: bool, change: impl FnOnce(&mut Circuit) -> R) -> R {
        let (result, changed) = {
            let mut circuit = self.circuit.lock();
            let (generation, from) = (circuit.generation(), circuit.state());
            let result = change(&mut circuit);
            let changed = if circuit.generation() == generation {
                None
            } else {
                self.publish(&circuit, from)
            };
            (result, changed)
        };
        // First those who wait: an observer may panic.
        if makes_room {
            self.shared.announce_room();
        }
        self.announce(changed);
        result
    }

    fn announce(&self, changed: Option<Change>) {
        if let Some(change) = changed {
            self.shared.announce(change);
        }
    }

    #[cold]
    fn publish(&self, circuit: &Circuit, from: State) -> Option<Change> {
        self.word.store(word_of(circuit).bits(), Release);
        let to = circuit.state();
        if from == to {
            return None;
        }
        let change = Change {
            key: self.key,
            from,
            to,
        };
        self.shared.journal.write(change);
        Some(change)
    }

    #[inline]
    fn word(&self) -> Word {
        Word::from_bits(self.word.load(Acquire))
    }

    #[inline]
    fn swap(&self, from: Word, to: Word) -> bool {
        let swapped = self
            .word
            .compare_exchange(from.bits(), to.bits(), AcqRel, Acquire);
        swapped.is_ok()
    }
}

fn word_of(circuit: &Circuit) -> Word {
    let settings = circuit.settings();
    let (mode, run) = match circuit.state() {
        State::Closed if settings.counts_runs_only() => (Mode::Run, circuit.run()),
        State::Closed | State::ForcedClosed | State::MetricsOnly => {
            let by_time = !settings.counts_runs_only() && settings.window.is_of_time();
            (Mode::Watched, by_time.into())
        }
        State::Disabled => (Mode::Unwatched, 0),
        State::Open | State::HalfOpen | State::ForcedOpen => (Mode::Guarded, 0),
    };
    Word::new(
        circuit.generation(),
        mode,
        settings.slow_call.is_some(),
        run,
    )
}

fn in_a_row(settings: &Settings) -> u32 {
    settings.in_a_row.unwrap_or(u32::MAX)
}
