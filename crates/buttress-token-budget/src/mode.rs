//! Whether a budget refuses what does not fit.

use std::sync::atomic::{AtomicU8, Ordering};

/// What becomes of what does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is refused, or waits.
    Hard,
    /// It goes on, and is spent.
    Soft,
    /// It goes on, and spends nothing.
    Shadow,
}

/// A mode, and whether the budget is closed: read as one.
#[derive(Debug)]
pub(crate) struct Modes(AtomicU8);

const SOFT: u8 = 1;
const SHADOW: u8 = 2;
const CLOSED: u8 = 4;

impl Modes {
    pub(crate) fn new(mode: Mode) -> Self {
        Self(AtomicU8::new(bits(mode)))
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    #[inline]
    pub(crate) fn mode(&self) -> Mode {
        match self.0.load(Ordering::Acquire) {
            bits if bits & SOFT != 0 => Mode::Soft,
            bits if bits & SHADOW != 0 => Mode::Shadow,
            _ => Mode::Hard,
        }
    }

    pub(crate) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub(crate) fn set(&self, mode: Mode) {
        let set = |held: u8| Some(held & CLOSED | bits(mode));
        // It never declines.
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, set);
    }
}

const fn bits(mode: Mode) -> u8 {
    match mode {
        Mode::Hard => 0,
        Mode::Soft => SOFT,
        Mode::Shadow => SHADOW,
    }
}
