//! The middle of many rounds, and how far they are apart.

/// The median of some figures and the range in which eight of ten lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// One in ten is lower.
    pub low: f64,
    /// Half are lower.
    pub median: f64,
    /// One in ten is higher.
    pub high: f64,
}

impl Spread {
    /// The spread of figures; not a number if there are none.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let last = figures.len().saturating_sub(1);
            let index = (last * percent + 50) / 100;
            figures.get(index).copied().unwrap_or(f64::NAN)
        };
        Self {
            low: at(10),
            median: at(50),
            high: at(90),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn spread_is_told_by_rank() {
        let spread = Spread::of((0..=20).rev().map(f64::from));
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 10.0, 18.0));
        assert!(Spread::of([]).median.is_nan());
    }
}
