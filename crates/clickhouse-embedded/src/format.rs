//! What the front knows about output formats.
//! Invariant: a format is streamed only if its blocks, put together, are the bytes that the engine
//! writes in one go; found by comparing both for every format of 26.7.

use primitives::varint;

/// How a result in this format can be sent while it is being computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streaming {
    /// Blocks follow each other as they are.
    Blocks,
    /// Each block repeats a head, which is dropped from all but the first.
    Headed(Head),
    /// The whole result has to be there first: prefix, suffix or alignment span it.
    Whole,
}

/// A head that a format writes before its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// So many lines, in which no line break can be part of a name.
    Lines(u8),
    /// A count, then this many strings per column, each with its length in front.
    Strings(u8),
}

impl Head {
    /// How long the head of `block` is; `None` if it is not all there.
    pub(crate) fn length(self, block: &[u8]) -> Option<usize> {
        match self {
            Self::Lines(lines) => {
                let breaks = block.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
                breaks.map(|(at, _)| at + 1).nth(usize::from(lines) - 1)
            }
            Self::Strings(per_column) => {
                let mut at = 0;
                let columns = varint::take_at(block, &mut at)?;
                for _ in 0..columns.checked_mul(u64::from(per_column))? {
                    let length = varint::take_at(block, &mut at)?;
                    at = at
                        .checked_add(usize::try_from(length).ok()?)
                        .filter(|end| *end <= block.len())?;
                }
                Some(at)
            }
        }
    }
}

/// How results in `format` can be streamed.
pub(crate) fn streaming(format: &str) -> Streaming {
    match format.to_ascii_lowercase().as_str() {
        "tabseparated"
        | "tsv"
        | "tabseparatedraw"
        | "tsvraw"
        | "raw"
        | "tskv"
        | "csv"
        | "jsoneachrow"
        | "jsonl"
        | "jsonlines"
        | "ndjson"
        | "jsonstringseachrow"
        | "jsoncompacteachrow"
        | "jsoncompactstringseachrow"
        | "prettyjsoneachrow"
        | "native"
        | "rowbinary"
        | "msgpack"
        | "bsoneachrow"
        | "rawblob"
        | "lineasstring" => Streaming::Blocks,
        "tabseparatedwithnames"
        | "tsvwithnames"
        | "jsoncompacteachrowwithnames"
        | "jsoncompactstringseachrowwithnames" => Streaming::Headed(Head::Lines(1)),
        "tabseparatedwithnamesandtypes"
        | "tsvwithnamesandtypes"
        | "jsoncompacteachrowwithnamesandtypes"
        | "jsoncompactstringseachrowwithnamesandtypes" => Streaming::Headed(Head::Lines(2)),
        "rowbinarywithnames" => Streaming::Headed(Head::Strings(1)),
        "rowbinarywithnamesandtypes" => Streaming::Headed(Head::Strings(2)),
        _ => Streaming::Whole,
    }
}

/// The `Content-Type` that ClickHouse gives a format.
pub(crate) fn content_type(format: &str) -> &'static str {
    let name = format.to_ascii_lowercase();
    let begins = |prefix: &str| name.starts_with(prefix);
    if begins("tabseparated") || begins("tsv") || begins("raw") && name != "rawblob" {
        return "text/tab-separated-values; charset=UTF-8";
    }
    if begins("csv") {
        return if begins("csvwith") {
            "text/csv; charset=UTF-8; header=present"
        } else {
            "text/csv; charset=UTF-8; header=absent"
        };
    }
    let per_row =
        name.contains("eachrow") || matches!(name.as_str(), "jsonl" | "jsonlines" | "ndjson");
    match name.as_str() {
        "native" | "msgpack" | "bsoneachrow" | "rawblob" | "avro" | "parquet" | "orc" | "arrow"
        | "arrowstream" | "npy" => "application/octet-stream",
        "xml" => "application/xml; charset=UTF-8",
        "jsonobjecteachrow" => "application/json; charset=UTF-8",
        _ if begins("rowbinary") || begins("protobuf") => "application/octet-stream",
        _ if per_row => "application/x-ndjson; charset=UTF-8",
        _ if begins("json") => "application/json; charset=UTF-8",
        _ => "text/plain; charset=UTF-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_measured() {
        assert_eq!(Head::Lines(1).length(b"a\tb\n1\t2\n"), Some(4));
        assert_eq!(Head::Lines(2).length(b"a\nUInt8\n1\n"), Some(8));
        assert_eq!(Head::Lines(2).length(b"a\n"), None);
        assert_eq!(Head::Strings(2).length(b"\x01\x01a\x05UInt8\x07"), Some(9));
        assert_eq!(Head::Strings(1).length(b"\x02\x01a\x01b\x07\x07"), Some(5));
        assert_eq!(Head::Strings(2).length(b"\x01\x01a\x05UIn"), None);
        assert_eq!(Head::Strings(2).length(b""), None);
    }

    #[test]
    fn formats_with_a_frame_are_sent_whole() {
        for format in [
            "JSON",
            "JSONCompact",
            "Pretty",
            "Parquet",
            "XML",
            "Values",
            "CSVWithNames",
            "ArrowStream",
            "Unheard",
        ] {
            assert_eq!(streaming(format), Streaming::Whole, "{format}");
        }
        for format in [
            "TabSeparated",
            "JSONEachRow",
            "Native",
            "RowBinary",
            "native",
        ] {
            assert_eq!(streaming(format), Streaming::Blocks, "{format}");
        }
    }

    #[test]
    fn content_types_are_those_of_clickhouse() {
        for (format, kind) in [
            ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
            ("TSVWithNames", "text/tab-separated-values; charset=UTF-8"),
            ("CSV", "text/csv; charset=UTF-8; header=absent"),
            ("CSVWithNames", "text/csv; charset=UTF-8; header=present"),
            ("JSON", "application/json; charset=UTF-8"),
            ("JSONCompact", "application/json; charset=UTF-8"),
            ("JSONEachRow", "application/x-ndjson; charset=UTF-8"),
            ("Native", "application/octet-stream"),
            ("RowBinaryWithNamesAndTypes", "application/octet-stream"),
            ("Pretty", "text/plain; charset=UTF-8"),
            ("Values", "text/plain; charset=UTF-8"),
        ] {
            assert_eq!(content_type(format), kind, "{format}");
        }
    }
}
