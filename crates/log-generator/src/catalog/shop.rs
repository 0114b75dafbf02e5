//! What sells: cart, checkout, orders and payments.

use contracts::Level::{Debug, Error, Info, Warn};

use super::{Archetype, endpoint, failed, refused, served, traces, work};

pub(super) const CART: Archetype = Archetype {
    name: "cart",
    share: 22.0,
    errors: 0.003,
    public: false,
    attributes: false,
    checks_passwords: false,
    calls: &["catalog"],
    endpoints: &[
        endpoint("GET", "/carts/{hex}", 55, 8.0, 0.45),
        endpoint("PUT", "/carts/{hex}/items/{sku}", 35, 17.0, 0.5),
        endpoint("DELETE", "/carts/{hex}/items/{sku}", 10, 15.0, 0.5),
    ],
    lines: &[
        served(60, 200, "{method} {path} {status} {ms}ms"),
        served(
            30,
            200,
            "cart {hex} loaded with {n} items, total {money} EUR",
        ),
        served(18, 200, "added {n} x {sku} to cart {hex}"),
        served(6, 204, "removed {sku} from cart {hex}"),
        served(4, 200, "coupon {hex} applied to cart {hex}: -{money} EUR"),
        served(3, 201, "cart {hex} created for {user}"),
        refused(
            3,
            409,
            "cart {hex} changed concurrently, version {n}, client retries",
        ),
        refused(2, 404, "cart {hex} expired {dur} ago"),
        refused(1, 422, "coupon {hex} not valid for {user}"),
        work(Debug, 10, "merged anonymous cart {hex} into {hex}"),
        work(Info, 2, "evicted {count} abandoned carts in {dur}"),
        work(
            Warn,
            1,
            "price of {sku} changed while in cart {hex}: {money} -> {money}",
        ),
        failed(
            40,
            503,
            "cart store {node}:6379 timed out after {ms}ms key=cart:{hex}",
        ),
        failed(
            25,
            500,
            "could not decode cart {hex}: unknown field at byte {count}",
        ),
        failed(15, 500, traces::PYTHON_KEY),
        work(
            Error,
            10,
            "replication lag of cart store is {dur}, reads refused",
        ),
    ],
};

pub(super) const CHECKOUT: Archetype = Archetype {
    name: "checkout",
    share: 10.0,
    errors: 0.008,
    public: false,
    attributes: true,
    checks_passwords: false,
    calls: &["cart", "payments", "inventory", "orders"],
    endpoints: &[
        endpoint("POST", "/checkout", 60, 240.0, 0.5),
        endpoint("POST", "/checkout/quote", 30, 75.0, 0.5),
        endpoint("PUT", "/checkout/{uuid}/address", 10, 22.0, 0.4),
    ],
    lines: &[
        served(
            50,
            200,
            "checkout {uuid} completed in {ms}ms total={money} EUR",
        ),
        served(30, 200, "{method} {path} {status} {ms}ms"),
        served(
            20,
            200,
            "quote {hex}: {n} items, shipping {money} EUR, tax {money} EUR",
        ),
        served(8, 200, "address of {user} in {city} validated in {ms}ms"),
        served(6, 201, "checkout {uuid} started by {user} with {n} items"),
        refused(
            5,
            402,
            "payment for checkout {uuid} declined by acquirer, code={n}",
        ),
        refused(3, 409, "stock changed for {sku} during checkout {uuid}"),
        refused(
            2,
            422,
            "address rejected: postal code does not match {city}",
        ),
        work(Debug, 10, "idempotency key {uuid} claimed on {host}"),
        work(Info, 6, "reserved {n} lines in {peer} for checkout {uuid}"),
        work(Info, 2, "fraud score {pct} for checkout {uuid}"),
        work(Warn, 2, "checkout {uuid} retried {n} times against {peer}"),
        failed(
            40,
            502,
            "payment {hex} failed: acquirer answered {n} after {ms}ms",
        ),
        failed(
            30,
            504,
            "checkout {uuid} gave up waiting for {peer} after {ms}ms",
        ),
        failed(
            15,
            500,
            "compensation failed for checkout {uuid}: reservation {id} still held",
        ),
        failed(15, 504, traces::JAVA_TIMEOUT),
    ],
};

pub(super) const ORDERS: Archetype = Archetype {
    name: "orders",
    share: 9.0,
    errors: 0.004,
    public: false,
    attributes: false,
    checks_passwords: false,
    calls: &["inventory", "shipping", "notifications"],
    endpoints: &[
        endpoint("GET", "/orders/{id}", 60, 18.0, 0.5),
        endpoint("POST", "/orders", 25, 64.0, 0.45),
        endpoint("GET", "/customers/{id}/orders", 15, 47.0, 0.6),
    ],
    lines: &[
        served(50, 200, "{method} {path} {status} {ms}ms"),
        served(24, 200, "order {id} read by {user} rows={n} took={ms}ms"),
        served(14, 201, "order {id} placed: {n} lines, {money} EUR"),
        served(6, 200, "listed {n} orders of customer {id}, next={hex}"),
        served(4, 202, "cancellation of order {id} accepted"),
        refused(4, 404, "order {id} not found for {user}"),
        refused(
            2,
            409,
            "order {id} is already shipped, cancellation refused",
        ),
        work(
            Debug,
            10,
            "outbox published {n} events up to offset {offset}",
        ),
        work(Info, 8, "order {id} moved to state paid"),
        work(Info, 6, "order {id} moved to state shipped, parcel {id}"),
        work(
            Info,
            2,
            "archived {count} orders older than {n} months in {dur}",
        ),
        work(
            Warn,
            2,
            "slow statement: {ms}ms select from orders where customer_id={id}",
        ),
        work(Warn, 1, "outbox is {count} events behind"),
        failed(
            35,
            500,
            "deadlock detected while updating order {id}, victim of transaction {id}",
        ),
        failed(20, 503, traces::JAVA_POOL),
        failed(30, 502, "{peer} answered {n} for order {id} after {ms}ms"),
        work(
            Error,
            10,
            "outbox publish failed at offset {offset}: broker {node}:9092 not available",
        ),
    ],
};

pub(super) const PAYMENTS: Archetype = Archetype {
    name: "payments",
    share: 8.0,
    errors: 0.012,
    public: false,
    attributes: true,
    checks_passwords: false,
    calls: &["notifications"],
    endpoints: &[
        endpoint("POST", "/payments", 60, 180.0, 0.45),
        endpoint("POST", "/payments/{uuid}/capture", 25, 130.0, 0.45),
        endpoint("GET", "/payments/{uuid}", 15, 11.0, 0.4),
    ],
    lines: &[
        served(
            45,
            200,
            "payment {uuid} authorized amount={money} currency=EUR in {ms}ms",
        ),
        served(25, 200, "payment {uuid} captured amount={money}"),
        served(25, 200, "{method} {path} {status} {ms}ms"),
        served(5, 201, "card token {hex} stored for {user}"),
        served(4, 200, "refund {id} of {money} EUR for payment {uuid}"),
        refused(
            6,
            402,
            "payment {hex} declined by acquirer: insufficient funds",
        ),
        refused(3, 402, "payment {hex} declined by acquirer: card expired"),
        refused(2, 409, "duplicate payment request, idempotency key {uuid}"),
        work(
            Debug,
            10,
            "acquirer session {hex} on {node}:443 reused, {n} left",
        ),
        work(Info, 6, "3-D Secure challenge {uuid} passed in {dur}"),
        work(
            Info,
            2,
            "settlement file {hex}: {count} entries, {bytes} bytes",
        ),
        work(
            Warn,
            2,
            "acquirer latency {dur} above target for merchant {id}",
        ),
        failed(
            45,
            502,
            "payment {hex} failed: acquirer {node} reset the connection after {ms}ms",
        ),
        failed(
            25,
            504,
            "acquirer timeout for payment {uuid} after {ms}ms, outcome unknown",
        ),
        failed(
            15,
            500,
            "ledger entry {id} does not balance: {money} != {money}",
        ),
        failed(15, 503, traces::JAVA_POOL),
    ],
};
