//! What `docs/shared-quota.md` promises, each in an hour of virtual time.

use buttress::Priority;
use provider_stub::Debit;
use shared_quota::{Case, LEARNED, Load, REQUESTS, Reserve, Shown, TOKENS, run};

#[expect(clippy::print_stdout, reason = "a report is there to be read")]
fn hour(load: Load, debit: Debit, reserve: Reserve) -> Shown {
    let shown = run(&Case::new(load, debit, reserve)).expect("it can be run");
    let rows = shown.counts.rows.iter();
    for (priority, row) in Priority::ALL.into_iter().zip(rows) {
        let (median, longest) = (row.wait(0.5), row.wait(0.99));
        println!(
            "{priority:8} {:4} done, waits {median:.1?} and {longest:.1?}",
            row.done
        );
        assert!(row.done > 300, "everybody moves");
    }
    println!(
        "{:.4} of the requests, {:.4} of the tokens, {:.5} refused",
        shown.requests_used, shown.tokens_used, shown.refused
    );
    let median = |priority: Priority| shown.counts.rows[priority as usize].wait(0.5);
    let order = Priority::ALL.map(median);
    assert!(order.is_sorted_by(|less, more| less >= more), "{order:?}");
    shown
}

#[test]
fn when_requests_bind_all_of_the_quota_is_used_and_nobody_is_refused() {
    let shown = hour(Load::Requests, Debit::Maximum, Reserve::Maximum);
    assert_eq!(shown.totals.refused(), 0);
    assert!(shown.requests_used >= 0.97, "{}", shown.requests_used);
    assert_eq!(shown.totals.most_requests, REQUESTS);
    assert_eq!(shown.counts.sum(|row| row.refused + row.failed), 0);
}

#[test]
fn when_tokens_bind_and_the_maximum_is_reserved_nobody_is_refused() {
    let shown = hour(Load::Tokens, Debit::Maximum, Reserve::Maximum);
    assert_eq!(shown.totals.refused(), 0);
    assert!(shown.totals.most_tokens <= TOKENS);
    // All that the provider itself leaves of a minute in which answers are held at their longest.
    assert!(shown.tokens_used >= 0.75, "{}", shown.tokens_used);
    let produced = hour(Load::Tokens, Debit::Produced, Reserve::Maximum);
    assert_eq!(produced.totals.refused(), 0);
}

#[test]
fn learned_estimates_use_nine_tenths_and_more_and_hardly_anybody_is_refused() {
    let learned = hour(Load::Tokens, Debit::Produced, Reserve::Learned(LEARNED));
    assert!(learned.tokens_used >= 0.90, "{}", learned.tokens_used);
    assert!(learned.refused <= 0.001, "{}", learned.refused);
    assert!(learned.totals.most_tokens <= TOKENS);
}

#[test]
fn a_median_is_too_little_to_reserve() {
    let median = hour(Load::Tokens, Debit::Produced, Reserve::Quantile(0.5));
    assert!(median.refused > 0.01, "{}", median.refused);
    assert!(median.tokens_used > 0.95, "{}", median.tokens_used);
}
