//! Sets of IP networks, and the part of an address that names a client.
//!
//! An IPv4 address that arrives on a dual-stack socket is written `::ffff:192.0.2.1` (RFC 4291,
//! section 2.5.5.2). Here it is always the IPv4 address that it stands for, in the set as well as in
//! the question, so that one client has one key and one network matches it.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// The length of the prefix `::ffff:0:0/96`, under which IPv6 writes IPv4 addresses.
const MAPPED_PREFIX: u8 = 96;

/// A set of IP networks, such as the proxies whose word is taken for the client's address.
///
/// A lookup is a binary search over networks that do not overlap, so a list of thousands costs
/// little more than a list of two.
///
/// IPv4 and IPv6 are separate: `::/0` holds every IPv6 address and no IPv4 address, however that is
/// written; use `0.0.0.0/0` and `::/0` together for both.
///
/// ```
/// use buttress_http::Networks;
///
/// let proxies = Networks::parse(["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"])?;
/// assert!(proxies.contains("10.1.2.3".parse()?));
/// assert!(proxies.contains("::ffff:10.1.2.3".parse()?));
/// assert!(!proxies.contains("192.0.2.2".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Networks {
    /// Sorted, and no two overlap.
    networks: Box<[IpNet]>,
}

/// A text that does not name an IP network. [`Networks::parse`] returns it.
///
/// The message quotes the text and says how to write it; the caller adds which option or
/// configuration field it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError {
    text: String,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Address,
    Prefix { longest: u8 },
}

/// The part of an address that a limit per client should count by.
///
/// An IPv4-mapped address becomes the IPv4 address, and an IPv4 address stays whole. Of an IPv6
/// address only the first `v6_prefix` bits stay: one subscriber usually owns a whole /64, and could
/// otherwise take a fresh address for every request. A prefix longer than 128 is taken as 128.
#[must_use]
pub fn group(ip: IpAddr, v6_prefix: u8) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let dropped = 128 - u32::from(v6_prefix.min(128));
            let mask = u128::MAX.checked_shl(dropped).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

/// Reads one network or one bare address.
fn parse_network(text: &str) -> Result<IpNet, NetworkError> {
    let error = |problem| NetworkError {
        text: text.to_owned(),
        problem,
    };
    let (address, prefix) = match text.trim().split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text.trim(), None),
    };
    let address: IpAddr = address.parse().map_err(|_| error(Problem::Address))?;
    let Some(prefix) = prefix else {
        return Ok(IpNet::from(address.to_canonical()));
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    // `u8::from_str` alone would also take a sign.
    let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let network = digits
        .then(|| prefix.parse().ok())
        .flatten()
        .and_then(|length| IpNet::new(address, length).ok())
        .ok_or_else(|| error(Problem::Prefix { longest }))?;
    Ok(canonical(network.trunc()))
}

/// The IPv4 network that an IPv6 network of mapped addresses stands for; any other as it is.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    v6.addr()
        .to_ipv4_mapped()
        .zip(v6.prefix_len().checked_sub(MAPPED_PREFIX))
        .and_then(|(address, length)| Ipv4Net::new(address, length).ok())
        .map_or(network, IpNet::V4)
}

// === impl Networks ===

impl Networks {
    /// Reads networks such as `10.0.0.0/8` or `2001:db8::/32`; a bare address is a network of its
    /// own.
    ///
    /// Bits after the prefix are dropped, so `10.1.2.3/8` is `10.0.0.0/8`. A network of IPv4-mapped
    /// addresses such as `::ffff:10.0.0.0/104` is the IPv4 network `10.0.0.0/8`.
    ///
    /// # Errors
    ///
    /// If a text is not an address, or its prefix is not a number of bits that the address has. The
    /// error quotes the first such text.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, NetworkError> {
        let networks = texts
            .into_iter()
            .map(|text| parse_network(text.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        let mut networks = IpNet::aggregate(&networks);
        // The lookup relies on the order, and `aggregate` does not promise one.
        networks.sort_unstable();
        Ok(Self {
            networks: networks.into_boxed_slice(),
        })
    }

    /// Whether the address lies in one of the networks.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let after = self
            .networks
            .partition_point(|network| network.network() <= ip);
        let nearest = after
            .checked_sub(1)
            .and_then(|index| self.networks.get(index));
        nearest.is_some_and(|network| network.contains(&ip))
    }

    /// Whether there is no network in the set, so that it holds no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }
}

/// The networks separated by commas, in order and merged where they overlap or adjoin.
impl fmt::Display for Networks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.networks.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{network}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Networks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Networks({self})")
    }
}

// === impl NetworkError ===

impl NetworkError {
    /// The text that does not name a network.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is not an IP network: ", self.text)?;
        match self.problem {
            Problem::Address => formatter.write_str(
                "it does not begin with an IP address; write it like \"10.0.0.0/8\" or \
                 \"2001:db8::/32\", or as one address like \"192.0.2.1\" (names are not resolved)",
            ),
            Problem::Prefix { longest } => write!(
                formatter,
                "the number after the slash must be a prefix length from 0 to {longest}; \
                 leave out the slash to name the one address"
            ),
        }
    }
}

impl Error for NetworkError {}
