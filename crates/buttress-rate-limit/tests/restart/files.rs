//! The file: read, refused, written by several at once and while requests run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buttress_core::Seed;
use buttress_core::wall::UnixNanos;
use buttress_rate_limit::{PersistError, RateLimiter, Snapshot, SnapshotError};

use crate::{START, builder, left};

/// A directory of its own, which goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("buttress-restart-{:016x}", Seed::random_number());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn limiter(path: &Path) -> RateLimiter {
    builder(&["10/day"], 0).persist(path).build().unwrap()
}

fn refusal(path: &Path) -> PersistError {
    let refused = builder(&["10/day"], 0).persist(path).build();
    refused.expect_err("it is refused")
}

#[tokio::test(start_paused = true)]
async fn a_redeploy_does_not_forgive() {
    let directory = Directory::new();
    let path = directory.state();
    let first = limiter(&path);
    assert_eq!(first.restored(), None, "there was no file");
    assert!(!path.exists(), "nothing is written that was not asked for");
    assert_eq!(first.file(), Some(&*path));
    first.check("a", 4).unwrap();
    first.save().unwrap();
    first.check("a", 1).unwrap();
    let second = limiter(&path);
    assert_eq!(left(&second, "a"), [6], "as it was saved");
    assert_eq!(second.restored().unwrap().restored, 1);
    second.check("a", 3).unwrap();
    second.save().unwrap();
    assert_eq!(left(&limiter(&path), "a"), [3]);
    assert_eq!(directory.names(), ["state"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_whole_state_is_refused_and_left_as_it_is() {
    let directory = Directory::new();
    let path = directory.state();
    limiter(&path).save().unwrap();
    let good = fs::read(&path).unwrap();
    let newer = [&good[..16], &[9, 0, 0, 0], &good[20..]].concat();
    let flipped = {
        let mut bytes = good.clone();
        bytes[50] ^= 4;
        bytes
    };
    for (bytes, expected) in [
        (&good[..good.len() - 1], "is torn"),
        (&good[..5], "is torn"),
        (&[], "is torn"),
        (b"quotas = []", "is no snapshot of a rate limiter"),
        (&newer, "is a snapshot of format 9"),
        (&flipped, "is damaged"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = refusal(&path);
        let PersistError::Refused { path: told, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*told, path);
        let text = error.to_string();
        let start = format!("{} {expected}", path.display());
        assert!(text.starts_with(&start), "{text}");
        assert!(text.ends_with("or move it away to begin with nothing spent"));
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    let directory_error = refusal(&directory.0);
    let PersistError::Refused { error, .. } = directory_error else {
        panic!("{directory_error:?}");
    };
    assert_eq!(error, SnapshotError::Foreign);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_an_error_with_its_path() {
    let directory = Directory::new();
    let nowhere = limiter(&directory.0.join("missing").join("state"));
    let error = nowhere.save().unwrap_err();
    let PersistError::Io { path, attempt, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*attempt, "create");
    assert!(path.starts_with(directory.0.join("missing")));
    let text = error.to_string();
    assert!(text.starts_with("cannot create "), "{text}");
}

#[test]
fn saves_at_the_same_time_leave_one_whole_file_that_is_the_latest() {
    let directory = Directory::new();
    let path = directory.state();
    let one = limiter(&path);
    one.save().unwrap();
    let other = limiter(&path);
    std::thread::scope(|scope| {
        for limiter in [&one, &one, &other] {
            scope.spawn(|| {
                for _ in 0..10 {
                    let _ = limiter.check("a", 1);
                    limiter.save().unwrap();
                    let read = Snapshot::from_bytes(&fs::read(&path).unwrap()).unwrap();
                    assert!(read.taken() >= UnixNanos::from_seconds(START));
                }
            });
        }
    });
    assert_eq!(directory.names(), ["state"]);
    one.save().unwrap();
    assert_eq!(left(&limiter(&path), "a"), [0]);
}

#[test]
fn a_save_while_requests_run_holds_nothing_that_was_not_spent() {
    // A unit comes back in two hours, so that none does here.
    const QUOTA: &[&str] = &["1M/2000000h"];
    let directory = Directory::new();
    let path = directory.state();
    let limiter = builder(QUOTA, 0)
        .keys(4_096)
        .persist(&path)
        .build()
        .unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2_u32 {
            let (limiter, done) = (&limiter, &done);
            scope.spawn(move || {
                let mut key = thread;
                while !done.load(Ordering::Relaxed) {
                    let _ = limiter.check(key % 2_000, 1);
                    key += 2;
                }
            });
        }
        let mut spent = 0;
        for _ in 0..10 {
            limiter.save().unwrap();
            let saved = builder(QUOTA, 0)
                .keys(4_096)
                .persist(&path)
                .build()
                .unwrap();
            let now = limiter.status().admitted;
            let used: u64 = (0..2_000_u32)
                .map(|key| 1_000_000 - saved.peek(key)[0].remaining)
                .sum();
            assert!((spent..=now).contains(&used), "{spent} {used} {now}");
            spent = used;
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[tokio::test(start_paused = true)]
async fn saving_goes_on_at_an_interval_and_after_errors() {
    let directory = Directory::new();
    let path = directory.0.join("later").join("state");
    let limiter = limiter(&path);
    limiter.check("a", 4).unwrap();
    let (errors, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let minute = Duration::from_secs(60);
    let saving = limiter.clone().save_every(minute, move |error| {
        let _ = errors.send(error);
    });
    let saving = tokio::spawn(saving);
    let error = heard.recv().await.unwrap();
    assert!(matches!(error, PersistError::Io { .. }), "{error:?}");
    fs::create_dir(directory.0.join("later")).unwrap();
    tokio::time::advance(minute).await;
    // A thread writes it, and gives it its name when it is whole.
    while !path.exists() {
        tokio::task::yield_now().await;
    }
    assert_eq!(left(&self::limiter(&path), "a"), [6]);
    saving.abort();
    assert!(saving.await.unwrap_err().is_cancelled());
    assert!(heard.try_recv().is_err(), "there was one error");
}
