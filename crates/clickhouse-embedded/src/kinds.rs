//! Which statements are run, and what each may do.
//! Invariant: a list of what is allowed, by first word. The engine's own parser has the last word on
//! whether a statement that should only read does so ([`Class`]).

use crate::{
    exception::{Exception, Own},
    ffi::Class,
    lexer::{Kind, Token},
};

/// What a kind of statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    Writes,
    /// Changes nothing but the connection it runs on.
    Session,
}

const TABLE: &[(&str, Effect)] = &[
    ("SELECT", Effect::Reads),
    ("WITH", Effect::Reads),
    ("FROM", Effect::Reads),
    ("SHOW", Effect::Reads),
    ("DESCRIBE", Effect::Reads),
    ("DESC", Effect::Reads),
    ("EXPLAIN", Effect::Reads),
    ("EXISTS", Effect::Reads),
    ("CHECK", Effect::Reads),
    ("INSERT", Effect::Writes),
    ("CREATE", Effect::Writes),
    ("ALTER", Effect::Writes),
    ("DROP", Effect::Writes),
    ("UNDROP", Effect::Writes),
    ("TRUNCATE", Effect::Writes),
    ("OPTIMIZE", Effect::Writes),
    ("RENAME", Effect::Writes),
    ("EXCHANGE", Effect::Writes),
    ("DELETE", Effect::Writes),
    ("UPDATE", Effect::Writes),
    ("ATTACH", Effect::Writes),
    ("DETACH", Effect::Writes),
    ("KILL", Effect::Writes),
    ("SYSTEM", Effect::Writes),
    ("SET", Effect::Session),
    ("USE", Effect::Session),
];

/// What the statement that begins with `first` does; refused if it is of no kind that is run here.
pub(crate) fn effect_of(text: &[u8], first: Token) -> Result<Effect, Exception> {
    if first.kind == Kind::Sign(b'(') {
        return Ok(Effect::Reads);
    }
    let row = TABLE.iter().find(|(word, _)| first.is(text, word));
    row.map(|(_, effect)| *effect).ok_or_else(|| {
        let end = text.len().min(first.end).min(first.start + 40);
        let begins = String::from_utf8_lossy(&text[first.start..end]).into_owned();
        let words: Vec<&str> = TABLE.iter().map(|(word, _)| *word).collect();
        // As ClickHouse's parser says it, which clients know.
        let message = format!(
            "Syntax error: failed at position {} ({begins}): this server runs statements that begin \
             with one of: {}",
            first.start + 1,
            words.join(", ")
        );
        Exception::own(Own::SyntaxError, message)
    })
}

/// Holds a statement that should only read against what the engine's parser makes of it. Text that it
/// cannot read is left to it, to say so.
pub(crate) fn agree(effect: Effect, class: Class) -> Result<(), Exception> {
    match (effect, class) {
        (Effect::Reads, Class::Changes) => Err(Exception::own(
            Own::Readonly,
            "the statement begins like one that only reads, and changes something or writes a file",
        )),
        (_, Class::Several) => Err(Exception::own(
            Own::SyntaxError,
            "Syntax error (Multi-statements are not allowed)",
        )),
        (Effect::Reads | Effect::Writes | Effect::Session, _) => Ok(()),
    }
}
