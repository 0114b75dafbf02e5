//! Which pages may use the API and open a WebSocket.
//!
//! A browser sends cookies and reaches private networks on behalf of any page, and WebSockets know no
//! CORS; so a page from elsewhere is refused unless it is named. Programs send no Origin and pass. That
//! a stranger's name is not taken for ours is the server's work, which looks at `Host` first.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use service_kit::options::FromText;

use crate::app::App;
use crate::refusal::Refusal;

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

/// Lets a request through that no page from elsewhere made.
pub async fn guard(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    // The target's name counts before `Host`; as a rule it has none.
    let target = request.uri().authority().map(Authority::as_str);
    if !may_ask(request.headers(), target, app.allowed_origins.as_ref()) {
        return Err(Refusal::Origin);
    }
    Ok(next.run(request).await)
}

fn may_ask(headers: &HeaderMap, target: Option<&str>, allowed: Option<&AllowedOrigins>) -> bool {
    let text_of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut origins = headers.get_all(header::ORIGIN).iter();
    // One that is not text is no origin of ours, nor are several.
    let origin = origins.next().map(|value| value.to_str().unwrap_or("null"));
    if origins.next().is_some() {
        return false;
    }
    if origin.is_none() {
        // An image, a script or a form of another page, which cannot read the answer, but can have
        // it worked out. Following a link is no such thing.
        let is_foreign = text_of("sec-fetch-site") == Some("cross-site");
        let is_link = text_of("sec-fetch-mode") == Some("navigate")
            && text_of("sec-fetch-dest") == Some("document");
        return !is_foreign || is_link;
    }
    let host = text_of("host");
    may_connect(origin, target.or(host), allowed)
}

/// Whether a page of this origin may connect to this host.
fn may_connect(origin: Option<&str>, host: Option<&str>, allowed: Option<&AllowedOrigins>) -> bool {
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
        let host = host.strip_suffix(default_port).unwrap_or(&host);
        host.strip_suffix('.').unwrap_or(host).to_owned()
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
    fn what_a_page_from_elsewhere_makes_a_browser_send_is_refused() {
        for (headers, passes) in [
            (&[][..], true),
            (&[("origin", "http://gw:8080")], true),
            (&[("origin", "null")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "http://gw:8080"), ("origin", "null")], false),
            (&[("sec-fetch-site", "same-origin")], true),
            (
                &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")],
                true,
            ),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "no-cors"),
                ],
                false,
            ),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                ],
                true,
            ),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "iframe"),
                ],
                false,
            ),
        ] {
            let mut map = HeaderMap::new();
            map.insert("host", "gw:8080".parse().unwrap());
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            assert_eq!(may_ask(&map, None, None), passes, "{headers:?}");
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
