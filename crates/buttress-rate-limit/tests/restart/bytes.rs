//! A snapshot as bytes: whole, or refused.

use buttress_rate_limit::{RateLimiter, Snapshot, SnapshotError};
use proptest::prelude::*;

use crate::{builder, left, quotas, started};

const HEADER: usize = 32;

/// A snapshot with every kind of account and of count.
fn sample() -> Snapshot {
    let vip = quotas(&["9/day", "10/week rolling", "5/minute"]);
    let limiter = builder(&["12/day", "8/day rolling"], 0)
        .override_for("vip", vip)
        .tier("pro", quotas(&["50/day"]))
        .global(quotas(&["100/week"]))
        .seed(7);
    #[cfg(feature = "calendar")]
    let limiter = limiter.quotas(quotas(&["20/month calendar UTC"]));
    let limiter = limiter.restore(None).build().unwrap();
    for key in ["a", "b", "vip"] {
        limiter.check(key, 2).unwrap();
    }
    limiter.tier("pro").unwrap().check("a", 2).unwrap();
    limiter.snapshot().unwrap()
}

/// The bytes with the checksum that they ought to have.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[16..28]);
    hasher.update(&bytes[HEADER..]);
    bytes[28..HEADER].copy_from_slice(&hasher.finalize().to_le_bytes());
    bytes
}

#[tokio::test(start_paused = true)]
async fn what_was_written_reads_back() {
    let snapshot = sample();
    assert_eq!(
        snapshot.len(),
        5,
        "three keys, one of them in a tier too, and all of them"
    );
    let bytes = snapshot.to_bytes();
    let read = Snapshot::from_bytes(&bytes).unwrap();
    assert_eq!(read, snapshot);
    assert_eq!(read.to_bytes(), bytes);
    assert_eq!(sealed(bytes.clone()), bytes);
    let shown = format!("{snapshot:?}");
    assert!(
        !shown.contains("seed") && !shown.contains("kept"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn cut_off_anywhere_it_is_torn() {
    let bytes = sample().to_bytes();
    let whole = u64::try_from(bytes.len()).unwrap();
    for length in 0..bytes.len() {
        let found = u64::try_from(length).unwrap();
        let expected = (length >= HEADER).then_some(whole);
        match Snapshot::from_bytes(&bytes[..length]) {
            Err(SnapshotError::Torn {
                found: told,
                expected: wanted,
            }) => assert_eq!((told, wanted), (found, expected)),
            other => panic!("{length} bytes: {other:?}"),
        }
    }
    let longer = [&bytes[..], b"x"].concat();
    let error = Snapshot::from_bytes(&longer).unwrap_err();
    let sentence = format!(
        "is torn: it has {} bytes where it says that it has {whole}",
        whole + 1
    );
    assert_eq!(error.to_string(), sentence);
}

#[tokio::test(start_paused = true)]
async fn with_any_bit_flipped_it_is_refused() {
    let bytes = sample().to_bytes();
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << bit;
            let error = Snapshot::from_bytes(&flipped).expect_err("it was flipped");
            match index {
                0..16 => assert_eq!(error, SnapshotError::Foreign),
                16..20 => {
                    let seen =
                        matches!(error, SnapshotError::Newer { .. } | SnapshotError::Damaged);
                    assert!(seen, "{error:?}");
                }
                20..28 => assert!(matches!(error, SnapshotError::Torn { .. }), "{error:?}"),
                _ => assert_eq!(error, SnapshotError::Damaged),
            }
        }
    }
}

#[test]
fn what_is_foreign_or_newer_is_called_so() {
    for foreign in [
        &b"[rate_limit]\nquotas = []"[..],
        &[0; 64],
        b"x",
        b"\x7fELF",
    ] {
        assert_eq!(
            Snapshot::from_bytes(foreign),
            Err(SnapshotError::Foreign),
            "{foreign:?}"
        );
    }
    let newer = [&b"buttress limits\n"[..], &7_u32.to_le_bytes(), b"whatever"].concat();
    let error = Snapshot::from_bytes(&newer).unwrap_err();
    assert_eq!(error, SnapshotError::Newer { version: 7 });
    let sentence = "is a snapshot of format 7, and this build reads formats up to 2";
    assert_eq!(error.to_string(), sentence);
}

/// Uses everything that a snapshot can have put into a limiter.
fn use_it(limiter: &RateLimiter) {
    for key in ["a", "b", "vip"] {
        let _ = left(limiter, key);
        let _ = limiter.check(key, 1);
        limiter.refund(key, 1);
    }
    let _ = limiter.snapshot().unwrap().to_bytes();
    limiter.set_quota("3/week".parse().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_behind_a_right_checksum_nothing_panics(
        changes in proptest::collection::vec((0..600_usize, any::<u8>()), 1..4),
        // The seed stays, so that what is restored is used.
        seconds in 0..1_000_000_i64,
    ) {
        let mut bytes = sample().to_bytes();
        for (index, byte) in changes {
            let seed = HEADER + 16;
            let index = seed + index % (bytes.len() - seed);
            bytes[index] = byte;
        }
        let read = Snapshot::from_bytes(&sealed(bytes));
        if let Ok(snapshot) = read {
            use_it(&started(&["12/day", "8/day rolling", "20/week"], seconds, Some(&snapshot)));
        }
    }

    #[test]
    fn random_bytes_behind_a_right_header_never_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let length = u64::try_from(body.len()).unwrap().to_le_bytes();
        let version = 1_u32.to_le_bytes();
        let bytes = [&b"buttress limits\n"[..], &version, &length, &[0; 4], &body].concat();
        let _ = Snapshot::from_bytes(&sealed(bytes));
    }
}
