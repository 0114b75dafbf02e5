//! Responses: headers as ClickHouse sends them, and bodies that stream.
//! Invariant: a body whose query failed on the way never ends like a complete one.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    body::{Body, Frame, SizeHint},
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE},
    http::response::Builder,
};
use tokio::{sync::mpsc, time::Sleep};

use crate::{
    encoding::{Encoder, Encoding},
    exception::{Exception, Own},
    format,
    run::{Event, Statistics},
    running::CancelOnDrop,
};

/// What every response says about the server.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub version: String,
    pub timezone: String,
    pub display_name: String,
}

/// How a result is packed on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Blocks,
    Http(Encoding),
}

impl Packing {
    fn encoder(self) -> io::Result<Encoder> {
        match self {
            Self::Plain => Ok(Encoder::Plain),
            Self::Blocks => Ok(Encoder::Blocks),
            Self::Http(encoding) => Encoder::new(encoding),
        }
    }
}

/// A response body: complete, or still being computed.
pub(crate) enum ReplyBody {
    Complete(Option<Bytes>),
    Streaming(Box<Streaming>),
}

/// The rest of a result that is still being computed.
pub(crate) struct Streaming {
    first: Option<Vec<u8>>,
    events: mpsc::Receiver<Event>,
    encoder: Option<Encoder>,
    tag: String,
    version: String,
    guard: CancelOnDrop,
    /// Runs between the exception's text and breaking off, so that the text gets out first.
    breaking: Option<Pin<Box<Sleep>>>,
}

/// How long the text of a late exception gets to leave before the connection is broken off.
const LAST_WORDS: Duration = Duration::from_millis(50);

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Complete(data) => Poll::Ready(
                data.take()
                    .filter(|data| !data.is_empty())
                    .map(|data| Ok(Frame::data(data))),
            ),
            Self::Streaming(streaming) => streaming.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Complete(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Complete(data) => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Self::Streaming(_) => SizeHint::default(),
        }
    }
}

impl Streaming {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(breaking) = &mut self.breaking {
            return breaking.as_mut().poll(cx).map(|()| {
                Some(Err(io::Error::other(
                    "the query failed while its result was sent",
                )))
            });
        }
        loop {
            let Some(encoder) = &mut self.encoder else {
                return Poll::Ready(None);
            };
            let block = match self.first.take() {
                Some(first) => first,
                None => match self.events.poll_recv(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(Event::Block(block))) => block,
                    Poll::Ready(Some(Event::Done(_))) => {
                        self.guard.disarm();
                        let end = self
                            .encoder
                            .take()
                            .map_or(Ok(Vec::new()), Encoder::finish)?;
                        return Poll::Ready((!end.is_empty()).then(|| Ok(Frame::data(end.into()))));
                    }
                    Poll::Ready(Some(Event::Failed(exception))) => {
                        return self.fail(&exception, cx);
                    }
                    // It was stopped while this client had not read what came before.
                    Poll::Ready(None) => {
                        let stopped = Exception::own(Own::QueryWasCancelled, "Query was cancelled");
                        return self.fail(&stopped, cx);
                    }
                },
            };
            let data = encoder.push(block)?;
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data.into()))));
            }
        }
    }

    /// The exception goes into the body, framed by the tag that the header announced.
    fn fail(
        &mut self,
        exception: &Exception,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.guard.disarm();
        let mut text = late_exception(&exception.body(&self.version), &self.tag).into_bytes();
        if let Some(mut encoder) = self.encoder.take() {
            text = encoder.push(text)?;
            text.extend(encoder.finish()?);
        }
        let mut breaking = Box::pin(tokio::time::sleep(LAST_WORDS));
        let _ = breaking.as_mut().poll(cx);
        self.breaking = Some(breaking);
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}

use std::future::Future;

/// As ClickHouse has written it since 25.11.
fn late_exception(message: &str, tag: &str) -> String {
    format!(
        "\r\n__exception__\r\n{tag}\r\n{message}{} {tag}\r\n__exception__\r\n",
        message.len()
    )
}

/// What the head of a response is made of.
pub(crate) struct Head<'a> {
    pub facts: &'a Facts,
    pub query_id: &'a str,
    /// `None`: the statement gives no result.
    pub format: Option<&'a str>,
    pub packing: Packing,
    pub statistics: Statistics,
    pub elapsed: Duration,
}

/// A header value; bytes that cannot stand in one are replaced.
fn value(text: &str) -> HeaderValue {
    let safe: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() || c == ' ' {
                c
            } else {
                '?'
            }
        })
        .collect();
    HeaderValue::from_str(&safe).unwrap_or(HeaderValue::from_static("?"))
}

impl Head<'_> {
    fn builder(&self) -> Builder {
        let summary = serde_json::json!({
            "read_rows": self.statistics.read_rows.to_string(),
            "read_bytes": self.statistics.read_bytes.to_string(),
            "written_rows": self.statistics.written_rows.to_string(),
            "written_bytes": self.statistics.written_bytes.to_string(),
            "total_rows_to_read": "0",
            "result_rows": self.statistics.result_rows.to_string(),
            "result_bytes": self.statistics.result_bytes.to_string(),
            "elapsed_ns": self.elapsed.as_nanos().to_string(),
        });
        let mut builder = common(self.facts, self.query_id)
            .header("x-clickhouse-summary", value(&summary.to_string()));
        builder = match self.format {
            Some(format) => builder
                .header(CONTENT_TYPE, format::content_type(format))
                .header("x-clickhouse-format", value(format)),
            None => builder.header(CONTENT_TYPE, "text/plain; charset=UTF-8"),
        };
        match self.packing {
            Packing::Http(encoding) => builder.header(CONTENT_ENCODING, encoding.name()),
            Packing::Plain | Packing::Blocks => builder,
        }
    }

    /// A result that is complete already.
    pub(crate) fn complete(&self, data: Vec<u8>) -> io::Result<Response<ReplyBody>> {
        if data.is_empty() {
            let plain = Head {
                packing: Packing::Plain,
                ..*self
            };
            return Ok(built(plain.builder(), ReplyBody::Complete(None)));
        }
        let mut encoder = self.packing.encoder()?;
        let mut body = encoder.push(data)?;
        body.extend(encoder.finish()?);
        Ok(built(
            self.builder(),
            ReplyBody::Complete(Some(body.into())),
        ))
    }

    /// A result of which `first` is there and the rest follows.
    pub(crate) fn streaming(
        &self,
        first: Vec<u8>,
        events: mpsc::Receiver<Event>,
        guard: CancelOnDrop,
    ) -> io::Result<Response<ReplyBody>> {
        let tag: String = uuid::Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .take(16)
            .collect();
        let builder = self
            .builder()
            .header("x-clickhouse-exception-tag", value(&tag));
        let streaming = Streaming {
            first: Some(first),
            events,
            encoder: Some(self.packing.encoder()?),
            tag,
            version: self.facts.version.clone(),
            guard,
            breaking: None,
        };
        Ok(built(builder, ReplyBody::Streaming(Box::new(streaming))))
    }
}

fn common(facts: &Facts, query_id: &str) -> Builder {
    Response::builder()
        .header(
            "x-clickhouse-server-display-name",
            value(&facts.display_name),
        )
        .header("x-clickhouse-timezone", value(&facts.timezone))
        .header("x-clickhouse-query-id", value(query_id))
}

fn built(builder: Builder, body: ReplyBody) -> Response<ReplyBody> {
    // Every header went through `value` or is a constant, so building cannot fail.
    builder.body(body).unwrap_or_else(|_| {
        let mut broken = Response::new(ReplyBody::Complete(None));
        *broken.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        broken
    })
}

/// An exception before anything was sent.
pub(crate) fn failed(
    facts: &Facts,
    query_id: &str,
    exception: &Exception,
    basic_auth: bool,
) -> Response<ReplyBody> {
    let mut builder = common(facts, query_id)
        .status(exception.status())
        .header(CONTENT_TYPE, "text/plain; charset=UTF-8")
        .header("x-clickhouse-exception-code", exception.code.to_string());
    if basic_auth {
        builder = builder.header(
            WWW_AUTHENTICATE,
            "Basic realm=\"ClickHouse server HTTP API\"",
        );
    }
    if exception.status() == StatusCode::SERVICE_UNAVAILABLE {
        builder = builder.header(HeaderName::from_static("retry-after"), "1");
    }
    built(
        builder,
        ReplyBody::Complete(Some(exception.body(&facts.version).into())),
    )
}

/// A short text, for everything that is no query.
pub(crate) fn plain(status: StatusCode, text: &str) -> Response<ReplyBody> {
    let builder = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/html; charset=UTF-8");
    built(
        builder,
        ReplyBody::Complete(Some(Bytes::copy_from_slice(text.as_bytes()))),
    )
}

/// What a connection's service returns: errors are responses, too.
pub(crate) type Reply = Result<Response<ReplyBody>, Infallible>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_exception_is_framed_as_clients_expect() {
        assert_eq!(
            late_exception("Code: 159.\n", "tagtagtagtagtagt"),
            "\r\n__exception__\r\ntagtagtagtagtagt\r\nCode: 159.\n11 tagtagtagtagtagt\r\n__exception__\r\n"
        );
    }

    #[test]
    fn header_values_carry_no_line_breaks() {
        assert_eq!(value("a\r\nb\u{e9}"), "a??b?");
    }
}
