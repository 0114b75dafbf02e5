//! Runs of bytes with more in them than a word: numbers, marks around a token, tokens that are taken apart.
//!
//! Invariant: each step is at a shorter run than the one before.

use crate::{
    address,
    atom::{self, Atom, is_symbol},
    bytes::{COLON, DIGIT, DOT, PLAIN, PUNCTUATION, class, classes_of, is_letter},
    encoded::{is_encoded, may_be_encoded},
    hash,
    scan::{Scanner, Span, mixes_scripts},
    token::Kind,
    vocabulary::is_unit,
};

/// So many asterisks stand for a value.
const REDACTED: usize = 4;

impl Scanner {
    pub(crate) fn number(&mut self, line: &[u8], span: Span) -> usize {
        let mut end = span.end;
        // Thousands: 1,234,567
        let mut most = span.start + 3;
        while end <= most
            && line.get(end) == Some(&b',')
            && line
                .get(end + 1..end + 4)
                .is_some_and(|group| classes_of(group) == DIGIT)
            && !line.get(end + 4).is_some_and(u8::is_ascii_digit)
        {
            end += 4;
            most = end;
        }
        let is_digit = |at: usize| line.get(at).is_some_and(u8::is_ascii_digit);
        if end == span.end {
            self.parameter(line, span, Kind::Number, true);
            return end;
        }
        // With a fraction, and a unit: 1,234.5ms
        if line.get(end) == Some(&b'.') && is_digit(end + 1) {
            end += 1;
            while is_digit(end) {
                end += 1;
            }
        }
        let letters = line[end..]
            .iter()
            .take(16)
            .take_while(|b| is_letter(**b) || **b == b'%');
        let unit = end + letters.count();
        let kind = if is_unit(&line[end..unit]) || &line[end..unit] == b"%" {
            end = unit;
            Kind::Quantity
        } else {
            Kind::Number
        };
        self.parameter(line, Span { end, ..span }, kind, true);
        end
    }

    /// A run with more in it than a word or a number: marks around it, and what is between.
    pub(crate) fn mixed(&mut self, line: &[u8], span: Span, known: Option<u16>) {
        let Span { start, end, spaced } = span;
        let run = &line[start..end];
        if known.is_none_or(may_be_encoded) {
            let padding = run.iter().rev().take_while(|b| **b == b'=').count();
            if is_encoded(&run[..run.len() - padding]) {
                self.parameter(line, span, Kind::Identifier, true);
                return;
            }
        }
        if known.unwrap_or(COLON) & COLON != 0
            && let Some(length) = ipv6(run)
        {
            let end = start + length;
            self.parameter(line, Span { end, ..span }, Kind::Address, true);
            self.mark_at(line, end, span.end);
            return;
        }
        let marks = COLON | DOT | PUNCTUATION;
        let lead = if atom::begins_path(run) {
            0
        } else {
            run.iter().take_while(|b| class(**b) & marks != 0).count()
        };
        if run[0] == b'%' && lead == run.len() && self.follows_number() {
            self.make_quantity(line, start + 1);
            self.mark_at(line, start + 1, end);
            return;
        }
        if lead == run.len() {
            // `****`: a value that somebody is not to see.
            if run.len() >= REDACTED && run.iter().all(|b| *b == b'*') {
                self.parameter(line, span, Kind::Literal, true);
            } else {
                self.mark(line, span);
            }
            return;
        }
        let tail = run
            .iter()
            .rev()
            .take_while(|b| class(**b) & marks != 0 && **b != b'%')
            .count();
        // A plus sign belongs to its number.
        let signed = lead > 0 && run[lead - 1] == b'+' && run[lead].is_ascii_digit();
        let from = start + lead - usize::from(signed);
        let to = end - tail;
        if from > start {
            self.mark(
                line,
                Span {
                    start,
                    end: from,
                    spaced,
                },
            );
        }
        let whole = from == start && to == end;
        let core = Span {
            start: from,
            end: to,
            spaced: spaced && from == start,
        };
        self.atoms(line, core, known.filter(|_| whole));
        self.mark_at(line, to, end);
    }

    /// The mark right behind a token, if there is one.
    fn mark_at(&mut self, line: &[u8], start: usize, end: usize) {
        if start < end {
            let spaced = false;
            self.mark(line, Span { start, end, spaced });
        }
    }

    /// `known`: the classes of its bytes, if they are.
    fn atoms(&mut self, line: &[u8], mut span: Span, mut known: Option<u16>) {
        while span.start < span.end {
            let token = &line[span.start..span.end];
            let classes = known.take().unwrap_or_else(|| classes_of(token));
            if classes & !PLAIN == 0 && !mixes_scripts(classes) {
                self.word(line, span, classes, hash::of(token));
                return;
            }
            match atom::classify(token, classes) {
                Atom::Word => {
                    self.word_or_value(line, span, is_symbol(token), hash::of(token));
                }
                Atom::Parameter(kind) => self.parameter(line, span, kind, true),
                Atom::Value(kind) => self.parameter(line, span, kind, false),
                // A value is one, whatever is in it.
                Atom::Split { before, after }
                    if before == after && self.in_place_of_value(line, span) =>
                {
                    self.parameter(line, span, Kind::Identifier, true);
                }
                Atom::Split { before, after } => {
                    let mark = Span {
                        start: span.start + before,
                        end: span.start + after,
                        spaced: span.spaced && before == 0,
                    };
                    self.atoms(
                        line,
                        Span {
                            end: mark.start,
                            ..span
                        },
                        None,
                    );
                    if after > before {
                        self.mark(line, mark);
                    }
                    span = Span {
                        start: mark.end,
                        end: span.end,
                        spaced: false,
                    };
                    continue;
                }
            }
            return;
        }
    }
}

/// How much of this is an address of IPv6, a stop or colon behind it left out.
fn ipv6(run: &[u8]) -> Option<usize> {
    if address::is_ipv6(run) {
        return Some(run.len());
    }
    let (last, rest) = run.split_last()?;
    (matches!(last, b'.' | b':') && address::is_ipv6(rest)).then_some(rest.len())
}
