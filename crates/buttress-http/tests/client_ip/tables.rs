//! Written examples.

use buttress_http::{ForwardedField, Networks, client_ip};
use http::{HeaderName, HeaderValue};

use super::{PROXY, behind_proxy, headers, ip, trusted};

/// The lines of the field, and the client behind [`PROXY`] that they give.
type Case = (&'static [&'static str], &'static str);

const X_FORWARDED_FOR: &[Case] = &[
    (&[], PROXY),
    (&["203.0.113.7"], "203.0.113.7"),
    (&["  203.0.113.7\t"], "203.0.113.7"),
    // Trusted hops on the way are passed over.
    (&["203.0.113.7, 10.0.0.2,10.0.0.3"], "203.0.113.7"),
    (
        &["203.0.113.7, 2001:db8:ffff::2, ::ffff:10.0.0.3"],
        "203.0.113.7",
    ),
    // Whatever stands left of the first untrusted hop is the client's own invention.
    (&["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
    (&["198.51.100.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
    (&["10.0.0.9, 203.0.113.7"], "203.0.113.7"),
    (&["%$\"\\, 203.0.113.7"], "203.0.113.7"),
    // Several lines are one list.
    (&["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
    (
        &["198.51.100.1", "203.0.113.7, 10.0.0.2", "10.0.0.3"],
        "203.0.113.7",
    ),
    (&["203.0.113.7", "10.0.0.2"], "203.0.113.7"),
    // All trusted: the farthest.
    (&["10.0.0.4, 10.0.0.3", "10.0.0.2"], "10.0.0.4"),
    (&["10.0.0.2"], "10.0.0.2"),
    // Ports and brackets.
    (&["203.0.113.7:80"], "203.0.113.7"),
    (&["203.0.113.7:65535, 10.0.0.2:1"], "203.0.113.7"),
    (&["2001:db8::7"], "2001:db8::7"),
    (&["[2001:db8::7]"], "2001:db8::7"),
    (&["[2001:db8::7]:4711, [2001:db8:ffff::1]"], "2001:db8::7"),
    (
        &["[0000:0000:0000:0000:0000:ffff:203.000.113.007]:65535"],
        PROXY,
    ),
    (
        &["[0000:0000:0000:0000:0000:ffff:203.100.113.107]:65535"],
        "203.100.113.107",
    ),
    // Mapped addresses are IPv4.
    (&["::ffff:203.0.113.7"], "203.0.113.7"),
    (&["[::ffff:203.0.113.7]:80"], "203.0.113.7"),
];

/// Entries of `X-Forwarded-For` that are no address.
const NO_ADDRESS: &[&str] = &[
    "",
    " ",
    "unknown",
    "_hidden",
    "localhost",
    "203.0.113",
    "203.0.113.7.1",
    "203.0.113.256",
    "203.0.113.07",
    "203.0.113.7 x",
    "203.0.113.7:",
    "203.0.113.7:123456",
    "203.0.113.7:+80",
    "203.0.113.7:http",
    "[203.0.113.7]",
    "[2001:db8::7",
    "2001:db8::7]",
    "[2001:db8::7]80",
    "[2001:db8::7]:",
    "[2001:db8::7]:80:80",
    "fe80::1%eth0",
    "[fe80::1%25eth0]",
    "\"203.0.113.7\"",
    "for=203.0.113.7",
    "203.0.113.7;x",
    "\u{a0}203.0.113.7",
    "0:203.0.113.7",
];

const FORWARDED: &[Case] = &[
    (&["for=203.0.113.7"], "203.0.113.7"),
    (&["For=203.0.113.7;proto=https;by=10.0.0.1"], "203.0.113.7"),
    (&["proto=https;FOR=\"203.0.113.7\""], "203.0.113.7"),
    (&["for=203.0.113.7;"], "203.0.113.7"),
    (&[";;for=203.0.113.7"], "203.0.113.7"),
    (&["for=203.0.113.7 ; proto=https"], "203.0.113.7"),
    (&["for=203.0.113.7:47011"], "203.0.113.7"),
    (&["for=\"203.0.113.7:47011\""], "203.0.113.7"),
    (&["for=\"203.0.113.7:_port\""], "203.0.113.7"),
    (&["for=\"[2001:db8::7]\""], "2001:db8::7"),
    (
        &["for=\"[2001:db8::7]:4711\";host=a.example:80"],
        "2001:db8::7",
    ),
    (&["for=[2001:db8::7]:4711"], "2001:db8::7"),
    (&["for=\"[::ffff:203.0.113.7]:4711\""], "203.0.113.7"),
    (&["for=\"\\2\\03.0.113.7\""], "203.0.113.7"),
    // Commas, semicolons and quotation marks inside a quoted string separate nothing.
    (
        &[r#"for=203.0.113.7;ext="a, for=198.51.100.1""#],
        "203.0.113.7",
    ),
    (
        &[r#"for=203.0.113.7;ext="a;for=198.51.100.1""#],
        "203.0.113.7",
    ),
    (
        &[r#"ext="\", for=198.51.100.1, \"";for=203.0.113.7"#],
        "203.0.113.7",
    ),
    (
        &[r#"for=203.0.113.7;ext="\\", for=10.0.0.2"#],
        "203.0.113.7",
    ),
    (
        &[r#"for=203.0.113.7;ext="\\\", for=10.0.0.9", for=10.0.0.2"#],
        "203.0.113.7",
    ),
    (&[r#"for=203.0.113.7;ext="""#], "203.0.113.7"),
    // Several elements and lines are one list.
    (
        &["for=198.51.100.1, for=203.0.113.7,for=10.0.0.2"],
        "203.0.113.7",
    ),
    (
        &["for=198.51.100.1", "for=203.0.113.7", "for=10.0.0.2"],
        "203.0.113.7",
    ),
    (&["for=10.0.0.3", "for=10.0.0.2"], "10.0.0.3"),
    // What a client sends ahead cannot swallow or change what the proxy appends.
    (&[r#"for=", for=203.0.113.7"#], "203.0.113.7"),
    (&[r#"for="\, for="203.0.113.7""#], "203.0.113.7"),
    (
        &[r#"for=198.51.100.1;a=", for="[2001:db8::7]:80";proto=http"#],
        "2001:db8::7",
    ),
    (
        &[r#"a=", for=203.0.113.7;host=", for=198.51.100.1;b=""#],
        "203.0.113.7",
    ),
];

/// Elements of `Forwarded` that give no address.
const NO_HOP: &[&str] = &[
    "",
    "proto=https",
    "for=unknown",
    "for=_hidden",
    "for=\"_SEVKISEK\"",
    "for=",
    "for",
    "for=\"\"",
    "=203.0.113.7",
    "203.0.113.7",
    "for =203.0.113.7",
    "for= 203.0.113.7",
    "for=203.0.113.7;for=203.0.113.7",
    "for=203.0.113.7;For=203.0.113.8",
    "for=203.0.113.7 proto=http",
    "for=203.0.113.7;proto",
    "for=203.0.113.7;proto=",
    "for=203.0.113.7;=http",
    "for=203.0.113.7;ext=a\"b\"",
    "for=\"203.0.113.7\"x",
    "for=\"203.0.113.7",
    "for=203.0.113.7\"",
    "for=203.0.113.7;ext=\"\\\"",
    "for=\\2\\03.0.113.7",
    "for=2\\03.0.113.7",
    "for=\"[fe80::1%25eth0]\"",
    "for=\" 203.0.113.7\"",
    "for=\u{e9}203.0.113.7",
];

#[test]
fn x_forwarded_for_is_read_from_the_right_to_the_first_untrusted_hop() {
    for (lines, expected) in X_FORWARDED_FOR {
        let found = behind_proxy(&ForwardedField::XForwardedFor, lines);
        assert_eq!(found, ip(expected), "{lines:?}");
    }
}

#[test]
fn an_entry_that_is_no_address_ends_the_walk() {
    for &entry in NO_ADDRESS {
        let field = ForwardedField::XForwardedFor;
        assert_eq!(behind_proxy(&field, &[entry]), ip(PROXY), "{entry:?}");
        let line = format!("203.0.113.9, {entry}, 10.0.0.3, 10.0.0.2");
        assert_eq!(behind_proxy(&field, &[line]), ip("10.0.0.3"), "{entry:?}");
        let lines = ["203.0.113.9", entry, "10.0.0.3", "10.0.0.2"];
        assert_eq!(behind_proxy(&field, &lines), ip("10.0.0.3"), "{entry:?}");
    }
    let not_utf8: &[&[u8]] = &[b"203.0.113.9, \xff\xfe, 10.0.0.3"];
    assert_eq!(
        behind_proxy(&ForwardedField::XForwardedFor, not_utf8),
        ip("10.0.0.3")
    );
}

#[test]
fn forwarded_is_read_by_its_for_parameters() {
    for (lines, expected) in FORWARDED {
        let found = behind_proxy(&ForwardedField::Forwarded, lines);
        assert_eq!(found, ip(expected), "{lines:?}");
    }
}

#[test]
fn an_element_of_forwarded_without_an_address_ends_the_walk() {
    for &element in NO_HOP {
        let field = ForwardedField::Forwarded;
        assert_eq!(behind_proxy(&field, &[element]), ip(PROXY), "{element}");
        let line = format!("{element}, for=10.0.0.3, for=10.0.0.2");
        assert_eq!(behind_proxy(&field, &[line]), ip("10.0.0.3"), "{element}");
        let lines = ["for=203.0.113.9", element, "for=10.0.0.3, for=10.0.0.2"];
        assert_eq!(behind_proxy(&field, &lines), ip("10.0.0.3"), "{element}");
    }
}

#[test]
fn exactly_one_field_is_read() {
    let mut all = headers("x-forwarded-for", &["203.0.113.1"]);
    all.insert("forwarded", HeaderValue::from_static("for=203.0.113.2"));
    all.insert("cf-connecting-ip", HeaderValue::from_static("203.0.113.3"));
    let named = |name| ForwardedField::Named(HeaderName::from_static(name));
    let cases = [
        (ForwardedField::default(), "203.0.113.1"),
        (ForwardedField::Forwarded, "203.0.113.2"),
        (named("cf-connecting-ip"), "203.0.113.3"),
        (named("x-forwarded-for"), "203.0.113.1"),
        (named("forwarded"), "203.0.113.2"),
        (named("x-real-ip"), PROXY),
    ];
    for (field, expected) in cases {
        assert_eq!(
            client_ip(ip(PROXY), &all, &trusted(), &field),
            ip(expected),
            "{field:?}"
        );
    }
}

#[test]
fn the_peer_is_normalised_before_it_is_trusted_and_returned() {
    let sent = headers("x-forwarded-for", &["203.0.113.7"]);
    let field = ForwardedField::default();
    let of = |peer| client_ip(ip(peer), &sent, &trusted(), &field);
    assert_eq!(of("::ffff:10.0.0.1"), ip("203.0.113.7"));
    assert_eq!(of("::ffff:192.0.2.1"), ip("192.0.2.1"));
    assert_eq!(of("2001:db8::1"), ip("2001:db8::1"));
    let nobody = Networks::default();
    assert_eq!(client_ip(ip(PROXY), &sent, &nobody, &field), ip(PROXY));
}

/// With anything but linear time these would not end.
#[test]
fn a_hostile_field_takes_linear_time() {
    const BYTES: usize = 1 << 18;
    let parts = [
        "10.0.0.1,",
        "\"",
        "\\",
        "\\\"",
        "\",",
        "for=10.0.0.1,",
        "a=\"\\\"\";",
        ";",
        " ",
        ",",
    ];
    for part in parts {
        let line = part.repeat(BYTES / part.len());
        for field in [ForwardedField::XForwardedFor, ForwardedField::Forwarded] {
            let found = behind_proxy(&field, &[&line, &format!("{line}for=10.0.0.1"), &line]);
            assert!(trusted().contains(found), "{part}: {found}");
        }
        let quoted = format!("for=203.0.113.7;ext=\"{line}\"");
        let _ = behind_proxy(&ForwardedField::Forwarded, &[&quoted]);
    }
}
