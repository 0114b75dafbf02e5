//! Stack traces: the frames of one, of whatever language, are one parameter, so that a fault is one
//! template however deep the stack was; what the exceptions say stays text.
//!
//! Invariant: linear in the bytes; a line is a frame by its own look, or by that of its neighbour where
//! the two are one frame (Go, Python).

/// Where the frames end that begin behind the line break at `newline`, if there are any.
pub(crate) fn frames(text: &[u8], newline: usize) -> Option<usize> {
    let mut end = None;
    let mut at = newline + 1;
    // Go prints a goroutine's frames in pairs, the first of which looks like any text.
    let mut goroutine = false;
    // Python prints the source line below the frame.
    let mut below_frame = false;
    while at < text.len() {
        let (line, stop) = line_at(text, at);
        let trimmed = line.trim_ascii();
        let indent = indent(line);
        let head = is_goroutine(trimmed);
        goroutine = head || goroutine && !trimmed.is_empty();
        let frame = head
            || goroutine
            || is_frame(trimmed, indent)
            || below_frame && indent >= 4
            || trimmed.is_empty() && end.is_some()
            || is_function(trimmed) && is_source_line(line_at(text, stop + 1).0);
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

/// The line that begins at `at`, and where it ends; nothing behind the text.
fn line_at(text: &[u8], at: usize) -> (&[u8], usize) {
    let rest = text.get(at..).unwrap_or_default();
    let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    (&rest[..length], at + length)
}

fn indent(line: &[u8]) -> usize {
    line.len() - line.trim_ascii_start().len()
}

fn is_goroutine(line: &[u8]) -> bool {
    line.starts_with(b"goroutine ") && line.ends_with(b":")
}

fn is_frame(line: &[u8], indent: usize) -> bool {
    let Some(first) = line.first() else {
        return false;
    };
    match first {
        // Java, JavaScript, .NET.
        b'a' if indent > 0 && line.starts_with(b"at ") => return true,
        // Java's and JavaScript's "... 12 more".
        b'.' if line.starts_with(b"... ") => {
            let ends: [&[u8]; 3] = [b" more", b" common frames omitted", b" ..."];
            return ends.iter().any(|end| line.ends_with(end));
        }
        // Python; gdb, PHP, Dart.
        b'F' if line.starts_with(b"File \"") => return true,
        b'#' if line.get(1).is_some_and(u8::is_ascii_digit) => return true,
        // .NET: "--- End of inner exception stack trace ---"
        b'-' if line.starts_with(b"--- End of ") => return true,
        b'[' if indent > 0 && line.starts_with(b"[Previous line repeated ") => return true,
        b's' if line == b"stack backtrace:" => return true,
        _ => {}
    }
    // Rust; Go; Ruby; Elixir and Erlang, Lua; Perl, Haskell.
    indent > 0 && (is_numbered(line) || *first == b'/' && line.contains(&b':'))
        || is_ruby(line)
        || indent > 0 && (is_place(without_application(line)) || contains(line, b" called at "))
}

/// `  12: core::panicking::panic_fmt`
fn is_numbered(line: &[u8]) -> bool {
    let digits = line.iter().take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && line[digits..].starts_with(b": ")
}

/// ``app/models/cart.rb:10:in `total'``, with or without `from`.
fn is_ruby(line: &[u8]) -> bool {
    let is_quote = |window: &[u8]| matches!(window, [digit, b':', b'i', b'n', b' ', b'`' | b'\''] if digit.is_ascii_digit());
    line.ends_with(b"'") && line.windows(6).any(is_quote)
}

/// `lib/shop/cart.ex:12: Shop.Cart.total/1`: a file, a line, and what stands there.
fn is_place(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else {
        return false;
    };
    let (file, rest) = line.split_at(colon);
    is_numbered(&rest[1..]) && file.contains(&b'.') && !file.contains(&b' ')
}

/// Elixir names the application before the file: `(shop 0.1.0) lib/shop/cart.ex`.
fn without_application(line: &[u8]) -> &[u8] {
    if line.first() != Some(&b'(') {
        return line;
    }
    let close = memchr::memchr(b')', line);
    close.map_or(line, |at| line[at + 1..].trim_ascii_start())
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(line, part).is_some()
}

/// A function as Go names it above its place: `shop/cart.(*Cart).Total(0x1, 0x2)`, `main.main`.
fn is_function(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"created by ").unwrap_or(line);
    let name = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
    let arguments = memchr::memchr(b'(', line).is_some_and(|open| open < name);
    let is_whole = name == line.len() || arguments || line[name..].starts_with(b" in goroutine ");
    is_whole && line[..name].contains(&b'.')
}

/// `/src/main.go:12 +0x1d`, indented.
fn is_source_line(line: &[u8]) -> bool {
    let place = line.trim_ascii();
    let place = place.split(|b| *b == b' ').next().unwrap_or_default();
    let digits = place
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let before = &place[..place.len() - digits];
    indent(line) > 0 && digits > 0 && before.ends_with(b":") && before.contains(&b'/')
}
