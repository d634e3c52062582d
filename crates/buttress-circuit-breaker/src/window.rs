//! What the last calls came to: exact rings, one of calls and one of time.
//!
//! Both keep their sums, so that recording and reading cost the same however much lies in the window. An
//! average that forgets by itself would weigh a call by how busy the time around it was, and a counter
//! that is only ever reset would forget everything at once; neither says what the last calls came to.

/// How many slices a window of time has.
pub const SLICES: usize = 10;

const SLICES_U64: u64 = SLICES as u64;

/// How one call counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// It counts as a failure for the failure rate.
    pub failed: bool,
    /// It counts as slow for the slow-call rate.
    pub slow: bool,
}

/// How many calls there were, and of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were slow, failed or not.
    pub slow: u64,
}

impl Tally {
    /// Adds one call.
    #[inline]
    pub fn add(&mut self, mark: Mark) {
        self.calls += 1;
        self.failed += u64::from(mark.failed);
        self.slow += u64::from(mark.slow);
    }

    #[inline]
    fn subtract(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failed -= other.failed;
        self.slow -= other.slow;
    }

    /// The share of calls that failed, from 0 to 1; none without calls.
    #[must_use]
    pub fn failure_rate(&self) -> Option<f64> {
        share(self.failed, self.calls)
    }

    /// The share of calls that were slow, from 0 to 1; none without calls.
    #[must_use]
    pub fn slow_call_rate(&self) -> Option<f64> {
        share(self.slow, self.calls)
    }
}

#[inline]
fn share(part: u64, of: u64) -> Option<f64> {
    // Division rounds to the nearest number, and so did whoever wrote the threshold down: 3 of 10 is
    // exactly what `0.3` means, which a multiplication would miss.
    (of > 0).then(|| part as f64 / of as f64)
}

// === the last so many calls ===

/// Calls in one word of the ring: two bits each.
const CALLS_PER_WORD: usize = 32;

/// The last so many calls, two bits each.
#[derive(Clone, Debug)]
pub struct CallRing {
    bits: Box<[u64]>,
    capacity: usize,
    next: usize,
    tally: Tally,
}

impl CallRing {
    /// Room for the last `calls` of them, at least one.
    #[must_use]
    pub fn new(calls: u32) -> Self {
        let capacity = usize::try_from(calls).unwrap_or(usize::MAX).max(1);
        Self {
            bits: vec![0; capacity.div_ceil(CALLS_PER_WORD)].into_boxed_slice(),
            capacity,
            next: 0,
            tally: Tally::default(),
        }
    }

    /// A ring for the last `calls` of them that begins with what lies in this one, the oldest left out if it
    /// is the smaller one.
    #[must_use]
    pub fn resized(&self, calls: u32) -> Self {
        let mut ring = Self::new(calls);
        let is_full = self.tally.calls == self.capacity as u64;
        let (older, newer) = match is_full {
            true => (self.next..self.capacity, 0..self.next),
            false => (0..0, 0..self.next),
        };
        for place in older.chain(newer) {
            let bits = self.bits[place / CALLS_PER_WORD] >> (place % CALLS_PER_WORD * 2);
            ring.record(Mark {
                failed: bits & 1 != 0,
                slow: bits & 0b10 != 0,
            });
        }
        ring
    }

    /// Records a call; the oldest one leaves if there is no room.
    #[inline]
    pub fn record(&mut self, mark: Mark) {
        let (word, shift) = (self.next / CALLS_PER_WORD, self.next % CALLS_PER_WORD * 2);
        let bits = &mut self.bits[word];
        if self.tally.calls == self.capacity as u64 {
            self.tally.subtract(Tally {
                calls: 1,
                failed: *bits >> shift & 1,
                slow: *bits >> shift >> 1 & 1,
            });
        }
        let fresh = u64::from(mark.failed) | u64::from(mark.slow) << 1;
        *bits = *bits & !(0b11 << shift) | fresh << shift;
        self.next += 1;
        if self.next == self.capacity {
            self.next = 0;
        }
        self.tally.add(mark);
    }

    /// What lies in the window.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Empties the window. What the bits say counts for nothing until it is overwritten.
    pub fn clear(&mut self) {
        self.next = 0;
        self.tally = Tally::default();
    }
}

// === the last so much time ===

/// The calls of the last so much time, in ten slices that begin at multiples of a tenth; the running slice
/// is one of them.
#[derive(Clone, Debug)]
pub struct TimeRing {
    slices: [Tally; SLICES],
    /// The length of a slice in nanoseconds.
    slice: u64,
    /// Which slice is running, counted from time zero.
    running: u64,
    /// When the running slice ends.
    end: u64,
    tally: Tally,
}

impl TimeRing {
    /// A window of so many nanoseconds, rounded up to ten.
    #[must_use]
    pub const fn new(window: u64) -> Self {
        let slice = match window.div_ceil(SLICES_U64) {
            0 => 1,
            slice => slice,
        };
        Self {
            slices: [Tally {
                calls: 0,
                failed: 0,
                slow: 0,
            }; SLICES],
            slice,
            running: 0,
            end: slice,
            tally: Tally {
                calls: 0,
                failed: 0,
                slow: 0,
            },
        }
    }

    /// Records a call at `now`, in nanoseconds. A time before the running slice counts as in it.
    #[inline]
    pub fn record(&mut self, mark: Mark, now: u64) {
        self.turn(now);
        self.slices[place(self.running)].add(mark);
        self.tally.add(mark);
    }

    /// What lies in the window at `now`.
    #[must_use]
    pub fn tally(&mut self, now: u64) -> Tally {
        self.turn(now);
        self.tally
    }

    /// Empties the window.
    pub fn clear(&mut self) {
        self.slices = Default::default();
        self.tally = Tally::default();
    }

    #[inline]
    fn turn(&mut self, now: u64) {
        if now >= self.end {
            self.turn_to(now / self.slice);
        }
    }

    /// Lets the slices go that have left the window: at most all of them, however long nothing came.
    #[cold]
    fn turn_to(&mut self, running: u64) {
        if running - self.running >= SLICES_U64 {
            self.clear();
        } else {
            for slice in self.running..running {
                let left = std::mem::take(&mut self.slices[place(slice + 1)]);
                self.tally.subtract(left);
            }
        }
        self.running = running;
        self.end = running.saturating_add(1).saturating_mul(self.slice);
    }
}

const fn place(slice: u64) -> usize {
    (slice % SLICES_U64) as usize
}

// === either of them ===

/// The window of a circuit.
#[derive(Clone, Debug)]
pub enum Ring {
    /// No rate is looked at.
    None,
    /// The last so many calls.
    Calls(CallRing),
    /// The last so much time.
    Time(Box<TimeRing>),
}

impl Ring {
    /// Records a call at `now`, in nanoseconds, and tells what then lies in the window. Only a window of
    /// time looks at the time.
    #[inline]
    pub fn record(&mut self, mark: Mark, now: impl FnOnce() -> u64) -> Tally {
        match self {
            Self::None => Tally::default(),
            Self::Calls(ring) => {
                ring.record(mark);
                ring.tally()
            }
            Self::Time(ring) => {
                ring.record(mark, now());
                ring.tally
            }
        }
    }

    /// What lies in the window at `now`.
    #[must_use]
    pub fn tally(&mut self, now: u64) -> Tally {
        match self {
            Self::None => Tally::default(),
            Self::Calls(ring) => ring.tally(),
            Self::Time(ring) => ring.tally(now),
        }
    }

    /// Empties the window.
    pub fn clear(&mut self) {
        match self {
            Self::None => {}
            Self::Calls(ring) => ring.clear(),
            Self::Time(ring) => ring.clear(),
        }
    }
}
