//! The account against one that is summed up anew each time.

use std::time::Duration;

use buttress_core::time::{Instant, now};
use provider_stub::{Account, Debit, Draws, Kind, Limits};

const SECOND: Duration = Duration::from_secs(1);

const LIMITS: Limits = Limits {
    requests: 5,
    tokens: 1_000,
    window: Duration::from_secs(60),
};

fn account(debit: Debit) -> (Account, Instant) {
    (Account::new(LIMITS, debit, false), now())
}

#[test]
fn the_maximum_is_debited_and_what_was_not_used_comes_back_when_the_answer_ends() {
    let (mut account, start) = account(Debit::Maximum);
    let mut running = account.arrive(100, 800, start).expect("900 of 1,000");
    let refusal = account.arrive(101, 0, start + SECOND).expect_err("1,001");
    assert_eq!(refusal.kind, Kind::Tokens);
    assert_eq!(refusal.used, 900);
    assert_eq!(refusal.retry_in, Some(59 * SECOND));
    account.produce(&mut running, 50, start + 2 * SECOND);
    account.end(&running, start + 2 * SECOND);
    account
        .arrive(850, 0, start + 2 * SECOND)
        .expect("150 are held");
    assert_eq!(account.totals().tokens, 1_000);
    assert_eq!(account.totals().most_tokens, 1_000);
    // What was corrected leaves at the minute of its arrival.
    let [requests, tokens] = account.standings(start + 60 * SECOND);
    assert_eq!((requests.remaining, tokens.remaining), (4, 150));
    assert_eq!(tokens.reset, 2 * SECOND);
}

#[test]
fn what_is_produced_is_debited_when_it_is_produced() {
    let (mut account, start) = account(Debit::Produced);
    let mut running = account.arrive(100, 4_000, start).expect("100 of 1,000");
    account.produce(&mut running, 900, start + 30 * SECOND);
    account.end(&running, start + 30 * SECOND);
    let refusal = account.arrive(101, 0, start + 60 * SECOND);
    assert_eq!(refusal.expect_err("900 are held").used, 900);
    account
        .arrive(1_000, 0, start + 90 * SECOND)
        .expect("all is free");
}

#[test]
fn an_estimate_is_corrected_both_ways() {
    let (mut account, start) = account(Debit::Estimate(200));
    let mut longer = account.arrive(100, 800, start).expect("300");
    let mut shorter = account.arrive(100, 800, start).expect("600");
    account.produce(&mut longer, 700, start);
    account.end(&longer, start);
    account.produce(&mut shorter, 50, start);
    account.end(&shorter, start);
    assert_eq!(account.standings(start)[1].remaining, 50);
}

#[test]
fn what_never_fits_is_told_so_and_nothing_overflows() {
    let (mut account, start) = account(Debit::Maximum);
    let refusal = account
        .arrive(1, u64::MAX, start)
        .expect_err("it never fits");
    assert_eq!(refusal.retry_in, None);
    assert_eq!(account.totals().refused_tokens, 1);
}

#[test]
fn refused_requests_count_if_the_provider_says_so() {
    let start = now();
    for (count_refused, remaining) in [(false, 5), (true, 4)] {
        let mut account = Account::new(LIMITS, Debit::Maximum, count_refused);
        assert!(account.arrive(1_001, 0, start).is_err());
        assert_eq!(account.standings(start)[0].remaining, remaining);
    }
}

/// A request of the slow account: when it came, what was debited of it then, and by when what was used.
struct Seen {
    at: Instant,
    debited: u64,
    ended: Option<(Instant, u64)>,
}

#[test]
fn it_is_the_sum_of_what_came_in_the_window() {
    let (mut account, start) = account(Debit::Maximum);
    let mut draws = Draws::new(7);
    let mut seen: Vec<Seen> = Vec::new();
    let mut running = Vec::new();
    let (mut now, mut admitted, mut refused) = (start, 0, 0);
    for _ in 0..2_000 {
        now += Duration::from_millis(draws.next() % 9_000);
        let held = |seen: &[Seen]| {
            let in_window = seen.iter().filter(|seen| now - seen.at < LIMITS.window);
            let (requests, tokens) = (
                in_window.clone().count(),
                in_window.map(|seen| match seen.ended {
                    Some((at, used)) if at <= now => used,
                    _ => seen.debited,
                }),
            );
            (requests as u64, tokens.sum::<u64>())
        };
        let (requests, tokens) = held(&seen);
        let [left_requests, left_tokens] = account.standings(now);
        assert_eq!(left_requests.remaining, 5 - requests);
        assert_eq!(left_tokens.remaining, 1_000 - tokens);
        let (input, output) = (draws.next() % 200, draws.next() % 300);
        let fits = requests < 5 && tokens + input + output <= 1_000;
        match account.arrive(input, output, now) {
            Ok(answer) => {
                assert!(fits);
                admitted += 1;
                running.push((seen.len(), input, output, answer));
                seen.push(Seen {
                    at: now,
                    debited: input + output,
                    ended: None,
                });
            }
            Err(refusal) => {
                assert!(!fits, "{refusal:?}");
                refused += 1;
            }
        }
        if running.len() > 2 {
            let (index, input, output, mut answer) = running.remove(0);
            let produced = draws.next() % (output + 1);
            account.produce(&mut answer, produced, now);
            account.end(&answer, now);
            seen[index].ended = Some((now, input + produced));
        }
    }
    assert!(admitted > 500 && refused > 500, "{admitted} {refused}");
    assert!(account.totals().most_tokens <= 1_000);
    assert_eq!(account.totals().most_requests, 5);
}
