//! A server of its own for each test, on a free port and in a directory that goes away.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "each test binary uses its part, and in tests a panic is the report"
)]

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a condition may take to come true before the test fails.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// Where the engine is; the test fails with a hint if it is nowhere.
pub fn library() -> PathBuf {
    let path = std::env::var_os("CHDB_LIBRARY")
        .map(PathBuf::from)
        .or_else(clickhouse_embedded::default_library_path);
    let path = path.expect("CHDB_LIBRARY or a home directory");
    assert!(
        path.is_file(),
        "no engine at {}: set CHDB_LIBRARY to libchdb.so",
        path.display()
    );
    path
}

/// Polls until the condition gives something, and panics at the deadline.
#[track_caller]
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "did not happen in time: {what}");
        std::thread::yield_now();
    }
}

/// A running server.
pub struct Server {
    child: Child,
    pub address: String,
    pub directory: TempDir,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }

    pub fn code(&self) -> Option<u32> {
        self.header("X-ClickHouse-Exception-Code")
            .and_then(|code| code.parse().ok())
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.code(), None, "{}", self.text());
        self.text()
    }

    #[track_caller]
    pub fn fails(&self, status: u16, code: u32) -> String {
        assert_eq!(
            (self.status, self.code()),
            (status, Some(code)),
            "{}",
            self.text()
        );
        assert!(
            self.text()
                .starts_with(&format!("Code: {code}. DB::Exception: ")),
            "{}",
            self.text()
        );
        self.text()
    }
}

pub fn command(directory: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickhouse-embedded"));
    command
        .args(["--listen", "127.0.0.1:0", "--path"])
        .arg(directory.path().join("store"))
        .arg("--ready-file")
        .arg(directory.path().join("ready"))
        .arg("--library")
        .arg(library())
        .env_remove("CLICKHOUSE_USER")
        .env_remove("CLICKHOUSE_PASSWORD")
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    command
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    pub fn with(flags: &[&str]) -> Self {
        Self::on(tempfile::tempdir().expect("temporary directory"), flags)
    }

    /// Starts on a directory that may hold data already.
    pub fn on(directory: TempDir, flags: &[&str]) -> Self {
        let ready = directory.path().join("ready");
        let _ = std::fs::remove_file(&ready);
        let mut child = command(&directory)
            .args(flags)
            .spawn()
            .expect("the server starts");
        let address = eventually("the server is ready", || {
            assert_eq!(
                child.try_wait().expect("is our child"),
                None,
                "the server ended at once"
            );
            std::fs::read_to_string(&ready).ok()
        });
        Self {
            child,
            address: address.trim().to_owned(),
            directory,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A raw connection with a deadline on reading.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("connects");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a timeout can be set");
        stream
    }

    /// Sends a request as it is and reads to the end of the connection.
    pub fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request).expect("sends");
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        parse(&reply)
    }

    pub fn request(
        &self,
        method: &str,
        address: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = format!(
            "{method} {address} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request.push_str("\r\n");
        self.raw(&[request.as_bytes(), body].concat())
    }

    /// Runs a statement that is sent as the body.
    pub fn post(&self, text: &str) -> Answer {
        self.request("POST", "/", &[], text.as_bytes())
    }

    pub fn post_to(&self, address: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", address, &[], body.as_ref())
    }

    #[track_caller]
    pub fn value(&self, query: &str) -> String {
        self.post(query).ok().trim_end().to_owned()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.pid().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }

    pub fn wait(mut self) -> (ExitStatus, TempDir) {
        let status = eventually("the server ends", || {
            self.child.try_wait().expect("is our child")
        });
        let directory = std::mem::replace(
            &mut self.directory,
            tempfile::tempdir().expect("temporary directory"),
        );
        (status, directory)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Splits head and body, and undoes chunking. A chunked body without its end stays as it is.
fn parse(reply: &[u8]) -> Answer {
    let split = reply
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(reply.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&reply[..split]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let mut answer = Answer {
        status,
        head,
        body: reply[split..].to_vec(),
    };
    if answer.header("Transfer-Encoding").as_deref() == Some("chunked") {
        answer.body = unchunk(&answer.body).0;
    }
    answer
}

/// The data of a chunked body, and whether its end was there.
pub fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut data = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else {
            return (data, false);
        };
        let size =
            usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).unwrap_or(usize::MAX);
        rest = &rest[end + 2..];
        if size == 0 {
            return (data, true);
        }
        let Some(chunk) = rest.get(..size) else {
            data.extend_from_slice(rest);
            return (data, false);
        };
        data.extend_from_slice(chunk);
        rest = rest.get(size + 2..).unwrap_or(&[]);
    }
}
