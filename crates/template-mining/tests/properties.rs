//! What holds for any lines, in any order, on any number of miners.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::{collection::vec, prelude::*, sample::select};
use template_mining::{Described, Ids, Limits, Miner, TemplateId};

/// Lines as programs print them, some with names of which there are few or many.
fn line() -> impl Strategy<Value = String> {
    let name = select(
        "alice bob carol dave erin frank grace heidi ivan judy mallory niaj olivia peggy rupert sybil trent"
            .split(' ')
            .collect::<Vec<_>>(),
    );
    let state = select(vec!["open", "closed", "half open"]);
    (
        0..9_u8,
        name.clone(),
        name,
        state,
        any::<u16>(),
        any::<u64>(),
    )
        .prop_map(|(which, a, b, state, small, large)| match which {
            0 => format!("session {large:x} opened for user {a}"),
            1 => format!(
                "{a} sent {small} bytes to {b} in {}.{} ms",
                small / 7,
                small % 7
            ),
            2 => format!("circuit breaker is {state} after {small} failures"),
            3 => format!(
                "GET /api/{a}/{small} took {small}ms status={}",
                200 + small % 4
            ),
            4 => format!("cache {b} miss key={a}:{large} size={small} B (0.{small} KB)"),
            5 => format!("moving blocks {small}, {large}, {small} away from node {b}"),
            6 => format!("leader of {a} changed"),
            7 => format!("worker-{} ready=\"{a}\" peers=[{b} {a}]", small % 40),
            _ => "shutting down".to_owned(),
        })
}

/// Lines of pieces that are taken apart in different ways beside one another.
fn pieces() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "moved",
        "alice",
        "bob",
        "17",
        "3",
        "ms",
        "node-7",
        "rack_A7",
        "rack_B3",
        "task_5_failed",
        "7 %",
        "<*>",
        "a1b2c3",
        "x=",
        "=",
        ",",
        "[a, b]",
        "[]",
        "(",
        ")",
        "\"q\"",
        "\n\tat a.B(C:1)",
        "用户5成功",
        ":",
        "1,234.5",
        "true",
        "10.0.0.1:80",
        "for",
        "user",
        "com.a.B",
        "Jan 5",
    ]);
    (vec((piece, any::<bool>()), 0..7)).prop_map(|pieces| {
        let blank = |is: bool| if is { " " } else { "" };
        let parts = pieces
            .iter()
            .flat_map(|(piece, spaced)| [blank(*spaced), *piece]);
        parts.collect()
    })
}

fn mine(lines: &[String]) -> (Miner, Vec<TemplateId>, Ids) {
    let mut miner = Miner::new(Limits::default());
    let given = lines.iter().map(|l| miner.observe(l.as_bytes())).collect();
    let mut ids = Ids::default();
    ids.take(&miner.take_changes());
    (miner, given, ids)
}

/// The id that each line ends with, by its text, when the lines are dealt over miners.
fn ends(
    lines: &[String],
    miners: usize,
    deal: impl Fn(usize) -> usize,
) -> BTreeMap<String, TemplateId> {
    let mut miners: Vec<_> = (0..miners).map(|_| Miner::new(Limits::default())).collect();
    let mut first = BTreeMap::new();
    for (n, line) in lines.iter().enumerate() {
        let id = miners[deal(n)].observe(line.as_bytes());
        first.insert(line.clone(), id);
    }
    let mut ids = Ids::default();
    for miner in &mut miners {
        ids.take(&miner.take_changes());
    }
    first
        .into_iter()
        .map(|(line, id)| (line, ids.current(id)))
        .collect()
}

fn assert_texts_differ(miner: &Miner) {
    let mut by_text = HashMap::new();
    for template in miner.templates() {
        let text = template.describe().text;
        assert_eq!(by_text.insert(text.clone(), template.id()), None, "{text}");
    }
}

/// Over the logs of the development sets, where they are.
#[test]
fn templates_of_the_sets_that_read_the_same_are_the_same() {
    let Some(data) = std::env::var_os("BAROGRAPH_DATA_DIR") else {
        return;
    };
    let sets = std::fs::read_dir(std::path::Path::new(&data).join("loghub2k")).unwrap();
    let mut read = 0;
    for set in sets {
        let set = set.unwrap();
        let name = format!("{}_2k.log", set.file_name().to_string_lossy());
        let Ok(log) = std::fs::read(set.path().join(name)) else {
            continue;
        };
        let mut miner = Miner::new(Limits::default());
        for line in log.split(|byte| *byte == b'\n') {
            miner.observe(line);
            // As lines come with headers of other lengths.
            miner.observe(&line[line.len().min(16)..]);
        }
        assert_texts_differ(&miner);
        read += 1;
    }
    assert!(read > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counts_add_up(lines in vec(line(), 0..600)) {
        let (miner, given, ids) = mine(&lines);
        let mut counts: HashMap<TemplateId, u64> = HashMap::new();
        for id in given {
            *counts.entry(ids.current(id)).or_default() += 1;
        }
        let kept: HashMap<_, _> = miner.templates().map(|t| (t.id(), t.count())).collect();
        prop_assert_eq!(kept, counts);
        prop_assert_eq!(miner.lines(), lines.len() as u64);
    }

    #[test]
    fn counts_add_up_when_templates_are_forgotten(lines in vec("[a-f]{1,3} [a-f]{1,3} done", 0..600)) {
        let mut miner = Miner::new(Limits { templates: 16, ..Limits::default() });
        for line in &lines {
            miner.observe(line.as_bytes());
            prop_assert!(miner.len() <= 16);
        }
        let kept: u64 = miner.templates().map(|t| t.count()).sum();
        prop_assert_eq!(kept + miner.evicted_lines(), lines.len() as u64);
    }

    #[test]
    fn the_order_does_not_matter(lines in vec(line(), 0..600), seed in any::<u64>()) {
        use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
        let mut shuffled = lines.clone();
        shuffled.shuffle(&mut StdRng::seed_from_u64(seed));
        prop_assert_eq!(ends(&lines, 1, |_| 0), ends(&shuffled, 1, |_| 0));
        let texts = |lines: &[String]| {
            let (miner, ..) = mine(lines);
            miner.templates().map(|t| (t.id(), t.describe().text)).collect::<BTreeMap<_, _>>()
        };
        prop_assert_eq!(texts(&lines), texts(&shuffled));
    }

    #[test]
    fn the_order_of_odd_lines_does_not_matter(lines in vec(pieces(), 0..12)) {
        let reversed: Vec<_> = lines.iter().rev().cloned().collect();
        prop_assert_eq!(ends(&lines, 1, |_| 0), ends(&reversed, 1, |_| 0));
    }

    /// What one miner finds to be a parameter is one for all of them.
    #[test]
    fn the_partition_does_not_matter(lines in vec(line(), 0..600), miners in 2..6_usize) {
        let last = lines.len() / 2;
        let whole = ends(&lines[..last], 1, |_| 0);
        // The first miner sees all lines of the first half, the others share the second one.
        let dealt = ends(&lines, miners, |n| if n < last { 0 } else { 1 + n % (miners - 1) });
        for (line, id) in &dealt {
            if let Some(alone) = whole.get(line) {
                let same = |other: &String| whole.get(other) == Some(alone);
                let together: Vec<_> = dealt.iter().filter(|(other, _)| same(other)).collect();
                prop_assert!(together.iter().all(|(_, other)| *other == id), "{}", line);
            }
        }
    }

    #[test]
    fn a_snapshot_changes_nothing(lines in vec(line(), 0..300), at in any::<prop::sample::Index>()) {
        let (whole, ids, _) = mine(&lines);
        let at = if lines.is_empty() { 0 } else { at.index(lines.len()) };
        let (before, ..) = mine(&lines[..at]);
        let mut after = Miner::restore(&before.snapshot(), Limits::default()).unwrap();
        for (line, id) in lines.iter().zip(&ids).skip(at) {
            prop_assert_eq!(after.observe(line.as_bytes()), *id);
        }
        after.take_changes();
        prop_assert_eq!(after.snapshot(), whole.snapshot());
    }

    /// Texts that are told again are the same, each with the next line of its template and no other, and
    /// nothing else is different for it.
    #[test]
    fn what_is_told_again_is_what_is_known(
        before in vec(prop_oneof![line(), pieces()], 0..200),
        after in vec(prop_oneof![line(), pieces()], 0..200),
    ) {
        let (mut plain, ..) = mine(&before);
        let (mut again, ..) = mine(&before);
        again.tell_again();
        let mut told = BTreeSet::new();
        for line in before.iter().chain(&after) {
            let id = again.observe(line.as_bytes());
            prop_assert_eq!(id, plain.observe(line.as_bytes()));
            let (changes, usual) = (again.take_changes(), plain.take_changes());
            prop_assert_eq!(&changes.merges, &usual.merges);
            let known = |one: &Described| again.templates().any(|it| it.describe() == *one);
            prop_assert!(changes.templates.iter().all(known));
            told.extend(changes.templates.iter().map(|one| one.id));
            prop_assert!(usual.templates.iter().all(|one| told.contains(&one.id)));
            prop_assert!(told.contains(&id), "{}", line);
        }
        prop_assert_eq!(again.snapshot(), plain.snapshot());
    }

    #[test]
    fn changes_one_after_the_other_lead_to_what_is_known(
        segments in vec(vec(prop_oneof![line(), pieces()], 0..80), 1..7),
        most in select(vec![16_usize, 40, 20_000]),
        told in any::<bool>(),
    ) {
        let limits = Limits { templates: most, ..Limits::default() };
        let mut miner = Miner::new(limits);
        let mut kept = Miner::restore(&miner.snapshot(), limits).unwrap();
        miner.changes();
        for lines in &segments {
            for line in lines {
                miner.observe(line.as_bytes());
                if told {
                    miner.take_changes();
                }
            }
            kept = kept.with_changes(&miner.changes()).unwrap();
            prop_assert_eq!(kept.snapshot(), miner.snapshot());
        }
        // And it goes on like that.
        for line in segments.iter().flatten() {
            prop_assert_eq!(kept.observe(line.as_bytes()), miner.observe(line.as_bytes()));
        }
        kept.take_changes();
        miner.take_changes();
        prop_assert_eq!(kept.snapshot(), miner.snapshot());
    }

    #[test]
    fn damaged_changes_are_refused_or_read(
        lines in vec(line(), 1..60),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut miner = Miner::new(Limits::default());
        for line in &lines {
            miner.observe(line.as_bytes());
        }
        let mut bytes = miner.changes();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        let _read_or_refused = Miner::new(Limits::default()).with_changes(&bytes);
    }

    #[test]
    fn any_bytes_are_a_line(lines in vec(vec(any::<u8>(), 0..300), 0..50)) {
        let mut miner = Miner::new(Limits { templates: 20, tokens: 12, bytes: 100 });
        for line in &lines {
            miner.observe(line);
            let mut end = 0;
            for parameter in miner.parameters() {
                prop_assert!(end <= parameter.bytes.start && parameter.bytes.start <= parameter.bytes.end);
                end = parameter.bytes.end;
            }
            prop_assert!(end <= line.len());
        }
        let kept: u64 = miner.templates().map(|t| t.count()).sum();
        prop_assert_eq!(kept + miner.evicted_lines(), lines.len() as u64);
        Miner::restore(&miner.snapshot(), Limits::default()).unwrap();
    }

    /// Words are read eight bytes at a time where there are so many, and byte by byte at the end.
    #[test]
    fn what_follows_a_line_does_not_change_it(line in "[ -~]{0,40}|[a-zA-Z0-9:. =']{0,20}|\\PC{0,20}") {
        let mut miner = Miner::new(Limits::default());
        let id = miner.observe(line.as_bytes());
        prop_assert_eq!(miner.observe(format!("{line}            ").as_bytes()), id);
    }

    #[test]
    fn templates_that_read_the_same_are_the_same(lines in vec(prop_oneof![line(), pieces()], 0..400)) {
        let (miner, given, ids) = mine(&lines);
        assert_texts_differ(&miner);
        // Who was joined leads to one that is there.
        let kept: Vec<_> = miner.templates().map(|t| t.id()).collect();
        prop_assert!(given.iter().all(|id| kept.contains(&ids.current(*id))));
    }

    #[test]
    fn damaged_snapshots_are_refused(lines in vec(line(), 0..50), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let (miner, ..) = mine(&lines);
        let mut bytes = miner.snapshot();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != with);
        bytes[at] = with;
        prop_assert!(Miner::restore(&bytes, Limits::default()).is_err());
        prop_assert!(Miner::restore(&bytes[..at], Limits::default()).is_err());
    }
}
