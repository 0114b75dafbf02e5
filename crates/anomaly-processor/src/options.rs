//! What the processor reads from its environment.

use std::path::PathBuf;

use service_kit::options::{
    Bounded, ByteSize, ClickHouseOptions, KafkaOptions, Name, Period, ServiceOptions,
};

service_kit::choice! {
    /// How members of the group share partitions.
    pub enum Assignor {
        CooperativeSticky = "cooperative-sticky",
        Range = "range",
        RoundRobin = "roundrobin",
    }
}

service_kit::choice! {
    /// Which group protocol is spoken.
    pub enum GroupProtocol {
        Classic = "classic",
        Consumer = "consumer",
    }
}

service_kit::choice! {
    /// Where a group begins that has no committed offset and no stored row.
    pub enum Start {
        Earliest = "earliest",
        Latest = "latest",
    }
}

service_kit::choice! {
    /// What to do when records were deleted before they were read.
    pub enum OnGap {
        /// Report the number, count it, and go on with what is left.
        Continue = "continue",
        /// Report the number, and leave the partition alone.
        Stop = "stop",
    }
}

service_kit::choice! {
    /// What to do when the state of the detectors can't be restored.
    pub enum OnLostState {
        /// Count it, say it, and learn anew from the last records.
        Rebuild = "rebuild",
        /// Say it, and leave the partition alone.
        Stop = "stop",
    }
}

service_kit::options! {
    /// Options of the processor.
    pub struct Options {
        groups {
            service: ServiceOptions { admin_listen = "127.0.0.1:9101" },
            kafka: KafkaOptions { kafka_group_id = "anomaly-processor" },
            clickhouse: ClickHouseOptions,
        }
        /// Topic of the anomalies.
        kafka_anomalies_topic: Name = "anomalies",
        /// Topic of what could not be read. Absent: the topic of the log records with `.dlq`.
        kafka_dead_letter_topic: Option<Name>,
        /// Members of the group in this process, each with a thread that reads partitions of its own.
        /// Absent: one per core, and no more than the topic has partitions.
        processor_threads: Option<Bounded<1, 64>>,
        /// Silence after which the group takes a member for dead.
        kafka_session_timeout: Period<6_000, 1_800_000> = "30s",
        /// How members of the group share partitions.
        kafka_assignor: Assignor = "cooperative-sticky",
        /// Which group protocol is spoken.
        kafka_group_protocol: GroupProtocol = "classic",
        /// Where a group begins that has no committed offset and no stored row.
        processor_start: Start = "earliest",
        /// What to do when records were deleted before they were read.
        processor_on_gap: OnGap = "continue",
        /// What to do when the state of the detectors can't be restored.
        processor_on_lost_state: OnLostState = "rebuild",
        /// Records before the committed offset that the detectors are fed again where their state can't be
        /// restored, per partition.
        processor_replay_records: Bounded<0, 100_000_000> = "500000",
        /// Templates of messages kept at once per partition; past it those seen longest ago are forgotten.
        processor_max_templates: Bounded<16, 1_000_000> = "20000",
        /// A YAML file of rules to be told of, whatever is usual; a change is followed within seconds.
        processor_rules: Option<PathBuf>,
        /// Rows after which a batch is stored.
        batch_rows: Bounded<1, 1_000_000> = "250000",
        /// Bytes after which a batch is stored.
        batch_bytes: ByteSize<1024, 268_435_456> = "40MiB",
        /// Age after which a batch is stored.
        batch_age: Period<10, 60_000> = "500ms",
        /// The same for a partition that is behind, whose larger batches cost ClickHouse less.
        batch_age_behind: Period<10, 60_000> = "5s",
        /// Bytes of records gathered or on their way to the store, over all partitions, above which
        /// reading pauses.
        inflight_bytes: ByteSize<1_048_576, 4_294_967_296> = "80MiB",
        /// Age of the last proof that a partition is ours above which a batch waits for a new one.
        insert_lease: Period<1_000, 300_000> = "30s",
        /// Time in which a revoked partition finishes its batches before it is given back.
        release_within: Period<0, 60_000> = "5s",
        /// How often the state of a partition's detectors and its miner is kept.
        snapshot_interval: Period<1_000, 3_600_000> = "15s",
        /// A larger state of a partition's detectors and its miner is not kept.
        snapshot_max_bytes: ByteSize<65_536, 1_073_741_824> = "64MiB",
        /// Length of the tumbling base window.
        detection_window: Period<1_000, 600_000> = "10s",
        /// How long a window takes records after its end.
        detection_grace: Period<0, 3_600_000> = "10s",
        /// False alerts per service and week that are accepted.
        detection_false_alerts_per_week: Bounded<1, 1_000> = "1",
        /// Closed windows before the rate of a service is judged.
        detection_warm_up_windows: Bounded<3, 10_000> = "18",
        /// Windows after which a lasting change is taken for the new normal.
        detection_adopt_after_windows: Bounded<10, 100_000> = "180",
        /// Services kept at once per partition; past it the one seen longest ago is forgotten.
        detection_max_services: Bounded<10, 1_000_000> = "10000",
        /// Silence of a partition after which the clock closes its windows.
        detection_idle_timeout: Period<1_000, 3_600_000> = "10s",
    }
}

impl Options {
    pub fn dead_letter_topic(&self) -> String {
        let configured = self.kafka_dead_letter_topic.as_ref();
        contracts::topics::dead_letters(
            configured.map(Name::as_str),
            self.kafka.kafka_topic.as_str(),
        )
    }

    pub fn detection(&self) -> detection::Config {
        detection::Config {
            window_ms: self.detection_window.get().as_millis() as i64,
            grace_ms: self.detection_grace.get().as_millis() as i64,
            false_alerts_per_week: self.detection_false_alerts_per_week.get() as f64,
            warm_up_windows: self.detection_warm_up_windows.get() as u32,
            adopt_after_windows: self.detection_adopt_after_windows.get() as u32,
            max_services: self.detection_max_services.as_usize(),
            ..detection::Config::default()
        }
    }

    pub fn mining(&self) -> template_mining::Limits {
        template_mining::Limits {
            templates: self.processor_max_templates.as_usize(),
            ..template_mining::Limits::default()
        }
    }

    pub fn start(&self) -> pipeline::resume::Start {
        match self.processor_start {
            Start::Earliest => pipeline::resume::Start::Earliest,
            Start::Latest => pipeline::resume::Start::Latest,
        }
    }

    pub fn limits(&self) -> pipeline::Limits {
        pipeline::Limits {
            rows: self.batch_rows.as_usize(),
            bytes: self.batch_bytes.as_usize(),
            age: self.batch_age.get(),
            age_behind: self.batch_age_behind.get().max(self.batch_age.get()),
        }
    }
}
