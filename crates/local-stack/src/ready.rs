//! Waits until a part does its work.
//!
//! Invariant: a part that ends while it is waited for is reported at once, with its last words.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use crate::{
    StackError,
    child::Child,
    progress::{Event, Progress},
};

const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Asks `probe` again and again until it says yes. Its error says what is missing yet.
pub(crate) async fn await_ready<F>(
    child: &Child,
    deadline: Duration,
    progress: &Progress,
    mut probe: impl FnMut() -> F,
) -> Result<(), StackError>
where
    F: Future<Output = Result<(), String>>,
{
    let started = Instant::now();
    let mut last = String::from("not asked yet");
    let ready = async {
        while let Err(missing) = probe().await {
            last = missing;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::select! {
        () = ready => {}
        ending = child.ended() => return Err(StackError::EndedEarly {
            part: child.name().to_owned(),
            ending,
            reason: child.reason(),
            log: child.log().to_owned(),
            lines: child.last_lines(15),
        }),
        () = tokio::time::sleep(deadline) => return Err(StackError::NotReady {
            part: child.name().to_owned(),
            seconds: deadline.as_secs(),
            last,
            log: child.log().to_owned(),
        }),
    }
    progress(Event::Ready {
        part: child.name().to_owned(),
        after: started.elapsed(),
    });
    Ok(())
}
