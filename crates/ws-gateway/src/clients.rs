//! Who is connected, and how many may be.
//! Invariant: a guard is one client from its admission until it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::metrics::{Metrics, Transport};

#[derive(Clone)]
pub struct Clients {
    shared: Arc<Shared>,
}

struct Shared {
    most: usize,
    connected: watch::Sender<usize>,
    admitted: AtomicU64,
    metrics: Metrics,
}

impl Clients {
    pub fn new(most: usize, metrics: Metrics) -> Self {
        let shared = Shared {
            most,
            connected: watch::Sender::new(0),
            admitted: AtomicU64::new(0),
            metrics,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// `None` when as many as may be are connected.
    pub fn admit(&self, transport: Transport) -> Option<Client> {
        let shared = &self.shared;
        let is_admitted = shared.connected.send_if_modified(|connected| {
            let has_room = *connected < shared.most;
            *connected += usize::from(has_room);
            has_room
        });
        if !is_admitted {
            shared.metrics.refused.at(transport).inc();
            return None;
        }
        shared.metrics.clients.at(transport).inc();
        Some(Client {
            clients: self.clone(),
            transport,
            number: shared.admitted.fetch_add(1, Ordering::Relaxed),
        })
    }

    pub fn connected(&self) -> usize {
        *self.shared.connected.borrow()
    }

    /// Ends when nobody is connected.
    pub async fn gone(&self) {
        let mut connected = self.shared.connected.subscribe();
        // The sender lives in `self`, so waiting ends only with the value.
        let _ = connected.wait_for(|connected| *connected == 0).await;
    }
}

/// One connected client.
pub struct Client {
    clients: Clients,
    transport: Transport,
    /// Which one since the start; spreads the pings.
    pub number: u64,
}

impl Drop for Client {
    fn drop(&mut self) {
        let shared = &self.clients.shared;
        shared.metrics.clients.at(self.transport).dec();
        shared.connected.send_modify(|connected| *connected -= 1);
    }
}
