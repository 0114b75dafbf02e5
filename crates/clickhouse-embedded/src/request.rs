//! What a request asks for, read from its address and headers.
//! Invariant: a parameter is either the protocol's own, a query parameter, part of an external
//! table, or a setting; nothing is dropped silently.

use std::time::Duration;

use hyper::{HeaderMap, Method, Uri, header};

use crate::{
    encoding::Encoding,
    exception::{Exception, Own},
    kinds::Effect,
};

/// A request without its body.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Request {
    /// The `query` parameter.
    pub query: String,
    pub database: Option<String>,
    /// What is written and read when the statement names no format.
    pub format: Option<String>,
    pub query_id: Option<String>,
    pub session: Option<SessionWish>,
    /// `param_*`, without the prefix.
    pub parameters: Vec<(String, String)>,
    pub settings: Vec<(String, String)>,
    /// The strictest of those that were given.
    pub readonly: Option<String>,
    pub roles: Vec<String>,
    /// `compress=1`.
    pub blocks_out: bool,
    /// `decompress=1`.
    pub blocks_in: bool,
    pub wait_end_of_query: bool,
    pub buffer_size: Option<usize>,
    /// Sent by GET or HEAD: must not change anything.
    pub idempotent: bool,
    pub encoding_in: Option<Encoding>,
    pub encoding_out: Option<Encoding>,
    pub external: Vec<(String, String)>,
}

/// `session_id` and what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SessionWish {
    pub id: String,
    pub timeout: Duration,
    /// `session_check=1`: it must be there already.
    pub must_exist: bool,
    /// `close_session=1`.
    pub close: bool,
}

/// ClickHouse's bounds for `session_timeout`, in seconds.
const SESSION_TIMEOUT: u64 = 60;
const SESSION_TIMEOUT_LIMIT: u64 = 3600;

impl Request {
    /// Reads address and headers.
    pub(crate) fn parse(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Self, Exception> {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or("")
        };
        let given = |name: &str| Some(header(name).to_owned()).filter(|value| !value.is_empty());
        let mut request = Self {
            idempotent: *method == Method::GET || *method == Method::HEAD,
            encoding_in: Encoding::of_request(header(header::CONTENT_ENCODING.as_str()))?,
            encoding_out: Encoding::accepted(header(header::ACCEPT_ENCODING.as_str())),
            database: given("x-clickhouse-database"),
            format: given("x-clickhouse-format"),
            ..Self::default()
        };
        let form = header(header::CONTENT_TYPE.as_str()).starts_with("multipart/form-data");
        let mut session = (None, SESSION_TIMEOUT, false, false);
        let address = uri.query().unwrap_or("").as_bytes();
        for (name, value) in form_urlencoded::parse(address) {
            let (name, value) = (name.into_owned(), value.into_owned());
            let on = || switch(&name, &value);
            match name.as_str() {
                "session_id" => session.0 = Some(value).filter(|id| !id.is_empty()),
                "session_timeout" => session.1 = session_timeout(&value)?,
                "session_check" => session.2 = on()?,
                "close_session" => session.3 = on()?,
                _ if form && is_external(&name) => request.external.push((name, value)),
                _ => request.take(name, value)?,
            }
        }
        let (id, seconds, must_exist, close) = session;
        let timeout = Duration::from_secs(seconds);
        request.session = id.map(|id| SessionWish {
            id,
            timeout,
            must_exist,
            close,
        });
        let disabled = |(name, value): &(String, String)| {
            name == "enable_http_compression" && matches!(value.as_str(), "0" | "false")
        };
        if request.settings.iter().any(disabled) {
            request.encoding_out = None;
        }
        Ok(request)
    }

    /// The level of `readonly` that the request runs at; what is sent by GET only reads, as in ClickHouse.
    pub(crate) fn level(&self) -> Option<&str> {
        let asked = self.readonly.as_deref().filter(|level| *level != "0");
        asked.or(self.idempotent.then_some("2"))
    }

    /// Refuses what must not run at the request's level.
    pub(crate) fn admits(&self, effect: Effect) -> Result<(), Exception> {
        let fits = match (self.level(), effect) {
            (None, _) | (Some(_), Effect::Reads) => true,
            // A session's connection lives on, and what it was told with it.
            (Some(level), Effect::Session) => level != "1" && self.session.is_none(),
            (Some(_), Effect::Writes) => false,
        };
        if fits {
            return Ok(());
        }
        let mut message = "default: Cannot execute query in readonly mode".to_owned();
        if self.idempotent {
            message.push_str(". What is sent by GET only reads: send it by POST");
        }
        Err(Exception::own(Own::Readonly, message))
    }

    /// Takes one parameter, of the address or of a form.
    pub(crate) fn take(&mut self, name: String, value: String) -> Result<(), Exception> {
        let on = || switch(&name, &value);
        match name.as_str() {
            "query" => self.query.push_str(&value),
            "database" => {
                self.database = Some(value)
                    .filter(|name| !name.is_empty())
                    .or(self.database.take());
            }
            "default_format" => {
                self.format = Some(value)
                    .filter(|name| !name.is_empty())
                    .or(self.format.take());
            }
            "query_id" => self.query_id = Some(value).filter(|id| !id.is_empty()),
            "compress" => self.blocks_out = on()?,
            "decompress" => self.blocks_in = on()?,
            "wait_end_of_query" | "http_wait_end_of_query" => self.wait_end_of_query = on()?,
            "buffer_size" => {
                let wrong = |_| {
                    Exception::own(
                        Own::BadArguments,
                        format!("buffer_size is not a number: {value}"),
                    )
                };
                self.buffer_size = Some(value.parse().map_err(wrong)?);
            }
            "readonly" => {
                // Of two the stricter one, whichever stands first.
                let before = self.readonly.take();
                let kept =
                    before.filter(|before| *before == "1" || value == "0" || value == *before);
                self.readonly = kept.or(Some(value));
            }
            "role" => self.roles.push(value),
            // Credentials are read by `credentials`; the others need nothing here. Native is
            // written as for a client of protocol version 0, which clients check for.
            "user" | "password" | "quota_key" | "stacktrace" | "client_protocol_version" => {}
            _ => match name.strip_prefix("param_") {
                Some(parameter) => self.parameters.push((parameter.to_owned(), value)),
                None => self.settings.push((name, value)),
            },
        }
        Ok(())
    }
}

fn is_external(name: &str) -> bool {
    ["_structure", "_types", "_format"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
        && name != "default_format"
}

fn switch(name: &str, value: &str) -> Result<bool, Exception> {
    match value {
        "1" | "true" | "True" => Ok(true),
        "0" | "false" | "False" | "" => Ok(false),
        _ => Err(Exception::own(
            Own::BadArguments,
            format!("{name} is neither 0 nor 1: {value}"),
        )),
    }
}

fn session_timeout(value: &str) -> Result<u64, Exception> {
    let seconds = value
        .parse()
        .ok()
        .filter(|seconds| *seconds <= SESSION_TIMEOUT_LIMIT);
    seconds.ok_or_else(|| {
        let message =
            format!("Invalid session timeout: '{value}', the largest is {SESSION_TIMEOUT_LIMIT}");
        Exception::own(Own::InvalidSessionTimeout, message)
    })
}

/// User and password, from ClickHouse's headers, basic auth or the address, in this order.
pub(crate) fn credentials(uri: &Uri, headers: &HeaderMap) -> (String, String) {
    use base64::Engine as _;

    let header = |name: &str| {
        headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let or_default = |user: Option<String>| {
        user.filter(|user| !user.is_empty())
            .unwrap_or_else(|| "default".to_owned())
    };
    let (user, key) = (header("x-clickhouse-user"), header("x-clickhouse-key"));
    if user.is_some() || key.is_some() {
        return (or_default(user), key.unwrap_or_default());
    }
    if let Some(authorization) = header(header::AUTHORIZATION.as_str()) {
        let decoded = authorization
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, encoded)| {
                base64::engine::general_purpose::STANDARD
                    .decode(encoded.trim())
                    .ok()
            })
            .map(|decoded| String::from_utf8_lossy(&decoded).into_owned());
        // An unreadable or foreign scheme must not pass as the default user without a password.
        let Some(decoded) = decoded else {
            return (String::new(), String::new());
        };
        let (user, password) = decoded.split_once(':').unwrap_or((&decoded, ""));
        return (or_default(Some(user.to_owned())), password.to_owned());
    }
    let address = uri.query().unwrap_or("").as_bytes();
    let given = |wanted: &str| {
        form_urlencoded::parse(address)
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    (
        or_default(given("user")),
        given("password").unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(address: &str, headers: &[(&str, &str)]) -> Result<Request, Exception> {
        let (uri, headers) = parts(address, headers);
        Request::parse(&Method::POST, &uri, &headers)
    }

    fn parts(address: &str, headers: &[(&str, &str)]) -> (Uri, HeaderMap) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(
                header::HeaderName::try_from(*name).expect("name"),
                value.parse().expect("value"),
            );
        }
        (address.parse().expect("address"), map)
    }

    #[test]
    fn parameters_find_their_place() {
        let request = parse(
            "/?query=SELECT+1%0A&database=d&default_format=CSV&query_id=q&param_x=a%26b&max_threads=2&compress=1\
             &wait_end_of_query=1&readonly=2&role=r&client_protocol_version=54405&session_id=s&session_timeout=5",
            &[("X-ClickHouse-Format", "JSON"), ("accept-encoding", "gzip")],
        )
        .expect("parses");
        assert_eq!(request.query, "SELECT 1\n");
        assert_eq!(request.database.as_deref(), Some("d"));
        assert_eq!(request.format.as_deref(), Some("CSV"));
        assert_eq!(request.query_id.as_deref(), Some("q"));
        assert_eq!(request.parameters, [("x".to_owned(), "a&b".to_owned())]);
        assert_eq!(
            request.settings,
            [("max_threads".to_owned(), "2".to_owned())]
        );
        assert!(
            request.blocks_out
                && !request.blocks_in
                && request.wait_end_of_query
                && !request.idempotent
        );
        assert_eq!(request.readonly.as_deref(), Some("2"));
        assert_eq!(request.roles, ["r"]);
        assert_eq!(request.encoding_out, Some(Encoding::Gzip));
        let session = request.session.expect("has one");
        assert_eq!(
            (
                session.id.as_str(),
                session.timeout.as_secs(),
                session.must_exist
            ),
            ("s", 5, false)
        );
    }

    /// Would catch `readonly=1&readonly=0`, and the same the other way round.
    #[test]
    fn the_strictest_readonly_counts() {
        for (address, level) in [
            ("/?readonly=1&readonly=0", Some("1")),
            ("/?readonly=0&readonly=1", Some("1")),
            ("/?readonly=1&readonly=2", Some("1")),
            ("/?readonly=2&readonly=0", Some("2")),
            ("/?readonly=0", None),
            ("/", None),
        ] {
            let request = parse(address, &[]).expect("parses");
            assert_eq!(request.level(), level, "{address}");
            let writes = request.admits(Effect::Writes);
            assert_eq!(writes.is_ok(), level.is_none(), "{address}");
            assert!(request.admits(Effect::Reads).is_ok(), "{address}");
        }
        let (uri, headers) = parts("/?readonly=0", &[]);
        let request = Request::parse(&Method::GET, &uri, &headers).expect("parses");
        assert_eq!(
            request
                .admits(Effect::Writes)
                .expect_err("is sent by GET")
                .code,
            164
        );
        assert!(request.admits(Effect::Session).is_ok());
    }

    #[test]
    fn compression_can_be_switched_off() {
        let off = parse(
            "/?enable_http_compression=0",
            &[("accept-encoding", "gzip")],
        )
        .expect("parses");
        assert_eq!(off.encoding_out, None);
    }

    #[test]
    fn nonsense_is_refused_by_its_code() {
        assert_eq!(
            parse("/?session_timeout=9999", &[])
                .expect_err("too long")
                .code,
            374
        );
        assert_eq!(
            parse("/?compress=maybe", &[]).expect_err("no switch").code,
            36
        );
        assert_eq!(
            parse("/", &[("content-encoding", "br")])
                .expect_err("unknown")
                .code,
            48
        );
    }

    #[test]
    fn a_setting_that_looks_like_an_external_table_is_one_only_in_a_form() {
        let form = [("content-type", "multipart/form-data; boundary=x")];
        assert_eq!(
            parse("/?t_structure=a+Int8", &form)
                .expect("parses")
                .external
                .len(),
            1
        );
        assert_eq!(
            parse("/?t_structure=a+Int8", &[])
                .expect("parses")
                .settings
                .len(),
            1
        );
    }

    #[track_caller]
    fn login(address: &str, headers: &[(&str, &str)], user: &str, password: &str) {
        let (uri, headers) = parts(address, headers);
        assert_eq!(
            credentials(&uri, &headers),
            (user.to_owned(), password.to_owned())
        );
    }

    #[test]
    fn credentials_in_all_their_places() {
        login("/", &[], "default", "");
        login("/?user=u&password=p", &[], "u", "p");
        login("/", &[("authorization", "Basic dTpwOng=")], "u", "p:x");
        login(
            "/",
            &[("x-clickhouse-user", "u"), ("x-clickhouse-key", "p")],
            "u",
            "p",
        );
        login("/", &[("x-clickhouse-key", "p")], "default", "p");
        login("/", &[("authorization", "Bearer abc")], "", "");
    }
}
