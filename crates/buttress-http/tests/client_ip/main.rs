//! The client's address behind trusted proxies.

mod properties;
mod tables;

use std::net::IpAddr;

use buttress_http::{ForwardedField, Networks, client_ip};
use http::{HeaderMap, HeaderName, HeaderValue};

const PROXY: &str = "10.0.0.1";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn trusted() -> Networks {
    Networks::parse(["10.0.0.0/8", "2001:db8:ffff::/48"]).expect("networks")
}

fn headers<T: AsRef<[u8]>>(name: &str, lines: &[T]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let name: HeaderName = name.parse().expect("a field name");
        headers.append(
            name,
            HeaderValue::from_bytes(line.as_ref()).expect("a field value"),
        );
    }
    headers
}

fn behind_proxy<T: AsRef<[u8]>>(field: &ForwardedField, lines: &[T]) -> IpAddr {
    let name = match field {
        ForwardedField::XForwardedFor => "x-forwarded-for",
        ForwardedField::Forwarded => "forwarded",
        ForwardedField::Named(name) => name.as_str(),
    };
    client_ip(ip(PROXY), &headers(name, lines), &trusted(), field)
}
