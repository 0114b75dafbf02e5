//! What was told, and what an undisturbed run tells.
//!
//! Invariant: as in `account`, what does not hold is noted and not asserted.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{Anomaly, Timestamp};
use test_kit::{Space, wait};
use uuid::Uuid;

use crate::{
    account::templates,
    operator::forget_group,
    report::Tally,
    world::{World, incarnation_of},
};

pub(crate) type Versions = BTreeMap<(Uuid, u32), Anomaly>;

/// Every version once; told again, it must say the same.
pub(crate) async fn versions(space: &Space, tally: &mut Tally) -> anyhow::Result<Versions> {
    let incarnation = incarnation_of(space).await?.to_string();
    let mut versions = Versions::new();
    for mut anomaly in space.published().await? {
        if anomaly.evidence.incarnation != incarnation {
            continue;
        }
        anomaly.published_at = Timestamp::from_millis(0);
        let key = (anomaly.id, anomaly.version);
        if let Some(earlier) = versions.get(&key) {
            tally.published_again += 1;
            if *earlier != anomaly {
                tally.violations.push(format!(
                    "version {} of {} was told in two ways: {:?} and {:?}",
                    key.1, key.0, earlier.title, anomaly.title
                ));
            }
            continue;
        }
        versions.insert(key, anomaly);
    }
    Ok(versions)
}

/// One processor, from the first record to the last, and nothing happens. `holes`: records that become
/// nothing.
pub(crate) async fn read_through(space: &Space, holes: u64) -> anyhow::Result<()> {
    let service = space
        .service("anomaly-processor", "undisturbed")
        .env("DETECTION_IDLE_TIMEOUT", "1h");
    let processor = space.stack.spawn(service)?;
    let produced = space.records_in(&space.logs).await? - holes;
    wait::until("the undisturbed run is through", wait::LONG, async || {
        let rows = space.number("SELECT count() FROM logs").await?;
        let letters = space.records_in(&space.dead_letters).await?;
        Ok((rows + letters >= produced).then_some(()))
    })
    .await
    .map_err(|error| processor.with_log(error))?;
    processor.stop().await;
    Ok(())
}

/// The same records once more, without any fault: the same anomalies. Ends the group's offsets.
pub(crate) async fn undisturbed(world: &mut World, name: &str) -> anyhow::Result<()> {
    let told = versions(&world.space, &mut Tally::default()).await?;
    let quiet = world.space.beside(name).await?;
    forget_group(&quiet).await?;
    read_through(&quiet, world.holes_placed()).await?;
    let expected = versions(&quiet, &mut Tally::default()).await?;
    compare(&told, &expected, &mut world.tally);
    let (mined, expected) = (templates(&world.space).await?, templates(&quiet).await?);
    if mined != expected {
        let differs = mined.iter().find(|row| !expected.contains(row));
        world.tally.violations.push(format!(
            "{} templates, {} undisturbed; the first that differs (id, lines, different ones, \
             sum of offsets): {differs:?}",
            mined.len(),
            expected.len()
        ));
    }
    Ok(())
}

fn compare(told: &Versions, expected: &Versions, tally: &mut Tally) {
    let ids = |versions: &Versions| -> BTreeSet<Uuid> {
        versions.keys().map(|(id, _version)| *id).collect()
    };
    let (told_ids, expected_ids) = (ids(told), ids(expected));
    println!(
        "  {} ids told, {} undisturbed, {} in both",
        told_ids.len(),
        expected_ids.len(),
        told_ids.intersection(&expected_ids).count()
    );
    let mut differ = |what: &str, versions: Vec<&Anomaly>| {
        if versions.is_empty() {
            return;
        }
        let titles: Vec<_> = versions
            .iter()
            .take(5)
            .map(|anomaly| {
                let evidence = &anomaly.evidence;
                format!(
                    "{} v{} of partition {} [{}, {}]: {}",
                    anomaly.id,
                    anomaly.version,
                    evidence.partition,
                    evidence.first_offset,
                    evidence.last_offset,
                    anomaly.title
                )
            })
            .collect();
        let count = versions.len();
        tally
            .violations
            .push(format!("{count} versions {what}: {}", titles.join("; ")));
    };
    let missing_in = |all: &Versions, some: &Versions| -> Vec<(Uuid, u32)> {
        let missing = all.keys().filter(|key| !some.contains_key(*key));
        missing.copied().collect()
    };
    let untold = missing_in(expected, told);
    differ(
        "that an undisturbed run tells were not told",
        untold.iter().map(|key| &expected[key]).collect(),
    );
    let surplus = missing_in(told, expected);
    differ(
        "were told that an undisturbed run does not tell",
        surplus.iter().map(|key| &told[key]).collect(),
    );
    let other = told
        .iter()
        .filter(|(key, anomaly)| expected.get(*key).is_some_and(|same| same != *anomaly));
    differ(
        "say something else than in an undisturbed run",
        other.map(|(_, anomaly)| anomaly).collect(),
    );
    for (key, anomaly) in told {
        if let Some(same) = expected.get(key).filter(|same| *same != anomaly) {
            tally.violations.push(difference(anomaly, same));
            break;
        }
    }
}

/// The fields in which they differ.
fn difference(told: &Anomaly, undisturbed: &Anomaly) -> String {
    let fields = |anomaly: &Anomaly| serde_json::to_value(anomaly).unwrap_or_default();
    let (told, undisturbed) = (fields(told), fields(undisturbed));
    let names = told.as_object().into_iter().flat_map(|map| map.keys());
    let different = names.filter(|name| told[*name] != undisturbed[*name]);
    different
        .map(|name| {
            format!(
                "{name}: {} where undisturbed {}",
                told[name], undisturbed[name]
            )
        })
        .collect::<Vec<_>>()
        .join("; ")
}
