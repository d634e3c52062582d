//! The state of a circuit in one word, for whoever must not wait for its lock.

/// What a circuit lets through and what it asks of those who come back: a generation, a mode, and the run
/// of failures where nothing else is counted; elsewhere, in the place of the run, whether the window is one
/// of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

/// How calls are let through, and how their ends are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They go through; the run of failures is in the word.
    Run,
    /// They go through; their ends are recorded under the lock.
    Watched,
    /// They go through, and nobody looks.
    Unwatched,
    /// The lock decides.
    Guarded,
}

const RUN: u64 = (1 << 29) - 1;
const MODE: u32 = 29;
const TIMED: u64 = 1 << 31;
const GENERATION: u32 = 32;

impl Word {
    pub(crate) const fn new(generation: u32, mode: Mode, is_timed: bool, run: u32) -> Self {
        let mode = match mode {
            Mode::Run => 0,
            Mode::Watched => 1,
            Mode::Unwatched => 2,
            Mode::Guarded => 3,
        };
        let timed = if is_timed { TIMED } else { 0 };
        Self((generation as u64) << GENERATION | timed | mode << MODE | run as u64 & RUN)
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> GENERATION) as u32
    }

    #[inline]
    pub(crate) const fn mode(self) -> Mode {
        match self.0 >> MODE & 0b11 {
            0 => Mode::Run,
            1 => Mode::Watched,
            2 => Mode::Unwatched,
            _ => Mode::Guarded,
        }
    }

    /// Whether the time of a call matters.
    #[inline]
    pub(crate) const fn is_timed(self) -> bool {
        self.0 & TIMED != 0
    }

    /// Whether the time at which a call ends matters, where the lock is needed and no run is counted here.
    #[inline]
    pub(crate) const fn is_by_time(self) -> bool {
        self.run() != 0
    }

    #[inline]
    pub(crate) const fn run(self) -> u32 {
        (self.0 & RUN) as u32
    }

    #[inline]
    pub(crate) const fn with_run(self, run: u32) -> Self {
        Self(self.0 & !RUN | run as u64 & RUN)
    }
}
