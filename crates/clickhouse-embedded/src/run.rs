//! Runs one request on one engine connection, on a blocking thread.
//! Invariant: settings, database and temporary tables of a request are gone when it ends: a fresh
//! connection is closed, and a session's connection is put back as it was.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    exception::{Exception, Own},
    ffi::{Call, Connection, Output},
    form::Part,
    format::{Streaming, streaming},
    kinds::agree,
    request::Request,
    results::{all_at_once, stream, whole_setting},
    running::Control,
    sql_text,
    statement::{Insert, Statement},
};

/// What a running request tells the one who answers it.
#[derive(Debug)]
pub(crate) enum Event {
    Block(Vec<u8>),
    Done(Statistics),
    Failed(Exception),
}

/// The numbers of `X-ClickHouse-Summary`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    pub result_rows: u64,
    pub result_bytes: u64,
    pub read_rows: u64,
    pub read_bytes: u64,
    pub written_rows: u64,
    pub written_bytes: u64,
}

impl Statistics {
    pub(crate) fn add(&mut self, output: &Output) {
        self.result_rows += output.result_rows;
        self.result_bytes += output.result_bytes;
        self.read_rows += output.read_rows;
        self.read_bytes += output.read_bytes;
        self.written_rows += output.written_rows;
        self.written_bytes += output.written_bytes;
    }
}

/// One request, ready to run.
pub(crate) struct Job {
    pub request: Request,
    pub statement: Statement,
    /// The rows of an insert that are here already.
    pub rows: Vec<Bytes>,
    /// The rows that are still to come; closed without `End` means that the body broke off.
    pub more: Option<mpsc::Receiver<More>>,
    pub external: Vec<Part>,
    pub database: String,
}

/// A piece of a body that streams.
pub(crate) enum More {
    Rows(Vec<u8>),
    End,
    /// Unreadable, with the reason.
    Broken(Exception),
}

/// How the engine refuses to stream what is no SELECT.
const NO_STREAM: &str = "Streaming query is not supported for query";

/// The output format where neither statement nor request names one.
pub(crate) const DEFAULT_FORMAT: &str = "TabSeparated";

fn execute(connection: &mut Connection, text: &str) -> Result<String, Exception> {
    let call = Call {
        text: text.as_bytes(),
        format: DEFAULT_FORMAT,
        parameters: &[],
    };
    let output = connection
        .query(call)
        .map_err(|report| Exception::from_engine(&report))?;
    Ok(String::from_utf8_lossy(&output.data).into_owned())
}

impl Job {
    /// The format that the result will have.
    pub(crate) fn output_format(&self) -> &str {
        let named = match &self.statement {
            Statement::Other(other) => other.format.as_deref(),
            Statement::Insert(_) => None,
        };
        named
            .or(self.request.format.as_deref())
            .unwrap_or(DEFAULT_FORMAT)
    }

    /// Runs it, sends the blocks of its result and returns how it ended. `kept` says that the connection is a session's.
    pub(crate) fn run(
        mut self,
        connection: &mut Connection,
        kept: bool,
        control: &Control,
        events: &mpsc::Sender<Event>,
    ) -> Event {
        let before = if kept {
            self.remember(connection).map(Some)
        } else {
            Ok(None)
        };
        let outcome = before.and_then(|before| {
            let outcome = self
                .prepare(connection, kept, &control.query_id)
                .and_then(|()| self.perform(connection, control, events));
            if let Some(before) = before {
                before
                    .into_iter()
                    .try_for_each(|undo| execute(connection, &undo).map(drop))?;
            }
            outcome
        });
        outcome.map_or_else(Event::Failed, Event::Done)
    }

    /// The statements that put a session back as it is now.
    fn remember(&self, connection: &mut Connection) -> Result<Vec<String>, Exception> {
        let mut undo = Vec::new();
        let names: Vec<String> = self
            .changed_settings("")
            .iter()
            .map(|(name, _)| sql_text::literal(name))
            .collect();
        let text = format!(
            "SELECT name, value, changed FROM system.settings WHERE name IN ({})",
            names.join(", ")
        );
        for line in execute(connection, &text)?.lines() {
            let mut fields = line.split('\t').map(sql_text::unescape);
            let (Some(name), Some(value), Some(changed)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            undo.push(match changed.as_str() {
                "1" => sql_text::set(&[(name, value)]),
                _ => format!("SET {} = DEFAULT", sql_text::bare(&name)),
            });
        }
        if self.request.database.is_some() {
            let current = execute(connection, "SELECT currentDatabase()")?;
            undo.push(format!(
                "USE {}",
                sql_text::name(&sql_text::unescape(current.trim_end()))
            ));
        }
        Ok(undo)
    }

    /// The request's settings, and the query's id where the engine can show it and KILL find it.
    fn changed_settings(&self, query_id: &str) -> Vec<(String, String)> {
        let tag = ("log_comment".to_owned(), query_id.to_owned());
        std::iter::once(tag)
            .chain(self.request.settings.iter().cloned())
            .collect()
    }

    fn prepare(
        &mut self,
        connection: &mut Connection,
        kept: bool,
        query_id: &str,
    ) -> Result<(), Exception> {
        match &self.request.database {
            Some(database) => {
                execute(connection, &format!("USE {}", sql_text::name(database))).map(drop)?;
            }
            None if kept || self.database == "default" => {}
            None => execute(
                connection,
                &format!("USE {}", sql_text::name(&self.database)),
            )
            .map(drop)?,
        }
        execute(connection, &sql_text::set(&self.changed_settings(query_id)))?;
        if !self.request.roles.is_empty() {
            let roles: Vec<String> = self
                .request
                .roles
                .iter()
                .map(|role| sql_text::name(role))
                .collect();
            execute(connection, &format!("SET ROLE {}", roles.join(", ")))?;
        }
        for part in std::mem::take(&mut self.external) {
            self.create_external(connection, &part)?;
        }
        let Some(level) = self.request.level() else {
            return Ok(());
        };
        if kept {
            // `readonly` cannot be taken back, so a session's connection must not get it. What runs on
            // it only reads (`Request::admits`), as the engine's parser sees it, too (`perform`).
            return Ok(());
        }
        execute(
            connection,
            &sql_text::set(&[("readonly".to_owned(), level.to_owned())]),
        )
        .map(drop)
    }

    /// A file of the form becomes a temporary table.
    fn create_external(&self, connection: &mut Connection, part: &Part) -> Result<(), Exception> {
        let given = |suffix: &str| {
            let wanted = format!("{}_{suffix}", part.name);
            self.request
                .external
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| value.clone())
        };
        let numbered = |types: String| {
            let columns: Vec<String> = types
                .split(',')
                .enumerate()
                .map(|(at, kind)| format!("_{} {kind}", at + 1))
                .collect();
            columns.join(", ")
        };
        let structure = given("structure")
            .or_else(|| given("types").map(numbered))
            .ok_or_else(|| {
                let message = format!(
                    "Neither structure nor types have not been provided for external table {}",
                    part.name
                );
                Exception::own(Own::BadArguments, message)
            })?;
        let table = sql_text::name(&part.name);
        execute(
            connection,
            &format!("CREATE TEMPORARY TABLE {table} ({structure})"),
        )?;
        let format = given("format").unwrap_or_else(|| DEFAULT_FORMAT.to_owned());
        let head = format!("INSERT INTO {table}");
        let call = Call {
            text: head.as_bytes(),
            format: &format,
            parameters: &[],
        };
        let mut stream = connection
            .insert(call)
            .map_err(|report| Exception::from_engine(&report))?;
        stream.append(&part.data);
        stream
            .finish()
            .map(drop)
            .map_err(|report| Exception::from_engine(&report))
    }

    fn perform(
        &mut self,
        connection: &mut Connection,
        control: &Control,
        events: &mpsc::Sender<Event>,
    ) -> Result<Statistics, Exception> {
        if control.is_cancelled() {
            return Err(Exception::own(
                Own::Aborted,
                "Query was cancelled before it began",
            ));
        }
        let format = self.output_format().to_owned();
        match &self.statement {
            Statement::Insert(insert) => {
                let insert = insert.clone();
                self.insert(connection, &insert, control)
            }
            Statement::Other(other) => {
                let class = connection.classify(&other.text);
                agree(other.effect, class)?;
                let call = Call {
                    text: &other.text,
                    format: &format,
                    parameters: &self.request.parameters,
                };
                let whole = other.whole
                    || self
                        .request
                        .settings
                        .iter()
                        .any(|(name, _)| whole_setting(name));
                let streaming = if other.select && !whole {
                    streaming(&format)
                } else {
                    Streaming::Whole
                };
                match streaming {
                    Streaming::Whole => all_at_once(connection, call, control, events),
                    _ => match stream(connection, call, streaming, control, events) {
                        // Refused before it began: a WITH, say, that turned out to be no SELECT.
                        Err(exception) if exception.to_string().contains(NO_STREAM) => {
                            all_at_once(connection, call, control, events)
                        }
                        outcome => outcome,
                    },
                }
            }
        }
    }

    fn insert(
        &mut self,
        connection: &mut Connection,
        insert: &Insert,
        control: &Control,
    ) -> Result<Statistics, Exception> {
        let format = insert
            .format
            .as_deref()
            .or(self.request.format.as_deref())
            .unwrap_or("Values");
        let call = Call {
            text: &insert.head,
            format,
            parameters: &self.request.parameters,
        };
        let mut stream = connection
            .insert(call)
            .map_err(|report| Exception::from_engine(&report))?;
        // After a failed append the engine takes nothing more, and `finish` tells why.
        let mut alive = self
            .rows
            .iter()
            .all(|rows| rows.is_empty() || stream.append(rows));
        self.rows.clear();
        if let Some(more) = &mut self.more {
            while alive {
                match control.wait(more.recv()).flatten() {
                    Some(More::Rows(rows)) => alive = stream.append(&rows),
                    Some(More::End) => break,
                    Some(More::Broken(exception)) => return Err(exception),
                    None => {
                        let message = "Unexpected end of the request body: the client went away";
                        return Err(Exception::own(Own::UnexpectedEndOfFile, message));
                    }
                }
            }
        }
        let output = stream
            .finish()
            .map_err(|report| Exception::from_engine(&report))?;
        let mut statistics = Statistics::default();
        statistics.add(&output);
        Ok(statistics)
    }
}
