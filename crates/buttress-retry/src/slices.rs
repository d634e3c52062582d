//! A sum over the last stretch of time, in slices.

/// How many slices a window has.
const SLICES: usize = 10;

/// What was added in the last ten slices of time: Finagle's `WindowedAdder`, with an exact ring. What is
/// older than ten slices is gone, and a long gap costs no more than ten steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slices {
    sums: [i64; SLICES],
    /// The number of the running slice since the budget was made.
    running: u64,
}

impl Slices {
    /// Goes on to the slice of that number.
    pub(crate) fn advance(&mut self, slice: u64) {
        let gone = slice.saturating_sub(self.running);
        let cleared = usize::try_from(gone).unwrap_or(SLICES).min(SLICES);
        for step in 1..=cleared {
            let place = place(self.running.saturating_add(step as u64));
            self.sums[place] = 0;
        }
        if cleared == SLICES {
            self.sums = [0; SLICES];
        }
        self.running = self.running.max(slice);
    }

    /// Adds to the running slice.
    pub(crate) fn add(&mut self, amount: i64) {
        let place = place(self.running);
        self.sums[place] = self.sums[place].saturating_add(amount);
    }

    pub(crate) fn sum(&self) -> i64 {
        self.sums
            .iter()
            .fold(0_i64, |sum, slice| sum.saturating_add(*slice))
    }
}

fn place(slice: u64) -> usize {
    usize::try_from(slice % SLICES as u64).unwrap_or(0)
}
