//! What somebody wants to see, read alike from a query string and from a frame.
//!
//! Invariant: what one of them takes, the other takes too, and means the same by it; what neither
//! takes is answered with the field's name and what would be right.

use contracts::{Severity, websocket::Filter};
use serde_json::Value;

/// As they are told; `service` and `kind` will do, too.
pub const NAMES: [&str; 4] = ["services", "kinds", "min_severity", "text"];

/// A field that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct BadField {
    pub field: String,
    pub problem: String,
    pub is_severity: bool,
}

impl BadField {
    pub fn new(field: &str, problem: impl Into<String>) -> Self {
        Self {
            field: field.chars().take(50).collect(),
            problem: problem.into(),
            is_severity: false,
        }
    }
}

/// Whether a query string may have it.
pub fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || matches!(name, "service" | "kind")
}

/// Of pairs of a name and its text; other names are somebody else's.
pub fn of_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Filter, BadField> {
    let mut filter = Filter::default();
    for (name, text) in pairs {
        match name {
            "services" | "service" => filter.services.extend(split(text)),
            "kinds" | "kind" => filter.kinds.extend(split(text).map(|kind| lower(&kind))),
            "min_severity" => filter.min_severity = severity(name, text)?,
            "text" => text.clone_into(&mut filter.text),
            _ => {}
        }
    }
    Ok(filter)
}

/// Of the member `filter` of a frame.
pub fn of_json(value: &Value) -> Result<Filter, BadField> {
    let fields = match value {
        Value::Null => return Ok(Filter::default()),
        Value::Object(fields) => fields,
        _ => {
            let problem = format!("expected an object with {}", NAMES.join(", "));
            return Err(BadField::new("filter", problem));
        }
    };
    let mut filter = Filter::default();
    for (name, value) in fields {
        let path = format!("filter.{name}");
        match name.as_str() {
            "services" | "service" => filter.services.extend(list(&path, value)?),
            "kinds" | "kind" => {
                let kinds = list(&path, value)?;
                filter.kinds.extend(kinds.iter().map(|kind| lower(kind)));
            }
            "min_severity" => filter.min_severity = severity(&path, text(&path, value)?)?,
            "text" => text(&path, value)?.clone_into(&mut filter.text),
            _ => {
                let problem = format!("not known here; there are {}", NAMES.join(", "));
                return Err(BadField::new(&path, problem));
            }
        }
    }
    Ok(filter)
}

fn severity(field: &str, text: &str) -> Result<Severity, BadField> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Severity::default());
    }
    text.parse().map_err(|_| BadField {
        is_severity: true,
        ..BadField::new(field, "expected low, medium, high or critical")
    })
}

fn lower(kind: &str) -> String {
    kind.to_ascii_lowercase()
}

/// Values separated by commas.
fn split(text: &str) -> impl Iterator<Item = String> + '_ {
    let values = text.split(',').map(|value| value.trim().to_owned());
    values.filter(|value| !value.is_empty())
}

fn text<'a>(field: &str, value: &'a Value) -> Result<&'a str, BadField> {
    match value {
        Value::Null => Ok(""),
        Value::String(text) => Ok(text),
        _ => Err(BadField::new(field, "expected a text")),
    }
}

/// A list of texts, or a text as in a query string.
fn list(field: &str, value: &Value) -> Result<Vec<String>, BadField> {
    let not_texts = || BadField::new(field, "expected a list of texts");
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(split(text).collect()),
        Value::Array(values) => {
            let texts = values.iter().map(|value| value.as_str().map(str::trim));
            let texts = texts.collect::<Option<Vec<_>>>().ok_or_else(not_texts)?;
            let texts = texts.into_iter().filter(|text| !text.is_empty());
            Ok(texts.map(str::to_owned).collect())
        }
        _ => Err(not_texts()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(json: &str, query: &str) -> (Result<Filter, BadField>, Result<Filter, BadField>) {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let pairs = pairs.iter().map(|(name, text)| (&**name, &**text));
        let value = serde_json::from_str(json).unwrap();
        (of_json(&value), of_pairs(pairs))
    }

    #[test]
    fn a_frame_and_a_query_string_mean_the_same() {
        for (json, query) in [
            ("null", ""),
            ("{}", "other=1"),
            (r#"{"min_severity":"CRITICAL"}"#, "min_severity=CRITICAL"),
            (r#"{"min_severity":" High "}"#, "min_severity=High"),
            (r#"{"min_severity":""}"#, "min_severity="),
            (r#"{"min_severity":null}"#, ""),
            (r#"{"services":["a","b"]}"#, "services=a,b"),
            (
                r#"{"service":["a"],"services":"b"}"#,
                "service=a&services=b",
            ),
            (r#"{"services":" a , b,"}"#, "services=+a+,+b,"),
            (r#"{"services":null,"kinds":[]}"#, "kinds="),
            (r#"{"kinds":["Rate_Spike"]}"#, "kind=rate_spike"),
            (
                r#"{"kind":"SILENCE","text":"Ab, c"}"#,
                "kinds=silence&text=Ab,+c",
            ),
        ] {
            let (frame, text) = both(json, query);
            assert_eq!(frame.as_ref().unwrap(), &text.unwrap(), "{json}");
        }
        let (filter, _) = both(r#"{"min_severity":"CRITICAL","kinds":"Silence"}"#, "");
        let filter = filter.unwrap();
        assert_eq!(filter.min_severity, Severity::Critical);
        assert_eq!(filter.kinds, ["silence"]);
        let (filter, _) = both(r#"{"services":["a,b"]}"#, "");
        assert_eq!(
            filter.unwrap().services,
            ["a,b"],
            "a name in a list is whole"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (json, says) in [
            (
                r#"{"min_severity":"nope"}"#,
                "filter.min_severity: expected low, medium, high or critical",
            ),
            (
                r#"{"min_severity":3}"#,
                "filter.min_severity: expected a text",
            ),
            (
                r#"{"min_severity":["high"]}"#,
                "filter.min_severity: expected a text",
            ),
            (
                r#"{"services":[1]}"#,
                "filter.services: expected a list of texts",
            ),
            (
                r#"{"services":{"a":1}}"#,
                "filter.services: expected a list of texts",
            ),
            (r#"{"kinds":7}"#, "filter.kinds: expected a list of texts"),
            (r#"{"text":["a"]}"#, "filter.text: expected a text"),
            (
                r#"{"severity":"high"}"#,
                "filter.severity: not known here; there are services, kinds, min_severity, text",
            ),
            (
                r#""high""#,
                "filter: expected an object with services, kinds, min_severity, text",
            ),
            (
                "[]",
                "filter: expected an object with services, kinds, min_severity, text",
            ),
        ] {
            let value = serde_json::from_str(json).unwrap();
            assert_eq!(of_json(&value).unwrap_err().to_string(), says, "{json}");
        }
        let (_, query) = both("null", "min_severity=nope");
        let says = "min_severity: expected low, medium, high or critical";
        assert_eq!(query.unwrap_err().to_string(), says);
    }
}
