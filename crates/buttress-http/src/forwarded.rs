//! The address of the client behind trusted proxies.
//!
//! Each proxy writes the address it was called from on the right of a request field; everything
//! further left was there before and may be an invention of the client. So the field is read from
//! the right, and only as far as the proxies that wrote it are trusted. What stands on the left of
//! the first hop that is not trusted is never looked at, whatever bytes it consists of.

use std::net::{IpAddr, Ipv6Addr};

use http::header::{FORWARDED, HeaderMap, HeaderName};

use crate::networks::Networks;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Longer than every way to write an address with a port:
/// `[0000:0000:0000:0000:0000:ffff:255.255.255.255]:65535` has 53 bytes.
const LONGEST_NODE: usize = 64;

/// The request field in which the trusted proxies write down who called them.
///
/// It is always exactly one field. A proxy that maintains one of them passes the others on as the
/// client sent them, so whoever read a second field would believe the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ForwardedField {
    /// `X-Forwarded-For`: addresses separated by commas, with or without a port.
    #[default]
    XForwardedFor,
    /// `Forwarded` as RFC 7239 defines it, of which the `for` parameters are read.
    Forwarded,
    /// A field with another name and the syntax of `X-Forwarded-For`, such as `X-Real-IP` or
    /// `CF-Connecting-IP`. The name `Forwarded` means [`ForwardedField::Forwarded`].
    Named(HeaderName),
}

/// The address of the client that sent a request, as far as the trusted proxies can vouch for it.
///
/// `peer` is the address at the other end of the connection. If it is not trusted, it is the client
/// and no field is read. Otherwise the entries of the field, all its lines joined in order, are read
/// from the right to the first address that is not trusted; this is the client. If all are trusted,
/// it is the leftmost. An entry that is no address (empty, `unknown`, obfuscated like `_hidden`, an
/// IPv6 zone, a syntax error) ends the walk, and the client is the last address that was read, or
/// the peer if there was none.
///
/// Ports and brackets are dropped; IPv4-mapped addresses are returned as IPv4. The walk does not
/// allocate, and its time is linear in the length of what it reads. Reference: RFC 7239, sections 4,
/// 6 and 8.
#[must_use]
pub fn client_ip(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &Networks,
    field: &ForwardedField,
) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.contains(peer) {
        return peer;
    }
    let (name, element_of_forwarded) = match field {
        ForwardedField::XForwardedFor => (&X_FORWARDED_FOR, false),
        ForwardedField::Forwarded => (&FORWARDED, true),
        ForwardedField::Named(name) => (name, *name == FORWARDED),
    };
    let lines = headers
        .get_all(name)
        .iter()
        .rev()
        .map(|line| line.as_bytes());
    if element_of_forwarded {
        let elements = lines.flat_map(|line| ElementsFromRight { rest: Some(line) });
        walk(peer, trusted, elements.map(forwarded_hop))
    } else {
        let entries = lines.flat_map(|line| line.rsplit(|&byte| byte == b','));
        walk(peer, trusted, entries.map(|entry| parse_node(trim(entry))))
    }
}

/// Goes through the hops from the nearest to the farthest; `None` is an entry without an address.
fn walk(peer: IpAddr, trusted: &Networks, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
    let mut client = peer;
    for hop in hops {
        let Some(hop) = hop else { break };
        client = hop;
        if !trusted.contains(hop) {
            break;
        }
    }
    client
}

/// The elements of one line of `Forwarded`, from the right, split at commas outside quoted strings.
///
/// Reading backwards keeps an open quotation mark on the left, which a client can send, from
/// swallowing what a proxy appended. It is unambiguous: the opening mark follows a `=`, and every
/// mark inside the string follows an odd number of backslashes. A line that is not well-formed may be
/// split in any way, because each element is then read strictly, from left to right.
struct ElementsFromRight<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for ElementsFromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.rest.take()?;
        let mut quoted = false;
        for (index, &byte) in line.iter().enumerate().rev() {
            match byte {
                b'"' if !quoted => quoted = true,
                b'"' => quoted = follows_escape(line, index),
                b',' if !quoted => {
                    self.rest = line.get(..index);
                    return line.get(index + 1..);
                }
                _ => {}
            }
        }
        Some(line)
    }
}

/// Whether the byte at `index` follows an odd number of backslashes.
fn follows_escape(line: &[u8], index: usize) -> bool {
    let before = line.iter().take(index).rev();
    before.take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// The address in the `for` parameter of one element: `None` if there is not exactly one, if it is
/// no address, or if any part of the element breaks the syntax.
///
/// Accepted beyond RFC 7239, because proxies send it: blanks around `;`, and the characters `:`, `[`
/// and `]` in values that are not quoted.
fn forwarded_hop(element: &[u8]) -> Option<IpAddr> {
    let mut rest = trim(element);
    let mut hop = None;
    loop {
        // The grammar allows empty parameters, as in `for=192.0.2.1;`.
        if rest.first().is_some_and(|&byte| byte != b';') {
            let equals = rest.iter().position(|&byte| !is_token(byte))?;
            let (name, value) = rest.split_at(equals);
            let (value, after) = split_value(value.strip_prefix(b"=")?)?;
            if name.is_empty() {
                return None;
            }
            if name.eq_ignore_ascii_case(b"for") {
                let earlier = hop.replace(unescape(value, parse_node)?);
                if earlier.is_some() {
                    return None;
                }
            }
            rest = trim(after);
        }
        match rest.strip_prefix(b";") {
            Some(after) => rest = trim(after),
            None if rest.is_empty() => return hop,
            None => return None,
        }
    }
}

/// Splits a parameter's value from what follows; a quoted string is returned without its marks.
fn split_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let plain = |byte: u8| is_token(byte) || matches!(byte, b':' | b'[' | b']');
        let end = text
            .iter()
            .position(|&byte| !plain(byte))
            .unwrap_or(text.len());
        return (end > 0).then(|| text.split_at(end));
    };
    let mut escaped = false;
    let end = quoted.iter().position(|&byte| {
        let closing = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closing
    })?;
    Some((quoted.get(..end)?, quoted.get(end + 1..)?))
}

/// Hands on the content of a quoted string with its escapes resolved.
fn unescape<T>(content: &[u8], read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    if !content.contains(&b'\\') {
        return read(content);
    }
    let mut plain = [0; LONGEST_NODE];
    let mut length = 0;
    let mut bytes = content.iter();
    while let Some(&byte) = bytes.next() {
        let byte = if byte == b'\\' { *bytes.next()? } else { byte };
        *plain.get_mut(length)? = byte;
        length += 1;
    }
    read(plain.get(..length)?)
}

/// Reads an address with or without a port; the port and the brackets of IPv6 are dropped.
fn parse_node(node: &[u8]) -> Option<IpAddr> {
    if node.len() > LONGEST_NODE {
        return None;
    }
    let node = std::str::from_utf8(node).ok()?;
    if let Some(bracketed) = node.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']')?;
        let port_is_fine = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        let address: Ipv6Addr = address.parse().ok()?;
        return port_is_fine.then(|| IpAddr::V6(address).to_canonical());
    }
    let address = match node.split_once(':') {
        Some((address, port)) if !port.contains(':') => {
            is_port(port).then(|| address.parse().ok().map(IpAddr::V4))??
        }
        _ => node.parse().ok()?,
    };
    Some(address.to_canonical())
}

/// A port of RFC 7239: up to five digits, or a name that begins with `_`.
fn is_port(port: &str) -> bool {
    match port.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.bytes().all(is_token),
        None => matches!(port.len(), 1..=5) && port.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// A character of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    matches!(
        byte,
        b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'z' | b'|' | b'~' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.'
    )
}

/// Drops the blanks that HTTP allows around list members. Not `trim_ascii`, which knows more of them.
fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text
        .iter()
        .position(|byte| !blank(byte))
        .unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}
