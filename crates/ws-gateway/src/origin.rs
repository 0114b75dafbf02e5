//! Which pages may open a WebSocket.
//!
//! A browser sends cookies and reaches private networks on behalf of any page, and WebSockets know no
//! CORS; so a page from elsewhere is refused unless it is named. Programs send no Origin and pass.

use service_kit::options::FromText;

/// Origins beside our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    All,
    These(Vec<String>),
}

impl FromText for AllowedOrigins {
    fn expected() -> String {
        "origins such as https://a.example,http://localhost:5173, or *".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::All);
        }
        let origins: Vec<String> = text
            .split(',')
            .map(|origin| origin.trim().trim_end_matches('/').to_ascii_lowercase())
            .collect();
        origins
            .iter()
            .all(|origin| {
                authority(origin).is_some_and(|host| !host.is_empty() && !host.contains('/'))
            })
            .then_some(Self::These(origins))
    }
}

/// Whether a page of this origin may connect to this host.
pub fn may_connect(
    origin: Option<&str>,
    host: Option<&str>,
    allowed: Option<&AllowedOrigins>,
) -> bool {
    let Some(origin) = origin else {
        return true;
    };
    let origin = origin.to_ascii_lowercase();
    let named = match allowed {
        None => false,
        Some(AllowedOrigins::All) => true,
        Some(AllowedOrigins::These(origins)) => origins.contains(&origin),
    };
    named || is_same_host(&origin, host)
}

fn is_same_host(origin: &str, host: Option<&str>) -> bool {
    let (Some(ours), Some(theirs)) = (host, authority(origin)) else {
        return false;
    };
    let default_port = if origin.starts_with("https:") {
        ":443"
    } else {
        ":80"
    };
    let plain = |host: &str| {
        let host = host.to_ascii_lowercase();
        host.strip_suffix(default_port)
            .map_or(host.clone(), str::to_owned)
    };
    plain(ours) == plain(theirs)
}

fn authority(origin: &str) -> Option<&str> {
    origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_pages_named_ones_and_programs_pass() {
        let named = AllowedOrigins::from_text("https://ops.example, http://localhost:5173/");
        let all = AllowedOrigins::from_text("*");
        for (origin, host, allowed, passes) in [
            (None, Some("gw:8080"), None, true),
            (Some("http://gw:8080"), Some("gw:8080"), None, true),
            (Some("http://GW:8080"), Some("gw:8080"), None, true),
            (
                Some("https://gw.example"),
                Some("gw.example:443"),
                None,
                true,
            ),
            (
                Some("http://gw.example"),
                Some("gw.example:443"),
                None,
                false,
            ),
            (Some("http://gw:8081"), Some("gw:8080"), None, false),
            (Some("https://evil.example"), Some("gw:8080"), None, false),
            (
                Some("https://gw:8080.evil.example"),
                Some("gw:8080"),
                None,
                false,
            ),
            (Some("null"), Some("gw:8080"), None, false),
            (Some("http://gw"), None, None, false),
            (
                Some("https://ops.example"),
                Some("gw:8080"),
                named.as_ref(),
                true,
            ),
            (
                Some("http://localhost:5173"),
                Some("gw:8080"),
                named.as_ref(),
                true,
            ),
            (
                Some("http://ops.example"),
                Some("gw:8080"),
                named.as_ref(),
                false,
            ),
            (
                Some("https://evil.example"),
                Some("gw:8080"),
                all.as_ref(),
                true,
            ),
        ] {
            assert_eq!(
                may_connect(origin, host, allowed),
                passes,
                "{origin:?} to {host:?}"
            );
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for text in [
            "ops.example",
            "https://",
            "https://a.example/path",
            "a,b",
            "",
        ] {
            assert_eq!(AllowedOrigins::from_text(text), None, "{text:?}");
        }
    }
}
