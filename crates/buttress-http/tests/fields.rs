//! The response fields: what is written must be what the draft defines and `sfv` reads.

use std::time::Duration;

use buttress_http::{
    FieldNames, PolicyItem, Remaining, decimal, rate_limit_policy, retry_after, whole_seconds,
};
use http::HeaderValue;
use proptest::prelude::*;
use sfv::{BareItem, Item, List, ListEntry, Parser};

const LARGEST: u64 = 999_999_999_999_999;

fn remaining(units: u64, grows_in: Option<Duration>) -> Remaining {
    Remaining { units, grows_in }
}

fn policy(name: &str, quota: u64, window: Option<Duration>) -> PolicyItem<'_> {
    PolicyItem {
        name,
        quota,
        window,
        unit: None,
    }
}

/// The members of a list, all of which must be items.
fn items(value: &HeaderValue) -> Vec<Item> {
    let list: List = Parser::new(value.as_bytes()).parse().expect("a list");
    let item = |entry| match entry {
        ListEntry::Item(item) => item,
        ListEntry::InnerList(list) => panic!("an inner list: {list:?}"),
    };
    list.into_iter().map(item).collect()
}

fn name(item: &Item) -> &str {
    item.bare_item
        .as_string()
        .expect("a string, not a token")
        .as_str()
}

fn number(item: &Item, key: &str) -> Option<u64> {
    let number = item.params.get(key)?.as_integer().expect("an integer");
    Some(u64::try_from(number).expect("not negative"))
}

#[test]
fn rate_limit_is_written_as_in_the_draft() {
    let names = FieldNames::new(["default", "daily"]).unwrap();
    let seconds = Duration::from_secs;
    let both = [remaining(50, Some(seconds(30))), remaining(7, None)];
    let value = names.rate_limit(&both).unwrap();
    assert_eq!(value, "\"default\";r=50;t=30, \"daily\";r=7");

    let value = names.rate_limit(&both[..1]).unwrap();
    assert_eq!(value, "\"default\";r=50;t=30");

    let none_left = [
        remaining(0, Some(Duration::ZERO)),
        remaining(0, Some(Duration::MAX)),
    ];
    let value = names.rate_limit(&none_left).unwrap();
    assert_eq!(
        value,
        "\"default\";r=0;t=0, \"daily\";r=0;t=999999999999999"
    );

    let three = [
        remaining(1, None),
        remaining(u64::MAX, None),
        remaining(3, None),
    ];
    let value = names.rate_limit(&three).unwrap();
    assert_eq!(value, "\"default\";r=1, \"daily\";r=999999999999999");
}

#[test]
fn the_time_is_rounded_up_so_that_no_client_comes_early() {
    let cases = [
        (Duration::ZERO, 0),
        (Duration::from_nanos(1), 1),
        (Duration::from_millis(999), 1),
        (Duration::from_secs(1), 1),
        (Duration::new(1, 1), 2),
        (Duration::new(59, 999_999_999), 60),
        (Duration::new(LARGEST - 1, 1), LARGEST),
        (Duration::new(LARGEST, 1), LARGEST),
        (Duration::MAX, LARGEST),
    ];
    let names = FieldNames::new(["a"]).unwrap();
    for (duration, seconds) in cases {
        assert_eq!(whole_seconds(duration), seconds);
        let value = names.rate_limit(&[remaining(0, Some(duration))]).unwrap();
        assert_eq!(value, format!("\"a\";r=0;t={seconds}"));
        assert_eq!(retry_after(duration), seconds.max(1).to_string());
    }
}

#[test]
fn every_number_is_written_as_its_digits() {
    for number in (0..2000).chain([LARGEST, u64::MAX]) {
        assert_eq!(decimal(number), number.to_string());
    }
}

#[test]
fn an_empty_list_is_not_a_field() {
    let nobody = FieldNames::new([""; 0]).unwrap();
    assert_eq!(nobody.rate_limit(&[remaining(1, None)]), None);
    assert_eq!(FieldNames::new(["a"]).unwrap().rate_limit(&[]), None);
    assert_eq!(rate_limit_policy([]).unwrap(), None);
}

#[test]
fn policies_are_written_as_in_the_draft() {
    let minute = Some(Duration::from_secs(60));
    let day = Some(Duration::from_secs(86_400));
    let two = [policy("burst", 100, minute), policy("daily", 1000, day)];
    let value = rate_limit_policy(two).unwrap().unwrap();
    assert_eq!(value, "\"burst\";q=100;w=60, \"daily\";q=1000;w=86400");

    let bytes = PolicyItem {
        unit: Some("content-bytes"),
        ..policy("b", u64::MAX, minute)
    };
    let value = rate_limit_policy([bytes]).unwrap().unwrap();
    assert_eq!(value, "\"b\";q=999999999999999;w=60;qu=\"content-bytes\"");
}

#[test]
fn a_window_below_a_second_is_left_out_and_a_broken_one_rounded_up() {
    let cases = [
        (None, "\"a\";q=5"),
        (Some(Duration::ZERO), "\"a\";q=5"),
        (Some(Duration::from_millis(999)), "\"a\";q=5"),
        (Some(Duration::from_secs(1)), "\"a\";q=5;w=1"),
        (Some(Duration::from_millis(1001)), "\"a\";q=5;w=2"),
        (Some(Duration::MAX), "\"a\";q=5;w=999999999999999"),
    ];
    for (window, expected) in cases {
        let value = rate_limit_policy([policy("a", 5, window)])
            .unwrap()
            .unwrap();
        assert_eq!(value, expected, "{window:?}");
    }
}

#[test]
fn a_text_that_no_field_can_carry_is_named() {
    for text in ["caf\u{e9}", "line\nbreak", "tab\t", "\u{7f}"] {
        let error = FieldNames::new(["fine", text]).unwrap_err();
        assert_eq!(error.text(), text);
        let message = error.to_string();
        assert!(
            message.starts_with(&format!("the policy name {text:?} cannot")),
            "{message}"
        );
        assert!(message.contains("use only printable ASCII"), "{message}");

        assert_eq!(
            rate_limit_policy([policy(text, 1, None)]).unwrap_err(),
            error
        );
        let unit = PolicyItem {
            unit: Some(text),
            ..policy("fine", 1, None)
        };
        let message = rate_limit_policy([unit]).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("the unit {text:?} cannot")),
            "{message}"
        );
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        written in prop::collection::vec(
            ("[ -~]{0,12}", any::<u64>(), any::<Option<Duration>>(), prop::option::of("[ -~]{0,9}")),
            1..5,
        ),
    ) {
        let names = FieldNames::new(written.iter().map(|(name, ..)| name)).unwrap();
        let left: Vec<_> = written.iter().map(|(_, units, time, _)| remaining(*units, *time)).collect();
        let limits = items(&names.rate_limit(&left).unwrap());
        let policies = written.iter().map(|(name, quota, window, unit)| {
            PolicyItem { unit: unit.as_deref(), ..policy(name, *quota, *window) }
        });
        let policies = items(&rate_limit_policy(policies).unwrap().unwrap());
        prop_assert_eq!(limits.len(), written.len());
        prop_assert_eq!(policies.len(), written.len());

        for (index, (text, units, time, unit)) in written.iter().enumerate() {
            let (limit, policy) = (&limits[index], &policies[index]);
            let seconds = time.map(whole_seconds);
            prop_assert_eq!(name(limit), text);
            prop_assert_eq!(number(limit, "r"), Some((*units).min(LARGEST)));
            prop_assert_eq!(number(limit, "t"), seconds);
            prop_assert_eq!(limit.params.len(), 1 + usize::from(time.is_some()));

            let window = seconds.filter(|_| time.is_some_and(|time| time.as_secs() > 0));
            prop_assert_eq!(name(policy), text);
            prop_assert_eq!(number(policy, "q"), Some((*units).min(LARGEST)));
            prop_assert_eq!(number(policy, "w"), window);
            let written_unit = policy.params.get("qu").map(BareItem::as_string);
            prop_assert_eq!(written_unit.map(|unit| unit.unwrap().as_str()), unit.as_deref());
        }
    }

    #[test]
    fn any_name_is_written_or_refused(text in any::<String>()) {
        let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        prop_assert_eq!(FieldNames::new([&text]).is_ok(), plain);
        prop_assert_eq!(rate_limit_policy([policy(&text, 1, None)]).is_ok(), plain);
    }
}
