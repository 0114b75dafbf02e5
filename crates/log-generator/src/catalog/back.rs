//! What works behind: inventory, notifications, shipping and the billing batch.

use contracts::Level::{Debug, Error, Fatal, Info, Warn};

use super::{Archetype, endpoint, failed, refused, served, traces, work};

pub(super) const INVENTORY: Archetype = Archetype {
    name: "inventory",
    share: 20.0,
    errors: 0.003,
    public: false,
    attributes: false,
    checks_passwords: false,
    calls: &[],
    endpoints: &[
        endpoint("GET", "/stock/{sku}", 80, 5.0, 0.45),
        endpoint("POST", "/reservations", 15, 23.0, 0.5),
        endpoint("DELETE", "/reservations/{id}", 5, 19.0, 0.5),
    ],
    lines: &[
        served(
            70,
            200,
            "stock {sku} warehouse={n} available={count} took={ms}ms",
        ),
        served(30, 200, "{method} {path} {status} {ms}ms"),
        served(10, 201, "reserved {n} x {sku} as {id} until +{dur}"),
        served(4, 204, "reservation {id} released"),
        served(3, 200, "bulk availability for {n} items in {ms}ms"),
        refused(
            3,
            409,
            "not enough stock of {sku}: wanted {n}, available {n}",
        ),
        refused(1, 404, "unknown article {sku}"),
        work(Debug, 12, "stock row {sku} locked for {dur}"),
        work(
            Info,
            4,
            "goods receipt {id}: {count} pieces of {sku} in warehouse {n}",
        ),
        work(Info, 2, "expired {n} reservations in {dur}"),
        work(Warn, 2, "stock of {sku} below reorder point: {n}"),
        work(Warn, 1, "negative stock corrected for {sku}: -{n} -> 0"),
        failed(
            35,
            503,
            "lock on {sku} not granted within {ms}ms, {n} waiters",
        ),
        failed(
            30,
            500,
            "constraint stock_non_negative violated for {sku} by transaction {id}",
        ),
        failed(15, 504, traces::GO_DEADLINE),
        work(
            Error,
            10,
            "warehouse feed {n} broke off at offset {offset}: unexpected EOF",
        ),
    ],
};

pub(super) const NOTIFICATIONS: Archetype = Archetype {
    name: "notifications",
    share: 6.0,
    errors: 0.01,
    public: false,
    attributes: false,
    checks_passwords: false,
    calls: &[],
    endpoints: &[
        endpoint("POST", "/messages", 85, 33.0, 0.6),
        endpoint("POST", "/devices", 10, 13.0, 0.5),
        endpoint("GET", "/preferences/{id}", 5, 7.0, 0.4),
    ],
    lines: &[
        served(40, 202, "message {uuid} queued for {email}"),
        served(20, 200, "{method} {path} {status} {ms}ms"),
        served(4, 201, "device {hex} registered for {user}"),
        work(
            Info,
            40,
            "mail {uuid} delivered to {email} via {node} in {dur}",
        ),
        work(Info, 14, "push {hex} accepted by provider, {n} devices"),
        work(
            Info,
            6,
            "template order-confirmation rendered for {name}, {bytes} bytes",
        ),
        work(Info, 2, "digest for {count} subscribers scheduled"),
        refused(3, 400, "recipient {hex} unsubscribed, message dropped"),
        work(Debug, 10, "worker {n} took task {uuid} from queue mail"),
        work(
            Warn,
            4,
            "mail to {email} deferred: 450 mailbox busy, retry {n}",
        ),
        work(Warn, 2, "device token {hex} no longer valid, removed"),
        work(Warn, 1, "queue mail is {count} messages deep"),
        work(Error, 35, "mail {uuid} bounced: 550 no such user {email}"),
        work(Error, 20, traces::PYTHON_TIMEOUT),
        failed(
            25,
            503,
            "queue broker {node}:5672 refused message {uuid} after {ms}ms",
        ),
        work(
            Error,
            10,
            "push provider answered {n} for batch {hex}: certificate expired",
        ),
    ],
};

pub(super) const SHIPPING: Archetype = Archetype {
    name: "shipping",
    share: 4.0,
    errors: 0.006,
    public: false,
    attributes: true,
    checks_passwords: false,
    calls: &["notifications"],
    endpoints: &[
        endpoint("GET", "/parcels/{id}", 60, 21.0, 0.5),
        endpoint("POST", "/labels", 30, 310.0, 0.5),
        endpoint("GET", "/rates", 10, 85.0, 0.6),
    ],
    lines: &[
        served(40, 200, "{method} {path} {status} {ms}ms"),
        served(24, 201, "label {id} printed for parcel to {city} in {ms}ms"),
        served(10, 200, "rate for {city}: {money} EUR, {n} carriers asked"),
        served(8, 200, "tracking of parcel {id}: {n} events"),
        work(Info, 20, "parcel {id} scanned in {city}"),
        work(Info, 10, "parcel {id} handed to carrier, manifest {hex}"),
        work(Info, 2, "pickup of {n} parcels booked for {city}"),
        refused(3, 422, "parcel {id} too heavy for carrier: {n} kg"),
        refused(2, 404, "parcel {id} unknown to carrier"),
        work(Debug, 10, "carrier session {hex} renewed for {dur}"),
        work(Warn, 3, "parcel {id} delayed in {city} by {dur}"),
        work(
            Warn,
            1,
            "carrier answered in {dur}, falling back to cached rates",
        ),
        failed(
            40,
            502,
            "carrier API at {node} answered {n} for label {id} after {ms}ms",
        ),
        failed(25, 504, "label {id} timed out after {ms}ms"),
        failed(15, 500, traces::GO_NIL),
        work(
            Error,
            15,
            "manifest {hex} rejected by carrier: {n} invalid addresses",
        ),
    ],
};

pub(super) const BILLING_BATCH: Archetype = Archetype {
    name: "billing-batch",
    share: 1.0,
    errors: 0.018,
    public: false,
    attributes: true,
    checks_passwords: false,
    calls: &["payments", "notifications"],
    endpoints: &[
        endpoint("POST", "/runs/{id}/invoices", 70, 520.0, 0.6),
        endpoint("GET", "/runs/{id}", 30, 35.0, 0.4),
    ],
    lines: &[
        work(
            Info,
            40,
            "invoice {id} of {money} EUR created for account {id}",
        ),
        work(Info, 14, "posted {count} ledger entries in {dur}"),
        work(
            Info,
            8,
            "chunk {n} of run {id} finished: {count} accounts, {n} skipped",
        ),
        work(Info, 4, "exported invoice {id} as PDF, {bytes} bytes"),
        work(Info, 3, "payment reminder {id} sent to {name}"),
        work(Info, 1, "run {id} checkpointed at account {id}"),
        work(
            Debug,
            12,
            "account {id}: {n} usage records aggregated in {dur}",
        ),
        work(Debug, 4, "tax rule {n} matched for account {id}"),
        served(10, 200, "{method} {path} {status} {ms}ms"),
        served(4, 201, "invoice batch {uuid} accepted in {ms}ms"),
        work(Warn, 3, "account {id} has no payment method, invoice held"),
        work(
            Warn,
            1,
            "currency rate of {n} hours ago used for account {id}",
        ),
        work(
            Error,
            35,
            "invoice {id} could not be posted: period closed for account {id}",
        ),
        failed(
            25,
            504,
            "{peer} did not confirm direct debit {uuid} within {ms}ms",
        ),
        failed(20, 500, traces::JAVA_NULL),
        work(
            Fatal,
            4,
            "run {id} aborted: checksum {hex} of usage file differs",
        ),
    ],
};
