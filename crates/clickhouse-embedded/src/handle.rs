//! One request from its head to its response.
//! Invariant: nothing runs before the body is complete (or past the gathering limit), the user is
//! known and a place in the pool is free.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{Method, Request as HttpRequest, Response, StatusCode, body::Incoming, header};
use tokio::{sync::mpsc, time::timeout_at};

use crate::{
    body::{Body, Budget, GATHER_LIMIT, Share},
    encoding::Decoder,
    exception::{Exception, Own},
    ffi::{Call, Connection},
    form, grants,
    kinds::Effect,
    options::Secret,
    places::{Need, Place, Places},
    reply::{self, Facts, Head, Packing, Reply, ReplyBody},
    request::{Request, credentials},
    run::{Event, Job, More},
    running::{CancelOnDrop, Control, Killer, Listed, Running},
    sessions::{Sessions, Turn},
    sources::Source,
    sql_text,
    statement::{Insert, Statement},
    user_files::UserFiles,
};

/// A result is sent as soon as it has grown to this, …
const SEND_AT: usize = 256 << 10;
/// … or is this old; until then it may still become a complete response or a clean error.
const SEND_AFTER: Duration = Duration::from_millis(100);
/// Blocks between the engine and a client that reads slowly.
const BLOCKS_AHEAD: usize = 2;

/// Everything that requests share.
pub(crate) struct Front {
    pub killer: Killer,
    pub facts: Facts,
    pub user: String,
    pub password: Secret,
    pub database: String,
    pub places: Places,
    pub sessions: Sessions,
    pub running: Running,
    pub budget: Arc<Budget>,
    pub files: UserFiles,
    pub sources: Vec<Source>,
    /// How long a client may send or read nothing in the midst of a request.
    pub patience: Duration,
}

impl Front {
    /// Answers one request; errors become responses.
    pub(crate) async fn answer(self: Arc<Self>, request: HttpRequest<Incoming>) -> Reply {
        let method = request.method().clone();
        let path = request.uri().path();
        let bare = request.uri().query().is_none_or(str::is_empty);
        let reads = method == Method::GET || method == Method::HEAD;
        Ok(match path {
            "/ping" | "/replicas_status" if reads => reply::plain(StatusCode::OK, "Ok.\n"),
            "/" if reads && bare => reply::plain(StatusCode::OK, "Ok.\n"),
            "/" if reads || method == Method::POST || method == Method::PUT => {
                self.query(request).await
            }
            _ if method == Method::OPTIONS => reply::plain(StatusCode::NO_CONTENT, ""),
            "/" => reply::plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "There is no such method here\n",
            ),
            _ => reply::plain(
                StatusCode::NOT_FOUND,
                &format!("There is no handle {path}\n\nUse / or /ping for health checks.\n"),
            ),
        })
    }

    async fn query(self: Arc<Self>, request: HttpRequest<Incoming>) -> Response<ReplyBody> {
        let (parts, incoming) = request.into_parts();
        let (user, password) = credentials(&parts.uri, &parts.headers);
        if user != self.user || !self.password.matches(&password) {
            let message = format!(
                "{user}: Authentication failed: password is incorrect, or there is no user with such name"
            );
            let exception = Exception::own(Own::AuthenticationFailed, message);
            let basic = !parts.headers.contains_key("x-clickhouse-user")
                && !parts.headers.contains_key("x-clickhouse-key");
            return reply::failed(&self.facts, "", &exception, basic);
        }
        let mut query_id = uuid::Uuid::new_v4().to_string();
        let outcome = match Request::parse(&parts.method, &parts.uri, &parts.headers) {
            Ok(asked) => {
                query_id = asked.query_id.clone().unwrap_or(query_id);
                let content_type = parts
                    .headers
                    .get(header::CONTENT_TYPE)
                    .and_then(|value| value.to_str().ok());
                self.clone()
                    .run(asked, &query_id, content_type.unwrap_or(""), incoming)
                    .await
            }
            Err(exception) => Err(exception),
        };
        outcome.unwrap_or_else(|exception| {
            tracing::debug!(query_id, code = exception.code, "query failed");
            reply::failed(&self.facts, &query_id, &exception, false)
        })
    }

    async fn run(
        self: Arc<Self>,
        mut asked: Request,
        query_id: &str,
        content_type: &str,
        incoming: Incoming,
    ) -> Result<Response<ReplyBody>, Exception> {
        let started = Instant::now();
        let mut share = Share::new(&self.budget);
        let decoder = Decoder::new(asked.encoding_in, asked.blocks_in)?;
        let mut body = Body::new(incoming, decoder, self.patience);
        let (mut gathered, complete) = body.gather(&mut share).await?;
        let mut external = Vec::new();
        if let Some(boundary) = form::boundary(content_type) {
            if !complete {
                return too_large();
            }
            for part in form::parse(&gathered, boundary)? {
                if part.file {
                    external.push(part);
                } else {
                    asked.take(part.name, String::from_utf8_lossy(&part.data).into_owned())?;
                }
            }
            gathered = Vec::new();
        }
        let (statement, rows) = sort(&asked.query, gathered)?;
        if !complete && !matches!(statement, Statement::Insert(_)) {
            // Read on, so that the client gets to see the answer; but not for ever.
            let mut left = 16 * GATHER_LIMIT;
            while let (Ok(Some(piece)), true) = (body.next().await, left > 0) {
                left = left.saturating_sub(piece.len());
            }
            return too_large();
        }
        self.files.check(statement.text())?;
        grants::check_engine(statement.text(), &self.sources)?;
        asked.admits(statement.effect())?;
        let listed = self.running.enter(query_id)?;
        let need = if statement.kills() {
            Need::Stop
        } else {
            statement.effect().into()
        };
        let place = self.places.take(need).await?;
        let turn = asked
            .session
            .as_ref()
            .map(|wish| self.sessions.enter(wish))
            .transpose()?;
        let (more_rows, more) = if complete {
            (None, None)
        } else {
            Some(mpsc::channel(BLOCKS_AHEAD)).unzip()
        };
        let packing = match asked.encoding_out {
            Some(encoding) => Packing::Http(encoding),
            None if asked.blocks_out => Packing::Blocks,
            None => Packing::Plain,
        };
        let patience = if asked.wait_end_of_query {
            None
        } else {
            Some(asked.buffer_size.unwrap_or(0).max(SEND_AT))
        };
        let job = Job {
            request: asked,
            statement,
            rows,
            more,
            external,
            database: self.database.clone(),
        };
        let format =
            matches!(job.statement, Statement::Other(_)).then(|| job.output_format().to_owned());
        let read_only = job.statement.effect() == Effect::Reads;
        let (events_in, mut events) = mpsc::channel(BLOCKS_AHEAD);
        let control = Arc::clone(&listed.control);
        let mut guard = CancelOnDrop::new(control, self.killer.clone());
        if !read_only {
            // As in ClickHouse, a write that has begun is finished even if nobody waits for it.
            guard.disarm();
        }
        self.start(job, listed, place, turn, share, events_in);
        if let Some(more_rows) = more_rows {
            forward(body, more_rows).await;
        }
        let (data, statistics) = collect(&mut events, patience).await?;
        let finished = statistics.is_some();
        let statistics = statistics.unwrap_or_default();
        let head = Head {
            facts: &self.facts,
            query_id,
            format: format.as_deref(),
            packing,
            statistics,
            elapsed: started.elapsed(),
        };
        let response = if finished {
            guard.disarm();
            head.complete(data)
        } else {
            head.streaming(data, events, guard)
        };
        response.map_err(|error: io::Error| {
            Exception::own(
                Own::LogicalError,
                format!("cannot pack the result: {error}"),
            )
        })
    }

    /// Runs the job on a thread of its own; the place is free when the connection is closed.
    fn start(
        self: &Arc<Self>,
        job: Job,
        listed: Listed,
        place: Place,
        turn: Option<Turn>,
        share: Share,
        events: mpsc::Sender<Event>,
    ) {
        let front = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let control = Arc::clone(&listed.control);
            let ended = front.occupy(job, &control, turn, &events);
            // Who has seen the end may use session, id and place again at once.
            drop((share, listed, place));
            // A client that does not read must not hold up a cancelled query.
            let _ = control.wait(events.send(ended));
        });
    }

    /// Lets go of the queries that a KILL is about to stop: the engine can't stop one whose result
    /// waits here for its client. What is wrong with the condition is for the KILL itself to say.
    fn stop_those(&self, connection: &mut Connection, condition: &[u8]) {
        let mut text = b"SELECT Settings['log_comment'] FROM system.processes".to_vec();
        text.extend_from_slice(condition);
        let call = Call {
            text: &text,
            format: "TabSeparated",
            parameters: &[],
        };
        if let Ok(output) = connection.query(call) {
            let ids = String::from_utf8_lossy(&output.data).into_owned();
            let ids = ids.lines().map(sql_text::unescape).collect();
            self.running.let_go(&ids);
        }
    }

    fn occupy(
        &self,
        job: Job,
        control: &Control,
        mut turn: Option<Turn>,
        events: &mpsc::Sender<Event>,
    ) -> Event {
        let kept = turn.as_mut().and_then(Turn::take);
        let connect = || self.killer.engine.connect(&self.killer.arguments);
        let mut connection: Connection = match kept.map_or_else(connect, Ok) {
            Ok(connection) => connection,
            Err(error) => return Event::Failed(Exception::own(Own::LogicalError, error)),
        };
        if let Statement::Other(other) = &job.statement
            && let Some(condition) = &other.kills
        {
            self.stop_those(&mut connection, condition);
        }
        let ended = job.run(&mut connection, turn.is_some(), control, events);
        if let Some(turn) = turn {
            turn.keep(connection);
        }
        ended
    }
}

fn too_large<T>() -> Result<T, Exception> {
    let message = format!("The query text is larger than {GATHER_LIMIT} bytes");
    Err(Exception::own(Own::QueryIsTooLarge, message))
}

/// Puts `query` parameter and body together, as ClickHouse does with a line break between them, and
/// takes the rows of an insert off without copying the body.
fn sort(query: &str, body: Vec<u8>) -> Result<(Statement, Vec<Bytes>), Exception> {
    let text = if query.is_empty() {
        Vec::new()
    } else {
        format!("{query}\n").into_bytes()
    };
    if let Ok(Statement::Insert(
        insert @ Insert {
            format: Some(_), ..
        },
    )) = Statement::parse(&text)
    {
        let rows = vec![
            Bytes::copy_from_slice(&text[insert.data_at..]),
            Bytes::from(body),
        ];
        return Ok((Statement::Insert(insert), rows));
    }
    let text = if text.is_empty() {
        body
    } else {
        [text, body].concat()
    };
    let statement = Statement::parse(&text)?;
    let rows = match &statement {
        Statement::Insert(insert) => vec![Bytes::from(text).slice(insert.data_at..)],
        Statement::Other(_) => Vec::new(),
    };
    Ok((statement, rows))
}

/// Passes a large body on as it arrives. The channel's end without `End` cancels the insert.
async fn forward(mut body: Body, rows: mpsc::Sender<More>) {
    loop {
        let piece = match body.next().await {
            Ok(Some(piece)) => More::Rows(piece),
            Ok(None) => More::End,
            Err(exception) => More::Broken(exception),
        };
        let last = !matches!(piece, More::Rows(_));
        if rows.send(piece).await.is_err() || last {
            return;
        }
    }
}

/// Gathers the beginning of a result: all of it, if it comes soon and is small. `patience` `None`
/// waits for the end.
async fn collect(
    events: &mut mpsc::Receiver<Event>,
    patience: Option<usize>,
) -> Result<(Vec<u8>, Option<crate::run::Statistics>), Exception> {
    let mut data = Vec::new();
    let mut deadline: Option<tokio::time::Instant> = None;
    loop {
        let event = match deadline {
            None => events.recv().await,
            Some(deadline) => match timeout_at(deadline, events.recv()).await {
                Ok(event) => event,
                Err(_) => return Ok((data, None)),
            },
        };
        match event {
            Some(Event::Block(block)) if data.is_empty() => data = block,
            Some(Event::Block(block)) => data.extend_from_slice(&block),
            Some(Event::Done(statistics)) => return Ok((data, Some(statistics))),
            Some(Event::Failed(exception)) => return Err(exception),
            None => {
                return Err(Exception::own(
                    Own::LogicalError,
                    "the query ended without an outcome",
                ));
            }
        }
        if let Some(size) = patience {
            if data.len() >= size {
                return Ok((data, None));
            }
            deadline.get_or_insert_with(|| tokio::time::Instant::now() + SEND_AFTER);
        }
    }
}
