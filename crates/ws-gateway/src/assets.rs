//! The dashboard, which is part of the binary.
//!
//! A path that names no file and looks like none is a route of the dashboard, and gets its page.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../dashboard/dist"]
#[allow_missing = true]
struct Dashboard;

/// Takes the dashboard's place in a binary that was built without it.
const NOT_BUILT: &str = include_str!("../assets/not-built.html");

const PAGE: &str = "index.html";

const SECURITY: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'; form-action 'self'; \
         frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
];

pub async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        let allow = [(header::ALLOW, "GET, HEAD")];
        return (StatusCode::METHOD_NOT_ALLOWED, allow).into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|etag| etag.to_str().ok());
    let mut response = match file(path) {
        Some(file) => file.into_response(known),
        None if is_route(path) => page().into_response(known),
        None => (StatusCode::NOT_FOUND, "not found\n").into_response(),
    };
    for (name, value) in SECURITY {
        let name = HeaderName::from_static(name);
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Something with a dot in its last part is meant as a file.
fn is_route(path: &str) -> bool {
    path.rsplit('/')
        .next()
        .is_none_or(|last| !last.contains('.'))
}

struct File {
    content: Cow<'static, [u8]>,
    etag: String,
    content_type: &'static str,
    /// Its name changes with its content.
    is_hashed: bool,
}

fn file(path: &str) -> Option<File> {
    let file = Dashboard::get(path)?;
    // Half of the hash tells versions of a file apart as well.
    let mut half = [0; 16];
    half.copy_from_slice(&file.metadata.sha256_hash()[..16]);
    Some(File {
        etag: format!("\"{:032x}\"", u128::from_be_bytes(half)),
        content: file.data,
        content_type: content_type(path),
        is_hashed: path.starts_with("assets/"),
    })
}

fn page() -> File {
    file(PAGE).unwrap_or(File {
        content: NOT_BUILT.as_bytes().into(),
        etag: "\"not-built\"".to_owned(),
        content_type: content_type(PAGE),
        is_hashed: false,
    })
}

impl File {
    fn into_response(self, known: Option<&str>) -> Response {
        let caching = if self.is_hashed {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        let is_known = known.is_some_and(|known| known.contains(&self.etag));
        let headers = [
            (header::CONTENT_TYPE, self.content_type.to_owned()),
            (header::CACHE_CONTROL, caching.to_owned()),
            (header::ETAG, self.etag),
        ];
        if is_known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let body = match self.content {
            Cow::Borrowed(content) => Body::from(content),
            Cow::Owned(content) => Body::from(content),
        };
        (headers, body).into_response()
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("woff") => "font/woff",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
