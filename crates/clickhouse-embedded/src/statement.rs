//! Reads from a request's text what kind of statement it is and where its parts lie.
//! Invariant: what is not understood is passed on unchanged, for the engine to run or refuse.

use crate::{
    exception::{Exception, Own},
    kinds::{Effect, effect_of},
    lexer::{Kind, Lexer, Token},
};

/// A request's text, sorted by how it has to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Statement {
    /// `INSERT` whose rows follow in the text or body.
    Insert(Insert),
    /// Everything else.
    Other(Other),
}

/// An `INSERT` cut into statement and rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Insert {
    /// The statement without its FORMAT clause.
    pub head: Vec<u8>,
    /// `None`: the statement named none.
    pub format: Option<String>,
    /// Where in the text the rows begin.
    pub data_at: usize,
}

/// A statement without rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Other {
    /// The text as it is run.
    pub text: Vec<u8>,
    /// The FORMAT clause, if there is one.
    pub format: Option<String>,
    /// SELECT in one of its spellings: its result may be streamed.
    pub select: bool,
    /// One that only reads is cancelled when its client goes away.
    pub effect: Effect,
    /// KILL QUERY: its condition with the word WHERE before it, `query_id` meaning the client's.
    pub kills: Option<Vec<u8>>,
    /// Mentions something whose output differs when written block by block.
    pub whole: bool,
}

/// How much of a text is looked at when it is an INSERT.
const HEAD_LIMIT: usize = 1 << 20;

impl Statement {
    /// Sorts `text`, the `query` parameter and the body taken together.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Exception> {
        let Some(first) = Lexer::new(text).next() else {
            return Err(Exception::own(Own::SyntaxError, "Empty query"));
        };
        if first.kind == Kind::Sign(b'\\') {
            return Err(syntax_error(text, first));
        }
        let effect = effect_of(text, first)?;
        if first.is(text, "INSERT")
            && let Some(insert) = parse_insert(&text[..text.len().min(HEAD_LIMIT)])?
        {
            return Ok(Self::Insert(insert));
        }
        Ok(Self::Other(parse_other(text, first, effect)?))
    }

    pub(crate) fn effect(&self) -> Effect {
        match self {
            Self::Insert(_) => Effect::Writes,
            Self::Other(other) => other.effect,
        }
    }

    /// Stops another one.
    pub(crate) fn kills(&self) -> bool {
        matches!(self, Self::Other(other) if other.kills.is_some())
    }

    /// Without rows.
    pub(crate) fn text(&self) -> &[u8] {
        match self {
            Self::Insert(insert) => &insert.head,
            Self::Other(other) => &other.text,
        }
    }
}

fn syntax_error(text: &[u8], token: Token) -> Exception {
    let near =
        String::from_utf8_lossy(&text[token.start..text.len().min(token.start + 40)]).into_owned();
    Exception::own(
        Own::SyntaxError,
        format!(
            "Syntax error: failed at position {}: {near}",
            token.start + 1
        ),
    )
}

fn word(text: &[u8], token: Token) -> Option<String> {
    let name = &text[token.start..token.end];
    let name = match token.kind {
        Kind::Word => name,
        Kind::QuotedName => &name[1..name.len().saturating_sub(1).max(1)],
        _ => return None,
    };
    Some(String::from_utf8_lossy(name).into_owned())
}

/// `None` for `INSERT … SELECT`, which carries no rows.
fn parse_insert(text: &[u8]) -> Result<Option<Insert>, Exception> {
    let mut lexer = Lexer::new(text);
    let mut previous: Option<Token> = None;
    let mut end = 0;
    while let Some(token) = lexer.next() {
        let opens = |sign| previous.is_some_and(|p| p.kind == Kind::Sign(sign));
        let starts_query =
            token.is(text, "SELECT") || token.is(text, "WITH") || token.is(text, "WATCH");
        // A column may be called `select` only in quotes, so depth 1 is a query in brackets.
        if starts_query && (token.depth == 0 || token.depth == 1 && opens(b'(')) && !opens(b'.') {
            return Ok(None);
        }
        if token.depth == 0
            && !opens(b'.')
            && previous.is_some_and(|p| !p.is(text, "INTO") && !p.is(text, "TABLE"))
        {
            if token.is(text, "VALUES") {
                let head = text[..token.start].to_vec();
                return Ok(Some(Insert {
                    head,
                    format: Some("Values".to_owned()),
                    data_at: token.end,
                }));
            }
            if token.is(text, "INFILE") && previous.is_some_and(|p| p.is(text, "FROM")) {
                let message = "Query has infile and was send directly to server";
                return Err(Exception::own(Own::UnknownTypeOfQuery, message));
            }
            if token.is(text, "FORMAT")
                && let Some(name) = lexer
                    .clone()
                    .next()
                    .filter(|name| word(text, *name).is_some())
            {
                return rows_after(text, &text[..token.start], name).map(Some);
            }
        }
        if token.kind == Kind::Sign(b';') && token.depth == 0 {
            break;
        }
        end = token.end;
        previous = Some(token);
    }
    Ok(Some(Insert {
        head: text[..end].to_vec(),
        format: None,
        data_at: text.len(),
    }))
}

/// The rows begin after the format's name, an optional SETTINGS clause and one line break.
fn rows_after(text: &[u8], head: &[u8], name: Token) -> Result<Insert, Exception> {
    let mut head = head.to_vec();
    let mut at = name.end;
    if let Some(settings_end) = settings_clause(text, name.end) {
        head.extend_from_slice(&text[name.end..settings_end]);
        at = settings_end;
    }
    while matches!(text.get(at), Some(b' ' | b'\t' | 0x0c)) {
        at += 1;
    }
    if text.get(at) == Some(&b';') {
        let message = "You have excessive ';' symbol before data for INSERT";
        return Err(Exception::own(Own::SyntaxError, message));
    }
    if text.get(at) == Some(&b'\r') && text.get(at + 1) == Some(&b'\n') {
        at += 1;
    }
    if text.get(at) == Some(&b'\n') {
        at += 1;
    }
    Ok(Insert {
        head,
        format: word(text, name),
        data_at: at,
    })
}

/// Where `SETTINGS a = 1, b = 'x'` ends, if it begins at `from`.
fn settings_clause(text: &[u8], from: usize) -> Option<usize> {
    let mut lexer = Lexer::new(&text[from..]);
    let tail = &text[from..];
    lexer.next().filter(|token| token.is(tail, "SETTINGS"))?;
    let mut end = None;
    loop {
        lexer.next().filter(|token| token.kind == Kind::Word)?;
        lexer
            .next()
            .filter(|token| token.kind == Kind::Sign(b'='))?;
        let mut value = lexer.next()?;
        if value.kind == Kind::Sign(b'-') {
            value = lexer.next()?;
        }
        let mut after = lexer.clone();
        // A fraction is three tokens: digits, point, digits.
        if after
            .next()
            .is_some_and(|token| token.kind == Kind::Sign(b'.') && token.start == value.end)
        {
            lexer.next();
            value = lexer.next()?;
        }
        end = Some(from + value.end).or(end);
        match lexer.clone().next() {
            Some(token) if token.kind == Kind::Sign(b',') => lexer.next(),
            _ => return end,
        };
    }
}

fn parse_other(text: &[u8], first: Token, effect: Effect) -> Result<Other, Exception> {
    let tokens: Vec<Token> = Lexer::new(text).collect();
    let semicolon = |token: &Token| token.kind == Kind::Sign(b';') && token.depth == 0;
    let end = tokens.iter().position(semicolon).unwrap_or(tokens.len());
    if let Some(extra) = tokens[end..].iter().find(|token| !semicolon(token)) {
        let near = String::from_utf8_lossy(&text[extra.start..text.len().min(extra.start + 40)])
            .into_owned();
        let message = format!(
            "Syntax error (Multi-statements are not allowed): failed at position {}: {near}",
            extra.start + 1
        );
        return Err(Exception::own(Own::SyntaxError, message));
    }
    let tokens = &tokens[..end];
    let pair = |one: &'static str, two: &'static str| {
        move |pair: &[Token]| pair[0].is(text, one) && pair[1].is(text, two)
    };
    if tokens.windows(2).any(pair("INTO", "OUTFILE")) {
        return Err(Exception::own(
            Own::IntoOutfileNotAllowed,
            "INTO OUTFILE is not allowed",
        ));
    }
    let insert = first.is(text, "INSERT");
    if tokens
        .windows(3)
        .any(|three| pair("FROM", "INFILE")(three) && three[2].kind == Kind::Text)
    {
        let message = "Query has infile and was send directly to server";
        return Err(Exception::own(Own::UnknownTypeOfQuery, message));
    }
    let calls_input =
        |pair: &[Token]| pair[0].is(text, "input") && pair[1].kind == Kind::Sign(b'(');
    if insert && tokens.windows(2).any(calls_input) {
        let message = "INSERT ... SELECT FROM input() is not supported by the embedded engine";
        return Err(Exception::own(Own::NotImplemented, message));
    }
    let is_any = |words: &[&str]| words.iter().any(|keyword| first.is(text, keyword));
    let select = is_any(&["SELECT", "WITH", "FROM"]) || first.kind == Kind::Sign(b'(');
    let mentions = |keyword: &str| tokens.iter().any(|token| token.is(text, keyword));
    let mut statement = text[..tokens.last().map_or(0, |token| token.end)].to_vec();
    // `WITH … INSERT INTO …` is the one kind whose first word does not tell.
    let inserts = |pair: &[Token]| {
        pair[0].depth == 0 && pair[0].is(text, "INSERT") && pair[1].is(text, "INTO")
    };
    let effect = if first.is(text, "WITH") && tokens.windows(2).any(inserts) {
        Effect::Writes
    } else {
        effect
    };
    let mut kills = None;
    if first.is(text, "KILL") {
        statement = with_request_ids(&statement);
        kills = condition_of_kill(&statement);
    }
    Ok(Other {
        kills,
        format: format_clause(text, tokens),
        select: select && effect == Effect::Reads,
        effect,
        whole: mentions("TOTALS")
            || mentions("extremes")
            || mentions("output_format_json_array_of_rows"),
        text: statement,
    })
}

/// The name after the last FORMAT outside brackets, if nothing but settings follows it.
fn format_clause(text: &[u8], tokens: &[Token]) -> Option<String> {
    let outside = |token: &Token| token.depth == 0 && token.is(text, "FORMAT");
    let at = tokens.iter().rposition(outside)?;
    let ends = tokens
        .get(at + 2)
        .is_none_or(|token| token.is(text, "SETTINGS"));
    let name = tokens.get(at + 1).filter(|_| ends && at > 0)?;
    word(text, *name)
}

/// ` WHERE …` of a KILL QUERY that means it; `TEST` only shows.
fn condition_of_kill(statement: &[u8]) -> Option<Vec<u8>> {
    let outside: Vec<Token> = Lexer::new(statement)
        .filter(|token| token.depth == 0)
        .collect();
    let find = |word: &str| outside.iter().find(|token| token.is(statement, word));
    let (from, test) = (find("WHERE")?, find("TEST"));
    if test.is_some() || !outside.get(1)?.is(statement, "QUERY") {
        return None;
    }
    let ends = ["SYNC", "ASYNC", "FORMAT", "SETTINGS"];
    let end = outside
        .iter()
        .filter(|token| token.start > from.start)
        .find(|token| ends.iter().any(|word| token.is(statement, word)))
        .map_or(statement.len(), |token| token.start);
    Some([b" ", &statement[from.start..end]].concat())
}

/// In a KILL statement, `query_id` means the id that the client chose. The engine has ids of its
/// own and keeps the client's as `log_comment`.
fn with_request_ids(text: &[u8]) -> Vec<u8> {
    let own = b"if(empty(Settings['log_comment']), query_id, Settings['log_comment'])";
    let mut rewritten = Vec::with_capacity(text.len());
    let mut from = 0;
    for token in Lexer::new(text).filter(|token| token.is(text, "query_id")) {
        rewritten.extend_from_slice(&text[from..token.start]);
        rewritten.extend_from_slice(own);
        from = token.end;
    }
    rewritten.extend_from_slice(&text[from..]);
    rewritten
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
