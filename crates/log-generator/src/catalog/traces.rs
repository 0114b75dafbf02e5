//! Stack traces, as the runtimes of the four languages print them.

pub(super) const JAVA_POOL: &str = "Could not acquire connection from pool after {count} ms
org.springframework.dao.DataAccessResourceFailureException: HikariPool-1 - Connection is not available, request timed out after {count}ms (total={n}, active={n}, idle=0, waiting={n})
\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)
\tat com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:181)
\tat com.example.orders.OrderRepository.findById(OrderRepository.java:88)
\tat com.example.orders.OrderController.get(OrderController.java:41)
Caused by: java.sql.SQLTransientConnectionException: connection to {node}:5432 refused
\t... 23 more";

pub(super) const JAVA_NULL: &str = "Unhandled exception for {method} {path}
java.lang.NullPointerException: Cannot invoke \"com.example.billing.Account.plan()\" because \"account\" is null
\tat com.example.billing.InvoiceBuilder.lines(InvoiceBuilder.java:{n})
\tat com.example.billing.InvoiceBuilder.build(InvoiceBuilder.java:57)
\tat com.example.billing.NightlyRun.lambda$run$3(NightlyRun.java:102)
\tat java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1144)
\tat java.base/java.lang.Thread.run(Thread.java:1583)";

pub(super) const JAVA_TIMEOUT: &str = "{method} {path} failed after {ms}ms
java.net.SocketTimeoutException: Read timed out calling {peer} at {node}:8080
\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:278)
\tat okhttp3.internal.http1.Http1ExchangeCodec.readResponseHeaders(Http1ExchangeCodec.kt:178)
\tat com.example.checkout.PaymentClient.authorize(PaymentClient.java:73)
\tat com.example.checkout.CheckoutService.place(CheckoutService.java:{n})";

pub(super) const PYTHON_KEY: &str = "Exception in worker while handling {path}
Traceback (most recent call last):
  File \"/app/service/handlers.py\", line {count}, in handle
    result = await self.process(request)
  File \"/app/service/process.py\", line 96, in process
    price = document[\"price\"][\"amount\"]
KeyError: 'amount'";

pub(super) const PYTHON_TIMEOUT: &str =
    "Task send_message[{uuid}] raised unexpected: ConnectTimeout
Traceback (most recent call last):
  File \"/usr/lib/python3.13/site-packages/celery/app/trace.py\", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
  File \"/app/tasks/deliver.py\", line {n}, in send_message
    response = client.post(url, json=payload, timeout=5)
httpx.ConnectTimeout: timed out connecting to {node}:{port}";

pub(super) const GO_NIL: &str =
    "http: panic serving {node}:{port}: runtime error: invalid memory address or nil pointer dereference
goroutine {id} [running]:
net/http.(*conn).serve.func1()
\t/usr/local/go/src/net/http/server.go:1947 +0xbe
main.(*Router).Forward(0xc0{hex}, {{0x7f{hex}, 0xc0{hex}})
\t/src/router/forward.go:{count} +0x1d2
created by net/http.(*Server).Serve in goroutine 1
\t/usr/local/go/src/net/http/server.go:3454 +0x485";

pub(super) const GO_DEADLINE: &str =
    "inventory: reserve {sku}: context deadline exceeded after {ms}ms
goroutine {id} [select]:
database/sql.(*DB).conn(0xc0{hex}, {{0x{hex}, 0xc0{hex}}, 0x1)
\t/usr/local/go/src/database/sql/sql.go:1369 +0x7b5
main.(*Stock).Reserve(0xc0{hex}, {n})
\t/src/stock/reserve.go:{count} +0x245";

pub(super) const RUST_PANIC: &str = "request handler panicked
thread 'tokio-rt-worker' ({id}) panicked at src/index/segment.rs:{count}:{n}:
index out of bounds: the len is {n} but the index is {count}
stack backtrace:
   0: rust_begin_unwind
   1: core::panicking::panic_bounds_check
   2: search::index::segment::Segment::posting
   3: search::query::execute::{{{{closure}}
   4: tokio::runtime::task::core::Core<T,S>::poll
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.";

pub(super) const RUST_CHAIN: &str = "token exchange failed: upstream closed the connection

Caused by:
    0: request to https://{node}:{port}/oauth/token failed
    1: connection error
    2: Connection reset by peer (os error 104)

Location:
    src/session/exchange.rs:{count}:{n}";
