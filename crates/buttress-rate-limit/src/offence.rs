//! What one key is guilty of. Instants are nanoseconds since an epoch of the caller's.

/// What one key is guilty of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offence {
    /// How often it was refused.
    pub refusals: u32,
    /// Since when it is penalised, if it is.
    pub since: u64,
    /// Until when it is penalised; it is not any more at this instant. Zero if it never was.
    pub until: u64,
    /// When it was refused last.
    pub last: u64,
    /// From when on it is as if it had never been refused, if it is not refused until then.
    pub forgotten: u64,
    /// How long the last step was; zero before the first.
    pub(crate) length: u64,
    pub(crate) banned: bool,
}

impl Offence {
    pub(crate) const NONE: Self = Self {
        refusals: 0,
        since: 0,
        until: 0,
        last: 0,
        forgotten: 0,
        length: 0,
        banned: false,
    };

    /// A ban that somebody imposes now, whatever was before.
    #[must_use]
    pub fn banned(before: Option<Self>, length: u64, now: u64) -> Self {
        let until = now.saturating_add(length);
        Self {
            refusals: before.map_or(0, |before| before.refusals),
            since: now,
            until,
            last: now,
            forgotten: until,
            length: 0,
            banned: true,
        }
    }

    /// Whether it is penalised now.
    #[must_use]
    pub const fn is_penalised(&self, now: u64) -> bool {
        now < self.until
    }

    /// Counts a refusal that leads to nothing further.
    pub(crate) fn refused_again(self, now: u64) -> Self {
        Self {
            refusals: self.refusals.saturating_add(1),
            last: self.last.max(now),
            ..self
        }
    }

    /// Makes it wait for so long from now on, or for as long as it has to anyway.
    pub(crate) fn penalise(&mut self, now: u64, length: u64) {
        if !self.is_penalised(now) {
            self.since = now;
        }
        self.until = self.until.max(now.saturating_add(length));
    }
}
