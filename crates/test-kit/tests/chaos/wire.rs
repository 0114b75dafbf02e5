//! A wire that loses what it carries, and tells nobody: connections are taken and stay open, and for a
//! while nothing comes out at the other end, or in one direction only.
//!
//! Fault injection, not a stand-in: at its end is the real thing, and what is not lost passes unchanged.
//!
//! Invariant: a connection that has lost bytes is closed when the loss is over, as by a peer that
//! finds a hole in what it was sent; nobody ever sees a stream with a hole.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use local_stack::{Ports, ports::loopback};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::JoinHandle,
};

const AT_ONCE: usize = 64 << 10;

/// What does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    Nothing,
    Everything,
    /// What is asked arrives, what is answered does not.
    Answers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    There,
    Back,
}

impl Loss {
    fn takes(self, direction: Direction) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Answers => direction == Direction::Back,
        }
    }
}

pub(crate) struct Wire {
    address: SocketAddr,
    loss: watch::Sender<Loss>,
    lost: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Wire {
    pub(crate) async fn start(upstream: SocketAddr) -> anyhow::Result<Self> {
        Self::start_at(loopback(Ports::free()?.clickhouse), upstream).await
    }

    pub(crate) async fn start_at(
        address: SocketAddr,
        upstream: SocketAddr,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (loss, losses) = watch::channel(Loss::Nothing);
        let lost = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept(listener, upstream, losses, Arc::clone(&lost)));
        Ok(Self {
            address,
            loss,
            lost,
            task,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn lose(&self, loss: Loss) {
        self.loss.send_replace(loss);
    }

    /// Bytes that did not arrive.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    losses: watch::Receiver<Loss>,
    lost: Arc<AtomicU64>,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        let (losses, lost) = (losses.clone(), Arc::clone(&lost));
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(upstream).await else {
                return;
            };
            // What is answered at once must not wait for more.
            let _coalesced = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let there = carry(from_client, to_server, Direction::There, &losses, &lost);
            let back = carry(from_server, to_client, Direction::Back, &losses, &lost);
            // Both ends see the connection close when either does.
            tokio::select! {
                () = there => {}
                () = back => {}
            }
        });
    }
}

/// Until either end closes; while what is sent here gets lost, nobody hears of that either.
async fn carry(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    direction: Direction,
    losses: &watch::Receiver<Loss>,
    lost: &AtomicU64,
) {
    let mut losses = losses.clone();
    let mut buffer = vec![0; AT_ONCE];
    let mut has_lost = false;
    loop {
        tokio::select! {
            read = from.read(&mut buffer) => {
                let Ok(length @ 1..) = read else {
                    // The wire itself may be gone.
                    let _heard = losses.wait_for(|loss| !loss.takes(direction)).await;
                    return;
                };
                if losses.borrow().takes(direction) {
                    lost.fetch_add(length as u64, Ordering::Relaxed);
                    has_lost = true;
                } else if has_lost || to.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
            changed = losses.changed() => {
                if changed.is_err() || (has_lost && !losses.borrow().takes(direction)) {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_lost_is_lost_in_silence_and_the_connection_closes_after_it() -> anyhow::Result<()>
{
    let listener = TcpListener::bind(loopback(0)).await?;
    let wire = Wire::start(listener.local_addr()?).await?;
    let mut client = TcpStream::connect(wire.address()).await?;
    let (mut server, _) = listener.accept().await?;
    let mut four = [0; 4];
    client.write_all(b"ping").await?;
    server.read_exact(&mut four).await?;
    assert_eq!(&four, b"ping");

    wire.lose(Loss::Answers);
    server.write_all(b"pong").await?;
    client.write_all(b"more").await?;
    server.read_exact(&mut four).await?;
    assert_eq!(&four, b"more");
    test_kit::wait::until("it is lost", test_kit::wait::LONG, async || {
        Ok((wire.lost() == 4).then_some(()))
    })
    .await?;
    wire.lose(Loss::Nothing);
    assert_eq!(client.read(&mut four).await?, 0, "closed, and nothing came");
    Ok(())
}
