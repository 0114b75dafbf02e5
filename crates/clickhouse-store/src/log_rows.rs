//! Rows of `logs`, gathered as columns in the form in which they are sent.

use contracts::Level;

use crate::native::{Fixed, Maps, Strings, put_column, put_varint};

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
    /// Days since the epoch of the first record's Kafka time; the whole block's.
    day: u16,
    timestamp: Fixed<8>,
    timestamp_source: Fixed<1>,
    service: Strings,
    level: Fixed<1>,
    is_error: Fixed<1>,
    message: Strings,
    host: Strings,
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
}

impl LogRows {
    /// `first_kafka_timestamp`: of the block's first record, whether or not it becomes a row.
    pub fn of_day(first_kafka_timestamp: i64) -> Self {
        let day = first_kafka_timestamp
            .div_euclid(86_400_000)
            .clamp(0, i64::from(u16::MAX));
        Self {
            day: day as u16,
            ..Self::default()
        }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Days since the epoch.
    pub fn day(&self) -> u16 {
        self.day
    }

    /// Bytes of all columns.
    pub fn size(&self) -> usize {
        let strings = [
            &self.service,
            &self.message,
            &self.host,
            &self.trace_id,
            &self.span_id,
            &self.client_ip,
            &self.user,
        ];
        strings
            .iter()
            .map(|column| column.bytes().len())
            .sum::<usize>()
            + self.attributes.size()
            + self.count * 39
    }

    pub fn push<'a>(
        &mut self,
        row: &LogRow<'_>,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        self.count += 1;
        self.timestamp.push(row.timestamp.to_le_bytes());
        self.timestamp_source.push([row.timestamp_source as u8]);
        self.service.push(row.service);
        self.level.push([row.level as u8]);
        self.is_error.push([u8::from(row.is_error)]);
        self.message.push(row.message);
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
        self.kafka_timestamp.push(row.kafka_timestamp.to_le_bytes());
        self.kafka_offset.push(row.kafka_offset.to_le_bytes());
    }

    /// Offsets of the rows, in order.
    pub fn offsets(&self) -> Vec<i64> {
        self.kafka_offset.values().map(i64::from_le_bytes).collect()
    }

    /// Only those rows.
    pub fn select(&self, keep: &[bool]) -> Self {
        Self {
            count: keep.iter().filter(|keep| **keep).count(),
            day: self.day,
            timestamp: self.timestamp.select(keep),
            timestamp_source: self.timestamp_source.select(keep),
            service: self.service.select(keep),
            level: self.level.select(keep),
            is_error: self.is_error.select(keep),
            message: self.message.select(keep),
            host: self.host.select(keep),
            trace_id: self.trace_id.select(keep),
            span_id: self.span_id.select(keep),
            latency_null: self.latency_null.select(keep),
            latency: self.latency.select(keep),
            status: self.status.select(keep),
            client_ip: self.client_ip.select(keep),
            user: self.user.select(keep),
            attributes: self.attributes.select(keep),
            late: self.late.select(keep),
            kafka_timestamp: self.kafka_timestamp.select(keep),
            kafka_offset: self.kafka_offset.select(keep),
        }
    }

    /// The block in the Native format.
    pub fn encode(&self, incarnation: &str, partition: i32) -> Vec<u8> {
        const TIME: &str = "DateTime64(3, 'UTC')";
        let mut out = Vec::with_capacity(self.size() + self.count * 24 + 1024);
        put_varint(&mut out, 20);
        put_varint(&mut out, self.count as u64);
        let mut column = |name, kind, bytes: &[u8]| {
            put_column(&mut out, name, kind);
            out.extend_from_slice(bytes);
        };
        column("timestamp", TIME, self.timestamp.bytes());
        column("timestamp_source", "Int8", self.timestamp_source.bytes());
        column("service", "String", self.service.bytes());
        column("level", "Int8", self.level.bytes());
        column("is_error", "Bool", self.is_error.bytes());
        column("message", "String", self.message.bytes());
        column("host", "String", self.host.bytes());
        column("trace_id", "String", self.trace_id.bytes());
        column("span_id", "String", self.span_id.bytes());
        column("status", "UInt16", self.status.bytes());
        column("client_ip", "String", self.client_ip.bytes());
        column("user", "String", self.user.bytes());
        column("late", "Bool", self.late.bytes());
        column("kafka_timestamp", TIME, self.kafka_timestamp.bytes());
        column("kafka_offset", "Int64", self.kafka_offset.bytes());
        column("latency_ms", "Nullable(Float64)", self.latency_null.bytes());
        out.extend_from_slice(self.latency.bytes());
        put_column(&mut out, "attributes", "Map(String, String)");
        self.attributes.write(&mut out);
        put_column(&mut out, "incarnation", "String");
        for _ in 0..self.count {
            put_varint(&mut out, incarnation.len() as u64);
            out.extend_from_slice(incarnation.as_bytes());
        }
        put_column(&mut out, "kafka_partition", "Int32");
        for _ in 0..self.count {
            out.extend_from_slice(&partition.to_le_bytes());
        }
        put_column(&mut out, "block_day", "Date");
        for _ in 0..self.count {
            out.extend_from_slice(&self.day.to_le_bytes());
        }
        out
    }
}
