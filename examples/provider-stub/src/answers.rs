//! How long answers are, and in how much time they are produced.

use std::time::Duration;

/// Lengths from a lognormal distribution, at a steady speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answers {
    /// Half of the answers have fewer tokens.
    pub median: f64,
    /// The standard deviation of the length's logarithm.
    pub sigma: f64,
    /// How many tokens are produced in a second.
    pub per_second: f64,
    /// No answer takes less.
    pub shortest: Duration,
    /// No answer takes longer.
    pub longest: Duration,
}

impl Answers {
    /// The length of the answer to a question, at most `most`: the same for the same question and seed,
    /// however often and in whichever order it is asked.
    #[must_use]
    pub fn tokens(&self, seed: u64, question: u64, most: u64) -> u64 {
        let mut draws = Draws::new(seed ^ question);
        // Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958.
        let radius = (-2.0 * draws.unit().ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * draws.unit()).cos();
        let tokens = whole(self.median * (self.sigma * normal).exp());
        tokens.clamp(1, most.max(1))
    }

    /// How long the answers are that this part of all do not exceed.
    #[must_use]
    pub fn quantile(&self, part: f64) -> u64 {
        whole(self.median * (self.sigma * normal_quantile(part)).exp())
    }

    /// How long it takes to produce so many.
    #[must_use]
    pub fn time(&self, tokens: u64) -> Duration {
        let seconds = tokens as f64 / self.per_second;
        let time = Duration::try_from_secs_f64(seconds).unwrap_or(self.longest);
        time.clamp(self.shortest, self.longest)
    }
}

fn whole(tokens: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is not negative, and a cast of what is too large gives the largest"
    )]
    let tokens = tokens.round() as u64;
    tokens
}

/// The value that this part of a normal distribution does not exceed, found by halving: the distribution
/// function is 7.1.26 of Abramowitz and Stegun, good to seven digits.
fn normal_quantile(part: f64) -> f64 {
    let not_exceeding = |value: f64| {
        let x = value.abs() / std::f64::consts::SQRT_2;
        let t = 1.0 / (1.0 + 0.327_591_1 * x);
        let coefficients = [
            1.061_405_429,
            -1.453_152_027,
            1.421_413_741,
            -0.284_496_736,
            0.254_829_592,
        ];
        let sum = coefficients
            .iter()
            .fold(0.0, |sum, coefficient| (sum + coefficient) * t);
        let erf = 1.0 - sum * (-x * x).exp();
        (1.0 + erf.copysign(value)) / 2.0
    };
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        match not_exceeding(middle) < part {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

/// Numbers that look random: SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014).
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// The numbers of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number above 0 and at most 1.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// The next time between two.
    pub fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        shortest + longest.saturating_sub(shortest).mul_f64(self.unit())
    }
}

/// The hash of a text: FNV-1a, which is the same in every run.
#[must_use]
pub(crate) fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
