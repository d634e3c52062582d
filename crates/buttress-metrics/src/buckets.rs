//! Where a duration is counted: buckets that are linear inside every power of two.
//!
//! The shape is that of an HDR histogram with five bits of mantissa (Tene, "HdrHistogram"): a value is off by
//! at most 1.6 % when it is told as the middle of its bucket.

/// The bits of a value that are kept beside its magnitude.
const BITS: u32 = 5;
const SUB: u64 = 1 << BITS;

/// The greatest value that has a bucket of its own, about two hours and a half in nanoseconds; what is
/// greater counts as that.
const HIGHEST: u64 = (1 << 43) - 1;

/// How many buckets there are.
pub(crate) const BUCKETS: usize = 39 << BITS;

/// The bucket of a number of nanoseconds.
#[inline]
pub(crate) fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min(HIGHEST);
    let magnitude = (nanos | (SUB - 1)).ilog2();
    let shift = magnitude - (BITS - 1);
    // Below the first power of two with buckets of more than one value, a value is its own bucket.
    let index = match nanos < SUB {
        true => nanos,
        false => (u64::from(shift) << BITS) | ((nanos >> (shift - 1)) & (SUB - 1)),
    };
    usize::try_from(index).unwrap_or(BUCKETS - 1)
}

/// The least and the greatest value of a bucket.
pub(crate) fn bounds(bucket: usize) -> (u64, u64) {
    let index = u64::try_from(bucket).unwrap_or(0);
    let (shift, rest) = (index >> BITS, index & (SUB - 1));
    match shift {
        0 => (rest, rest),
        shift => {
            let least = (SUB | rest) << (shift - 1);
            (least, least + (1 << (shift - 1)) - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        let mut next = 0;
        for index in 0..BUCKETS {
            let (least, greatest) = bounds(index);
            assert_eq!(least, next);
            assert_eq!((bucket(least), bucket(greatest)), (index, index));
            next = greatest + 1;
        }
        assert_eq!(next, HIGHEST + 1);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn the_middle_of_a_bucket_is_near(nanos in 0..=HIGHEST) {
            let (least, greatest) = bounds(bucket(nanos));
            prop_assert!((least..=greatest).contains(&nanos));
            let middle = least + (greatest - least) / 2;
            prop_assert!(middle.abs_diff(nanos) * 1_000 <= nanos * 16);
        }
    }
}
