//! JSON as `serde_json` reads it, to hold the scanner against: every value is read as raw JSON first and
//! told apart afterwards. What is made of the members is not looked at here.

use std::{borrow::Cow, fmt};

use contracts::dead_letter::Reason;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    DEPTH, Line, RecordContext,
    fields::Fields,
    json::{Shape, Value},
};

/// Of a text that begins with `{`.
pub(super) fn read<'a>(text: &'a str, context: &RecordContext<'a>) -> Result<Line<'a>, Reason> {
    let members = members(text).ok_or(Reason::BrokenJson)?;
    let mut fields = Fields::none();
    for (name, json) in members {
        match value(json) {
            Some(value) if name == "attributes" && value.shape == Shape::Object => {
                match self::members(json) {
                    Some(inner) => {
                        let known = inner
                            .into_iter()
                            .filter_map(|(name, json)| Some((name, self::value(json)?.text)));
                        known.for_each(|(name, text)| fields.put_other(name, text));
                    }
                    None => fields.put(name, value),
                }
            }
            Some(value) => fields.put(name, value),
            None => {}
        }
    }
    fields.take_line(context, DEPTH).ok_or(Reason::NoMessage)
}

/// One member of the JSON object: its name, and its value's JSON text.
type Member<'a> = (Cow<'a, str>, &'a str);

fn members(text: &str) -> Option<Vec<Member<'_>>> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let members = reader.deserialize_map(Members).ok()?;
    reader.end().ok()?;
    Some(members)
}

struct Members;

impl<'a> Visitor<'a> for Members {
    type Value = Vec<Member<'a>>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            let value: &'a RawValue = map.next_value()?;
            members.push((name, value.get()));
        }
        Ok(members)
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A JSON string without its quotes and escapes; of any other value its JSON text; nothing of `null`.
fn value(json: &str) -> Option<Value<'_>> {
    let shape = match json.as_bytes().first()? {
        b'"' => Shape::Text,
        b'{' => Shape::Object,
        b'[' => Shape::Array,
        b'n' => return None,
        b't' | b'f' => Shape::Literal,
        _ => Shape::Number,
    };
    let inner = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let text = match inner {
        Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
        // Checked once already when the object was read; only a lone surrogate escape can fail here.
        Some(_) => serde_json::from_str(json).map_or(Cow::Borrowed(json), Cow::Owned),
        None => Cow::Borrowed(json),
    };
    Some(Value { text, shape })
}
