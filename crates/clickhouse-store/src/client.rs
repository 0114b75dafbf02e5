//! One way to each end: typed questions through the `clickhouse` crate, inserts through a plain
//! request, because a batch wants one body with a length, and its error's number (docs/adr/003).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use service_kit::options::ClickHouseOptions;

use crate::{
    Error,
    deadline::{DEADLINES, Deadlines, Passed, Upload},
    typed,
};

/// Where ClickHouse is.
#[derive(Clone)]
pub struct Target {
    pub url: String,
    pub database: String,
    pub user: String,
    pub password: String,
}

impl From<&ClickHouseOptions> for Target {
    fn from(options: &ClickHouseOptions) -> Self {
        Self {
            url: options.clickhouse_url.to_string(),
            database: options.clickhouse_database.to_string(),
            user: options.clickhouse_user.clone(),
            password: options.clickhouse_password.expose().to_owned(),
        }
    }
}

#[derive(Clone)]
pub struct Client {
    target: Target,
    http: reqwest::Client,
    typed: clickhouse::Client,
    deadlines: Deadlines,
}

impl Client {
    /// Connects to nothing yet.
    pub fn new(target: Target) -> Result<Self, Error> {
        // Fails only where a provider is installed already, which is as good.
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(DEADLINES.connect)
            .pool_idle_timeout(Duration::from_secs(2))
            // A proxy of the environment would get to read the password, and the rows.
            .no_proxy()
            .build()
            .map_err(|error| Error::Unexpected(error.to_string()))?;
        let typed = typed::client()?
            .with_url(&target.url)
            .with_database(&target.database)
            .with_user(&target.user)
            .with_password(&target.password);
        Ok(Self {
            target,
            http,
            typed,
            deadlines: DEADLINES,
        })
    }

    pub fn database(&self) -> &str {
        &self.target.database
    }

    pub fn url(&self) -> &str {
        &self.target.url
    }

    /// For typed questions.
    pub fn typed(&self) -> &clickhouse::Client {
        &self.typed
    }

    /// The same server, another database as the default one.
    pub fn in_database(&self, database: &str) -> Self {
        let mut target = self.target.clone();
        database.clone_into(&mut target.database);
        Self {
            typed: self.typed.clone().with_database(database),
            target,
            http: self.http.clone(),
            deadlines: self.deadlines,
        }
    }

    /// For statements that may work for minutes before they answer, such as a migration's.
    pub fn patient(&self) -> Self {
        Self {
            deadlines: Deadlines {
                answer: Duration::from_secs(600),
                ..self.deadlines
            },
            ..self.clone()
        }
    }

    /// The same server, asked with other settings.
    pub(crate) fn with_typed(&self, typed: clickhouse::Client) -> Self {
        Self {
            typed,
            ..self.clone()
        }
    }

    /// One statement, answered in full. `settings` go along for this statement only.
    pub async fn execute(
        &self,
        statement: &str,
        settings: &[(&str, &str)],
    ) -> Result<Bytes, Error> {
        self.send(&[], settings, statement.to_owned().into()).await
    }

    /// An insert: the statement without its data, and the data as one body with a length.
    pub async fn insert(
        &self,
        statement: &str,
        settings: &[(&str, &str)],
        data: Bytes,
    ) -> Result<(), Error> {
        self.send(&[("query", statement)], settings, data)
            .await
            .map(|_answer| ())
    }

    async fn send(
        &self,
        query: &[(&str, &str)],
        settings: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Bytes, Error> {
        let url = || self.target.url.clone();
        let length = body.len();
        let late = |passed: Passed| Error::NoAnswer {
            url: url(),
            reason: passed.to_string(),
        };
        let (body, sent) = Upload::of(body).begin();
        let answering = self
            .http
            .post(&self.target.url)
            .query(query)
            .query(&[("database", self.target.database.as_str())])
            .query(settings)
            .header("X-ClickHouse-User", &self.target.user)
            .header("X-ClickHouse-Key", &self.target.password)
            .header(reqwest::header::CONTENT_LENGTH, length)
            .body(body)
            .send();
        let mut response = sent
            .answered(&self.deadlines, answering)
            .await
            .map_err(late)?
            .map_err(|error| {
                let reason = reason_of(&error);
                if error.is_connect() {
                    Error::Unreachable { url: url(), reason }
                } else {
                    Error::NoAnswer { url: url(), reason }
                }
            })?;
        let status = response.status();
        let code = response
            .headers()
            .get("X-ClickHouse-Exception-Code")
            .and_then(|code| code.to_str().ok())
            .and_then(|code| code.parse().ok());
        let mut answer = BytesMut::new();
        loop {
            let piece = tokio::time::timeout(DEADLINES.progress, response.chunk()).await;
            let piece = piece.map_err(|_| {
                late(Passed {
                    what: "no more of the answer",
                    limit: DEADLINES.progress,
                })
            })?;
            let piece = piece.map_err(|error| Error::NoAnswer {
                url: url(),
                reason: reason_of(&error),
            })?;
            match piece {
                Some(piece) => answer.extend_from_slice(&piece),
                None => break,
            }
        }
        let answer = answer.freeze();
        let text = || {
            String::from_utf8_lossy(&answer[..answer.len().min(2000)])
                .trim()
                .to_owned()
        };
        match code {
            Some(code) => Err(Error::Exception {
                code,
                message: text(),
            }),
            None if status.is_success() => Ok(answer),
            // Not ClickHouse that answers: a proxy in front of it, as a rule.
            None if status.is_server_error() => Err(Error::NoAnswer {
                url: url(),
                reason: format!("{status}: {}", text()),
            }),
            None => Err(Error::Unexpected(format!("{status}: {}", text()))),
        }
    }

    /// Whether it answers at all, and soon.
    pub async fn ping(&self) -> Result<(), Error> {
        let default = self.in_database("default");
        let asked = tokio::time::timeout(DEADLINES.ping, default.execute("SELECT 1", &[]));
        asked
            .await
            .map_err(|_late| Error::NoAnswer {
                url: self.target.url.clone(),
                reason: Passed {
                    what: "no answer",
                    limit: DEADLINES.ping,
                }
                .to_string(),
            })?
            .map(|_one| ())
    }
}

/// The innermost cause: "connection refused" says more than "error sending request".
fn reason_of(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
