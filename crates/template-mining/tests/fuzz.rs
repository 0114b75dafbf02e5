//! Any bytes, fed line by line. With `cargo bolero test lines` a fuzzer looks for bytes that break it;
//! under `cargo test` the corpus is run, and random changes to it.

#![allow(clippy::unwrap_used, reason = "tests")]

use template_mining::{Limits, Miner};

#[test]
fn lines() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let limits = Limits {
            templates: 64,
            tokens: 48,
            bytes: 512,
        };
        let mut miner = Miner::new(limits);
        // A form feed ends a line, so that lines may have breaks in them.
        for line in bytes.split(|byte| *byte == 0x0c) {
            miner.observe(line);
            assert!(miner.len() <= 64);
            let mut end = 0;
            for parameter in miner.parameters() {
                assert!(
                    end <= parameter.bytes.start && parameter.bytes.start <= parameter.bytes.end
                );
                end = parameter.bytes.end;
            }
            assert!(end <= line.len());
        }
        let kept: u64 = miner.templates().map(|t| t.count()).sum();
        assert_eq!(kept + miner.evicted_lines(), miner.lines());
        let kept = miner.snapshot();
        assert_eq!(Miner::restore(&kept, limits).unwrap().snapshot(), kept);
        // Bytes are a snapshot as well, if a bad one.
        assert!(Miner::restore(bytes, limits).is_err());
    });
}
