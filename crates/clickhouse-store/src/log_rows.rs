//! Rows of `logs`, gathered as columns in the form in which they are sent.
//!
//! Invariants: rows are held in the order of their offsets; every column goes out in exactly the type
//! that the table has, and rows in the table's order, so that the server converts and sorts nothing.

use contracts::Level;
use pipeline::Day;

use primitives::varint;

use crate::{
    interned::Interned,
    native::{Column, Fixed, Maps, Strings, put_column},
    templates::TemplateNews,
};

const TIME: &str = "DateTime64(3, 'UTC')";
const WORD: &str = "LowCardinality(String)";
const LEVEL: &str = "Enum8('UNKNOWN' = 0, 'TRACE' = 1, 'DEBUG' = 2, 'INFO' = 3, 'WARN' = 4, 'ERROR' = 5, 'FATAL' = 6)";
const SOURCE: &str = "Enum8('record' = 0, 'kafka' = 1, 'clamped' = 2)";

/// Where a row's timestamp comes from. The numbers are those of the table's `Enum8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum TimestampSource {
    Record = 0,
    /// The record has none, or none that can be read.
    Kafka = 1,
    /// The record's own lay too far in the future.
    Clamped = 2,
}

/// One row, borrowed. Times in milliseconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub struct LogRow<'a> {
    pub timestamp: i64,
    pub timestamp_source: TimestampSource,
    pub service: &'a str,
    pub level: Level,
    pub is_error: bool,
    pub message: &'a str,
    /// As known now; 0: not mined.
    pub template_id: u64,
    pub host: &'a str,
    pub trace_id: &'a str,
    pub span_id: &'a str,
    pub latency_ms: Option<f64>,
    pub status: u16,
    pub client_ip: &'a str,
    pub user: &'a str,
    pub late: bool,
    pub kafka_timestamp: i64,
    pub kafka_offset: i64,
}

/// Columns of a block of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRows {
    count: usize,
    timestamp: Fixed<8>,
    timestamp_source: Fixed<1>,
    service: Interned,
    level: Fixed<1>,
    is_error: Fixed<1>,
    message: Strings,
    template_id: Fixed<8>,
    host: Interned,
    trace_id: Strings,
    span_id: Strings,
    latency_null: Fixed<1>,
    latency: Fixed<8>,
    status: Fixed<2>,
    client_ip: Strings,
    user: Strings,
    attributes: Maps,
    late: Fixed<1>,
    kafka_timestamp: Fixed<8>,
    kafka_offset: Fixed<8>,
    /// What the rows refer to.
    pub templates: TemplateNews,
}

/// What `DateTime64(3)` holds: 1900-01-01 to 2299-12-31. Anything else would be shown as another time.
fn in_range(millis: i64) -> i64 {
    millis.clamp(-2_208_988_800_000, 10_413_791_999_999)
}

impl LogRows {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all columns as they are held, about.
    pub fn size(&self) -> usize {
        const FIXED: usize = 46;
        let strings = [
            &self.message,
            &self.trace_id,
            &self.span_id,
            &self.client_ip,
            &self.user,
        ];
        strings
            .iter()
            .map(|column| column.bytes().len())
            .sum::<usize>()
            + self.service.size()
            + self.host.size()
            + self.attributes.size()
            + self.count * FIXED
            + self.templates.size()
    }

    pub fn push<'a>(
        &mut self,
        row: &LogRow<'_>,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        self.count += 1;
        self.timestamp.push(in_range(row.timestamp).to_le_bytes());
        self.timestamp_source.push([row.timestamp_source as u8]);
        self.service.push(row.service);
        self.level.push([row.level as u8]);
        self.is_error.push([u8::from(row.is_error)]);
        self.message.push(row.message);
        self.template_id.push(row.template_id.to_le_bytes());
        self.host.push(row.host);
        self.trace_id.push(row.trace_id);
        self.span_id.push(row.span_id);
        self.latency_null.push([u8::from(row.latency_ms.is_none())]);
        self.latency
            .push(row.latency_ms.unwrap_or_default().to_le_bytes());
        self.status.push(row.status.to_le_bytes());
        self.client_ip.push(row.client_ip);
        self.user.push(row.user);
        self.attributes.push(attributes);
        self.late.push([u8::from(row.late)]);
        self.kafka_timestamp
            .push(in_range(row.kafka_timestamp).to_le_bytes());
        self.kafka_offset.push(row.kafka_offset.to_le_bytes());
    }

    /// Offsets of the rows, in order.
    pub fn offsets(&self) -> impl Iterator<Item = i64> {
        let offsets = self.kafka_offset.values().iter();
        offsets.map(|offset| i64::from_le_bytes(*offset))
    }

    /// Templates of the rows, in order; 0: not mined.
    pub fn template_ids(&self) -> impl Iterator<Item = u64> {
        let ids = self.template_id.values().iter();
        ids.map(|id| u64::from_le_bytes(*id))
    }

    /// The first `rows` rows and the others. What is stored before them goes
    /// with those that are stored first.
    pub fn split(mut self, rows: usize) -> (Self, Self) {
        let count = self.count as u32;
        let at = count.min(rows as u32);
        let first: Vec<u32> = (0..at).collect();
        let others: Vec<u32> = (at..count).collect();
        let templates = std::mem::take(&mut self.templates);
        let first = Self {
            templates,
            ..self.pick(&first)
        };
        (first, self.pick(&others))
    }

    /// Only those rows.
    pub fn select(&self, keep: &[bool]) -> Self {
        let kept = (0..)
            .zip(keep)
            .filter_map(|(row, keep)| keep.then_some(row));
        self.pick(&kept.collect::<Vec<u32>>())
    }

    /// Those rows, in that order, and nothing beside them.
    fn pick(&self, rows: &[u32]) -> Self {
        Self {
            count: rows.len(),
            timestamp: self.timestamp.pick(rows),
            timestamp_source: self.timestamp_source.pick(rows),
            service: self.service.pick(rows),
            level: self.level.pick(rows),
            is_error: self.is_error.pick(rows),
            message: self.message.pick(rows),
            template_id: self.template_id.pick(rows),
            host: self.host.pick(rows),
            trace_id: self.trace_id.pick(rows),
            span_id: self.span_id.pick(rows),
            latency_null: self.latency_null.pick(rows),
            latency: self.latency.pick(rows),
            status: self.status.pick(rows),
            client_ip: self.client_ip.pick(rows),
            user: self.user.pick(rows),
            attributes: self.attributes.pick(rows),
            late: self.late.pick(rows),
            kafka_timestamp: self.kafka_timestamp.pick(rows),
            kafka_offset: self.kafka_offset.pick(rows),
            templates: TemplateNews::default(),
        }
    }

    /// The rows in the table's order: by service, then by time, then as they came.
    fn order(&self) -> Vec<u32> {
        let ranks = self.service.ranks();
        let services = ranks
            .iter()
            .max()
            .map_or(0, |highest| *highest as usize + 1);
        // Where each service's rows begin; while they are placed, where its next one goes.
        let mut next = vec![0; services + 1];
        for rank in &ranks {
            next[*rank as usize + 1] += 1;
        }
        for service in 0..services {
            next[service + 1] += next[service];
        }
        let begins = next.clone();
        let mut order = vec![0; ranks.len()];
        for (row, rank) in (0..).zip(&ranks) {
            let place = &mut next[*rank as usize];
            order[*place] = row;
            *place += 1;
        }
        let times = self.timestamp.values();
        let time = |row: &u32| i64::from_le_bytes(times[*row as usize]);
        for service in 0..services {
            let rows = &mut order[begins[service]..begins[service + 1]];
            if !rows.is_sorted_by_key(time) {
                rows.sort_by_key(time);
            }
        }
        order
    }

    /// The block in the Native format.
    pub fn encode(&self, incarnation: &str, partition: i32, day: Day) -> Vec<u8> {
        const COLUMNS: u64 = 21;
        let rows = self.count;
        let order = &self.order();
        let mut out = Vec::with_capacity(self.size() + rows * 8 + 2048);
        varint::put(&mut out, COLUMNS);
        varint::put(&mut out, rows as u64);
        let columns: [(&str, &str, &dyn Column); 14] = [
            ("timestamp", TIME, &self.timestamp),
            ("timestamp_source", SOURCE, &self.timestamp_source),
            ("level", LEVEL, &self.level),
            ("is_error", "Bool", &self.is_error),
            ("message", "String", &self.message),
            ("template_id", "UInt64", &self.template_id),
            ("trace_id", "String", &self.trace_id),
            ("span_id", "String", &self.span_id),
            ("status", "UInt16", &self.status),
            ("client_ip", "String", &self.client_ip),
            ("user", "String", &self.user),
            ("late", "Bool", &self.late),
            ("kafka_timestamp", TIME, &self.kafka_timestamp),
            ("kafka_offset", "Int64", &self.kafka_offset),
        ];
        for (name, kind, values) in columns {
            put_column(&mut out, name, kind);
            values.put(order, &mut out);
        }
        put_column(&mut out, "latency_ms", "Nullable(Float64)");
        self.latency_null.put(order, &mut out);
        self.latency.put(order, &mut out);
        for (name, values) in [("service", &self.service), ("host", &self.host)] {
            put_column(&mut out, name, WORD);
            Interned::put_prefix(&mut out);
            values.pick(order).put(&mut out);
        }
        put_column(
            &mut out,
            "attributes",
            "Map(LowCardinality(String), String)",
        );
        self.attributes.pick(order).put(&mut out);
        put_column(&mut out, "incarnation", WORD);
        Interned::put_constant(&mut out, incarnation, rows);
        put_column(&mut out, "kafka_partition", "Int32");
        out.extend_from_slice(&partition.to_le_bytes().repeat(rows));
        put_column(&mut out, "block_day", "Date");
        out.extend_from_slice(&day.raw().to_le_bytes().repeat(rows));
        out
    }
}

impl pipeline::Rows for LogRows {
    fn count(&self) -> usize {
        self.count
    }

    fn offset_of(&self, at: usize) -> pipeline::Offset {
        pipeline::Offset::new(i64::from_le_bytes(self.kafka_offset.values()[at]))
    }

    fn split(self, at: usize) -> (Self, Self) {
        self.split(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(lines: &[(String, i64)]) -> LogRows {
        let mut rows = LogRows::default();
        for (offset, (service, timestamp)) in (0..).zip(lines) {
            let row = LogRow {
                timestamp: *timestamp,
                timestamp_source: TimestampSource::Record,
                service,
                level: Level::Info,
                is_error: false,
                message: "",
                template_id: 0,
                host: "",
                trace_id: "",
                span_id: "",
                latency_ms: None,
                status: 0,
                client_ip: "",
                user: "",
                late: false,
                kafka_timestamp: 0,
                kafka_offset: offset,
            };
            rows.push(&row, [("service", service.as_str())]);
        }
        rows
    }

    proptest! {
        #[test]
        fn rows_go_out_by_service_and_time_and_are_held_by_offset(lines in prop::collection::vec(("[abé]{0,2}", -3_i64..3), 0..60)) {
            let rows = of(&lines);
            let mut sorted: Vec<u32> = (0..lines.len() as u32).collect();
            sorted.sort_by_key(|row| &lines[*row as usize]);
            prop_assert_eq!(rows.order(), sorted);
            prop_assert!(rows.offsets().eq(0..lines.len() as i64));
        }

        #[test]
        fn halves_are_what_was_pushed_before_and_after(lines in prop::collection::vec(("[ab]{0,2}", 0_i64..3), 0..20), at in 0_usize..25) {
            let (first, others) = of(&lines).split(at);
            let at = at.min(lines.len());
            prop_assert_eq!(&first, &of(&lines[..at]));
            prop_assert_eq!(others.len(), lines.len() - at);
            prop_assert!(others.offsets().eq(at as i64..lines.len() as i64));
        }
    }
}
