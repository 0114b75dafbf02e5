//! The rooms of this crate stand upon each other: a file uses only rooms below its own, or its own, and
//! no file is part of a circle.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// From the bottom up.
const ROOMS: [&str; 12] = [
    "config",    // what can be set
    "record",    // a record, and event time
    "codec",     // snapshots as bytes
    "stat",      // mathematics alone
    "window",    // lines counted by time
    "clock",     // what moves time
    "budget",    // how anomalous, against the false-alert budget
    "finding",   // what is told
    "episode",   // how it goes on and ends
    "family",    // the questions
    "service",   // one service
    "partition", // all of them
];

/// Modules, such as `window::open`, and what each uses of this crate: paths, as they are written from the
/// crate's root.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// The source without comments, up to its tests.
fn code(source: &str) -> String {
    let (code, _) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What a `use` tree names, `a::{b, c::{d, e}}`, one path each.
fn paths(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, rest)) = tree.split_once('{') else {
        let (path, _) = tree.split_once(" as ").unwrap_or((tree, ""));
        return vec![path.trim().trim_end_matches("::self").to_owned()];
    };
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let (mut depth, mut branches) = (0, vec![String::new()]);
    for letter in inside.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if letter == ',' && depth == 0 {
            branches.push(String::new());
        } else if let Some(branch) = branches.last_mut() {
            branch.push(letter);
        }
    }
    let branches = branches.iter().filter(|branch| !branch.trim().is_empty());
    branches
        .flat_map(|branch| paths(&format!("{before}{}", branch.trim())))
        .map(|path| path.trim_end_matches("::self").to_owned())
        .collect()
}

/// What one file uses of its crate. `children`: the names of the modules inside it.
fn used(module: &str, source: &str, children: &BTreeSet<&str>) -> BTreeSet<String> {
    let code = code(source);
    let mut found = BTreeSet::new();
    let statements = code.split("use ").skip(1);
    let mut written: Vec<String> = statements
        .filter_map(|rest| rest.split_once(';'))
        .flat_map(|(tree, _)| paths(tree))
        .collect();
    // Paths in the middle of code.
    for root in ["crate::", "super::"] {
        written.extend(code.split(root).skip(1).map(|rest| {
            let end = rest.find(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter));
            format!("{root}{}", &rest[..end.unwrap_or(rest.len())])
        }));
    }
    let (parent, _) = module.rsplit_once("::").unwrap_or(("", module));
    for path in written {
        let path = path.trim_end_matches(':');
        let from_root = if let Some(path) = path.strip_prefix("crate::") {
            path.to_owned()
        } else if let Some(path) = path.strip_prefix("super::") {
            assert!(
                !path.starts_with("super::"),
                "{module}: write crate:: for {path}"
            );
            format!("{parent}::{path}")
                .trim_start_matches("::")
                .to_owned()
        } else if children.contains(path.split("::").next().unwrap_or_default()) {
            format!("{module}::{path}")
        } else {
            continue;
        };
        found.insert(from_root);
    }
    found
}

fn uses(sources: &BTreeMap<String, String>) -> Uses {
    let of = |(module, source): (&String, &String)| {
        let inside = format!("{module}::");
        let children = sources
            .keys()
            .filter_map(|other| other.strip_prefix(&inside));
        (module.clone(), used(module, source, &children.collect()))
    };
    sources.iter().map(of).collect()
}

/// What breaks the order.
fn wrongs(uses: &Uses) -> Vec<String> {
    let room = |path: &str| {
        let name = path.split("::").next().unwrap_or_default();
        ROOMS.iter().position(|room| *room == name)
    };
    let mut wrongs = Vec::new();
    for (module, used) in uses {
        let Some(own) = room(module) else {
            wrongs.push(format!("{module} is in no room"));
            continue;
        };
        for path in used {
            match room(path) {
                None => wrongs.push(format!("{module} uses {path}, which is in no room")),
                Some(other) if other > own => {
                    wrongs.push(format!("{module} uses {path}, of a room above its own"));
                }
                Some(_) => {}
            }
        }
    }
    wrongs
}

/// Files that use each other, directly or by way of others.
fn circle(uses: &Uses) -> Vec<String> {
    // The file that a path leads to: that of the longest module that it begins with.
    let file = |path: &str| {
        let mut path = path;
        loop {
            if uses.contains_key(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once("::")?.0;
        }
    };
    let mut left: BTreeMap<String, BTreeSet<String>> = uses
        .iter()
        .map(|(module, used)| {
            let files = used.iter().filter_map(|path| file(path));
            (
                module.clone(),
                files.filter(|other| other != module).collect(),
            )
        })
        .collect();
    // Whoever uses nobody that is left is part of no circle.
    while let Some(module) = left
        .iter()
        .find(|(_, used)| used.iter().all(|other| !left.contains_key(other)))
        .map(|(module, _)| module.clone())
    {
        left.remove(&module);
    }
    left.into_keys().collect()
}

fn read(folder: &Path, inside: &str, sources: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let module = format!("{inside}{name}");
        if path.is_dir() {
            read(&path, &format!("{module}::"), sources);
        } else if module != "lib" {
            sources.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn a_file_uses_only_rooms_below_its_own_and_none_is_part_of_a_circle() {
    let mut sources = BTreeMap::new();
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        "",
        &mut sources,
    );
    let uses = uses(&sources);
    let rooms: BTreeSet<_> = uses
        .keys()
        .filter_map(|module| module.split("::").next())
        .collect();
    assert_eq!(
        rooms,
        ROOMS.into_iter().collect(),
        "rooms and the table of them"
    );
    assert!(
        uses.values().map(BTreeSet::len).sum::<usize>() > 100,
        "uses are found"
    );
    assert_eq!(wrongs(&uses), [] as [String; 0]);
    assert_eq!(
        circle(&uses),
        [] as [String; 0],
        "these files use each other"
    );
}

/// The checker can fail: it sees what it is there for, however it is written.
#[test]
fn what_breaks_the_order_is_seen() {
    let seen = |files: &[(&str, &str)]| {
        let sources = files
            .iter()
            .map(|(module, source)| ((*module).to_owned(), (*source).to_owned()));
        let uses = uses(&sources.collect());
        (wrongs(&uses), circle(&uses))
    };
    let above = |path: &str| vec![format!("window uses {path}, of a room above its own")];
    for (source, wrong) in [
        (
            "use crate::{\n    config::Config,\n    family::{Family, rate::Rate as R},\n};",
            vec![
                "window uses family::Family, of a room above its own".to_owned(),
                "window uses family::rate::Rate, of a room above its own".to_owned(),
            ],
        ),
        (
            "fn f(of: &crate::service::Service) {}",
            above("service::Service"),
        ),
        ("use super::budget::{self};", above("budget")),
        ("pub(crate) use crate::clock;", above("clock")),
        (
            "use crate::somewhere::X;",
            vec!["window uses somewhere::X, which is in no room".to_owned()],
        ),
        (
            "// use crate::family::Family;\nuse crate::config::Config;",
            vec![],
        ),
        (
            "use std::fmt;\n#[cfg(test)]\nuse crate::service::Service;",
            vec![],
        ),
    ] {
        assert_eq!(
            seen(&[("window", source), ("config", "")]).0,
            wrong,
            "{source}"
        );
    }
    assert_eq!(seen(&[("attic", "")]).0, ["attic is in no room"]);
    let round = [
        ("window", "mod open;\npub(crate) use open::Windows;"),
        ("window::open", "use super::counts::Window;"),
        ("window::counts", "fn f() -> crate::window::Windows {}"),
        ("config", ""),
    ];
    assert_eq!(seen(&round).1, ["window", "window::counts", "window::open"]);
    let straight = [round[0], round[1], ("window::counts", "")];
    assert_eq!(seen(&straight).1, [] as [&str; 0]);
}
