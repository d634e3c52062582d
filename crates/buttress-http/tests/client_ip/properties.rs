//! What holds for every field.

use std::net::{IpAddr, Ipv4Addr};

use buttress_http::{ForwardedField, client_ip};
use proptest::prelude::*;

use super::{PROXY, behind_proxy, headers, ip, trusted};

/// One hop, and how a proxy writes it.
#[derive(Clone, Debug)]
struct Hop {
    address: Option<IpAddr>,
    port: Option<u16>,
    ext: Option<String>,
    style: u8,
}

impl Hop {
    fn node(&self, must_quote: bool) -> String {
        let quote = |text: String| {
            if must_quote {
                format!("\"{text}\"")
            } else {
                text
            }
        };
        match (self.address, self.port) {
            (None, _) => {
                ["unknown", "_hidden", "-", "a.example"][usize::from(self.style % 4)].into()
            }
            (Some(IpAddr::V4(address)), None) => address.to_string(),
            (Some(IpAddr::V4(address)), Some(port)) => quote(format!("{address}:{port}")),
            (Some(IpAddr::V6(address)), None) => quote(format!("[{address}]")),
            (Some(IpAddr::V6(address)), Some(port)) => quote(format!("[{address}]:{port}")),
        }
    }

    fn forwarded(&self) -> String {
        let node = self.node(true);
        let name = ["for", "For", "FOR"][usize::from(self.style % 3)];
        let Some(ext) = &self.ext else {
            return format!("{name}={node}");
        };
        let ext = ext.replace('\\', "\\\\").replace('"', "\\\"");
        if self.style.is_multiple_of(2) {
            format!("{name}={node};host=\"{ext}\"")
        } else {
            format!("host=\"{ext}\" ;{name}={node}")
        }
    }

    fn written(&self, field: &ForwardedField) -> String {
        match field {
            ForwardedField::Forwarded => self.forwarded(),
            _ => self.node(false),
        }
    }
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        2 => (0..8_u8).prop_map(|last| ip(&format!("10.0.0.{last}"))),
        1 => (0..8_u8).prop_map(|last| ip(&format!("::ffff:10.0.0.{last}"))),
        1 => (0..8_u8).prop_map(|last| ip(&format!("2001:db8:ffff::{last}"))),
        1 => any::<IpAddr>(),
        1 => any::<Ipv4Addr>().prop_map(|address| address.to_ipv6_mapped().into()),
    ]
}

fn hop() -> impl Strategy<Value = Hop> {
    // Escapes and separators, which must not get out of the quoted string.
    let ext = "([,;=\"\\\\ a]|, for=192\\.0\\.2\\.66|\", for=192\\.0\\.2\\.66;a=\"){0,4}";
    let address = prop::option::weighted(0.9, address());
    (
        address,
        any::<Option<u16>>(),
        prop::option::of(ext),
        any::<u8>(),
    )
        .prop_map(|(address, port, ext, style)| Hop {
            address,
            port,
            ext,
            style,
        })
}

fn field() -> impl Strategy<Value = ForwardedField> {
    prop_oneof![
        Just(ForwardedField::XForwardedFor),
        Just(ForwardedField::Forwarded)
    ]
}

/// Bytes that a field value can have, most of them such as the syntax cares about.
fn bytes(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        any::<u8>().prop_map(|byte| vec![if byte < 32 || byte == 127 {
            b'\t'
        } else {
            byte
        }]),
        prop::sample::select(vec![
            "for=",
            "For=\"",
            "\"",
            "\\",
            "\\\"",
            ",",
            ", ",
            ";",
            "=",
            " ",
            "[",
            "]",
            ":",
            "%1",
            "10.0.0.1",
            "10.0.0.2:80",
            "192.0.2.1",
            "2001:db8::7",
            "[2001:db8::7]:1",
            "::ffff:1.2.3.4",
            "unknown",
            "_a",
            "for=192.0.2.9",
            "for=10.0.0.3",
            "for=\"[2001:db8::8]\"",
            "a=\"b\"",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(pieces, 0..longest).prop_map(|pieces| pieces.concat())
}

/// Whether the address is written somewhere in the text, in any form.
fn stands_in(lines: &[Vec<u8>], address: IpAddr) -> bool {
    lines.iter().any(|line| {
        // An escape inside a quoted string may stand in the middle of an address.
        let line: Vec<u8> = line.iter().copied().filter(|&byte| byte != b'\\').collect();
        (0..line.len()).any(|start| {
            let ends = start + 1..=line.len().min(start + 46);
            ends.into_iter().any(|end| {
                let text = std::str::from_utf8(&line[start..end]).unwrap_or_default();
                text.parse()
                    .is_ok_and(|found: IpAddr| found.to_canonical() == address)
            })
        })
    })
}

proptest! {
    /// The obvious model: the hops as a list, gone through backwards.
    #[test]
    fn a_well_formed_field_gives_what_its_hops_say(
        lines in prop::collection::vec(prop::collection::vec(hop(), 1..4), 0..4),
        field in field(),
        separator in prop::sample::select(vec![",", ", ", " ,\t"]),
    ) {
        let trusted = trusted();
        let mut expected = ip(PROXY);
        for hop in lines.iter().flatten().rev() {
            let Some(address) = hop.address else { break };
            expected = address.to_canonical();
            if !trusted.contains(expected) {
                break;
            }
        }
        let lines: Vec<String> = lines
            .iter()
            .map(|hops| hops.iter().map(|hop| hop.written(&field)).collect::<Vec<_>>())
            .map(|hops| hops.join(separator))
            .collect();
        prop_assert_eq!(behind_proxy(&field, &lines), expected, "{:?}", lines);
    }

    #[test]
    fn any_bytes_give_the_peer_or_an_address_in_the_field(
        lines in prop::collection::vec(bytes(12), 0..4), field in field(),
    ) {
        let found = behind_proxy(&field, &lines);
        prop_assert!(found == ip(PROXY) || stands_in(&lines, found), "{}", found);
    }

    #[test]
    fn an_untrusted_peer_is_the_client(
        peer in any::<IpAddr>(), lines in prop::collection::vec(bytes(12), 0..4), field in field(),
    ) {
        prop_assume!(!trusted().contains(peer));
        for name in ["x-forwarded-for", "forwarded"] {
            let found = client_ip(peer, &headers(name, &lines), &trusted(), &field);
            prop_assert_eq!(found, peer.to_canonical());
        }
    }

    /// The client chooses what stands on the left: it must not choose its key by that.
    #[test]
    fn nothing_on_the_left_changes_a_walk_that_met_an_untrusted_hop(
        lines in prop::collection::vec(bytes(12), 1..4),
        client in hop(),
        proxies in prop::collection::vec(hop(), 0..3),
        left in bytes(16),
        more_left in prop::collection::vec(bytes(8), 0..3),
        field in field(),
    ) {
        let written: Vec<_> = [&client].into_iter().chain(&proxies).map(|hop| hop.written(&field)).collect();
        let mut lines = lines;
        lines.push(written.join(", ").into_bytes());
        let found = behind_proxy(&field, &lines);
        prop_assume!(!trusted().contains(found));

        let first = [left.as_slice(), b", ", &lines[0]].concat();
        let spoofed: Vec<_> = more_left.iter().chain([&first]).chain(&lines[1..]).collect();
        prop_assert_eq!(behind_proxy(&field, &spoofed), found, "in a line of its own");
        // Also on the very line that the proxies append to.
        let line = [left.as_slice(), b", ", &lines[lines.len() - 1]].concat();
        let alone = behind_proxy(&field, &lines[lines.len() - 1..]);
        prop_assume!(!trusted().contains(alone));
        prop_assert_eq!(behind_proxy(&field, &[line]), alone, "in the proxy's line");
    }
}
