//! What stands at the edge: gateway, catalog, search and auth.

use contracts::Level::{Debug, Error, Info, Warn};

use super::{Archetype, endpoint, failed, refused, served, traces, work};

pub(super) const GATEWAY: Archetype = Archetype {
    name: "gateway",
    share: 100.0,
    errors: 0.004,
    public: true,
    attributes: false,
    checks_passwords: false,
    // In the order of the endpoints.
    calls: &["catalog", "search", "auth", "cart", "checkout", "orders"],
    endpoints: &[
        endpoint("GET", "/api/catalog/items/{id}", 40, 38.0, 0.55),
        endpoint("GET", "/api/search", 24, 95.0, 0.6),
        endpoint("POST", "/api/session", 6, 120.0, 0.45),
        endpoint("PUT", "/api/cart/items/{sku}", 14, 31.0, 0.5),
        endpoint("POST", "/api/checkout", 4, 420.0, 0.5),
        endpoint("GET", "/api/orders/{id}", 12, 54.0, 0.5),
    ],
    lines: &[
        served(90, 200, "{method} {path} {status} {ms}ms"),
        served(30, 200, "{ip} \"{method} {path} HTTP/2\" {status} {bytes}"),
        served(6, 304, "not modified: {path} etag={hex}"),
        served(10, 200, "proxied {path} to {peer} at {node}:8080 in {ms}ms"),
        served(5, 201, "{method} {path} created by {user} in {ms}ms"),
        served(4, 204, "preflight {path} allowed for origin shop.example"),
        refused(4, 404, "no route for {path} from {ip}"),
        refused(3, 401, "missing or expired token on {path} from {ip}"),
        refused(
            2,
            429,
            "rate limit reached for {ip}: {count} requests in 60s",
        ),
        refused(
            1,
            400,
            "malformed request from {ip}: header block of {bytes} bytes",
        ),
        work(
            Debug,
            8,
            "upstream {peer} picked {node}:8080 with {n} open streams",
        ),
        work(Info, 2, "keep-alive pool to {peer}: {n} idle, {n} busy"),
        work(
            Info,
            1,
            "certificate for shop.example valid for {n} more days",
        ),
        work(
            Warn,
            1,
            "slow client {ip}: {bytes} bytes unsent after {dur}",
        ),
        failed(
            40,
            502,
            "bad gateway: {peer} at {node}:8080 closed the connection after {ms}ms",
        ),
        failed(
            30,
            504,
            "gateway timeout: {peer} did not answer {method} {path} within {ms}ms",
        ),
        failed(
            20,
            503,
            "no healthy upstream for {peer}: {n} of {n} ejected",
        ),
        failed(6, 500, traces::GO_NIL),
    ],
};

pub(super) const CATALOG: Archetype = Archetype {
    name: "catalog",
    share: 55.0,
    errors: 0.002,
    public: false,
    attributes: false,
    checks_passwords: false,
    calls: &["inventory"],
    endpoints: &[
        endpoint("GET", "/items/{id}", 60, 12.0, 0.5),
        endpoint("GET", "/categories/{n}/items", 25, 27.0, 0.6),
        endpoint("GET", "/items/{id}/related", 15, 44.0, 0.7),
    ],
    lines: &[
        served(70, 200, "{method} {path} {status} {ms}ms"),
        served(30, 200, "item {sku} served from cache in {ms}ms"),
        served(
            12,
            200,
            "item {sku} loaded from primary store rows={n} took={ms}ms",
        ),
        served(
            6,
            200,
            "category page {n} rendered with {n} items, cursor={hex}",
        ),
        served(
            5,
            200,
            "price of {sku} resolved to {money} EUR by rule {id}",
        ),
        refused(4, 404, "item {id} not found"),
        refused(1, 400, "bad cursor {hex} in {path}"),
        work(Debug, 14, "cache hit key=item:{id} age={dur}"),
        work(Debug, 5, "cache miss key=item:{id}, loading"),
        work(Info, 2, "reindexed {count} items of supplier {id} in {dur}"),
        work(
            Info,
            1,
            "image variants of {sku} written: {n} files, {bytes} bytes",
        ),
        work(
            Warn,
            1,
            "stale price list for supplier {id}: last update {dur} ago",
        ),
        failed(30, 500, traces::PYTHON_KEY),
        failed(
            40,
            503,
            "primary store {node}:5432 unavailable, {n} attempts",
        ),
        failed(
            20,
            504,
            "availability lookup in {peer} timed out after {ms}ms for {sku}",
        ),
        work(
            Error,
            10,
            "cache node {node}:6379 dropped the connection: broken pipe",
        ),
    ],
};

pub(super) const SEARCH: Archetype = Archetype {
    name: "search",
    share: 40.0,
    errors: 0.003,
    public: false,
    attributes: false,
    checks_passwords: false,
    calls: &["catalog"],
    endpoints: &[
        endpoint("GET", "/query", 70, 62.0, 0.65),
        endpoint("GET", "/suggest", 28, 9.0, 0.45),
        endpoint("POST", "/facets", 2, 140.0, 0.6),
    ],
    lines: &[
        served(60, 200, "query took {ms}ms hits={count} shards={n}"),
        served(30, 200, "{method} {path} {status} {ms}ms"),
        served(
            14,
            200,
            "suggest prefix_len={n} candidates={count} in {ms}ms",
        ),
        served(6, 200, "query rewritten with {n} synonyms, {count} hits"),
        served(3, 204, "no hits for query {hex} after {n} relaxations"),
        refused(2, 400, "query {hex} rejected: {n} clauses exceed the limit"),
        refused(1, 429, "tenant {id} over its query budget, retry in {dur}"),
        work(
            Debug,
            12,
            "segment {hex} scored {count} documents on {node}",
        ),
        work(
            Info,
            3,
            "merged {n} segments into {hex}: {bytes} bytes in {dur}",
        ),
        work(Info, 2, "refresh of index items-{n} took {dur}"),
        work(Warn, 2, "slow query {hex}: {ms}ms, {count} terms expanded"),
        work(Warn, 1, "heap at {pct}% on {host}, clearing field cache"),
        failed(
            35,
            503,
            "shard items-{n} unavailable on {node}: {n} of {n} copies down",
        ),
        failed(
            25,
            504,
            "query {hex} cancelled after {ms}ms: deadline exceeded",
        ),
        failed(15, 500, traces::RUST_PANIC),
        work(
            Error,
            10,
            "translog of items-{n} is corrupt at offset {offset}",
        ),
    ],
};

pub(super) const AUTH: Archetype = Archetype {
    name: "auth",
    share: 30.0,
    errors: 0.003,
    public: true,
    attributes: false,
    checks_passwords: true,
    calls: &[],
    endpoints: &[
        endpoint("POST", "/token/introspect", 75, 4.0, 0.4),
        endpoint("POST", "/login", 15, 88.0, 0.3),
        endpoint("POST", "/token/refresh", 10, 14.0, 0.4),
    ],
    lines: &[
        served(80, 200, "token {hex} valid for {dur}, scope=shop"),
        served(20, 200, "{method} {path} {status} {ms}ms"),
        served(14, 200, "user {user} logged in from {ip} with password"),
        served(5, 200, "user {user} logged in from {ip} with passkey"),
        served(10, 200, "refreshed session {uuid} of {user}"),
        served(2, 201, "registered {email}, verification sent"),
        refused(
            5,
            401,
            "login failed for user {user} from {ip}: invalid password",
        ),
        refused(2, 401, "token {hex} expired {dur} ago"),
        refused(1, 403, "user {user} lacks scope admin on {path}"),
        refused(1, 423, "account {user} locked after {n} failed attempts"),
        work(Debug, 8, "password hash verified in {dur} with {n} lanes"),
        work(Info, 3, "purged {count} expired sessions in {dur}"),
        work(Info, 1, "signing key {hex} rotated, {n} keys in use"),
        work(Warn, 1, "unusual location for {user}: {city}"),
        failed(35, 503, "directory {node}:636 unreachable, {n} attempts"),
        failed(
            30,
            500,
            "session store write failed for {uuid}: READONLY replica",
        ),
        failed(15, 502, traces::RUST_CHAIN),
        work(Error, 10, "key set refresh failed: status {n} from {node}"),
    ],
};
