//! Dates that are written with words: `Fri Jun 17 07:07:00 PDT 2005`, `17 Jun 2005`, `Jun 17 07:07`.
//!
//! Invariant: at most six words are looked at.

use crate::{
    bytes::{DIGIT, classes_of},
    vocabulary::{is_month, is_weekday},
};

/// Where the date ends that begins with the word `line[start..end]`, a month or a weekday. `day`: a
/// number stands before it.
pub(crate) fn date(line: &[u8], start: usize, end: usize, day: bool) -> Option<usize> {
    let first = &line[start..end];
    let weekday = is_weekday(first);
    if !weekday && !is_month(first) {
        return None;
    }
    let (mut month, mut day, mut last) = (!weekday, day && !weekday, None);
    let mut at = end;
    for _ in 0..5 {
        let Some((begin, stop)) = next(line, at) else {
            break;
        };
        let word = &line[begin..stop];
        let number = word.len() <= 4 && classes_of(word) == DIGIT;
        if !month && is_month(word) {
            month = true;
        } else if number && month && !day && word.len() <= 2 {
            day = true;
            last = Some(stop);
        } else if number && !month && !day && word.len() <= 2 {
            day = true;
        } else if number && day && word.len() == 4 && month {
            return Some(stop);
        } else if is_time(word) && (day || weekday) {
            last = Some(stop);
        } else if last.is_some() && is_zone(word) {
            // Part of the date only when a year follows.
        } else {
            break;
        }
        at = stop;
    }
    last.filter(|_| month && day)
}

/// The next word after `at`, past white space and one comma.
fn next(line: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut begin = at;
    if line.get(begin) == Some(&b',') {
        begin += 1;
    }
    let gap = line[begin..]
        .iter()
        .take(3)
        .take_while(|b| **b == b' ')
        .count();
    if gap == 0 {
        return None;
    }
    begin += gap;
    let length = line[begin..]
        .iter()
        .take(16)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'.' | b'+'))
        .count();
    (length > 0).then_some((begin, begin + length))
}

fn is_time(word: &[u8]) -> bool {
    word.len() >= 4
        && word.contains(&b':')
        && word
            .iter()
            .all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'))
}

fn is_zone(word: &[u8]) -> bool {
    (3..=4).contains(&word.len()) && word.iter().all(u8::is_ascii_uppercase)
}
