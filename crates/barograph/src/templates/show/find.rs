//! Which template is meant by the digits that somebody typed.
//!
//! Invariant: an id that was merged leads to the one that it is now, and so does a prefix that several
//! ids of one template begin with.

use std::fmt::Write as _;

use anyhow::bail;
use serde::Deserialize;

use super::{
    super::{
        database::Database,
        id::{Id, NOT_MINED, Prefix},
        screen::{cut, template_text},
    },
    Described,
};

/// Templates that a prefix is told to be one of.
const NAMED: usize = 10;
/// Characters of the text of each.
const TEXT: usize = 60;

#[derive(Deserialize)]
struct Found {
    id: Id,
    current: Id,
}

/// The template that goes by these digits now, and the id that was asked for if that is another one.
pub(super) async fn current(
    database: &Database,
    prefix: &Prefix,
) -> anyhow::Result<(Id, Option<Id>)> {
    if prefix.whole() == Some(NOT_MINED) {
        bail!(
            "{prefix} is no template: lines have it that were stored before templates were mined; \
             `barograph templates list` shows those that there are"
        );
    }
    let (from, to) = prefix.range().into_inner();
    let within = |column: &str| format!("{column} BETWEEN {from} AND {to} AND {column} != 0");
    let statement = format!(
        "SELECT known.id AS id, if(merged.current_id = 0, known.id, merged.current_id) AS current
FROM (
    SELECT template_id AS id FROM template_texts WHERE {}
    UNION DISTINCT SELECT from_id AS id FROM template_merges WHERE {}
    UNION DISTINCT SELECT template_id AS id FROM template_hours WHERE {} GROUP BY template_id
) AS known
LEFT JOIN template_ids AS merged ON merged.template_id = known.id
ORDER BY id",
        within("template_id"),
        within("from_id"),
        within("template_id"),
    );
    let found: Vec<Found> = database.rows(&statement, &[]).await?;
    let Some(first) = found.first() else {
        bail!(
            "no template has the id {prefix}{}; `barograph templates list` shows those that there are",
            if prefix.whole().is_some() {
                ""
            } else {
                " or one that begins so"
            }
        );
    };
    let current = first.current;
    if found.iter().any(|it| it.current != current) {
        return Err(ambiguous(database, prefix, &found).await?);
    }
    let by_its_own = found.iter().any(|it| it.id == current);
    Ok((current, (!by_its_own).then_some(first.id)))
}

async fn ambiguous(
    database: &Database,
    prefix: &Prefix,
    found: &[Found],
) -> anyhow::Result<anyhow::Error> {
    let mut ids: Vec<Id> = found.iter().map(|it| it.current).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut text = format!(
        "{} templates have an id that begins with {prefix}; more digits tell them apart:",
        ids.len()
    );
    for id in ids.iter().take(NAMED) {
        let described = Described::of(database, *id).await?;
        let described = described.as_ref().map(|it| it.text.as_str());
        let _ = write!(
            text,
            "\n{id}  {}",
            cut(template_text(described), Some(TEXT))
        );
    }
    if ids.len() > NAMED {
        let _ = write!(text, "\nand {} more", ids.len() - NAMED);
    }
    Ok(anyhow::Error::msg(text))
}
