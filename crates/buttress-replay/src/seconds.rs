//! Seconds as exact decimals, in and out.
//!
//! A trace writes its times in seconds, the clock counts milliseconds and limits count nanoseconds. A float
//! between them would make `0.1` something else, so the digits themselves are moved.

use std::fmt;

use crate::trace::Milliseconds;

/// The largest time that a trace may name, 10^10 s, in milliseconds.
pub const LARGEST: Milliseconds = 10_000_000_000_000;

/// Decimal digits of [`LARGEST`].
const LARGEST_DIGITS: i64 = 14;

/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;

/// Why a number cannot be a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondsError {
    /// The text is no JSON number.
    NoNumber,
    /// The number is below zero.
    Negative,
    /// The number is no whole number of milliseconds.
    TooFine,
    /// The number is above 10^10.
    TooLarge,
}

impl fmt::Display for SecondsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoNumber => "expected seconds as a number",
            Self::Negative => "expected seconds of at least 0",
            Self::TooFine => {
                "expected seconds in whole milliseconds: at most three places after the point"
            }
            Self::TooLarge => "expected at most 10000000000 seconds",
        })
    }
}

impl std::error::Error for SecondsError {}

/// Reads the text of a JSON number as seconds and gives whole milliseconds.
///
/// Exponents are allowed (`1e-3` is one millisecond) and a negative zero is zero. The work and the memory
/// are bounded by the length of the text, whatever its exponent says.
///
/// # Errors
///
/// When the text is no number, or the number is negative, finer than a millisecond or above 10^10.
pub fn parse_seconds(text: &str) -> Result<Milliseconds, SecondsError> {
    let decimal = Decimal::read(text).ok_or(SecondsError::NoNumber)?;
    let (first, last) = match decimal.significant() {
        Some(range) => range,
        None => return Ok(0),
    };
    if decimal.negative {
        return Err(SecondsError::Negative);
    }
    // The value is the significant digits as one integer, times ten to the power of `shift`, in milliseconds.
    let shift = decimal
        .point
        .saturating_sub(length(last))
        .saturating_sub(1)
        .saturating_add(3);
    if shift < 0 {
        return Err(SecondsError::TooFine);
    }
    if length(last - first).saturating_add(1).saturating_add(shift) > LARGEST_DIGITS {
        return Err(SecondsError::TooLarge);
    }
    // At most fourteen digits are left from here on.
    let digits = decimal.digits().skip(first).take(last - first + 1);
    let integer = digits.fold(0, |sum, digit| sum * 10 + Milliseconds::from(digit - b'0'));
    let value = (0..shift).fold(integer, |value, _| value * 10);
    if value > LARGEST {
        Err(SecondsError::TooLarge)
    } else {
        Ok(value)
    }
}

/// The parts of a decimal number's text.
struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// How many of the digits stand before the point, once the exponent has moved it.
    point: i64,
}

impl<'a> Decimal<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        is_digits(whole).then(|| Self {
            negative,
            whole: whole.as_bytes(),
            fraction: fraction.as_bytes(),
            point: length(whole.len()).saturating_add(exponent),
        })
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> + use<'_> {
        self.whole.iter().chain(self.fraction).copied()
    }

    /// The positions of the first and the last digit that is not zero.
    fn significant(&self) -> Option<(usize, usize)> {
        let first = self.digits().position(|digit| digit != b'0')?;
        let trailing = self.digits().rev().position(|digit| digit != b'0')?;
        Some((first, self.whole.len() + self.fraction.len() - 1 - trailing))
    }
}

/// An exponent, held at a bound that is far beyond every text's length.
fn read_exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) if text.starts_with('-') => (-1, rest),
        Some(rest) => (1, rest),
        None => (1, text),
    };
    let bounded = |sum: i64, digit: u8| (sum * 10 + i64::from(digit - b'0')).min(i64::MAX / 16);
    is_digits(digits).then(|| sign * digits.bytes().fold(0, bounded))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A time in nanoseconds that is printed in seconds: a plain decimal, at most nine places, no trailing zeros
/// and no exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InSeconds(u128);

impl InSeconds {
    /// Prints this many nanoseconds.
    pub fn from_nanoseconds(nanoseconds: u128) -> Self {
        Self(nanoseconds)
    }

    /// Prints this many milliseconds.
    pub fn from_milliseconds(milliseconds: Milliseconds) -> Self {
        Self(u128::from(milliseconds) * 1_000_000)
    }
}

impl fmt::Display for InSeconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0 / SECOND)?;
        let mut fraction = self.0 % SECOND;
        if fraction == 0 {
            return Ok(());
        }
        let mut places = 9;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            places -= 1;
        }
        write!(formatter, ".{fraction:0places$}")
    }
}
