//! The processor's metrics.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pipeline::{Assignment, HoleReason, TaskId, ports::StoreError, writer::WriterMetrics};
use service_kit::metrics::{
    Counter, Counters, Family, Gauge, GaugeFamily, Gauges, Histogram, Histograms, Registry, Unit,
};

service_kit::labels! {
    pub enum Ending as "ending" { Stored = "stored", DeadLettered = "dead_lettered" }
}
service_kit::labels! {
    pub enum Why as "reason" {
        Empty = "empty",
        NotUtf8 = "not_utf8",
        BrokenJson = "broken_json",
        NoMessage = "no_message",
        SeveralRecords = "several_records",
        TooLarge = "too_large",
        RejectedRow = "rejected_row",
    }
}
service_kit::labels! {
    pub enum Oddity as "oddity" {
        Late = "late",
        Ahead = "ahead",
        NoTimestamp = "no_timestamp",
        UnreadableTimestamp = "unreadable_timestamp",
        ImplausibleTimestamp = "implausible_timestamp",
        Clamped = "clamped",
        NoService = "no_service",
        NoKey = "no_key",
    }
}
service_kit::labels! {
    pub enum Found as "kind" {
        ErrorBurst = "error_burst",
        ErrorRateSpike = "error_rate_spike",
        RateSpike = "rate_spike",
        RateDrop = "rate_drop",
        LatencyShift = "latency_shift",
        LatencyTail = "latency_tail",
        NewTemplate = "new_template",
        FailedLogins = "failed_logins",
        PasswordSpray = "password_spray",
        DistributedBruteForce = "distributed_brute_force",
        TemplateSurge = "template_surge",
        TemplateVanished = "template_vanished",
        StatusShift = "status_shift",
        Silence = "silence",
        Rule = "rule",
    }
}
service_kit::labels! {
    /// What becomes of a rule in the file.
    pub enum RuleState as "state" {
        Followed = "followed",
        Refused = "refused",
    }
}
service_kit::labels! {
    /// Where the state of a partition's detectors comes from, or why a snapshot of it was not used.
    pub enum Memory as "source" {
        /// A snapshot, and the records since.
        Restored = "restored",
        /// Every record there ever was, or nobody was here before.
        Whole = "whole",
        /// The last records only: baselines and open episodes are learned anew from them.
        Rebuilt = "rebuilt",
        Missing = "snapshot_missing",
        Unreadable = "snapshot_unreadable",
        Newer = "snapshot_of_newer_version",
        Other = "snapshot_of_other_settings",
        Overtaken = "snapshot_overtaken_by_retention",
        /// The detectors go on; templates are mined anew: the snapshot is of before there was a miner.
        NoMiner = "miner_missing",
        MinerUnreadable = "miner_unreadable",
        MinerNewer = "miner_of_newer_version",
        MinerOther = "miner_of_other_behaviour",
    }
}
service_kit::labels! {
    pub enum Keeping as "outcome" { Kept = "kept", Failed = "failed" }
}
service_kit::labels! {
    /// What a snapshot holds.
    pub enum Extent as "extent" { Whole = "whole", Changes = "changes" }
}
service_kit::labels! {
    /// How a partition was given back.
    pub enum Release as "how" { Finished = "finished", Unfinished = "unfinished", Lost = "lost" }
}
service_kit::labels! {
    /// Why nothing came of an offset.
    pub enum Skipped as "reason" { Absent = "absent", Unreadable = "unreadable", Deleted = "deleted" }
}
service_kit::labels! {
    pub enum Settled as "outcome" { AlreadyThere = "already_there", Inserted = "inserted" }
}

pub const RECORDS: Counter<Ending> = Counter::new(
    "barograph_records_total",
    Unit::Records,
    "Records that left the pipeline, by how they ended.",
);
pub const DEAD_LETTERS: Counter<Why> = Counter::new(
    "barograph_dead_letters_total",
    Unit::Records,
    "Records that could not be read, by reason.",
);
pub const ODDITIES: Counter<Oddity> = Counter::new(
    "barograph_odd_records_total",
    Unit::Records,
    "Stored records with something odd about them.",
);
pub const ANOMALIES: Counter<Found> = Counter::new(
    "barograph_anomalies_opened_total",
    Unit::Anomalies,
    "Episodes opened, by kind.",
);
pub const UNSTORED: Counter = Counter::new(
    "barograph_anomalies_unstored_total",
    Unit::Anomalies,
    "Versions of anomalies that ClickHouse rejected for what is in them; they were published.",
);
pub const CUT: Counter = Counter::new(
    "barograph_messages_cut_total",
    Unit::Messages,
    "Times that a dead letter or an anomaly was made smaller because Kafka would not take it.",
);
pub const RULES: Gauge<RuleState> = Gauge::new(
    "barograph_rules",
    Unit::Count,
    "Rules in the file of rules, those that are followed and those that are refused; the log says why.",
);
pub const RULES_UNREADABLE: Gauge = Gauge::new(
    "barograph_rules_unreadable",
    Unit::Count,
    "1: the file of rules cannot be read, and the rules of before are followed.",
);
pub const REFUSED: Gauge = Gauge::new(
    "barograph_messages_refused",
    Unit::Messages,
    "Dead letters and anomalies that Kafka refuses and that are sent again and again: a topic is missing, or a right.",
);
pub const INSERTS: Histogram = Histogram::new(
    "barograph_block_store_seconds",
    Unit::Seconds,
    "Time from a batch's intent to its acknowledgement.",
    Histogram::<()>::SECONDS,
);
pub const RETRIES: Counter = Counter::new(
    "barograph_insert_retries_total",
    Unit::Count,
    "Inserts that failed and were tried again.",
);
pub const SETTLED: Counter<Settled> = Counter::new(
    "barograph_blocks_settled_total",
    Unit::Batches,
    "Batches of unknown outcome that were settled by a count, by what it found.",
);
pub const REPAIRED: Counter = Counter::new(
    "barograph_rows_repaired_total",
    Unit::Records,
    "Rows inserted again because their batch was lost although its token was not.",
);
pub const VANISHED: Counter = Counter::new(
    "barograph_rows_vanished_total",
    Unit::Records,
    "Rows that were gone as soon as they were inserted: older than the store keeps rows.",
);
pub const REJECTED: Counter = Counter::new(
    "barograph_blocks_rejected_total",
    Unit::Batches,
    "Batches, and pieces of batches, that ClickHouse rejected for their data.",
);
pub const RENEWED: Counter = Counter::new(
    "barograph_leases_renewed_total",
    Unit::Count,
    "Intents committed again because an insert took longer than the lease.",
);
pub const INTENTS_FOUND: Counter = Counter::new(
    "barograph_intents_found_total",
    Unit::Count,
    "Partitions that began with a batch that an earlier owner had announced.",
);
pub const MEMORY: Counter<Memory> = Counter::new(
    "barograph_detector_starts_total",
    Unit::Count,
    "Partitions that began, by where their detectors' state comes from; and snapshots that could not be used, or whose miner could not.",
);
pub const KEEPING: Counter<Keeping> = Counter::new(
    "barograph_snapshots_total",
    Unit::Count,
    "Snapshots of detectors and miners handed to ClickHouse, by outcome.",
);
pub const SNAPSHOT_BYTES: Gauge<Extent> = Gauge::new(
    "barograph_snapshot_bytes",
    Unit::Bytes,
    "Size of the last snapshot, of all that is known or of what has changed.",
);
pub const RELEASES: Counter<Release> = Counter::new(
    "barograph_partitions_released_total",
    Unit::Partitions,
    "Partitions given back to the group, by how.",
);
pub const COMMIT_RETRIES: Counter = Counter::new(
    "barograph_commit_retries_total",
    Unit::Count,
    "Commits that failed and were tried again.",
);
pub const IN_FLIGHT: Gauge = Gauge::new(
    "barograph_in_flight_bytes",
    Unit::Bytes,
    "Bytes of rows on their way to the store.",
);
pub const LAG: GaugeFamily = GaugeFamily::new(
    "barograph_lag_records",
    Unit::Records,
    "Records between the end of a partition and what was read of it.",
    "partition",
    1024,
);
pub const SERVICES: GaugeFamily = GaugeFamily::new(
    "barograph_services",
    Unit::Count,
    "Services known, by partition.",
    "partition",
    1024,
);
pub const EVICTED: Counter = Counter::new(
    "barograph_services_evicted_total",
    Unit::Count,
    "Services forgotten because there were more than the bound.",
);
pub const TEMPLATES: Gauge = Gauge::new(
    "barograph_templates",
    Unit::Count,
    "Templates of messages known, over all partitions.",
);
pub const TEMPLATES_FOUND: Counter = Counter::new(
    "barograph_templates_found_total",
    Unit::Count,
    "Templates found: messages unlike all before that did not join a known template at once.",
);
pub const TEMPLATES_MERGED: Counter = Counter::new(
    "barograph_templates_merged_total",
    Unit::Count,
    "Ids of templates that were found to be part of another template.",
);
pub const TEMPLATES_EVICTED: Counter = Counter::new(
    "barograph_templates_evicted_total",
    Unit::Count,
    "Templates forgotten because there were more than the bound.",
);
pub const GAPS: Counter = Counter::new(
    "barograph_gap_records_total",
    Unit::Records,
    "Records that were deleted from the topic before they were read.",
);
pub const SKIPPED: Counter<Skipped> = Counter::new(
    "barograph_offsets_skipped_total",
    Unit::Records,
    "Offsets of which nothing will ever come, by reason: the broker gives nothing there (transaction markers, \
     aborted and compacted records), or what it gives cannot be decoded.",
);
pub const UNREADABLE_AT: GaugeFamily = GaugeFamily::new(
    "barograph_unreadable_offset",
    Unit::Count,
    "First offset of the last batch that could not be decoded and was passed, by partition.",
    "partition",
    1024,
);
/// The codes are those of `consumer_loop::condition`.
pub const PARTITION_STATE: GaugeFamily = GaugeFamily::new(
    "barograph_partition_state",
    Unit::Count,
    "What a partition does: 0 flowing, 1 beginning, 2 replaying, 3 held_back, 4 draining, 5 gone; \
     6 cannot_begin, 7 store_failing, 8 no_leader, 9 no_answer, 10 stuck. /ready has the reasons.",
    "partition",
    1024,
);
pub const STALLED: GaugeFamily = GaugeFamily::new(
    "barograph_partition_stalled_seconds",
    Unit::Seconds,
    "For how long nothing has come of a partition although it should; 0 where there is nothing to do.",
    "partition",
    1024,
);
pub const FOREIGN: Counter = Counter::new(
    "barograph_foreign_offsets_total",
    Unit::Count,
    "Partitions that began with an offset which Barograph had not committed: where rows were stored, work went on from them.",
);
pub const LOST_LOG: Counter = Counter::new(
    "barograph_lost_log_records_total",
    Unit::Records,
    "Offsets that had been stored and that Kafka lost with the log of their partition, which began anew: what was not read of it is lost.",
);
pub const AUDIT_DIFFERENCE: GaugeFamily = GaugeFamily::new(
    "barograph_audit_difference_rows",
    Unit::Records,
    "Rows that ClickHouse lacks or has too many by the account of the partition, and offsets that the account does not explain.",
    "partition",
    1024,
);
pub const AUDITS: Histogram = Histogram::new(
    "barograph_audit_seconds",
    Unit::Seconds,
    "Time that a look of the audit took which ClickHouse answered.",
    Histogram::<()>::SECONDS,
);
pub const AUDITS_FAILED: Counter = Counter::new(
    "barograph_audits_failed_total",
    Unit::Count,
    "Looks of the audit that ClickHouse did not answer, or not as it should.",
);
pub const PAUSED: Gauge = Gauge::new(
    "barograph_partitions_paused",
    Unit::Partitions,
    "Partitions that are not read because the store is behind.",
);

#[derive(Clone)]
pub struct Metrics {
    pub records: Counters<Ending>,
    pub dead_letters: Counters<Why>,
    pub oddities: Counters<Oddity>,
    pub anomalies: Counters<Found>,
    pub anomalies_unstored: Counters,
    pub cut: Counters,
    pub refused: Gauges,
    inserts: Histograms,
    retries: Counters,
    settled: Counters<Settled>,
    repaired: Counters,
    vanished: Counters,
    rejected: Counters,
    renewed: Counters,
    commit_retries: Counters,
    pub intents_found: Counters,
    pub memory: Counters<Memory>,
    keeping: Counters<Keeping>,
    snapshot_bytes: Gauges<Extent>,
    pub releases: Counters<Release>,
    pub in_flight: Gauges,
    pub lag: Family<prometheus::Gauge>,
    pub partition_state: Family<prometheus::Gauge>,
    pub stalled: Family<prometheus::Gauge>,
    pub services: Family<prometheus::Gauge>,
    pub evicted: Counters,
    pub templates: Gauges,
    pub templates_found: Counters,
    pub templates_merged: Counters,
    pub templates_evicted: Counters,
    pub gaps: Counters,
    pub skipped: Counters<Skipped>,
    pub unreadable_at: Family<prometheus::Gauge>,
    pub foreign: Counters,
    pub lost_log: Counters,
    pub audit_difference: Family<prometheus::Gauge>,
    pub audits: Histograms,
    pub audits_failed: Counters,
    pub paused: Gauges,
    pub rules: Gauges<RuleState>,
    pub rules_unreadable: Gauges,
    /// Not a metric: why writers do not get on, for `/ready`.
    pub troubles: Troubles,
}

/// Why each writer that does not get on does not. Clones are the same.
#[derive(Clone, Default)]
pub struct Troubles(Arc<Mutex<BTreeMap<Assignment, String>>>);

impl Troubles {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Assignment, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn of(&self, id: TaskId) -> Option<String> {
        self.all().get(&id.assignment).cloned()
    }

    pub fn forget(&self, id: TaskId) {
        self.all().remove(&id.assignment);
    }
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        Self {
            records: registry.counter(&RECORDS),
            dead_letters: registry.counter(&DEAD_LETTERS),
            oddities: registry.counter(&ODDITIES),
            anomalies: registry.counter(&ANOMALIES),
            anomalies_unstored: registry.counter(&UNSTORED),
            cut: registry.counter(&CUT),
            refused: registry.gauge(&REFUSED),
            inserts: registry.histogram(&INSERTS),
            retries: registry.counter(&RETRIES),
            settled: registry.counter(&SETTLED),
            repaired: registry.counter(&REPAIRED),
            vanished: registry.counter(&VANISHED),
            rejected: registry.counter(&REJECTED),
            renewed: registry.counter(&RENEWED),
            commit_retries: registry.counter(&COMMIT_RETRIES),
            intents_found: registry.counter(&INTENTS_FOUND),
            memory: registry.counter(&MEMORY),
            keeping: registry.counter(&KEEPING),
            snapshot_bytes: registry.gauge(&SNAPSHOT_BYTES),
            releases: registry.counter(&RELEASES),
            in_flight: registry.gauge(&IN_FLIGHT),
            lag: registry.gauge_family(&LAG),
            partition_state: registry.gauge_family(&PARTITION_STATE),
            stalled: registry.gauge_family(&STALLED),
            troubles: Troubles::default(),
            services: registry.gauge_family(&SERVICES),
            evicted: registry.counter(&EVICTED),
            templates: registry.gauge(&TEMPLATES),
            templates_found: registry.counter(&TEMPLATES_FOUND),
            templates_merged: registry.counter(&TEMPLATES_MERGED),
            templates_evicted: registry.counter(&TEMPLATES_EVICTED),
            gaps: registry.counter(&GAPS),
            skipped: registry.counter(&SKIPPED),
            unreadable_at: registry.gauge_family(&UNREADABLE_AT),
            foreign: registry.counter(&FOREIGN),
            lost_log: registry.counter(&LOST_LOG),
            audit_difference: registry.gauge_family(&AUDIT_DIFFERENCE),
            audits: registry.histogram(&AUDITS),
            audits_failed: registry.counter(&AUDITS_FAILED),
            paused: registry.gauge(&PAUSED),
            rules: registry.gauge(&RULES),
            rules_unreadable: registry.gauge(&RULES_UNREADABLE),
        }
    }
}

impl Metrics {
    /// For one member of the group of several in this process: assignments are numbered by each.
    #[must_use]
    pub fn of_member(&self) -> Self {
        Self {
            troubles: Troubles::default(),
            ..self.clone()
        }
    }
}

impl From<HoleReason> for Skipped {
    fn from(why: HoleReason) -> Self {
        match why {
            HoleReason::Absent => Self::Absent,
            HoleReason::Unreadable => Self::Unreadable,
            HoleReason::Deleted => Self::Deleted,
        }
    }
}

impl WriterMetrics for Metrics {
    fn stored(&self, rows: u64, took: Duration) {
        self.records.at(Ending::Stored).inc_by(rows);
        self.inserts.observe(took.as_secs_f64());
    }

    fn retried(&self, _error: &StoreError) {
        self.retries.inc();
    }

    fn settled(&self, already_there: bool) {
        self.settled
            .at(if already_there {
                Settled::AlreadyThere
            } else {
                Settled::Inserted
            })
            .inc();
    }

    fn repaired(&self, rows: u64) {
        self.repaired.inc_by(rows);
    }

    fn vanished(&self, rows: u64) {
        self.vanished.inc_by(rows);
    }

    fn rejected(&self) {
        self.rejected.inc();
    }

    fn set_aside(&self) {
        self.records.at(Ending::DeadLettered).inc();
        self.dead_letters.at(Why::RejectedRow).inc();
    }

    fn renewed(&self) {
        self.renewed.inc();
    }

    fn snapshot(&self, bytes: usize, is_whole: bool, kept: bool) {
        let extent = if is_whole {
            Extent::Whole
        } else {
            Extent::Changes
        };
        self.snapshot_bytes.at(extent).set(bytes as f64);
        let outcome = if kept { Keeping::Kept } else { Keeping::Failed };
        self.keeping.at(outcome).inc();
    }

    fn commit_retried(&self) {
        self.commit_retries.inc();
    }

    fn troubled(&self, id: TaskId, why: Option<&str>) {
        match why {
            Some(why) => drop(self.troubles.all().insert(id.assignment, why.to_owned())),
            None => self.troubles.forget(id),
        }
    }
}
