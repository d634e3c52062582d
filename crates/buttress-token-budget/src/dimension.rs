//! What a budget counts, and how much of it.

use std::fmt;

use buttress_core::Usage;

/// How many dimensions a budget can count: five that have names, and three of your own.
pub const MAX_DIMENSIONS: usize = Usage::DIMENSIONS;

/// How many of them have names.
const NAMED: usize = 5;

/// One thing that a budget counts. Its number is its place in a [`Usage`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dimension(u8);

impl Dimension {
    /// Requests; each counts one unless [`Amounts`] say otherwise.
    pub const REQUESTS: Self = Self(0);
    /// Tokens sent.
    pub const INPUT: Self = Self(1);
    /// Tokens received.
    pub const OUTPUT: Self = Self(2);
    /// Tokens, both ways; the sum of input and output unless it is said.
    pub const TOTAL: Self = Self(3);
    /// Money, in whatever small unit you count it.
    pub const COST: Self = Self(4);
    /// The first of your own.
    pub const OWN_1: Self = Self(5);
    /// The second of your own.
    pub const OWN_2: Self = Self(6);
    /// The third of your own.
    pub const OWN_3: Self = Self(7);

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..8).map(Self)
    }

    /// The dimension of this name: `requests`, `input`, `output`, `total`, `cost`, `own_1`, `own_2`, `own_3`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|dimension| dimension.name() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "requests",
            1 => "input",
            2 => "output",
            3 => "total",
            4 => "cost",
            5 => "own_1",
            6 => "own_2",
            _ => "own_3",
        }
    }

    /// Its place in a [`Usage`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Whether what is reserved of it is a guess: how many requests there are and what they say is known.
    pub(crate) const fn is_guessed(self) -> bool {
        self.0 >= Self::OUTPUT.0
    }

    /// Whether it is one of those that have no name.
    #[must_use]
    pub const fn is_own(self) -> bool {
        self.0 as usize >= NAMED
    }
}

impl fmt::Debug for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much of every dimension: an estimate, or what was really used.
///
/// A fixed array, so that it costs nothing on the heap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    units: [u64; MAX_DIMENSIONS],
    /// The dimensions that were said, a bit each.
    said: u8,
}

impl Amounts {
    /// One request, and nothing else.
    #[must_use]
    pub const fn request() -> Self {
        let mut units = [0; MAX_DIMENSIONS];
        units[Dimension::REQUESTS.index()] = 1;
        Self { units, said: 0 }
    }

    /// One request with so many tokens sent and received; the total is their sum.
    #[must_use]
    pub const fn tokens(input: u64, output: u64) -> Self {
        Self::request()
            .with(Dimension::INPUT, input)
            .with(Dimension::OUTPUT, output)
    }

    /// One request with so many tokens altogether.
    #[must_use]
    pub const fn total(tokens: u64) -> Self {
        Self::request().with(Dimension::TOTAL, tokens)
    }

    /// Says how much of a dimension.
    #[must_use]
    pub const fn with(mut self, dimension: Dimension, units: u64) -> Self {
        self.units[dimension.index()] = units;
        self.said |= 1 << dimension.0;
        if !self.says(Dimension::TOTAL) {
            let [_, input, output, ..] = self.units;
            self.units[Dimension::TOTAL.index()] = input.saturating_add(output);
        }
        self
    }

    /// How much of a dimension.
    #[inline]
    #[must_use]
    pub const fn get(&self, dimension: Dimension) -> u64 {
        self.units[dimension.index()]
    }

    /// Whether a dimension was said, and does not follow from others.
    pub(crate) const fn says(&self, dimension: Dimension) -> bool {
        self.said & (1 << dimension.0) != 0
    }

    /// Whether this needs the limits of a dimension: it counts some of it, or says that it counts none. Who
    /// needs a limit waits its turn behind those who do, also for nothing; other dimensions are none of its
    /// business unless they are below zero.
    #[must_use]
    pub const fn needs(&self, dimension: Dimension) -> bool {
        self.get(dimension) > 0 || self.says(dimension)
    }

    /// What is used if this is all that is known of it: what was not said stays unknown.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Dimension::all()
            .filter(|dimension| self.says(*dimension))
            .fold(Usage::default(), |usage, dimension| {
                usage.with(dimension.index(), self.get(dimension))
            })
    }

    /// As an upstream's word on a call for which this was reserved: what it did not say stays as reserved,
    /// and the total follows from input and output.
    pub(crate) fn settled(&self, usage: &Usage) -> Self {
        let mut settled = *self;
        for dimension in Dimension::all() {
            if let Some(units) = usage.get(dimension.index()) {
                settled.units[dimension.index()] = units;
            }
        }
        let said = |dimension: Dimension| usage.get(dimension.index()).is_some();
        let reserved = |dimension: Dimension| self.get(dimension) > 0;
        let (input, output) = (Dimension::INPUT, Dimension::OUTPUT);
        let follows =
            said(input) && (said(output) || reserved(output)) || said(output) && reserved(input);
        if follows && !said(Dimension::TOTAL) {
            let total = settled.get(input).saturating_add(settled.get(output));
            settled.units[Dimension::TOTAL.index()] = total;
        }
        settled
    }

    /// The larger of both, dimension by dimension.
    pub(crate) fn at_least(&self, other: &Self) -> Self {
        let mut most = *self;
        for (units, other) in most.units.iter_mut().zip(other.units) {
            *units = (*units).max(other);
        }
        most
    }

    /// Nothing at all, not even a request.
    pub(crate) const NOTHING: Self = Self {
        units: [0; MAX_DIMENSIONS],
        said: 0,
    };
}

impl From<Amounts> for Usage {
    fn from(amounts: Amounts) -> Self {
        amounts.usage()
    }
}

impl fmt::Debug for Amounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Dimension::all().filter(|dimension| self.get(*dimension) > 0);
        f.debug_map()
            .entries(known.map(|dimension| (dimension, self.get(dimension))))
            .finish()
    }
}
