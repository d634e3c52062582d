//! "Breaker." of the format: probes, and how it opens again.

use crate::support::check;

fn breaker(more: &str) -> String {
    format!("[circuit_breaker]\nconsecutive_failures = 1\n{more}")
}

const TRIPS: &str = r#"{"at":0,"service":[{"status":500}]}"#;
const THROUGH: &str = r#"{"reason":null,"admitted":true}"#;
const PROBES_OUT: &str =
    r#"{"reason":"circuit_open","status":503,"retry_after":null,"admitted":false}"#;

#[test]
fn one_probe_at_once_and_a_success_closes() {
    check(
        &breaker(""),
        &[
            TRIPS,
            r#"{"at":60,"service":[{"latency":5,"body":1}]}"#,
            r#"{"at":61}"#,
            r#"{"at":65.999}"#,
            r#"{"at":66}"#,
            r#"{"at":66}"#,
        ],
        &[THROUGH, THROUGH, PROBES_OUT, PROBES_OUT, THROUGH, THROUGH],
    );
}

#[test]
fn a_failed_probe_opens_again_and_so_does_429() {
    for status in [500, 429] {
        check(
            &breaker(""),
            &[
                TRIPS.to_owned(),
                format!(r#"{{"at":60,"service":[{{"status":{status}}}]}}"#),
                r#"{"at":61}"#.to_owned(),
                r#"{"at":119.999}"#.to_owned(),
                r#"{"at":120}"#.to_owned(),
            ],
            &[
                THROUGH,
                THROUGH,
                r#"{"reason":"circuit_open","retry_after":59}"#,
                r#"{"reason":"circuit_open","retry_after":0.001}"#,
                THROUGH,
            ],
        );
    }
}

#[test]
fn several_probes_and_several_successes() {
    let policy = breaker("probes = 2\nclose_after = 3");
    check(
        &policy,
        &[
            TRIPS,
            r#"{"at":60,"service":[{"latency":1}]}"#,
            r#"{"at":60,"service":[{"latency":2}]}"#,
            r#"{"at":60}"#,
            r#"{"at":61,"service":[{"latency":9}]}"#,
            r#"{"at":61}"#,
            r#"{"at":62,"service":[{"latency":9}]}"#,
            r#"{"at":62}"#,
            r#"{"at":70}"#,
            r#"{"at":70}"#,
            r#"{"at":70}"#,
        ],
        // Two successes by 62; the third is the probe of 61, which ends at 70.
        &[
            THROUGH, THROUGH, THROUGH, PROBES_OUT, THROUGH, PROBES_OUT, THROUGH, PROBES_OUT,
            THROUGH, THROUGH, THROUGH,
        ],
    );
    // One failure among them is enough.
    check(
        &policy,
        &[
            TRIPS,
            r#"{"at":60}"#,
            r#"{"at":60}"#,
            r#"{"at":61,"service":[{"status":500}]}"#,
            r#"{"at":62}"#,
        ],
        &[
            THROUGH,
            THROUGH,
            THROUGH,
            THROUGH,
            r#"{"reason":"circuit_open","retry_after":59}"#,
        ],
    );
}

#[test]
fn the_open_time_grows_with_every_reopening_and_starts_anew_after_a_close() {
    let fails = |at: &str| format!(r#"{{"at":{at},"service":[{{"status":500}}]}}"#);
    let asks = |at: &str| format!(r#"{{"at":{at}}}"#);
    check(
        &breaker("open_growth = 2\nopen_max = \"150s\""),
        &[
            fails("0"),
            fails("60"),
            asks("60"),
            fails("180"),
            asks("180"),
            fails("330"),
            asks("330"),
            asks("480"),
            fails("481"),
            asks("481"),
        ],
        &[
            THROUGH,
            THROUGH,
            r#"{"reason":"circuit_open","retry_after":120}"#,
            THROUGH,
            r#"{"reason":"circuit_open","retry_after":150}"#,
            THROUGH,
            r#"{"reason":"circuit_open","retry_after":150}"#,
            THROUGH,
            THROUGH,
            r#"{"reason":"circuit_open","retry_after":60}"#,
        ],
    );
    // Rounded down to a nanosecond: 1.3^8 ms = 8.15730721 ms, 1.3^9 ms = 10.604499373 ms.
    let mut trace = vec![fails("0")];
    trace.extend((1..=9).map(|second| fails(&second.to_string())));
    trace.push(asks("9"));
    let mut expected = vec![THROUGH; 10];
    expected.push(r#"{"reason":"circuit_open","retry_after":0.010604499}"#);
    check(
        &breaker("open_for = \"1ms\"\nopen_growth = 1.3"),
        &trace,
        &expected,
    );
}

#[test]
fn a_probe_whose_caller_leaves_gives_its_place_back() {
    check(
        &breaker(""),
        &[
            TRIPS,
            r#"{"at":60,"cancel":1,"service":[{"latency":100}]}"#,
            r#"{"at":60.5}"#,
            r#"{"at":61,"service":[{"body":10}]}"#,
            r#"{"at":62}"#,
            r#"{"at":71}"#,
        ],
        &[
            THROUGH,
            r#"{"reason":"cancelled"}"#,
            PROBES_OUT,
            THROUGH,
            PROBES_OUT,
            THROUGH,
        ],
    );
    // During its body, too: that says nothing of the upstream.
    check(
        &breaker("close_after = 2"),
        &[
            TRIPS,
            r#"{"at":60,"cancel":5,"service":[{"body":10}]}"#,
            r#"{"at":64.999}"#,
            r#"{"at":65,"service":[{"body":10}]}"#,
            r#"{"at":65}"#,
            r#"{"at":75}"#,
            r#"{"at":75}"#,
            r#"{"at":75}"#,
        ],
        &[
            THROUGH, THROUGH, PROBES_OUT, THROUGH, PROBES_OUT, THROUGH, THROUGH, THROUGH,
        ],
    );
    // One that had waited too long is a failure.
    check(
        &breaker("slow_call = \"2s\""),
        &[
            TRIPS,
            r#"{"at":60,"cancel":2.001,"service":[{"latency":100}]}"#,
            r#"{"at":63}"#,
        ],
        &[
            THROUGH,
            "{}",
            r#"{"reason":"circuit_open","retry_after":59.001}"#,
        ],
    );
}

#[test]
fn a_slow_probe_opens_again_when_its_head_comes() {
    check(
        &breaker("slow_call = \"4s\""),
        &[
            TRIPS,
            r#"{"at":60,"service":[{"latency":5,"body":30}]}"#,
            r#"{"at":64.999}"#,
            r#"{"at":65}"#,
            r#"{"at":66}"#,
            r#"{"at":124.999}"#,
            r#"{"at":125}"#,
        ],
        &[
            THROUGH,
            r#"{"status":200,"ended":65}"#,
            PROBES_OUT,
            r#"{"reason":"circuit_open","retry_after":60}"#,
            r#"{"reason":"circuit_open","retry_after":59}"#,
            r#"{"reason":"circuit_open","retry_after":0.001}"#,
            THROUGH,
        ],
    );
    check(
        &breaker("slow_call = \"4s\""),
        &[
            TRIPS,
            r#"{"at":60,"service":[{"latency":4}]}"#,
            r#"{"at":64}"#,
            r#"{"at":64}"#,
        ],
        &[THROUGH; 4],
    );
}

#[test]
fn what_was_admitted_in_an_earlier_state_counts_nothing() {
    check(
        &breaker(""),
        &[
            r#"{"at":0,"service":[{"status":500,"latency":100}]}"#,
            r#"{"at":0,"service":[{"latency":70}]}"#,
            r#"{"at":1,"service":[{"status":500}]}"#,
            r#"{"at":61,"service":[{"latency":100}]}"#,
            r#"{"at":71}"#,
            r#"{"at":101}"#,
            r#"{"at":161,"service":[{"status":404}]}"#,
            r#"{"at":161}"#,
        ],
        // Neither the success of 70 closes nor the failure of 100 opens again.
        &[
            THROUGH, THROUGH, THROUGH, THROUGH, PROBES_OUT, PROBES_OUT, THROUGH, THROUGH,
        ],
    );
}

#[test]
fn windows_are_empty_after_a_close() {
    let policy = "[circuit_breaker]\nfailure_rate = 0.5\nwindow = 4\nminimum_calls = 2";
    let fails = |at: &str| format!(r#"{{"at":{at},"service":[{{"status":500}}]}}"#);
    let trace = [
        fails("0"),
        fails("0"),
        r#"{"at":60}"#.to_owned(),
        fails("61"),
        r#"{"at":62}"#.to_owned(),
    ];
    // One call in the window: not enough. With the next there are two, and half of them failed.
    check(policy, &trace, &[THROUGH; 5]);
    let mut more = trace.to_vec();
    more.push(r#"{"at":63}"#.to_owned());
    let refused = r#"{"reason":"circuit_open"}"#;
    check(
        policy,
        &more,
        &[THROUGH, THROUGH, THROUGH, THROUGH, THROUGH, refused],
    );
}

#[test]
fn a_probe_that_is_refused_further_in_gives_its_place_back() {
    let policy = breaker("[rate_limit]\nquotas = [\"1/day\"]");
    check(
        &policy,
        &[TRIPS, r#"{"at":60}"#, r#"{"at":61}"#],
        &[
            THROUGH,
            r#"{"reason":"rate_limit"}"#,
            r#"{"reason":"rate_limit"}"#,
        ],
    );
}
