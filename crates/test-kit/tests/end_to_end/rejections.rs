//! Rows that ClickHouse will not take: the others are stored, and these are set aside as they came.

use contracts::dead_letter::{REASON, SOURCE_OFFSET};
use rdkafka::Message as _;
use test_kit::{Message, header};

use crate::{heavy, stack};

const RECORDS: usize = 3000;
const POISON: [usize; 3] = [0, 1500, 2999];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_block_is_split_down_to_the_rows_that_are_to_blame() -> anyhow::Result<()> {
    let _alone = heavy().await?;
    let space = stack().await?.space_of("rejected", 1).await?;
    let constraint = "ALTER TABLE logs ADD CONSTRAINT tasty CHECK position(message, 'poison') = 0";
    space.client.execute(constraint, &[]).await?;
    let payload = |n: usize| {
        let what = if POISON.contains(&n) {
            "poison"
        } else {
            "fine"
        };
        format!("{{\"message\": \"{what} {n}\"}}")
    };
    let messages = (0..RECORDS).map(|n| Message::of("checkout", payload(n)));
    space.produce(messages.collect()).await?;
    let processor = space.processor("processor")?;
    let counts = space.all_arrived(&processor).await?;
    assert_eq!(counts.rows as usize, RECORDS - POISON.len());

    let mut letters = space.read(&space.dead_letter_topic()).await?;
    letters.sort_by_key(|letter| header(letter, SOURCE_OFFSET).parse::<usize>().ok());
    assert_eq!(letters.len(), POISON.len());
    for (letter, n) in letters.iter().zip(POISON) {
        assert_eq!(header(letter, REASON), "rejected_row");
        assert_eq!(header(letter, SOURCE_OFFSET), n.to_string());
        assert_eq!(letter.key(), Some(&b"checkout"[..]));
        assert_eq!(letter.payload(), Some(payload(n).as_bytes()));
    }
    // Settled: another life of it finds nothing to do.
    assert!(processor.stop().await.is_success());
    processor.child.start_again()?;
    processor.ready().await?;
    assert!(processor.stop().await.is_success());
    assert_eq!(space.counts().await?, counts);
    Ok(())
}
