//! `barograph audit`: holds all rows against the account of what became of each offset.
//!
//! Invariant: without `--accept` it changes nothing, and with it no row of `logs`.

use std::process::ExitCode;

use anyhow::Context as _;
use clickhouse_store::{
    Client, Error,
    audit::{self, Difference, Unexplained},
};
use contracts::Timestamp;
use local_stack::Running;
use pipeline::{Day, account::STRETCH};

use crate::{moment, place::DataDir};
use command_kit::{say, stores::Stores};

/// Hold all rows of ClickHouse against the account of what became of each offset
///
/// The processor does this all the time, at little cost, and says at /ready what it finds; here every row
/// that is kept is counted. Missing rows can be accepted, which makes the processor content. Works on the
/// stack of the data directory, or on the database that CLICKHOUSE_URL, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD
/// and CLICKHOUSE_DATABASE name. Exit code 1: something differs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  barograph audit
  barograph audit --json | jq '.differences[]'
  barograph audit --accept 'dropped 2026-11-01 to save space'")]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataDir,
    /// Take what is missing for deleted on purpose, for this reason.
    #[arg(long, value_name = "WHY")]
    accept: Option<String>,
    /// One JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

/// What was found.
struct Found {
    rows: u64,
    differences: Vec<Difference>,
    unexplained: Vec<Unexplained>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let stores = Stores::find(Running::read(&args.data.data_dir).as_ref());
    let client = stores.clickhouse()?;
    let found = look(&client)
        .await
        .with_context(|| format!("the rows at {} cannot be counted", client.url()))?;
    if let Some(why) = &args.accept {
        return accept(&client, found, why).await;
    }
    let is_right = found.differences.is_empty() && found.unexplained.is_empty();
    if args.json {
        say::json(&serde_json::to_string_pretty(&as_json(&found))?);
    } else {
        print(&found);
    }
    Ok(ExitCode::from(u8::from(!is_right)))
}

async fn look(client: &Client) -> Result<Found, Error> {
    let today = Day::of_millis(moment::now().as_millis());
    let since = audit::kept_for(client).await?.first_day(today);
    let mut found = Found {
        rows: 0,
        differences: Vec::new(),
        unexplained: audit::unexplained(client, today).await?,
    };
    for day in audit::days(client, since).await? {
        found.rows += day.there;
        let differences = audit::differences(client, day.day(), None).await?;
        let differences = audit::of_all_days(client, &differences).await?;
        add(&mut found.differences, differences);
    }
    Ok(found)
}

/// A stretch may differ on two days, and comes with its numbers of all days on either: it counts once.
fn add(known: &mut Vec<Difference>, found: Vec<Difference>) {
    for one in found {
        // Of what the account does not reach yet, more may be on its way.
        if missing(&one) + surplus(&one) > 0
            && !known.iter().any(|known| known.is_same_stretch(&one))
        {
            known.push(one);
        }
    }
}

/// Rows that differ, and offsets that nothing explains.
pub(crate) async fn differing(client: &Client) -> Result<u64, Error> {
    let found = look(client).await?;
    let rows = found
        .differences
        .iter()
        .map(|one| missing(one) + surplus(one));
    let offsets = found.unexplained.iter().map(|one| one.offsets);
    Ok(rows.chain(offsets).sum())
}

fn missing(difference: &Difference) -> u64 {
    difference.missing_of(difference.accounted)
}

fn surplus(difference: &Difference) -> u64 {
    if difference.is_over == 0 {
        return 0;
    }
    difference.surplus_over(difference.accounted)
}

async fn accept(client: &Client, found: Found, why: &str) -> anyhow::Result<ExitCode> {
    let mut differences = found.differences;
    differences.retain(|one| missing(one) > 0);
    let rows: u64 = differences.iter().map(missing).sum();
    if rows > 0 {
        audit::accept(client, &differences, why)
            .await
            .context("the missing rows were not accepted")?;
    }
    say::line(format_args!("{rows} missing rows are accepted"));
    Ok(ExitCode::SUCCESS)
}

fn print(found: &Found) {
    for one in &found.differences {
        say::line(sentence(one));
    }
    for Unexplained {
        incarnation,
        partition,
        offsets,
    } in &found.unexplained
    {
        say::line(format_args!(
            "partition {partition} ({incarnation}): the account says nothing of {offsets} offsets"
        ));
    }
    if found.differences.is_empty() && found.unexplained.is_empty() {
        say::line(format_args!("{} rows: all of them are there", found.rows));
    } else if found.differences.iter().any(|one| missing(one) > 0) {
        say::line(
            "\nsystem.mutations and system.part_log may know who removed what is missing. Restore it from a \
             backup, or take it for deleted on purpose: `barograph audit --accept WHY`.",
        );
    }
}

fn sentence(one: &Difference) -> String {
    let Difference {
        incarnation,
        partition,
        first,
        ..
    } = one;
    let (count, what) = match missing(one) {
        0 => (surplus(one), "too many"),
        missing => (missing, "missing"),
    };
    let (day, last) = (date(one), first + STRETCH - 1);
    format!(
        "partition {partition} ({incarnation}), offsets {first} to {last}, stored on {day}: {count} rows {what} ({} there, {} stored)",
        one.there, one.accounted
    )
}

fn date(one: &Difference) -> String {
    let moment = Timestamp::from_millis(i64::from(one.day) * 24 * moment::HOUR).to_string();
    moment.split('T').next().unwrap_or_default().to_owned()
}

fn as_json(found: &Found) -> serde_json::Value {
    let difference = |one: &Difference| {
        serde_json::json!({
            "incarnation": one.incarnation,
            "partition": one.partition,
            "first_offset": one.first,
            "last_offset": one.first + STRETCH - 1,
            "day": date(one),
            "there": one.there,
            "stored": one.accounted,
            "missing": missing(one),
            "surplus": surplus(one),
        })
    };
    let unexplained = |one: &Unexplained| {
        serde_json::json!({
            "incarnation": one.incarnation,
            "partition": one.partition,
            "offsets": one.offsets,
        })
    };
    serde_json::json!({
        "rows": found.rows,
        "differences": found.differences.iter().map(difference).collect::<Vec<_>>(),
        "unexplained": found.unexplained.iter().map(unexplained).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(first: i64, day: u16) -> Difference {
        Difference {
            incarnation: "1f".to_owned(),
            partition: 3,
            first,
            day,
            there: 120,
            erased: 0,
            accepted: 0,
            accounted: 100,
            is_over: 0,
        }
    }

    #[test]
    fn a_stretch_that_differs_on_two_days_is_accepted_once() {
        let missing_rows = |first, day| Difference {
            there: 97,
            ..stretch(first, day)
        };
        let mut known = Vec::new();
        add(&mut known, vec![missing_rows(0, 1), stretch(STRETCH, 1)]);
        add(
            &mut known,
            vec![missing_rows(0, 2), missing_rows(STRETCH, 2)],
        );
        let missing: Vec<_> = known.iter().map(|one| (one.first, missing(one))).collect();
        assert_eq!(missing, [(0, 3), (STRETCH, 3)]);
    }

    #[test]
    fn only_what_the_account_reaches_can_be_too_much() {
        let mut one = stretch(STRETCH, 20_783);
        assert_eq!((missing(&one), surplus(&one)), (0, 0));
        one.is_over = 1;
        assert_eq!((missing(&one), surplus(&one)), (0, 20));
        one.there = 97;
        assert_eq!(
            sentence(&one),
            "partition 3 (1f), offsets 65536 to 131071, stored on 2026-11-26: 3 rows missing (97 there, 100 stored)"
        );
    }
}
