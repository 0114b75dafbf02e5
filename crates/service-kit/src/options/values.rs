//! Texts with a shape: names, addresses, secrets.
//! Invariant: a value that exists has the shape its type says; a secret shows nowhere but in `expose`.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use super::FromText;

/// Something that must not be seen in logs or reports. Empty when the default is "none".
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl FromText for Secret {
    const SECRET: bool = true;

    fn expected() -> String {
        "a secret text".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::new(text))
    }
}

/// Text values behave alike: the checked text, and how to get at it.
macro_rules! text_value {
    ($(#[doc = $about:literal])+ $Value:ident, $expected:literal, $normalise:expr) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $Value(String);

        impl $Value {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $Value {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $Value {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl FromText for $Value {
            fn expected() -> String {
                $expected.to_owned()
            }

            fn from_text(text: &str) -> Option<Self> {
                let normalise: fn(&str) -> Option<String> = $normalise;
                normalise(text.trim()).map(Self)
            }
        }
    };
}

text_value!(
    /// Kafka brokers, `host:port` separated by commas and without blanks.
    BrokerList,
    "host:port[,host:port...]",
    |text| {
        let brokers: Vec<&str> = text.split(',').map(str::trim).collect();
        brokers.iter().all(|broker| is_host_and_port(broker)).then(|| brokers.join(","))
    }
);

text_value!(
    /// An `http://` or `https://` address without a slash at its end.
    HttpUrl,
    "http://host[:port][/path] or https://...",
    |text| is_http_url(text).then(|| text.trim_end_matches('/').to_owned())
);

text_value!(
    /// Name of a topic, a consumer group or a database.
    Name,
    "1 to 249 characters out of A-Z a-z 0-9 . _ -",
    |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        // Kafka reserves these two, which name a directory.
        let is_directory = text == "." || text == "..";
        let fits = (1..=249).contains(&text.len()) && text.bytes().all(allowed) && !is_directory;
        fits.then(|| text.to_owned())
    }
);

text_value!(
    /// Which log lines are written: a level, or levels by target.
    LogFilter,
    "a level (error, warn, info, debug, trace) or target=level pairs",
    |text| {
        let filter = tracing_subscriber::EnvFilter::builder().parse(text);
        filter.is_ok().then(|| text.to_owned())
    }
);

/// Where a server listens. Port 0 lets the system choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenAddress(SocketAddr);

impl ListenAddress {
    pub fn get(self) -> SocketAddr {
        self.0
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromText for ListenAddress {
    fn expected() -> String {
        "address:port to listen on (0.0.0.0:9100, [::]:9100, localhost:9100)".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(address) = text.parse() {
            return Some(Self(address));
        }
        // The one name that needs no resolver.
        let port = text.strip_prefix("localhost:")?;
        let port: u16 = port.parse().ok()?;
        ("127.0.0.1", port).to_socket_addrs().ok()?.next().map(Self)
    }
}

impl FromText for String {
    fn expected() -> String {
        "a text".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl FromText for PathBuf {
    fn expected() -> String {
        "a path".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::from(text))
    }
}

impl FromText for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let port_is_right = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0);
    port_is_right && is_host(host)
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !host.is_empty() && host.bytes().all(allowed)
}

fn is_http_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let Some(rest) = rest else {
        return false;
    };
    // A query or a user does not belong into a base address; credentials have variables of their own.
    let printable = rest
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"?#@\"<>\\".contains(&byte));
    let authority = rest.split('/').next().unwrap_or_default();
    printable && (is_host(authority) || is_host_and_port(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromText + ToString>(right: &[(&str, &str)], wrong: &[&str]) {
        for (text, value) in right {
            let read = T::from_text(text).map(|read| read.to_string());
            assert_eq!(read.as_deref(), Some(*value), "{text:?}");
        }
        for text in wrong {
            assert!(T::from_text(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn brokers_are_hosts_with_ports() {
        check::<BrokerList>(
            &[
                ("localhost:9092", "localhost:9092"),
                (" a:1 , b.example:2 ", "a:1,b.example:2"),
                ("[::1]:9092", "[::1]:9092"),
                ("kafka_1:9092", "kafka_1:9092"),
            ],
            &[
                "", "foo", "a:", ":1", "a:0", "a:65536", "a:+1", "a:1,", "a b:1", "::1:9092",
                "[x]:1",
            ],
        );
    }

    #[test]
    fn addresses_are_http_without_a_user_or_a_query() {
        check::<HttpUrl>(
            &[
                ("http://localhost:8123/", "http://localhost:8123"),
                ("https://click.example/db", "https://click.example/db"),
                ("http://[::1]:4317", "http://[::1]:4317"),
            ],
            &[
                "",
                "localhost:8123",
                "http://",
                "ftp://a",
                "http://u:p@a",
                "http://a?b=c",
                "http://a b",
            ],
        );
    }

    #[test]
    fn names_are_what_kafka_takes() {
        let longest = "a".repeat(249);
        check::<Name>(
            &[("app-logs.dlq_1", "app-logs.dlq_1"), (&longest, &longest)],
            &["", ".", "..", "a/b", "ä", "a b", &"a".repeat(250)],
        );
    }

    #[test]
    fn listening_needs_an_address_and_a_port() {
        check::<ListenAddress>(
            &[
                ("0.0.0.0:9100", "0.0.0.0:9100"),
                ("[::]:0", "[::]:0"),
                ("localhost:9100", "127.0.0.1:9100"),
            ],
            &[
                "",
                "9100",
                ":9100",
                "localhost",
                "host:9100",
                "0.0.0.0:65536",
            ],
        );
    }

    #[test]
    fn log_filters_are_levels_or_pairs() {
        check::<LogFilter>(
            &[
                ("info", "info"),
                ("info,kafka_io=debug", "info,kafka_io=debug"),
            ],
            &["loud=very", "a=b=c"],
        );
    }
}
