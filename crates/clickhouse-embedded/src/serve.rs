//! The process: engine, listener, connections, shutdown.
//! Invariant: every engine connection is closed before the process exits, because the engine
//! crashes otherwise; the anchor connection is the last one.

use std::{
    io,
    path::Path,
    pin::pin,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{Signal, SignalKind, signal},
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::{
    body::Budget,
    ffi::{Call, Connection, Engine, LoadError},
    handle::Front,
    lock::{DirectoryLock, LockError},
    options::Options,
    reply::Facts,
    running::{Killer, Running},
    sessions::Sessions,
    sql_text,
};

/// Why the server could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the engine failed its first query: {0}")]
    Engine(String),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: std::net::SocketAddr,
        source: io::Error,
    },
    #[error("cannot write the ready file {path}: {source}")]
    ReadyFile { path: String, source: io::Error },
    #[error("cannot handle signals: {0}")]
    Signals(io::Error),
}

/// How a server that ran came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything is closed.
    Clean,
    /// A query did not stop in time; the engine must not be touched any more.
    Stuck,
}

/// Queries get this long to end by themselves at shutdown, …
const DRAIN: Duration = Duration::from_secs(3);
/// … and this long once they are cancelled.
const CANCEL: Duration = Duration::from_secs(5);
/// Answers get this long to reach clients that read slowly.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// What all request bodies together may hold.
const BODY_BUDGET: usize = 1 << 30;

/// Loads the engine and answers requests until SIGTERM or SIGINT.
pub async fn serve(options: Options) -> Result<Ending, ServeError> {
    let _lock = DirectoryLock::acquire(&options.path)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let engine = Engine::load(&options.library)?;
    let data = std::path::absolute(options.path.join("data"))
        .unwrap_or_else(|_| options.path.join("data"));
    // What the engine switches on for its console and a server does not have.
    let arguments = vec![
        format!("--path={}", data.display()),
        "--implicit_select=0".to_owned(),
        "--allow_introspection_functions=0".to_owned(),
    ];
    let mut anchor = engine.connect(&arguments)?;
    let facts = first_queries(&mut anchor, &options.database).map_err(ServeError::Engine)?;
    let listener =
        TcpListener::bind(options.listen)
            .await
            .map_err(|source| ServeError::Listen {
                address: options.listen,
                source,
            })?;
    let address = listener.local_addr().map_err(|source| ServeError::Listen {
        address: options.listen,
        source,
    })?;
    let front = Arc::new(Front {
        killer: Killer {
            engine,
            arguments: Arc::new(arguments),
        },
        facts,
        user: options.user.clone(),
        password: options.password.clone(),
        database: options.database.clone(),
        places: Arc::new(Semaphore::new(options.connections)),
        place_count: options.connections,
        waiting: AtomicUsize::new(0),
        sessions: Sessions::default(),
        running: Running::default(),
        budget: Budget::new(BODY_BUDGET),
    });
    tracing::info!(%address, engine = front.facts.version, "listening");
    if let Some(path) = &options.ready_file {
        announce(path, &address.to_string()).map_err(|source| ServeError::ReadyFile {
            path: path.display().to_string(),
            source,
        })?;
    }
    let conversations = accept(&front, listener, &mut terminate, &mut interrupt).await;
    let ending = shut_down(&front, options.connections).await;
    // Every conversation holds a receiver; the last answers are still on their way out.
    let _ = timeout(LAST_ANSWERS, conversations.closed()).await;
    if ending == Ending::Clean {
        front.sessions.close_all();
        drop(anchor);
    } else {
        std::mem::forget(anchor);
    }
    tracing::info!(?ending, "stopped");
    Ok(ending)
}

fn first_queries(anchor: &mut Connection, database: &str) -> Result<Facts, String> {
    let mut ask = |text: &str| {
        let output = anchor.query(Call {
            text: text.as_bytes(),
            format: "TabSeparatedRaw",
            parameters: &[],
        })?;
        Ok::<_, String>(String::from_utf8_lossy(&output.data).trim_end().to_owned())
    };
    ask(&format!(
        "CREATE DATABASE IF NOT EXISTS {}",
        sql_text::name(database)
    ))?;
    let facts = ask("SELECT version(), timezone(), displayName()")?;
    let mut fields = facts.split('\t').map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    Ok(Facts {
        version: next(),
        timezone: next(),
        display_name: next(),
    })
}

/// Written beside and renamed, so that a reader never sees half of it.
fn announce(path: &Path, address: &str) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    std::fs::write(&unfinished, format!("{address}\n"))?;
    std::fs::rename(&unfinished, path)
}

async fn accept(
    front: &Arc<Front>,
    listener: TcpListener,
    terminate: &mut Signal,
    interrupt: &mut Signal,
) -> watch::Sender<bool> {
    let (stop, stopping) = watch::channel(false);
    let mut expiry = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = expiry.tick() => front.sessions.expire(),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(converse(Arc::clone(front), stream, stopping.clone()));
                }
                Err(error) => {
                    // Out of descriptors, most likely: let some be closed before trying again.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop((listener, stopping));
    stop.send_replace(true);
    stop
}

async fn converse(front: Arc<Front>, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| Arc::clone(&front).answer(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .title_case_headers(true)
        .max_buf_size(1 << 20)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = async { drop(stopping.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection broke off");
    }
}

/// Lets queries end, then cancels them. Whoever holds all places knows that no connection is in use.
async fn shut_down(front: &Arc<Front>, places: usize) -> Ending {
    let all = u32::try_from(places).unwrap_or(u32::MAX);
    let everything = || Arc::clone(&front.places).acquire_many_owned(all);
    let mut held = timeout(DRAIN, everything()).await;
    if held.is_err() {
        for control in front.running.all() {
            tokio::spawn(control.cancel(front.killer.clone()));
        }
        held = timeout(CANCEL, everything()).await;
    }
    // Whatever still waits for a place is refused from here on.
    front.places.close();
    let emptied = async {
        while !front.running.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if held.is_ok() && timeout(CANCEL, emptied).await.is_ok() {
        Ending::Clean
    } else {
        Ending::Stuck
    }
}
