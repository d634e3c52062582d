//! Keys, seeds, rejections, errors and usage.

use std::collections::HashSet;
use std::error::Error as _;
use std::fmt;
use std::hash::Hasher;
use std::time::Duration;

use buttress_core::time::{TIMER_RESOLUTION, later, now};
use buttress_core::{
    AsBoxError, AsError, BoxError, ByError, ByResult, Classify, Error, Exempt, Key, KeyHash,
    KeyHasher, LimitId, MissingKey, Now, OnReject, Outcome, PolicyId, Reason, Rejection, Seed,
    Usage, When, With,
};

fn hash<K: Key<()>>(seed: &Seed, key: K) -> Option<KeyHash> {
    let mut hasher = seed.hasher();
    key.hash_key(&(), &mut hasher).then(|| hasher.finish())
}

fn text(text: &'static str) -> impl Fn(&()) -> Option<&'static str> {
    move |(): &()| Some(text)
}

/// A key that feeds bytes and not their length.
struct Raw(&'static [u8]);

impl Key<()> for Raw {
    fn hash_key(&self, (): &(), hasher: &mut KeyHasher<'_>) -> bool {
        hasher.write(self.0);
        true
    }

    fn missing(&self) -> MissingKey {
        MissingKey::new("Bytes are missing.")
    }
}

#[test]
fn a_closure_that_returns_an_option_is_a_key() {
    let seed = Seed::fixed(1);
    let by_tenant = |call: &(u64, Option<String>)| call.1.clone();
    let mut hasher = seed.hasher();
    assert!(by_tenant.hash_key(&(1, Some("a".into())), &mut hasher));
    assert_eq!(hasher.finish(), seed.hash("a"));
    assert!(!by_tenant.hash_key(&(1, None), &mut seed.hasher()));
    let sentence = Key::<(u64, Option<String>)>::missing(&by_tenant);
    assert_eq!(sentence.as_str(), "The request has no key to limit it by.");
    assert!(!Key::<(u64, Option<String>)>::is_everyone(&by_tenant));
}

#[test]
fn the_parts_of_a_tuple_are_kept_apart() {
    let seed = Seed::fixed(1);
    let pairs = [("a", "bc"), ("ab", "c"), ("abc", ""), ("", "abc")];
    let texts: HashSet<_> = pairs.map(|(a, b)| hash(&seed, (text(a), text(b)))).into();
    assert_eq!(texts.len(), pairs.len());
    let raw: HashSet<_> = pairs
        .map(|(a, b)| hash(&seed, (Raw(a.as_bytes()), Raw(b.as_bytes()))))
        .into();
    assert_eq!(
        raw.len(),
        pairs.len(),
        "also where a part has no end of its own"
    );
    assert_ne!(
        hash(&seed, (text("a"), text("b"))),
        hash(&seed, (text("b"), text("a")))
    );
    assert_eq!(
        hash(&seed, (text("a"), text("b"))),
        hash(&seed, (text("a"), text("b")))
    );
    let four = (text("a"), text("b"), text("c"), text("d"));
    assert_ne!(
        hash(&seed, four),
        hash(&seed, (text("a"), text("b"), text("c")))
    );
}

#[test]
fn a_tuple_lacks_what_one_of_its_keys_lacks() {
    let seed = Seed::fixed(1);
    let nothing = |(): &()| None::<u8>;
    assert_eq!(hash(&seed, (text("a"), nothing)), None);
    assert_eq!(hash(&seed, (nothing, text("a"))), None);
    let sentence = (Raw(b""), nothing).missing();
    assert_eq!(
        sentence.as_str(),
        "Bytes are missing. The request has no key to limit it by."
    );
}

#[test]
fn everybody_is_a_key_that_no_request_has() {
    assert!(Key::<()>::is_everyone(&()));
    assert!(!Key::<()>::is_everyone(&(text("a"), ())));
    let seed = Seed::fixed(0);
    assert_eq!(KeyHash::EVERYONE.get(), 0);
    assert!((0..10_000_u32).all(|key| seed.hash(key) != KeyHash::EVERYONE));
    assert!(!().exempts(&7));
    assert!((|n: &u32| *n == 7).exempts(&7));
}

#[test]
fn a_fixed_seed_is_stable_and_a_random_one_is_not() {
    let hashes = |seed: &Seed| ["", "a", "127.0.0.1"].map(|key| seed.hash(key).get());
    assert_eq!(hashes(&Seed::fixed(7)), hashes(&Seed::fixed(7)));
    assert_ne!(hashes(&Seed::fixed(7)), hashes(&Seed::fixed(8)));
    assert_ne!(hashes(&Seed::random()), hashes(&Seed::random()));
    let random = Seed::default();
    assert_eq!(hashes(&random), hashes(&random.clone()));
    assert_eq!(format!("{random:?}"), "Seed(..)", "it cannot be aimed at");
    assert_eq!(format!("{:?}", random.hasher()), "KeyHasher(..)");
}

#[test]
fn integers_and_their_bytes_hash_apart_and_well() {
    let seed = Seed::fixed(3);
    let hashes: HashSet<_> = (0..50_000_u64).map(|key| seed.hash(key)).collect();
    assert_eq!(hashes.len(), 50_000);
    let mut low = [0_u32; 256];
    for hash in &hashes {
        low[usize::from(hash.get().to_le_bytes()[0])] += 1;
    }
    assert!(low.iter().all(|&count| (100..320).contains(&count)));
}

fn limit(quota: u8) -> LimitId {
    LimitId {
        policy: PolicyId::unique(),
        key: Seed::fixed(0).hash("key"),
        quota,
    }
}

#[test]
fn a_rejection_says_why_when_and_which_limit() {
    let plain = Rejection::new(Reason::CircuitOpen, When::Unknown);
    assert_eq!(plain.limit(), None);
    assert_eq!(plain.retry_after(), None);
    assert!((0..=u8::MAX).all(|quota| !plain.violates(quota)));
    let limit = limit(3);
    let wait = Duration::from_nanos(1_500_000_001);
    let by = Rejection::new(Reason::RateLimit, When::After(wait))
        .by(limit)
        .violating(0b11);
    assert_eq!(by.limit(), Some(limit));
    assert_eq!(by.retry_after(), Some(wait));
    let violated: Vec<_> = (0..=u8::MAX).filter(|&quota| by.violates(quota)).collect();
    assert_eq!(violated, [0, 1, 3]);
    let beyond = plain.by(LimitId {
        quota: 200,
        ..limit
    });
    assert!(
        !beyond.violates(200),
        "there is no bit for it, and no panic"
    );
    let debug = format!("{by:?}");
    assert!(debug.contains("RateLimit") && debug.contains("1.500000001s"));
    assert_ne!(PolicyId::unique(), PolicyId::unique());
}

#[test]
fn a_hash_reads_as_hexadecimal_and_can_be_read_back() {
    let key = Seed::fixed(7).hash("key");
    let text = key.to_string();
    assert_eq!(
        (text.len(), u64::from_str_radix(&text, 16)),
        (16, Ok(key.get()))
    );
    assert_eq!(KeyHash::from_hex(&text), Some(key));
    assert_eq!(KeyHash::from_hex("0"), Some(KeyHash::EVERYONE));
    for text in ["", "+1", "-1", " 1", "g", "00000000000000001"] {
        assert_eq!(KeyHash::from_hex(text), None, "{text:?}");
    }
}

#[test]
fn a_rejection_reads_as_a_sentence() {
    let sentence = |reason, when| Rejection::new(reason, when).to_string();
    let soon = When::After(Duration::from_millis(1_500));
    assert_eq!(
        sentence(Reason::RateLimit, soon),
        "the rate limit is used up; it could be admitted in 1.5s"
    );
    assert_eq!(
        sentence(Reason::TokenBudget, When::Never),
        "the token budget is used up; it can never be admitted as it is"
    );
    assert_eq!(
        sentence(Reason::MissingKey, When::Never),
        "the request has no key to limit it by"
    );
    assert_eq!(
        sentence(Reason::QueueFull, When::Unknown),
        "the queue is full"
    );
    assert_eq!(
        sentence(Reason::Banned, soon),
        "the key is banned for a time; it could be admitted in 1.5s"
    );
    assert_eq!(Reason::Banned.as_str(), "banned");
    assert_eq!(Reason::QueueTimeout.as_str(), "queue_timeout");
}

#[derive(Debug)]
struct Wrapped(BoxError);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrapped")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

#[test]
fn a_rejection_is_found_at_any_depth() {
    let rejection = Rejection::new(Reason::RateLimit, When::Never);
    assert_eq!(Rejection::find(&rejection), Some(&rejection));
    let inner: Error<Wrapped> = Error::Rejected(rejection);
    let mut error: BoxError = Box::new(Error::Inner(inner));
    for _ in 0..50 {
        error = Box::new(Wrapped(error));
        assert_eq!(Rejection::find(&*error), Some(&rejection));
    }
    let other = Wrapped("something else".into());
    assert_eq!(Rejection::find(&other), None);
    assert_eq!(
        Classify::<(), Wrapped>::classify(&ByError, Err(&Wrapped(error))),
        Outcome::Refused
    );
    assert_eq!(
        Classify::<(), Wrapped>::classify(&ByError, Err(&other)),
        Outcome::Failure
    );
    assert_eq!(ByResult.classify(Ok::<_, &()>(&1)), Outcome::Success);
    let closure = |_: Result<&u8, &u8>| Outcome::Overloaded;
    assert_eq!(closure.classify(Ok(&1)), Outcome::Overloaded);
}

#[test]
fn an_error_reads_as_what_caused_it_and_has_it_as_its_source() {
    let rejection = Rejection::new(Reason::Overloaded, When::Unknown);
    let rejected: Error<Wrapped> = Error::Rejected(rejection);
    assert_eq!(rejected.to_string(), "there is no capacity");
    assert!(rejected.source().unwrap().is::<Rejection>());
    let inner: Error<Wrapped> = Error::Inner(Wrapped("deep".into()));
    assert_eq!(inner.to_string(), "wrapped");
    assert!(inner.source().unwrap().is::<Wrapped>());
    assert_eq!(
        inner.source().unwrap().source().unwrap().to_string(),
        "deep"
    );
}

#[test]
fn a_rejection_becomes_an_error_a_boxed_error_or_what_a_closure_makes_of_it() {
    let rejection = Rejection::new(Reason::Overloaded, When::Unknown);
    let error: Result<u8, Error<String>> = AsError.reject(rejection, &Now::new());
    assert_eq!(error, Err(Error::Rejected(rejection)));
    let boxed: Result<u8, BoxError> =
        OnReject::<u8, Wrapped>::reject(&AsBoxError, rejection, &Now::new());
    assert_eq!(Rejection::find(&*boxed.unwrap_err()), Some(&rejection));
    let kept = <AsBoxError as OnReject<u8, Wrapped>>::error(Wrapped("x".into()));
    assert!(kept.is::<Wrapped>(), "the inner error is not boxed twice");
    let with = With(|rejection: Rejection| match rejection.reason() {
        Reason::Overloaded => Ok::<u8, String>(0),
        reason => Err(reason.as_str().to_owned()),
    });
    assert_eq!(with.reject(rejection, &Now::new()), Ok(0));
    let other = Rejection::new(Reason::QueueFull, When::Unknown);
    assert_eq!(
        with.reject(other, &Now::new()),
        Err("queue_full".to_owned())
    );
}

#[test]
fn usage_tells_nothing_from_unknown() {
    let usage = Usage::default().with(0, 0).with(7, 9).with(8, 1);
    assert_eq!(usage.get(0), Some(0));
    assert_eq!(usage.get(1), None);
    assert_eq!(usage.get(7), Some(9));
    assert_eq!(usage.get(8), None, "there is no room for it");
}

#[tokio::test(start_paused = true)]
async fn trap_21_time_is_read_once_a_step_and_from_the_clock_that_can_be_paused() {
    let step = Now::new();
    let start = step.get();
    tokio::time::advance(Duration::from_secs(3_600)).await;
    assert_eq!(step.get(), start, "a step has one time");
    assert_eq!(Now::new().get() - start, Duration::from_secs(3_600));
    assert_eq!(Now::at(start).get(), start);
    assert_eq!(later(start, TIMER_RESOLUTION) - start, TIMER_RESOLUTION);
    assert!(later(now(), Duration::MAX) > now() + Duration::from_secs(86_400 * 365 * 20));
}

#[test]
fn a_tuple_exempts_what_any_of_its_parts_exempts() {
    let parts = (|n: &u32| *n == 1, |n: &u32| *n == 2, ());
    assert!(Exempt::exempts(&parts, &1));
    assert!(Exempt::exempts(&parts, &2));
    assert!(!Exempt::exempts(&parts, &3));
}

#[test]
fn a_kept_seed_is_made_again_of_its_number() {
    let number = Seed::random_number();
    let (seed, again) = (Seed::kept(number), Seed::kept(number));
    assert_eq!(seed.number(), Some(number));
    assert_eq!(seed.proof(), again.proof());
    assert_eq!(seed.hash(("a", 1)), again.hash(("a", 1)));
    let other = Seed::kept(number ^ 1);
    assert_ne!(seed.proof(), other.proof());
    assert_ne!(seed.hash("a"), other.hash("a"));
    assert_ne!(seed.proof(), Seed::fixed(number).proof());
    assert_eq!(Seed::random().number(), None);
    assert_eq!(Seed::fixed(number).number(), None);
    assert_ne!(Seed::random_number(), number);
}

#[test]
fn what_was_cut_off_while_it_ran_tells_of_the_upstream_and_what_was_refused_does_not() {
    let cut = [
        (Rejection::timed_out(), Reason::AttemptTimeout),
        (Rejection::past_deadline(), Reason::Deadline),
    ];
    for (rejection, reason) in cut {
        assert_eq!(rejection.reason(), reason);
        assert_eq!(rejection.when(), When::Unknown, "nothing says never");
        assert_eq!(rejection.outcome(), Outcome::TimedOut);
        let refused = Rejection::new(reason, When::Unknown);
        assert_eq!(refused.outcome(), Outcome::Refused);
        assert_ne!(rejection, refused);
        assert_eq!(rejection.to_string(), refused.to_string());
        let error: Error<fmt::Error> = Error::Rejected(rejection);
        let result: Result<&(), _> = Err(&error);
        assert_eq!(ByError.classify(result), Outcome::TimedOut);
    }
}
