/// A limit that stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed(u32);

impl Fixed {
    /// So many; 0 is 1.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self(if limit == 0 { 1 } else { limit })
    }

    /// How many may be in flight.
    #[must_use]
    pub const fn get(&self) -> u32 {
        self.0
    }
}
