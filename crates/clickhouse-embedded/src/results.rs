//! Turns a statement's result into blocks on their way to the client.
//! Invariant: what is sent, put together, is what the engine writes in one go.

use tokio::sync::mpsc;

use crate::{
    exception::{Exception, Own},
    ffi::{Call, Connection},
    format::Streaming,
    run::{Event, Statistics},
    running::Control,
};

/// Settings under which blocks written one by one differ from a result written as a whole.
pub(crate) fn whole_setting(name: &str) -> bool {
    matches!(
        name,
        "extremes" | "output_format_json_array_of_rows" | "output_format_write_statistics"
    )
}

pub(crate) fn all_at_once(
    connection: &mut Connection,
    call: Call<'_>,
    control: &Control,
    events: &mpsc::Sender<Event>,
) -> Result<Statistics, Exception> {
    let mut output = connection
        .query(call)
        .map_err(|report| Exception::from_engine(&report))?;
    let mut statistics = Statistics::default();
    statistics.add(&output);
    if !output.data.is_empty() {
        let _ = control.wait(events.send(Event::Block(std::mem::take(&mut output.data))));
    }
    Ok(statistics)
}

pub(crate) fn stream(
    connection: &mut Connection,
    call: Call<'_>,
    streaming: Streaming,
    control: &Control,
    events: &mpsc::Sender<Event>,
) -> Result<Statistics, Exception> {
    let mut blocks = connection
        .stream(call)
        .map_err(|report| Exception::from_engine(&report))?;
    let mut statistics = Statistics::default();
    let mut head: Option<Vec<u8>> = None;
    while let Some(mut block) = blocks
        .fetch()
        .map_err(|report| Exception::from_engine(&report))?
    {
        statistics.add(&block);
        let mut data = std::mem::take(&mut block.data);
        if let Streaming::Headed(kind) = streaming {
            match &head {
                Some(head) if data.starts_with(head) => drop(data.drain(..head.len())),
                Some(_) => {
                    let message = "a block of the result has another head than the first one";
                    return Err(Exception::own(Own::LogicalError, message));
                }
                None => head = Some(data[..kind.length(&data).unwrap_or(data.len())].to_vec()),
            }
        }
        let sent = data.is_empty()
            || control
                .wait(events.send(Event::Block(data)))
                .is_some_and(|sent| sent.is_ok());
        if control.is_cancelled() || !sent {
            return Err(Exception::own(
                Own::QueryWasCancelled,
                "Query was cancelled",
            ));
        }
    }
    Ok(statistics)
}
