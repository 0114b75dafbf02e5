//! Stack traces: the frames of one, of whatever language, are one parameter, so that a fault is one
//! template however deep the stack was; what the exceptions say stays text.
//!
//! Invariant: linear in the bytes; a line that is no frame is never taken for one because of what
//! follows it.

/// Where the frames end that begin behind the line break at `newline`, if there are any.
pub(crate) fn frames(text: &[u8], newline: usize) -> Option<usize> {
    let mut end = None;
    let mut at = newline + 1;
    // Go prints a goroutine's frames in pairs, the first of which looks like any text.
    let mut goroutine = false;
    // Python prints the source line below the frame.
    let mut below_frame = false;
    while at < text.len() {
        let stop = text[at..]
            .iter()
            .position(|b| *b == b'\n')
            .map_or(text.len(), |n| at + n);
        let line = &text[at..stop];
        let trimmed = line.trim_ascii();
        let indent = line.len() - line.trim_ascii_start().len();
        let head = is_goroutine(trimmed);
        goroutine = head || goroutine && !trimmed.is_empty();
        let frame = head
            || goroutine
            || is_frame(trimmed, indent)
            || below_frame && indent >= 4
            || trimmed.is_empty() && end.is_some();
        if !frame {
            break;
        }
        below_frame = trimmed.starts_with(b"File \"") || below_frame && indent >= 4;
        if !trimmed.is_empty() {
            end = Some(stop);
        }
        at = stop + 1;
    }
    end
}

fn is_goroutine(line: &[u8]) -> bool {
    line.starts_with(b"goroutine ") && line.ends_with(b":")
}

fn is_frame(line: &[u8], indent: usize) -> bool {
    // Java, JavaScript, .NET; Java's "... 12 more"; Python; gdb and C++; Ruby; Rust.
    indent > 0 && line.starts_with(b"at ")
        || line.starts_with(b"... ")
            && (line.ends_with(b" more") || line.ends_with(b" common frames omitted"))
        || line.starts_with(b"File \"")
        || line.starts_with(b"#") && line.get(1).is_some_and(u8::is_ascii_digit)
        || line.starts_with(b"from ") && line.windows(5).any(|w| w == b":in `" || w == b":in '")
        || line == b"stack backtrace:"
        || indent > 0 && is_numbered(line)
        || indent > 0 && line.first() == Some(&b'/') && line.contains(&b':')
}

/// `  12: core::panicking::panic_fmt`
fn is_numbered(line: &[u8]) -> bool {
    let digits = line.iter().take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && line[digits..].starts_with(b": ")
}
