//! The process: engine, listener, connections, shutdown.
//! Invariant: every engine connection is closed before the process exits, because the engine
//! crashes otherwise; the anchor connection is the last one.

use std::{io, path::Path, pin::pin, sync::Arc, time::Duration};

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
    confine::Confinement,
    ffi::{Call, Connection, Engine, LoadError},
    grants,
    handle::Front,
    lock::{DirectoryLock, LockError},
    options::Options,
    patient::Patient,
    places::Places,
    reply::Facts,
    running::{Killer, Running},
    sessions::Sessions,
    sources::Source,
    sql_text,
    user_files::UserFiles,
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
    #[error("cannot write the engine's configuration into {path}: {source}")]
    Configuration { path: String, source: io::Error },
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
pub async fn serve(mut options: Options, confinement: Confinement) -> Result<Ending, ServeError> {
    let _lock = DirectoryLock::acquire(&options.path)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let engine = Engine::load(&options.library)?;
    if !confinement.by_kernel {
        tracing::warn!(
            "this kernel has no Landlock: statements cannot be kept to {} by it, so files are not allowed",
            options.user_files().display()
        );
        options.sources.retain(|source| *source != Source::File);
    }
    // What the engine switches on for its console and a server does not have.
    let mut arguments = vec![
        format!("--path={}", options.data().display()),
        "--implicit_select=0".to_owned(),
        "--allow_introspection_functions=0".to_owned(),
    ];
    let granted = grants::write(&options.path, &options.user_files(), &options.sources);
    arguments.extend(granted.map_err(|source| ServeError::Configuration {
        path: options.path.display().to_string(),
        source,
    })?);
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
        places: Places::new(options.connections),
        sessions: Sessions::default(),
        running: Running::default(),
        budget: Budget::new(BODY_BUDGET),
        files: UserFiles {
            directory: options.user_files(),
            allowed: options.sources.contains(&Source::File),
        },
        sources: options.sources.clone(),
        patience: options.patience,
    });
    tracing::info!(%address, engine = front.facts.version, "listening");
    if let Some(path) = &options.ready_file {
        announce(path, &address.to_string()).map_err(|source| ServeError::ReadyFile {
            path: path.display().to_string(),
            source,
        })?;
    }
    let clients = Arc::new(Semaphore::new(clients_at_once(options.max_clients)));
    let conversations = accept(&front, &clients, listener, &mut terminate, &mut interrupt).await;
    let ending = shut_down(&front).await;
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
    clients: &Arc<Semaphore>,
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
                Ok((stream, _)) => match Arc::clone(clients).try_acquire_owned() {
                    Ok(client) => {
                        let conversation = converse(Arc::clone(front), stream, stopping.clone());
                        tokio::spawn(async move {
                            conversation.await;
                            drop(client);
                        });
                    }
                    Err(_full) => send_away(&stream),
                },
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

/// Half of the descriptors stay for the engine's files.
fn clients_at_once(asked: usize) -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = descriptors.map_or(asked, |count| usize::try_from(count / 2).unwrap_or(asked));
    if most < asked {
        tracing::warn!(
            asked,
            most,
            "fewer clients at once: too few file descriptors"
        );
    }
    asked.min(most)
}

/// Says why, as far as that can be done without waiting for anybody.
fn send_away(stream: &TcpStream) {
    let text = "Too many clients are connected, try again later\n";
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    let _unheard = stream.try_write(answer.as_bytes());
}

async fn converse(front: Arc<Front>, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream, front.patience);
    let patience = front.patience;
    let service = service_fn(move |request| Arc::clone(&front).answer(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Runs from one answer to the end of the next request's head.
        .header_read_timeout(patience)
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
async fn shut_down(front: &Arc<Front>) -> Ending {
    let mut held = front.places.emptied_within(DRAIN).await;
    if !held {
        for control in front.running.all() {
            tokio::spawn(control.cancel(front.killer.clone()));
        }
        held = front.places.emptied_within(CANCEL).await;
    }
    front.places.close();
    let emptied = async {
        while !front.running.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if held && timeout(CANCEL, emptied).await.is_ok() {
        Ending::Clean
    } else {
        Ending::Stuck
    }
}
