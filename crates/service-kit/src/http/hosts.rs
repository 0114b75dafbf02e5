//! Under which names a server may be asked.
//!
//! A page of a stranger can give its own name our address (DNS rebinding); for the browser its requests
//! are then requests to the page's own server, and the page may read the answers. The name is what
//! tells them apart: it is in `Host`. So a server answers only to names that a stranger cannot have:
//! the loopback ones, the address that the connection came to, and those that it was told.
//!
//! Invariants: with several names in a request, each has to be one of ours; no other header counts,
//! `X-Forwarded-Host` neither.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Request, Version, header};

use super::refusal::Refusal;
use crate::options::FromText;

/// Names and addresses beside the loopback ones and the one that the connection came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedHosts {
    All,
    These(Vec<Host>),
}

/// In lower case, without a port and without a dot at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Address(IpAddr),
    Name(String),
}

impl FromText for AllowedHosts {
    fn expected() -> String {
        "names or addresses without a port such as barograph.example,10.0.0.5,[fd00::5], or *"
            .to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::All);
        }
        let hosts = text.split(',').map(|host| Host::without_port(host.trim()));
        hosts.collect::<Option<_>>().map(Self::These)
    }
}

impl Host {
    /// `host`, `host:port`, `[address]` or `[address]:port`.
    fn of(authority: &str) -> Option<Self> {
        if let Some(rest) = authority.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            is_port(port).then_some(())?;
            let address: Ipv6Addr = address.parse().ok()?;
            return Some(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        is_port(port).then_some(())?;
        let name = name.strip_suffix('.').unwrap_or(name);
        if let Ok(address) = name.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let fits = (1..=253).contains(&name.len()) && name.bytes().all(is_name);
        (fits && !name.starts_with('.')).then(|| Self::Name(name.to_ascii_lowercase()))
    }

    /// As in an option, where an IPv6 address needs no brackets.
    fn without_port(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical()));
        }
        let has_port = !text.ends_with(']') && text.contains(':');
        (!has_port).then(|| Self::of(text)).flatten()
    }

    fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Name(name) => name == "localhost",
        }
    }
}

/// What follows the host: nothing, or a colon and a number. Which one is not looked at: a port may be
/// forwarded from another one.
fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':').unwrap_or(text);
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    text.is_empty() || (text.starts_with(':') && is_number && digits.len() <= 5)
}

/// The names of one server.
#[derive(Debug, Clone)]
pub struct Hosts {
    allowed: Option<AllowedHosts>,
    /// The variable that would allow more.
    option: &'static str,
}

impl Hosts {
    pub fn new(allowed: Option<AllowedHosts>, option: &'static str) -> Self {
        Self { allowed, option }
    }

    /// `came_to`: the address of ours that the connection came to.
    pub(super) fn check<B>(
        &self,
        request: &Request<B>,
        came_to: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        if self.allowed == Some(AllowedHosts::All) {
            return Ok(());
        }
        // A target such as http://name/path counts before `Host`; whoever sends both means both.
        let target = request.uri().authority().map(Authority::as_str);
        let header = host_header(request.headers())?;
        if target.is_none() && header.is_none() && request.version() > Version::HTTP_10 {
            return Err(Refusal::bad_host("a request needs the header Host"));
        }
        // Without any name it is HTTP/1.0, which no browser speaks.
        for authority in target.into_iter().chain(header) {
            let host = Host::of(authority).ok_or_else(|| {
                Refusal::bad_host("the header Host is not a name or an address with a port")
            })?;
            if !self.is_ours(&host, came_to) {
                return Err(Refusal::foreign_host(authority, self.option));
            }
        }
        Ok(())
    }

    fn is_ours(&self, host: &Host, came_to: Option<IpAddr>) -> bool {
        let is_where_it_came_to = |address: IpAddr| {
            *host == Host::Address(address.to_canonical()) && !address.is_unspecified()
        };
        host.is_loopback()
            || came_to.is_some_and(is_where_it_came_to)
            || match &self.allowed {
                None => false,
                Some(AllowedHosts::All) => true,
                Some(AllowedHosts::These(hosts)) => hosts.contains(host),
            }
    }
}

fn host_header(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(header::HOST).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Refusal::bad_host(
            "a request has one header Host, not several",
        ));
    }
    let text = value.to_str();
    text.map(Some)
        .map_err(|_| Refusal::bad_host("the header Host is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(allowed: Option<&str>, target: &str, version: Version, hosts: &[&str]) -> u16 {
        let allowed = allowed.map(|text| AllowedHosts::from_text(text).unwrap());
        let mut request = Request::builder().uri(target).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        let request = request.header("x-forwarded-host", "localhost");
        let hosts = Hosts::new(allowed, "GATEWAY_ALLOWED_HOSTS");
        let came_to = Some("::ffff:10.1.2.3".parse().unwrap());
        match hosts.check(&request.body(()).unwrap(), came_to) {
            Ok(()) => 200,
            Err(refusal) => refusal.status().as_u16(),
        }
    }

    #[test]
    fn loopback_names_the_address_it_came_to_and_named_ones_are_ours() {
        for (host, expected) in [
            ("localhost", 200),
            ("LocalHost:8080", 200),
            ("localhost.:8080", 200),
            ("127.0.0.1", 200),
            ("127.8.9.10:1", 200),
            ("[::1]:8080", 200),
            ("[0:0:0:0:0:0:0:1]", 200),
            ("[::ffff:127.0.0.1]", 200),
            ("10.1.2.3:8080", 200),
            ("[::ffff:10.1.2.3]", 200),
            ("localhost:", 200),
            ("10.1.2.4", 421),
            ("0.0.0.0", 421),
            ("[::]", 421),
            ("evil.example", 421),
            ("localhost.evil.example", 421),
            ("evil.localhost", 421),
            ("127.0.0.1.evil.example", 421),
            ("10.1.2.3.evil.example", 421),
            ("2130706433", 421),
            ("", 400),
            (":8080", 400),
            (".", 400),
            ("localhost:x", 400),
            ("localhost:123456", 400),
            ("localhost, evil.example", 400),
            ("localhost evil.example", 400),
            ("evil.example@localhost", 400),
            ("localhost/", 400),
            ("[::1", 400),
            ("[::1]evil.example", 400),
            ("::1", 400),
        ] {
            let found = status(None, "/", Version::HTTP_11, &[host]);
            assert_eq!(found, expected, "{host:?}");
        }
        let named = Some("gw.example, 192.0.2.7,[2001:db8::7],2001:db8::8");
        for (host, expected) in [
            ("GW.Example.:443", 200),
            ("192.0.2.7:8080", 200),
            ("[2001:DB8::7]:8080", 200),
            ("[2001:db8::8]", 200),
            ("localhost", 200),
            ("a.gw.example", 421),
            ("gw.example.evil.example", 421),
        ] {
            let found = status(named, "/", Version::HTTP_11, &[host]);
            assert_eq!(found, expected, "{host:?}");
        }
        assert_eq!(
            status(Some("*"), "/", Version::HTTP_11, &["evil.example"]),
            200
        );
    }

    #[test]
    fn every_name_in_a_request_counts_and_only_old_ones_need_none() {
        for (target, version, hosts, expected) in [
            (
                "http://localhost:8080/",
                Version::HTTP_11,
                &["localhost:8080"][..],
                200,
            ),
            (
                "http://evil.example/",
                Version::HTTP_11,
                &["localhost:8080"],
                421,
            ),
            (
                "http://localhost:8080/",
                Version::HTTP_11,
                &["evil.example"],
                421,
            ),
            ("http://localhost:8080/", Version::HTTP_11, &[], 200),
            ("http://a@localhost/", Version::HTTP_11, &["localhost"], 400),
            ("/", Version::HTTP_11, &["localhost", "localhost"], 400),
            ("/", Version::HTTP_11, &[], 400),
            ("/", Version::HTTP_10, &[], 200),
            ("/", Version::HTTP_10, &["evil.example"], 421),
            ("evil.example:80", Version::HTTP_11, &["localhost"], 421),
        ] {
            let found = status(None, target, version, hosts);
            assert_eq!(found, expected, "{target} {hosts:?}");
        }
    }

    #[test]
    fn an_allowed_host_is_a_name_or_an_address_without_a_port() {
        for text in [
            "", "a,", "a:80", "http://a", "a/b", "[::1]:80", "a b", "*.a", "a,*",
        ] {
            assert_eq!(AllowedHosts::from_text(text), None, "{text:?}");
        }
    }
}
