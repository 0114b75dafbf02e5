//! `barograph tail`: anomalies in the terminal, as they come.

use std::process::ExitCode;

use contracts::{Anomaly, Severity, State, websocket::Filter};
use local_stack::Running;
use owo_colors::AnsiColors;

use crate::{place::DataDir, text::printable};
use command_kit::stream::{Follower, News, gateway_address};
use command_kit::{interrupt::Interrupt, say};

/// Characters of a title or a reason, and of a name.
const LONGEST: usize = 1000;
const SHORT: usize = 40;

/// Watch anomalies in the terminal as they come
///
/// Follows the stack of the data directory, or the gateway that --url names. After an interruption
/// it goes on where it stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph tail                                   everything, from now on
  barograph tail --min-severity high               what should wake somebody
  barograph tail --service checkout --service cart
  barograph tail --all                             from the oldest that is kept
  barograph tail --json | jq .title                one JSON object a line
  barograph tail --url http://gateway.internal:8080")]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataDir,
    /// The gateway [default: the running stack's, else http://127.0.0.1:8080].
    #[arg(long, env = "BAROGRAPH_URL", value_name = "URL", value_parser = gateway_address)]
    url: Option<String>,
    /// Only this service; can be given several times.
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Only this kind, such as error_burst; can be given several times.
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// low, medium, high or critical.
    #[arg(long, value_name = "SEVERITY", default_value = "low")]
    min_severity: Severity,
    /// Only with this text in title, service or a sample line.
    #[arg(long, value_name = "TEXT", default_value = "")]
    text: String,
    /// Begin with the oldest that is kept.
    #[arg(long, conflicts_with = "since")]
    all: bool,
    /// Begin where an earlier client stopped.
    #[arg(long, value_name = "CURSOR")]
    since: Option<String>,
    /// Stop after so many.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut interrupt = Interrupt::listen()?;
    let url = args
        .url
        .clone()
        .or_else(|| Running::read(&args.data.data_dir).and_then(|note| note.gateway));
    let url = url.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let filter = Filter {
        services: args.service.clone(),
        kinds: args.kind.clone(),
        min_severity: args.min_severity,
        text: args.text.clone(),
    };
    // A cursor of no topic: the server answers that it is gone, and begins with the oldest it has.
    let since = if args.all {
        Some("1.0".to_owned())
    } else {
        args.since.clone()
    };
    let mut follower = Follower::new(&url, filter, since);
    let mut shown = 0;
    while args.limit.is_none_or(|limit| shown < limit) {
        let news = tokio::select! {
            news = follower.next() => news?,
            () = interrupt.next() => break,
            // `| head` has enough.
            () = say::unheard() => break,
        };
        shown += u64::from(matches!(news, News::Anomaly(_)));
        match news {
            News::Anomaly(anomaly) if args.json => say::json(&serde_json::to_string(&anomaly)?),
            News::Anomaly(ref anomaly) => say::line(text(anomaly)),
            News::Gone(_) if args.all => {}
            News::Gone(Some(missed)) => say::note(format_args!(
                "{missed} anomalies since then are not kept any more"
            )),
            News::Gone(None) => {
                say::note("the cursor is of another time; beginning with the oldest that is kept");
            }
            News::Connected => say::note(format_args!("watching {}", printable(&url, LONGEST))),
            News::Lost(reason) => {
                say::note(format_args!("{}; trying again", printable(reason, LONGEST)));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One anomaly: a line that says it all, and when it opens the reason and a line of the log.
fn text(anomaly: &Anomaly) -> String {
    let time = anomaly.detected_at.to_string();
    let time = printable(time.get(11..19).unwrap_or(&time), SHORT);
    let color = match anomaly.severity {
        Severity::Critical => AnsiColors::BrightRed,
        Severity::High => AnsiColors::Red,
        Severity::Medium => AnsiColors::Yellow,
        Severity::Low => AnsiColors::Cyan,
    };
    let out = std::io::stdout();
    let severity = say::painted(&format!("{:<8}", anomaly.severity), color, &out);
    let state = match anomaly.state {
        State::Opened => "▲",
        State::Updated => "△",
        State::Closed => "▽",
    };
    let mut lines = vec![format!(
        "{time}  {state} {severity} {:<16}  {}",
        printable(&anomaly.kind, SHORT),
        printable(&anomaly.title, LONGEST)
    )];
    if anomaly.state == State::Opened {
        let mut detail = |text: String| {
            lines.push(format!(
                "          {}",
                say::painted(&text, AnsiColors::BrightBlack, &out)
            ));
        };
        detail(printable(&anomaly.explanation.summary, LONGEST));
        if let Some(sample) = anomaly.samples.last() {
            let first = sample.message.lines().next().unwrap_or_default();
            detail(format!(
                "{} {}",
                sample.level.as_str(),
                printable(first, 140)
            ));
        }
    }
    lines.join("\n")
}
