//! Message templates (messagetemplates.org), as Serilog and NLog write them.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The members of an event, and those that Serilog's own JSON has in an object.
struct Members<'m> {
    own: &'m [(Cow<'m, str>, Cow<'m, str>)],
    properties: Map<String, Value>,
}

impl<'m> Members<'m> {
    fn of(own: &'m [(Cow<'m, str>, Cow<'m, str>)]) -> Self {
        let properties = own.iter().find(|(name, _)| name == "Properties");
        let properties = properties.and_then(|(_, json)| serde_json::from_str(json).ok());
        Self {
            own,
            properties: properties.unwrap_or_default(),
        }
    }

    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        let is_named = |(member, _): &&(Cow<'_, str>, Cow<'_, str>)| {
            &**member == name || member.strip_prefix("Properties.") == Some(name)
        };
        if let Some((_, value)) = self.own.iter().rev().find(is_named) {
            return Some(Cow::Borrowed(&**value));
        }
        Some(match self.properties.get(name)? {
            Value::String(text) => Cow::Borrowed(&**text),
            other => Cow::Owned(other.to_string()),
        })
    }
}

/// A template with its holes filled from the members of the event. A hole without a member stays.
pub(crate) fn rendered(template: &str, members: &[(Cow<'_, str>, Cow<'_, str>)]) -> String {
    let members = Members::of(members);
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once(['{', '}']) {
        text.push_str(before);
        let brace = rest.get(before.len()..=before.len()).unwrap_or_default();
        if let Some(doubled) = after.strip_prefix(brace) {
            text.push_str(brace);
            rest = doubled;
            continue;
        }
        match after.split_once('}') {
            Some((hole, after)) if brace == "{" => {
                if let Some(value) = members.value(name_in(hole)) {
                    text.push_str(&value);
                } else {
                    text.push('{');
                    text.push_str(hole);
                    text.push('}');
                }
                rest = after;
            }
            _ => {
                text.push_str(brace);
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

/// `{Name}`, `{@Name}`, `{$Name}`, `{Name,8:000}`.
fn name_in(hole: &str) -> &str {
    let name = hole.trim_start_matches(['@', '$']);
    name.split([',', ':']).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled() {
        let members = [
            (Cow::Borrowed("Id"), Cow::Borrowed("7")),
            (
                Cow::Borrowed("Properties"),
                Cow::Borrowed(r#"{"Shop":"north"}"#),
            ),
        ];
        for (template, text) in [
            ("cart {Id} lost", "cart 7 lost"),
            ("{@Shop}: {Id,5:000} {{Id}}", "north: 7 {Id}"),
            ("{Gone} {Id", "{Gone} {Id"),
            ("a } b", "a } b"),
        ] {
            assert_eq!(rendered(template, &members), text);
        }
    }
}
