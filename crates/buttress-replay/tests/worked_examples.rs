//! The examples of the format that settle it, and the rules of one instant, through the real layers.

use buttress_replay::policy::Policy;
use buttress_replay::replay;
use buttress_replay::trace::read_trace;

/// What became of every request, reduced to some of its fields.
fn decide(policy: &str, trace: &str) -> Vec<serde_json::Value> {
    let policy = Policy::parse(policy.as_bytes()).expect("a good policy");
    let trace = read_trace(trace.as_bytes()).expect("a good trace");
    let (decisions, _) = replay(&policy, &trace);
    let line = |decision: &buttress_replay::decision::Decision| {
        let mut line = Vec::new();
        decision.write_line(&mut line).expect("memory takes it");
        serde_json::from_slice(&line).expect("a decision is JSON")
    };
    decisions.iter().map(line).collect()
}

fn arrivals(times: &[&str]) -> String {
    let line = |time: &&str| format!("{{\"at\":{time}}}\n");
    times.iter().map(line).collect()
}

fn field<'a>(decisions: &'a [serde_json::Value], name: &str) -> Vec<&'a serde_json::Value> {
    decisions.iter().map(|decision| &decision[name]).collect()
}

#[test]
fn five_a_minute() {
    let decisions = decide(
        "[rate_limit]\nquotas = [\"5/minute\"]",
        &arrivals(&["0", "0", "0", "0", "0", "0", "12"]),
    );
    assert_eq!(
        field(&decisions, "status"),
        [200, 200, 200, 200, 200, 429, 200]
    );
    assert_eq!(field(&decisions, "remaining"), [4, 3, 2, 1, 0, 0, 0]);
    assert_eq!(decisions[5]["retry_after"], 12);
    assert_eq!(decisions[5]["reason"], "rate_limit");
}

#[test]
fn two_a_second_rolling() {
    let decisions = decide(
        "[rate_limit]\nquotas = [\"2/second rolling\"]",
        &arrivals(&["0", "0.5", "1", "1.499", "1.5"]),
    );
    assert_eq!(field(&decisions, "status"), [200, 200, 200, 429, 200]);
    assert_eq!(decisions[3]["retry_after"], 0.001);
}

#[test]
fn a_calendar_day_of_23_hours() {
    let policy = |wait| {
        let start = "start = \"2026-03-08T05:00:00Z\"";
        format!("{start}\n[rate_limit]\nquotas = [\"1/day calendar America/New_York\"]\n{wait}")
    };
    let decisions = decide(&policy(""), &arrivals(&["0", "82799", "82800"]));
    assert_eq!(field(&decisions, "status"), [200, 429, 200]);
    assert_eq!(decisions[1]["retry_after"], 1);
    // `at` is counted from `start`, also when the first line comes later.
    let decisions = decide(&policy(""), &arrivals(&["82799", "82799.999", "82800"]));
    assert_eq!(field(&decisions, "status"), [200, 429, 200]);
    assert_eq!(decisions[1]["retry_after"], 0.001);
    let decisions = decide(&policy("wait = \"2d\""), &arrivals(&["0", "1", "1", "1"]));
    assert_eq!(field(&decisions, "ended"), [0, 82_800, 169_200, 1]);
    assert_eq!(decisions[3]["retry_after"], 255_599);
}

#[test]
fn the_scarcest_of_several_quotas_is_told_and_a_refusal_spends_of_none() {
    let decisions = decide(
        "[rate_limit]\nquotas = [\"10/minute\", \"3/second rolling\"]",
        &arrivals(&["0", "0", "0", "0", "1", "1", "1", "2", "3"]),
    );
    assert_eq!(decisions[3]["status"], 429);
    assert_eq!(decisions[3]["remaining"], 0);
    assert_eq!(decisions[3]["limit"], 3);
    // Had the refused one spent of the first quota, it would have 2 left here and not 3.
    assert_eq!(decisions[7]["remaining"], 2);
    assert_eq!(decisions[8]["remaining"], 2);
}

#[test]
fn a_wait_ends_at_the_millisecond_at_or_after_it_is_due() {
    let decisions = decide(
        "[rate_limit]\nquotas = [\"3/second\"]\nwait = \"10s\"",
        &arrivals(&["0"; 7]),
    );
    let starts: Vec<_> = decisions.iter().map(|d| &d["attempts"][0]).collect();
    assert_eq!(
        serde_json::json!(starts),
        serde_json::json!([0, 0, 0, 0.334, 0.667, 1, 1.334])
    );
}

#[test]
fn a_caller_who_leaves_while_it_waits_spends_nothing_and_those_behind_move_up() {
    let decisions = decide(
        "[rate_limit]\nquotas = [\"1/10s\"]\nwait = \"60s\"",
        "{\"at\":0}\n{\"at\":0,\"cancel\":5}\n{\"at\":0}\n",
    );
    assert_eq!(decisions[1]["reason"], "cancelled");
    assert_eq!(decisions[1]["ended"], 5);
    assert_eq!(decisions[2]["attempts"][0], 10);
}

#[test]
fn who_cannot_start_in_time_is_refused_at_once() {
    let decisions = decide(
        "[rate_limit]\nquotas = [\"1/10s\"]\nwait = \"15s\"",
        "{\"at\":0}\n{\"at\":0,\"deadline\":10}\n{\"at\":0,\"deadline\":10.001}\n{\"at\":0,\"deadline\":15}\n",
    );
    assert_eq!(decisions[1]["reason"], "deadline");
    assert_eq!(decisions[1]["status"], 504);
    assert_eq!(decisions[1]["retry_after"], serde_json::Value::Null);
    assert_eq!(decisions[2]["attempts"][0], 10);
    // It would also exceed the wait, and that is what it is told.
    assert_eq!(decisions[3]["reason"], "rate_limit");
    assert_eq!(decisions[3]["retry_after"], 20);
}

#[test]
fn at_one_instant_the_upstream_comes_before_callers_who_leave() {
    let decisions = decide(
        "",
        "{\"at\":0,\"cancel\":1,\"service\":[{\"latency\":1}]}\n{\"at\":0,\"cancel\":0}\n\
         {\"at\":0,\"cancel\":0,\"service\":[{\"latency\":0.001}]}\n",
    );
    assert_eq!(field(&decisions, "status")[..2], [200, 200]);
    assert_eq!(decisions[2]["reason"], "cancelled");
    assert_eq!(decisions[2]["admitted"], true);
}

#[test]
fn a_waiter_is_served_before_an_arrival_of_the_same_instant() {
    let decisions = decide(
        "[rate_limit]\nquotas = [\"1/10s\"]\nwait = \"10s\"",
        &arrivals(&["0", "0", "10"]),
    );
    assert_eq!(decisions[1]["attempts"][0], 10);
    assert_eq!(decisions[2]["attempts"][0], 20);
}

#[test]
fn an_override_replaces_the_quotas_of_its_key_and_not_the_global_ones() {
    let decisions = decide(
        "[rate_limit]\nquotas = [\"1/minute\"]\nglobal = [\"3/minute\"]\n\
         [rate_limit.overrides]\nvip = [\"100/second\"]\n",
        "{\"at\":0,\"key\":\"vip\"}\n{\"at\":0,\"key\":\"vip\"}\n{\"at\":0,\"key\":\"a\"}\n\
         {\"at\":0,\"key\":\"vip\"}\n{\"at\":20,\"key\":\"a\"}\n",
    );
    assert_eq!(field(&decisions, "status"), [200, 200, 200, 429, 429]);
    assert_eq!(decisions[3]["limit"], 3);
    assert_eq!(decisions[3]["retry_after"], 20);
    assert_eq!(decisions[4]["retry_after"], 40);
}

#[test]
fn shadow_refuses_nothing_and_tells_what_it_would_have_refused() {
    let decisions = decide(
        "[rate_limit]\nquotas = [\"1/10s\"]\nshadow = true",
        "{\"at\":0}\n{\"at\":0}\n{\"at\":10,\"cost\":2}\n{\"at\":10}\n",
    );
    assert_eq!(field(&decisions, "status"), [200, 200, 200, 200]);
    assert_eq!(field(&decisions, "shadow"), [false, true, true, false]);
    assert_eq!(field(&decisions, "remaining"), [0, 0, 1, 0]);
}

#[test]
fn waits_of_years_end_to_the_millisecond() {
    let decisions = decide(
        "[rate_limit]\nquotas = [\"1/3000d\"]\nwait = \"7000d\"",
        &arrivals(&["5"; 3]),
    );
    assert_eq!(decisions[2]["attempts"][0], 518_400_005);
}

#[test]
fn the_same_input_gives_the_same_output() {
    let policy =
        "seed = 7\n[rate_limit]\nquotas = [\"7/second\", \"20/9s rolling\"]\nwait = \"3s\"";
    let line = |n: u32| {
        format!(
            "{{\"at\":{},\"key\":\"k{}\",\"cost\":{}}}\n",
            n / 9,
            n % 7,
            n % 4
        )
    };
    let trace: String = (0..500).map(line).collect();
    assert_eq!(decide(policy, &trace), decide(policy, &trace));
}
