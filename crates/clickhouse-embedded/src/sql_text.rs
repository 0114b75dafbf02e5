//! Quoting of values and names for statements that the front writes itself.
//! Invariant: what a client sent stays one literal or one name, whatever its bytes.

/// A string literal.
pub(crate) fn literal(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('\'');
    for c in value.chars() {
        match c {
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            '\0' => quoted.push_str("\\0"),
            _ => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// A name in backticks.
pub(crate) fn name(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('`');
    for c in name.chars() {
        match c {
            '`' => quoted.push_str("\\`"),
            '\\' => quoted.push_str("\\\\"),
            '\0' => quoted.push_str("\\0"),
            _ => quoted.push(c),
        }
    }
    quoted.push('`');
    quoted
}

/// `SET a = '1', b = 'x'`; names of settings stay bare, so anything else is dropped from them.
pub(crate) fn set(settings: &[(String, String)]) -> String {
    let items: Vec<String> = settings
        .iter()
        .map(|(key, value)| format!("{} = {}", bare(key), literal(value)))
        .collect();
    format!("SET {}", items.join(", "))
}

/// A setting's name as it can stand in a statement. A name that is none becomes a quoted one, which
/// the engine then does not know.
pub(crate) fn bare(key: &str) -> String {
    let plain = !key.is_empty()
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !key.as_bytes()[0].is_ascii_digit();
    if plain {
        key.to_owned()
    } else {
        name(if key.is_empty() { " " } else { key })
    }
}

/// Undoes the escapes of one TabSeparated field.
pub(crate) fn unescape(field: &str) -> String {
    let mut plain = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        plain.push(match chars.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('0') => '\0',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some(other) => other,
            None => '\\',
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(literal("it's \\"), "'it\\'s \\\\'");
        assert_eq!(name("a`b"), "`a\\`b`");
        assert_eq!(
            set(&[("a".to_owned(), "1'; DROP".to_owned())]),
            "SET a = '1\\'; DROP'"
        );
        assert_eq!(bare("a=1, b"), "`a=1, b`");
        assert_eq!(unescape("a\\tb\\\\n\\'"), "a\tb\\n'");
    }
}
