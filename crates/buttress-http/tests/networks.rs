//! Sets of networks, and the grouping of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use buttress_http::{Networks, group};
use ipnet::IpNet;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn networks(texts: &[&str]) -> Networks {
    Networks::parse(texts).expect("networks")
}

#[test]
fn every_spelling_of_a_network_is_read() {
    let cases = [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        (" 10.0.0.0/8\t", "10.0.0.0/8"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.1/32", "192.0.2.1/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("2001:DB8:0::7/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        // Wider than the mapped addresses, so it is a network of IPv6.
        ("::ffff:0:0/95", "::fffe:0:0/95"),
    ];
    for (text, expected) in cases {
        assert_eq!(networks(&[text]).to_string(), expected, "{text}");
    }
}

#[test]
fn a_text_that_is_no_network_is_quoted_with_the_fix() {
    let address = [
        "",
        "/8",
        "10.0.0/8",
        "10.0.0.256",
        "proxy.internal",
        "010.0.0.0/8",
        "fe80::1%eth0",
    ];
    for text in address {
        let error = Networks::parse(["192.0.2.1", text]).unwrap_err();
        assert_eq!(error.text(), text);
        let message = error.to_string();
        assert!(
            message.starts_with(&format!("{text:?} is not an IP network")),
            "{message}"
        );
        assert!(
            message.contains("does not begin with an IP address"),
            "{message}"
        );
        assert!(message.contains("\"10.0.0.0/8\""), "{message}");
    }
    let prefix = [
        ("10.0.0.0/33", "from 0 to 32"),
        ("10.0.0.0/", "from 0 to 32"),
        ("10.0.0.0/+8", "from 0 to 32"),
        ("10.0.0.0/-1", "from 0 to 32"),
        ("10.0.0.0/8/8", "from 0 to 32"),
        ("10.0.0.0/255.0.0.0", "from 0 to 32"),
        ("::1/129", "from 0 to 128"),
        ("::1/999", "from 0 to 128"),
    ];
    for (text, range) in prefix {
        let message = Networks::parse([text]).unwrap_err().to_string();
        assert!(
            message.contains(&format!("{text:?}")) && message.contains(range),
            "{message}"
        );
    }
}

#[test]
fn mapped_addresses_are_ipv4_on_both_sides() {
    for set in [
        networks(&["10.0.0.0/8"]),
        networks(&["::ffff:10.0.0.0/104"]),
    ] {
        assert!(set.contains(ip("10.255.0.1")));
        assert!(set.contains(ip("::ffff:10.255.0.1")));
        assert!(!set.contains(ip("11.0.0.1")));
        assert!(!set.contains(ip("::ffff:11.0.0.1")));
        // Not a mapped address: `::10.0.0.1` is the deprecated compatible form.
        assert!(!set.contains(ip("::10.0.0.1")));
    }
    assert!(!networks(&["::/0"]).contains(ip("::ffff:10.0.0.1")));
    assert!(networks(&["::/0"]).contains(ip("2001:db8::1")));
}

#[test]
fn the_empty_set_holds_nothing() {
    let none = Networks::default();
    assert!(none.is_empty() && !none.contains(ip("0.0.0.0")) && !none.contains(ip("::")));
    assert_eq!(none, networks(&[]));
    assert!(!networks(&["::1"]).is_empty());
}

#[test]
fn nested_and_adjoining_networks_are_merged() {
    let set = networks(&[
        "10.0.1.0/24",
        "10.0.0.0/24",
        "10.0.0.0/25",
        "::1",
        "10.0.0.7",
    ]);
    assert_eq!(set.to_string(), "10.0.0.0/23, ::1/128");
    assert_eq!(format!("{set:?}"), "Networks(10.0.0.0/23, ::1/128)");
    assert_eq!(
        networks(&["0.0.0.0/1", "128.0.0.0/1"]),
        networks(&["0.0.0.0/0"])
    );
    assert_eq!(networks(&["::/1", "8000::/1"]), networks(&["::/0"]));
}

#[test]
fn ipv6_is_grouped_and_ipv4_is_not() {
    let cases = [
        ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::"),
        ("2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::"),
        ("2001:db8:1:2:3:4:5:6", 0, "::"),
        ("2001:db8:1:2:3:4:5:6", 1, "::"),
        ("a001:db8:1:2:3:4:5:6", 1, "8000::"),
        ("2001:db8:1:2:3:4:5:6", 127, "2001:db8:1:2:3:4:5:6"),
        ("2001:db8:1:2:3:4:5:7", 127, "2001:db8:1:2:3:4:5:6"),
        ("2001:db8:1:2:3:4:5:7", 128, "2001:db8:1:2:3:4:5:7"),
        ("2001:db8:1:2:3:4:5:7", 255, "2001:db8:1:2:3:4:5:7"),
        ("192.0.2.77", 64, "192.0.2.77"),
        ("192.0.2.77", 0, "192.0.2.77"),
        ("::ffff:192.0.2.77", 64, "192.0.2.77"),
        ("::ffff:192.0.2.77", 0, "192.0.2.77"),
    ];
    for (address, prefix, expected) in cases {
        assert_eq!(
            group(ip(address), prefix),
            ip(expected),
            "{address} /{prefix}"
        );
    }
}

/// Addresses that lie close together, so that networks overlap and are hit.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (any::<u8>(), 0..4_u8).prop_map(|(last, third)| Ipv4Addr::new(10, 0, third, last).into()),
        (any::<u8>(), 0..4_u8)
            .prop_map(|(last, third)| Ipv4Addr::new(10, 0, third, last).to_ipv6_mapped().into()),
        any::<u16>().prop_map(|last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()),
        any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
    ]
}

fn network() -> impl Strategy<Value = IpNet> {
    (address(), any::<u8>()).prop_map(|(address, length)| match address.to_canonical() {
        IpAddr::V4(_) => IpNet::new(address.to_canonical(), length % 33).expect("at most 32"),
        IpAddr::V6(_) => IpNet::new(address, length % 129).expect("at most 128"),
    })
}

proptest! {
    #[test]
    fn contains_is_what_asking_each_network_in_turn_says(
        list in prop::collection::vec(network(), 0..8),
        asked in prop::collection::vec(address(), 1..8),
    ) {
        let set = Networks::parse(list.iter().map(IpNet::to_string)).unwrap();
        for ip in asked {
            let expected = list.iter().any(|network| network.contains(&ip.to_canonical()));
            prop_assert_eq!(set.contains(ip), expected, "{} in {}", ip, set);
        }
        for network in &list {
            prop_assert!(set.contains(network.network()) && set.contains(network.broadcast()));
        }
    }

    #[test]
    fn any_text_is_read_or_refused_and_the_set_reads_itself(text in ".{0,40}|[0-9.:/f]{0,20}") {
        if let Ok(set) = Networks::parse([&text]) {
            let again = set.to_string();
            prop_assert_eq!(Networks::parse(again.split(", ")).unwrap(), set);
        }
    }

    #[test]
    fn one_group_is_one_network(
        bits in any::<u128>(), other in any::<u128>(), prefix in 0_u8..=128,
    ) {
        let [one, two] = [bits, other].map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits)));
        prop_assume!(one.to_canonical() == one && two.to_canonical() == two);
        let network = IpNet::new(one, prefix).unwrap();
        prop_assert_eq!(group(one, prefix), network.network());
        prop_assert_eq!(group(one, prefix) == group(two, prefix), network.contains(&two));
    }
}
