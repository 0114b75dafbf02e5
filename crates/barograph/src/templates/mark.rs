//! Where a line has the parameters of its template.
//!
//! Invariant: linear in the line for each parameter; the answer's ranges are in order, apart, and end
//! on characters of the line.

use std::ops::Range;

/// What a template's text has for a parameter.
const PARAMETER: &str = "<*>";

/// One thing after the other, as the text demands of a line.
#[derive(Clone, Copy)]
enum Want {
    Byte(u8),
    /// White space of any kind and length: a text has one blank for it.
    Blank,
    Parameter,
}

/// The bytes of each parameter, the shortest that fit; `None`: the line does not read as the text
/// does. Only the last parameter before a mismatch has to be made longer, as with file name patterns.
pub(super) fn parameters(text: &str, line: &str) -> Option<Vec<Range<usize>>> {
    let wants = wants(text);
    let line = line.trim_end_matches(is_blank_char).as_bytes();
    let mut at = line.iter().take_while(|byte| is_blank(**byte)).count();
    let mut found: Vec<Range<usize>> = Vec::new();
    // The parameter to make longer: its want, and how many ranges there were before it.
    let mut open: Option<(usize, usize)> = None;
    let mut next = 0;
    loop {
        match wants.get(next) {
            None if at == line.len() => break,
            Some(Want::Parameter) if at < line.len() => {
                open = Some((next, found.len()));
                found.push(at..at + 1);
                at += 1;
                next += 1;
                continue;
            }
            Some(Want::Byte(byte)) if line.get(at) == Some(byte) => {
                at += 1;
                next += 1;
                continue;
            }
            Some(Want::Blank) if line.get(at).is_some_and(|byte| is_blank(*byte)) => {
                at += line[at..]
                    .iter()
                    .take_while(|byte| is_blank(**byte))
                    .count();
                next += 1;
                continue;
            }
            None | Some(Want::Byte(_) | Want::Blank | Want::Parameter) => {}
        }
        let (want, before) = open?;
        found.truncate(before + 1);
        let longer = found.last_mut()?;
        if longer.end >= line.len() {
            return None;
        }
        longer.end += 1;
        at = longer.end;
        next = want + 1;
    }
    let is_character = |at: usize| line.get(at).is_none_or(|byte| *byte & 0xc0 != 0x80);
    found
        .iter()
        .all(|range| is_character(range.start) && is_character(range.end))
        .then_some(found)
}

fn wants(text: &str) -> Vec<Want> {
    let mut wants = Vec::new();
    for (number, part) in text.split(PARAMETER).enumerate() {
        if number > 0 {
            wants.push(Want::Parameter);
        }
        wants.extend(part.bytes().map(|byte| match byte {
            b' ' => Want::Blank,
            byte => Want::Byte(byte),
        }));
    }
    wants
}

/// As the miner has it: control characters are white space too.
fn is_blank(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

fn is_blank_char(character: char) -> bool {
    u8::try_from(character).is_ok_and(is_blank)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, line: &str) -> Option<Vec<String>> {
        let ranges = parameters(text, line)?;
        Some(
            ranges
                .into_iter()
                .map(|range| line[range].to_owned())
                .collect(),
        )
    }

    #[test]
    fn parameters_are_what_the_text_leaves_open() {
        for (text, line, expected) in [
            ("took <*> ms", "took 12 ms", &["12"][..]),
            ("<*>", "everything there is", &["everything there is"]),
            ("a <*> b <*>", "a 1 b b 2", &["1", "b 2"]),
            ("a <*> b", "a 1 b b", &["1 b"]),
            (
                "peer [<*>]:<*> gone",
                "peer [2001:db8::1]:443 gone",
                &["2001:db8::1", "443"],
            ),
            ("x  <*> y", "x y", &[]),
            (
                "failed <*> Caused by: <*>",
                "failed\n\tat a.b\n\tat c.d\nCaused by: e",
                &["at a.b\n\tat c.d", "e"],
            ),
            ("sent <*> to <*>", "  sent\t5  to ü \n", &["5", "ü"]),
            ("plain", "plain", &[]),
            ("", "  ", &[]),
        ] {
            let expected = expected
                .iter()
                .map(|it| (*it).to_owned())
                .collect::<Vec<_>>();
            let found = marked(text, line);
            if text == "x  <*> y" {
                assert_eq!(found, None);
            } else {
                assert_eq!(found, Some(expected), "{text} / {line}");
            }
        }
    }

    #[test]
    fn a_line_of_another_template_is_told_apart() {
        for (text, line) in [
            ("took <*> ms", "took 12 s"),
            ("took <*>", "took"),
            ("a", "b"),
            ("", "x"),
            ("<*> a <*> b", "1 b 2 a"),
        ] {
            assert_eq!(parameters(text, line), None, "{text} / {line}");
        }
    }

    /// Would catch a cost that grows with the square of a hostile line for each parameter.
    #[test]
    fn many_parameters_in_a_long_line_take_no_time() {
        let text = "<*> a ".repeat(40) + "b";
        let line = "a ".repeat(20_000);
        assert_eq!(parameters(&text, &line), None);
    }
}
