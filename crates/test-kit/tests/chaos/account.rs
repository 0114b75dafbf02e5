//! Whether everything is there once, and the same as if nothing had happened.
//!
//! Invariant: nothing is asserted here; what does not hold is noted as a violation, so that the
//! report shows all of it.

use std::collections::{BTreeMap, BTreeSet};

use clickhouse_store::audit;
use contracts::dead_letter::{SOURCE_OFFSET, SOURCE_PARTITION};
use pipeline::Day;
use test_kit::{Space, header, wait};

use crate::{
    report::Tally,
    told::versions,
    world::{World, incarnation_of},
};

/// Distinct positions that were dead-lettered.
async fn dead_lettered(space: &Space) -> anyhow::Result<BTreeSet<(String, String)>> {
    let letters = space.read(&space.dead_letters).await?;
    let position = |letter| {
        (
            header(letter, SOURCE_PARTITION),
            header(letter, SOURCE_OFFSET),
        )
    };
    Ok(letters.iter().map(position).collect())
}

/// Rows of the topic's present life.
async fn rows_of(space: &Space, incarnation: &str) -> anyhow::Result<u64> {
    let query = format!("SELECT count() FROM logs WHERE incarnation = '{incarnation}'");
    space.number(&query).await
}

/// Waits until every record of the topic is a row or a dead letter; in vain, if some are lost.
pub(crate) async fn all_arrived(world: &mut World) -> anyhow::Result<()> {
    let incarnation = incarnation_of(&world.space).await?.to_string();
    let produced = world.space.records_in(&world.space.logs).await? - world.holes_placed();
    let mut sums = (0, 0);
    let arrived = wait::until("every record has arrived", wait::LONG, async || {
        world.revive()?;
        let rows = rows_of(&world.space, &incarnation).await?;
        // Reading all dead letters is worth it only when they can be what is missing.
        let letters = world.space.records_in(&world.space.dead_letters).await?;
        sums = (rows, letters);
        Ok((rows + letters >= produced).then_some(()))
    });
    if arrived.await.is_err() {
        world.tally.violations.push(format!(
            "{produced} records, after {} s only {} rows and {} dead letters",
            wait::LONG.as_secs(),
            sums.0,
            sums.1
        ));
    }
    Ok(())
}

/// produced = rows + dead letters + counted holes, nothing twice, windows add up. The processors have
/// been heard.
pub(crate) async fn records(space: &Space, tally: &mut Tally) -> anyhow::Result<()> {
    let incarnation = incarnation_of(space).await?.to_string();
    let produced = space.records_in(&space.logs).await?;
    let rows = rows_of(space, &incarnation).await?;
    let letters = dead_lettered(space).await?.len() as u64;
    let different = space
        .number(&format!(
            "SELECT uniqExact(kafka_partition, kafka_offset) FROM logs WHERE incarnation = '{incarnation}'"
        ))
        .await?;
    tally.records += produced;
    tally.rows += rows;
    tally.dead_letters += letters;
    let passed = tally.passed.len() as u64;
    tally.holes += passed;
    let unsaid = tally.absent_and_not_passed();
    tally.violations.extend(unsaid);
    let lost = produced.saturating_sub(different + letters + passed);
    tally.lost += lost;
    if different + letters + passed != produced {
        let holes = holes(space, &incarnation).await?.join("; ");
        tally.violations.push(format!(
            "{produced} records, {different} different rows, {letters} dead letters, \
             {passed} passed; holes (partition, from, to): {holes}"
        ));
    }
    tally.duplicates += rows.saturating_sub(different);
    nothing_twice(space, tally).await
}

/// Of every life of the topic: each row is in the account, and the account leaves no offset out.
async fn accounted(space: &Space, tally: &mut Tally) -> anyhow::Result<()> {
    let client = &space.client;
    for of_day in audit::days(client, Day::default()).await? {
        let found = audit::differences(client, of_day.day(), None).await?;
        for found in audit::of_all_days(client, &found).await? {
            // Of a life that ended at once, the last line was only committed.
            let surplus = found.surplus_over(found.accounted) > 0 && found.is_over != 0;
            if found.missing_of(found.accounted) > 0 || surplus {
                tally
                    .violations
                    .push(format!("not as accounted: {found:?}"));
            }
        }
    }
    for found in audit::unexplained(client, Day::default()).await? {
        let violation = format!("the account explains nothing of some offsets: {found:?}");
        tally.violations.push(violation);
    }
    Ok(())
}

/// Of every life of the topic: nothing twice, and what is counted from rows adds up.
pub(crate) async fn nothing_twice(space: &Space, tally: &mut Tally) -> anyhow::Result<()> {
    accounted(space, tally).await?;
    let twice = "SELECT incarnation, kafka_partition, count(), min(kafka_offset), max(kafka_offset) \
         FROM (SELECT incarnation, kafka_partition, kafka_offset FROM logs \
         GROUP BY ALL HAVING count() > 1) GROUP BY ALL ORDER BY ALL LIMIT 20";
    let twice = space.rows(twice).await?;
    if !twice.is_empty() {
        tally.violations.push(format!(
            "stored twice (incarnation, partition, how many, first, last): {}",
            twice.join("; ")
        ));
    }
    let all_rows = space.number("SELECT count() FROM logs").await?;
    let in_windows = space.number("SELECT sum(records) FROM log_windows").await?;
    if in_windows != all_rows {
        tally.violations.push(format!(
            "{all_rows} rows, but the windows add up to {in_windows}"
        ));
    }
    let in_templates = space.number("SELECT sum(count) FROM templates").await?;
    if in_templates != all_rows {
        tally.violations.push(format!(
            "{all_rows} rows, but the templates add up to {in_templates}"
        ));
    }
    let without_text = "SELECT count() FROM logs WHERE template_id NOT IN \
         (SELECT template_id FROM template_texts)";
    let without_text = space.number(without_text).await?;
    if without_text != 0 {
        tally.violations.push(format!(
            "{without_text} rows of templates that have no text"
        ));
    }
    Ok(())
}

/// How many lines each template has, of the topic's present life.
pub(crate) async fn templates(space: &Space) -> anyhow::Result<Vec<String>> {
    let incarnation = incarnation_of(space).await?;
    space
        .rows(&format!(
            "SELECT id, count(), uniqExact(kafka_partition, kafka_offset), \
             sum(kafka_offset) FROM (SELECT if(led.current_id = 0, logs.template_id, \
             led.current_id) AS id, kafka_partition, kafka_offset FROM logs \
             LEFT JOIN template_ids AS led ON led.template_id = logs.template_id \
             WHERE incarnation = '{incarnation}') GROUP BY id ORDER BY id"
        ))
        .await
}

/// Ranges of ten records or more without a row.
async fn holes(space: &Space, incarnation: &str) -> anyhow::Result<Vec<String>> {
    space
        .rows(&format!(
            "SELECT kafka_partition, before + 1, kafka_offset - 1 FROM (SELECT kafka_partition, \
             kafka_offset, lagInFrame(kafka_offset, 1, -1) OVER (PARTITION BY kafka_partition \
             ORDER BY kafka_offset) AS before FROM logs WHERE incarnation = '{incarnation}') \
             WHERE kafka_offset - before > 10 ORDER BY ALL LIMIT 20"
        ))
        .await
}

/// Versions count up without gaps, the store has the last ones, and every client saw each once.
pub(crate) async fn anomalies(world: &mut World) -> anyhow::Result<()> {
    let told = versions(&world.space, &mut world.tally).await?;
    world.tally.versions += told.len() as u64;
    let mut newest = BTreeMap::new();
    for ((id, version), anomaly) in &told {
        if *version == 1 {
            let kinds = &mut world.tally.anomalies;
            *kinds.entry(anomaly.kind.clone()).or_default() += 1;
        } else if !told.contains_key(&(*id, version - 1)) {
            world.tally.violations.push(format!(
                "{id} has version {version} and not the one before: {:?}",
                anomaly.title
            ));
        }
        newest.insert(id.to_string(), version.to_string());
    }
    let incarnation = incarnation_of(&world.space).await?;
    let query = format!(
        "SELECT id, version FROM anomalies FINAL WHERE incarnation = '{incarnation}' ORDER BY id"
    );
    let stored: BTreeMap<_, _> = world
        .space
        .rows(&query)
        .await?
        .iter()
        .filter_map(|row| row.split_once('\t'))
        .map(|(id, version)| (id.to_owned(), version.to_owned()))
        .collect();
    if stored != newest {
        world.tally.violations.push(format!(
            "{} anomalies are stored and {} published, {} of them alike",
            stored.len(),
            newest.len(),
            newest
                .iter()
                .filter(|(id, version)| stored.get(*id) == Some(version))
                .count()
        ));
    }
    clients(world).await
}

/// All versions of all lives of the topic, each once.
async fn clients(world: &mut World) -> anyhow::Result<()> {
    let published: BTreeSet<_> = world
        .space
        .published()
        .await?
        .iter()
        .map(|anomaly| (anomaly.id, anomaly.version))
        .collect();
    for gateway in &world.gateways {
        let lines = gateway.child.last_lines(1000);
        for line in lines.iter().filter(|line| line.contains("do not arrive")) {
            println!("  said: {line}");
        }
    }
    for (number, watcher) in world.watchers.iter().enumerate() {
        let all = wait::until("a client has everything", wait::LONG, async || {
            Ok((watcher.frames().len() >= published.len()).then_some(()))
        });
        // What is missing is said below.
        let _all = all.await;
        let received: Vec<_> = watcher
            .frames()
            .iter()
            .map(|frame| (frame.anomaly.id, frame.anomaly.version))
            .collect();
        let different: BTreeSet<_> = received.iter().copied().collect();
        world.tally.frames += received.len() as u64;
        world.tally.comebacks += watcher.connections() - 1;
        if received.len() != different.len() || different != published {
            world.tally.violations.push(format!(
                "client {number}: {} frames, {} different, {} of the {} published",
                received.len(),
                different.len(),
                published.intersection(&different).count(),
                published.len()
            ));
            for gateway in &world.gateways {
                let lines = gateway.child.last_lines(40).join("\n");
                println!("the end of {}'s log:\n{lines}", gateway.child.name());
            }
        }
        for trouble in watcher.trouble() {
            let trouble = format!("client {number} was told {trouble}");
            world.tally.violations.push(trouble);
        }
    }
    Ok(())
}
