//! What the lines have in common is told with the lines, and counted as they are.

use test_kit::Message;

use crate::{crashes::rows_reach, heavy, stack};

const USERS: [&str; 12] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory",
    "niaj",
];

fn message(n: u64) -> String {
    match n % 4 {
        0 => format!("request {n:x} took {}.5 ms", n % 90),
        1 => format!("session {n} opened for user {}", USERS[n as usize / 4 % 12]),
        2 => format!("cache miss for key=user:{n}"),
        _ => "shutting down".to_owned(),
    }
}

fn load(records: u64) -> Vec<Message> {
    let record = |n: u64| {
        let service = format!("service-{}", n % 35);
        Message::of(&service, format!("{{\"message\":\"{}\"}}", message(n)))
    };
    (0..records).map(record).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_are_counted_exactly_over_partitions_and_kills() -> anyhow::Result<()> {
    const RECORDS: u64 = 80_000;
    let _alone = heavy().await?;
    let space = stack().await?.space_of("templates", 3).await?;
    let service = space
        .service("anomaly-processor", "processor")
        .env("BATCH_ROWS", "2000");
    let processor = space.stack.spawn(service)?;
    let (produced, killed) = tokio::join!(space.produce(load(RECORDS)), async {
        for kill in 1..=2 {
            rows_reach(&space, kill * 20_000).await?;
            processor.kill_and_restart().await?;
        }
        anyhow::Ok(())
    });
    produced?;
    killed.map_err(|error| processor.with_log(error))?;
    rows_reach(&space, RECORDS)
        .await
        .map_err(|error| processor.with_log(error))?;

    let each = RECORDS / 4;
    let templates = "SELECT text, count, length(services) FROM templates ORDER BY text";
    let expected = [
        "cache miss for key=user:<*>",
        "request <*> took <*> ms",
        "session <*> opened for user <*>",
        "shutting down",
    ];
    assert_eq!(
        space.rows(templates).await?,
        expected.map(|text| format!("{text}\t{each}\t35"))
    );
    let without_text = "SELECT count() FROM logs WHERE template_id NOT IN \
         (SELECT template_id FROM template_texts)";
    assert_eq!(space.number(without_text).await?, 0);
    Ok(())
}
