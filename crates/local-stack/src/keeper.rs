//! Starts again what dies.
//!
//! Invariant: a part that dies at once, again and again, costs one start every half minute, not a
//! busy machine. A part that was asked to stop stays down.

use std::time::{Duration, Instant};

use crate::{
    StackError,
    child::{Child, Phase},
    progress::{Event, Progress},
};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A run that lasted this long was a good one: the next pause is the first again.
const GOOD_RUN: Duration = Duration::from_secs(60);

/// Never returns while the part exists.
pub(crate) async fn keep(
    child: &Child,
    start: impl AsyncFn() -> Result<(), StackError>,
    progress: &Progress,
) {
    let mut states = child.watch();
    let mut pause = FIRST_PAUSE;
    let mut since = Instant::now();
    loop {
        let state = *states.borrow_and_update();
        if let Phase::Ended(ending) = state.phase
            && !state.stop_asked
        {
            if since.elapsed() > GOOD_RUN {
                pause = FIRST_PAUSE;
            }
            progress(Event::Died {
                part: child.name().to_owned(),
                ending,
                log: child.log().to_owned(),
                last_lines: child.last_lines(5),
                retry_in: pause,
            });
            tokio::time::sleep(pause).await;
            pause = longer(pause);
            since = Instant::now();
            if let Err(error) = start().await {
                progress(Event::RestartFailed {
                    part: child.name().to_owned(),
                    reason: error.to_string(),
                });
            }
            continue;
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let mut pause = FIRST_PAUSE;
        let mut all = Vec::new();
        for _ in 0..8 {
            all.push(pause.as_millis());
            pause = longer(pause);
        }
        assert_eq!(all, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    }
}
