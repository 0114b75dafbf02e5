//! What people have in their topics, after public reports, and what has to be read from it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::fmt::Write as _;

use contracts::dead_letter::Reason;
use log_records::{Line, NoTime, RecordContext, ServiceFrom, decode};

/// 2026-11-26T17:00:00.123Z, a moment before Kafka's time of every record here.
const MOMENT: i64 = 1_795_712_400_123;

fn context(key: Option<&str>) -> RecordContext<'_> {
    RecordContext {
        key,
        kafka_time: MOMENT + 250,
    }
}

fn read(payload: &str) -> Line<'_> {
    decode(payload.as_bytes(), &context(Some("k")))
        .unwrap_or_else(|error| panic!("{payload}: {error:?}"))
}

/// The columns that `expected` speaks of, in its words.
fn columns(line: &Line<'_>, expected: &str) -> String {
    let mut said = String::new();
    for pair in expected.split("; ") {
        let name = pair.split('=').next().unwrap_or_default();
        let value = match name {
            "level" => line.level.as_str().to_owned(),
            "message" => line.message.to_string(),
            "service" => line.service.to_string(),
            "host" => line.host.to_string(),
            "trace" => line.trace_id.to_string(),
            "span" => line.span_id.to_string(),
            "ip" => line.client_ip.to_string(),
            "user" => line.user.to_string(),
            "status" => line.status.to_string(),
            "latency" => line
                .latency_ms
                .map_or("none".to_owned(), |ms| format!("{ms}")),
            "error" => line.is_error().to_string(),
            "ms" => line
                .timestamp
                .map_or("none".to_owned(), |ms| (ms - MOMENT).to_string()),
            attribute => line
                .attributes
                .iter()
                .find(|(name, _)| name == attribute)
                .map_or("none".to_owned(), |(_, value)| value.to_string()),
        };
        if !said.is_empty() {
            said.push_str("; ");
        }
        write!(said, "{name}={value}").unwrap();
    }
    said
}

fn all(cases: &[(&str, &str)]) {
    let mut wrong = String::new();
    for (payload, expected) in cases {
        let said = columns(&read(payload), expected);
        if said != *expected {
            writeln!(wrong, "{payload}\n  is {said}\n  not {expected}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn loggers() {
    all(&[
        // ECS, dotted and nested.
        (
            r#"{"@timestamp":"2026-11-26T17:00:00.123Z","log.level":"ERROR","message":"cart lost","service.name":"shop","process.thread.name":"main"}"#,
            "ms=0; service=shop; level=ERROR; process.thread.name=main",
        ),
        (
            r#"{"@timestamp":"2026-11-26T17:00:00.123Z","log":{"level":"error","logger":"shop.Cart"},"service":{"name":"shop","version":"3.1"},"host":{"name":"node-a","ip":["10.1.1.1"]},"message":"cart lost","trace":{"id":"t1"},"http":{"response":{"status_code":503}},"source":{"ip":"192.0.2.7"},"user":{"id":"u-1"},"event":{"duration":2500000}}"#,
            "ms=0; service=shop; level=ERROR; host=node-a; message=cart lost; service.version=3.1; log.logger=shop.Cart; trace=t1; status=503; ip=192.0.2.7; user=u-1; latency=2.5",
        ),
        // logrus, zap, zerolog, slog, winston, pino, bunyan.
        (
            r#"{"level":"fatal","msg":"no route","time":"2026-11-26T18:00:00+01:00"}"#,
            "level=FATAL; message=no route; ms=-123",
        ),
        (
            r#"{"level":"dpanic","ts":1795712400.123,"caller":"a.go:1","msg":"m"}"#,
            "level=FATAL; ms=0; caller=a.go:1",
        ),
        (
            r#"{"level":"error","time":1795712400,"message":"m"}"#,
            "level=ERROR; ms=-123",
        ),
        (
            r#"{"time":"2026-11-26T17:00:00.123456789Z","level":"ERROR+2","source":{"function":"f","line":88},"msg":"m"}"#,
            r#"ms=0; level=ERROR; service=k; source={"function":"f","line":88}"#,
        ),
        (
            r#"{"level":"\u001b[31merror\u001b[39m","message":"db down","timestamp":"2026-11-26T17:00:00.123Z"}"#,
            "level=ERROR; ms=0; error=true",
        ),
        (
            r#"{"level":50,"time":1795712400123,"pid":7,"hostname":"n","name":"till","msg":"m","responseTime":12}"#,
            "level=ERROR; ms=0; host=n; latency=12; name=till",
        ),
        (
            r#"{"level":50.0,"message":"m","status":502.0}"#,
            "level=ERROR; status=502; error=true",
        ),
        // .NET, Serilog, CLEF, NLog.
        (
            r#"{"EventId":0,"LogLevel":"Error","Category":"Shop.Cart","Message":"cart lost","State":{"Message":"cart lost","Id":7}}"#,
            "level=ERROR; message=cart lost; Category=Shop.Cart",
        ),
        (
            r#"{"Timestamp":"2026-11-26T17:00:00.123Z","Level":"Error","MessageTemplate":"cart {Id} lost","Properties":{"Id":7,"SourceContext":"Cart"}}"#,
            "ms=0; level=ERROR; message=cart 7 lost",
        ),
        (
            r#"{"@t":"2026-11-26T17:00:00.1230000Z","@mt":"cart {Id} lost","@l":"Error","Id":7}"#,
            "ms=0; level=ERROR; message=cart 7 lost; Id=7",
        ),
        (
            r#"{"@t":"2026-11-26T17:00:00.123Z","@m":"cart 7 lost","@i":"1","@tr":"t1","@sp":"s1"}"#,
            "message=cart 7 lost; trace=t1; span=s1",
        ),
        // Log4j 2, Logback, java.util.logging's relatives.
        (
            r#"{"instant":{"epochSecond":1795712400,"nanoOfSecond":123000000},"thread":"main","level":"ERROR","loggerName":"shop.Cart","message":"lost","contextMap":{"traceId":"t1"}}"#,
            "ms=0; level=ERROR; trace=t1",
        ),
        (
            r#"{"timestamp":1795712400123,"level":"WARN","formattedMessage":"cart 7 slow","message":"cart {} slow","mdc":{"traceId":"t1","spanId":"s1"}}"#,
            "ms=0; level=WARN; message=cart 7 slow; trace=t1; span=s1",
        ),
        (
            r#"{"@timestamp":"2026-11-26T17:00:00.123Z","@version":"1","message":"m","logger_name":"a","level_value":40000}"#,
            "ms=0; level=ERROR",
        ),
        // Python, Ruby, Rust, PHP.
        (
            r#"{"event":"cart lost","level":"error","timestamp":"2026-11-26T17:00:00.123Z"}"#,
            "message=cart lost; level=ERROR; ms=0",
        ),
        (
            r#"{"asctime":"2026-11-26 17:00:00,123","levelname":"CRITICAL","name":"root","message":"m"}"#,
            "ms=0; level=FATAL; service=k",
        ),
        (
            r#"{"levelno":40,"message":"m","created":1795712400.123}"#,
            "level=ERROR; ms=0",
        ),
        (
            r#"{"text":"x","record":{"level":{"name":"ERROR","no":40},"message":"cart lost","time":{"repr":"r","timestamp":1795712400.123}}}"#,
            "level=ERROR; ms=0",
        ),
        (
            r#"{"timestamp":"2026-11-26T17:00:00.123Z","level":"ERROR","fields":{"message":"cart lost","cart":7},"target":"shop::cart"}"#,
            "message=cart lost; level=ERROR; fields.cart=7",
        ),
        (
            r#"{"message":"m","context":{},"level":400,"level_name":"ERROR","channel":"app","datetime":"2026-11-26T17:00:00.123+00:00"}"#,
            "level=ERROR; ms=0",
        ),
        (
            r#"{"application":"shop","timestamp":"2026-11-26T17:00:00.123Z","level":"error","pid":1,"name":"Cart","message":"m","duration_ms":3.5}"#,
            "service=shop; latency=3.5",
        ),
    ]);
}

#[test]
fn carriers() {
    all(&[
        (
            r#"{"version":"1.1","host":"web-1","short_message":"db down","full_message":"db down\n at x","timestamp":1795712400.123,"level":3,"_app":"shop","_user_id":42}"#,
            "message=db down; level=ERROR; ms=0; service=shop; host=web-1; user=42",
        ),
        (
            r#"{"log":"boom\n","stream":"stderr","time":"2026-11-26T17:00:00.123456789Z"}"#,
            "message=boom; ms=0; stream=stderr; level=UNKNOWN",
        ),
        (
            r#"{"log":"{\"level\":\"error\",\"msg\":\"cart lost\",\"service\":\"shop\"}\n","stream":"stderr","time":"2026-11-26T17:00:00.123Z"}"#,
            "message=cart lost; level=ERROR; ms=0; service=shop; stream=stderr",
        ),
        (
            r#"{"log":"2026 ERROR [main] lost\n","kubernetes":{"container_name":"till","pod_name":"till-7","host":"node-a","labels":{"app":"shop"}}}"#,
            "level=ERROR; service=shop; host=node-a; kubernetes.pod_name=till-7",
        ),
        (
            r#"{"log":"x","container_name":"/till","source":"stdout","container_id":"1"}"#,
            "message=x; service=till; source=stdout",
        ),
        (
            r#"{"@timestamp":"2026-11-26T17:00:00.123Z","message":"[error] lost","kubernetes":{"container":{"name":"till"},"node":{"name":"node-a"}},"agent":{"type":"filebeat"},"fields":{"env":"prod"}}"#,
            "ms=0; level=ERROR; service=till; host=node-a",
        ),
        (
            r#"{"MESSAGE":[72,101,108,108,111,13],"PRIORITY":"3","_SYSTEMD_UNIT":"nginx.service","SYSLOG_IDENTIFIER":"nginx","_HOSTNAME":"web-1","__REALTIME_TIMESTAMP":"1795712400123000"}"#,
            "message=Hello\r; level=ERROR; service=nginx; host=web-1; ms=0",
        ),
        (
            "2026-11-26T17:00:00.123456789Z stderr F cart ERROR lost",
            "message=cart ERROR lost; level=ERROR; ms=0; stream=stderr",
        ),
        (
            r#"2026-11-26T17:00:00.123456789Z stdout F {"level":"warn","msg":"slow"}"#,
            "message=slow; level=WARN; ms=0",
        ),
        (
            "2026-11-26T17:00:00.123456789Z stdout P half a li",
            "message=half a li; logtag=P",
        ),
        // Clouds.
        (
            r#"{"textPayload":"cart lost","severity":"ERROR","timestamp":"2026-11-26T17:00:00.123Z","resource":{"type":"k8s_container","labels":{"container_name":"till"}},"trace":"projects/p/traces/t1"}"#,
            "message=cart lost; level=ERROR; ms=0; service=till; trace=t1",
        ),
        (
            r#"{"jsonPayload":{"message":"cart lost","cart":7},"severity":500,"httpRequest":{"status":502,"latency":"0.034s","remoteIp":"192.0.2.7"}}"#,
            "message=cart lost; level=ERROR; status=502; latency=34; ip=192.0.2.7; jsonPayload.cart=7",
        ),
        (
            r#"{"messageType":"DATA_MESSAGE","logGroup":"/aws/lambda/till","logStream":"s","logEvents":[{"id":"1","timestamp":1795712400123,"message":"[ERROR] lost"}]}"#,
            "message=[ERROR] lost; level=ERROR; ms=0; service=k; logStream=s",
        ),
        (
            r#"{"records":[{"time":"2026-11-26T17:00:00.123Z","level":"Error","properties":{"message":"cart lost"},"category":"AppLogs"}]}"#,
            "message=cart lost; level=ERROR; ms=0; category=AppLogs",
        ),
        (
            r#"{"dd":{"service":"shop","trace_id":"11","version":"1.2"},"status":"error","message":"m"}"#,
            "service=shop; trace=11; level=ERROR; service.version=1.2",
        ),
        // OpenTelemetry.
        (
            r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},{"key":"host.name","value":{"stringValue":"node-a"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1795712400123000000","severityNumber":17,"body":{"stringValue":"cart lost"},"attributes":[{"key":"http.response.status_code","value":{"intValue":"503"}}],"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}]}"#,
            "message=cart lost; level=ERROR; ms=0; service=shop; host=node-a; status=503; trace=5b8efff798038103d269b633813fc60c; span=eee19b7ec3c1b174",
        ),
        (
            r#"{"Timestamp":"1795712400123000000","SeverityText":"ERROR","SeverityNumber":"17","Body":"cart lost","Resource":{"service.name":"shop","service.version":"3.1"},"TraceId":"t1","Attributes":{"http.status_code":500},"parentSpanId":"p1"}"#,
            "message=cart lost; level=ERROR; ms=0; service=shop; status=500; trace=t1; service.version=3.1; parent_span_id=p1",
        ),
        (
            r#"[{"message":"alone","level":"error"}]"#,
            "message=alone; level=ERROR",
        ),
        (
            r#""{\"message\":\"twice\",\"level\":\"error\"}""#,
            "message=twice; level=ERROR",
        ),
        ("{\"message\":\"x\"}\0", "message=x"),
        (
            "\u{feff}bom INFO plain",
            "message=bom INFO plain; level=INFO",
        ),
    ]);
}

#[test]
fn levels_of_plain_lines() {
    let cases = [
        (
            "2026/11/26 17:00:00 [crit] 1234#0: *1 SSL_do_handshake() failed",
            "FATAL",
        ),
        (
            "2026-11-26 17:00:00.123 UTC [77] ERROR:  duplicate key value violates unique constraint \"users_pkey\"",
            "ERROR",
        ),
        (
            "2026-11-26T17:00:00.123456Z 0 [Warning] [MY-010068] [Server] CA certificate is self signed.",
            "WARN",
        ),
        (
            "INFO:     127.0.0.1:5000 - \"GET / HTTP/1.1\" 200 OK",
            "INFO",
        ),
        ("E, [2026-11-26T17:00:00.123 #1] ERROR -- : boom", "ERROR"),
        (
            "[2026-11-26 17:00:00,123: ERROR/MainProcess] Task shop.pay raised",
            "ERROR",
        ),
        (
            "time=\"2026-11-26T17:00:00Z\" level=fatal msg=\"no route\"",
            "FATAL",
        ),
        (
            "[2026-11-26T17:00:00.123+00:00] app.EMERGENCY: volume lost {\"v\":1}",
            "FATAL",
        ),
        (
            "2026.11.26 17:00:00.123 [ 77 ] {} <Information> Application: Ready for connections.",
            "INFO",
        ),
        (
            "[ALERT]    (1) : config : parsing [/etc/haproxy.cfg:12] : unknown keyword",
            "FATAL",
        ),
        (
            "[Thu Nov 26 17:00:00.123 2026] [proxy:error] [pid 7] AH01114: failed",
            "ERROR",
        ),
        (
            "E1126 17:00:00.123456       1 reconciler.go:88] \"sync failed\" err=\"timeout\"",
            "ERROR",
        ),
        ("W1126 17:00:00.123456       1 a.go:1] slow", "WARN"),
        (
            "<11>1 2026-11-26T17:00:00.123Z node-a shop 123 - - disk failing",
            "ERROR",
        ),
        (
            "<11>Nov 26 17:00:00 node-a shop[123]: disk failing",
            "ERROR",
        ),
        ("<30>Nov 26 17:00:00 node-a shop[123]: disk ok", "INFO"),
        ("fail: Shop.Cart[0]", "ERROR"),
        ("dbug: Shop.Cart[0]", "DEBUG"),
        ("ERROR:root:cart lost", "ERROR"),
        ("2026-11-26 17:00:00,123 - shop - WARNING - slow", "WARN"),
        ("17:00:00.123 [main] ERROR shop.Cart -- lost", "ERROR"),
        (
            "Nov 26, 2026 5:00:00 PM shop.Cart pay\nSEVERE: card refused",
            "ERROR",
        ),
        ("npm ERR! code ELIFECYCLE", "ERROR"),
        ("11-26 17:00:00.123  1234  5678 E Cart    : lost", "ERROR"),
        ("\u{1b}[31mERROR\u{1b}[0m db down", "ERROR"),
        (
            "\u{1b}[2m2026-11-26T17:00:00Z\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m shop: slow",
            "WARN",
        ),
        ("app: {\"level\":\"error\",\"msg\":\"x\"}", "ERROR"),
        ("null\0here ERROR", "ERROR"),
        // None.
        (
            "198.51.100.7 - - [26/Nov/2026:17:00:00 +0000] \"GET /logs?level=error&from=now-5m HTTP/1.1\" 200 512 \"-\" \"curl/8\"",
            "UNKNOWN",
        ),
        (
            "198.51.100.7 - - [26/Nov/2026:17:00:00 +0000] \"GET /static/ERROR.png HTTP/1.1\" 200 512 \"-\" \"curl/8\"",
            "UNKNOWN",
        ),
        ("GET /logs?level=error 200", "UNKNOWN"),
        ("GET /static/ERROR.png 200", "UNKNOWN"),
        ("ssl: SSL_ERROR_NONE after 3 ms", "UNKNOWN"),
        ("set ON_ERROR=continue for the batch", "UNKNOWN"),
        ("there was no error at all", "UNKNOWN"),
        ("user said \"ERROR is a word\" and left", "UNKNOWN"),
        ("MIRRORS updated, TERROR not", "UNKNOWN"),
    ];
    let mut wrong = String::new();
    for (text, level) in cases {
        let line = read(text);
        if line.level.as_str() != level || line.message != text.trim_start_matches('\u{feff}') {
            writeln!(wrong, "{} not {level}: {text}", line.level.as_str()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn a_number_is_a_time_only_near_kafkas() {
    all(&[
        (
            r#"{"@timestamp":"2026-11-26T17:00:00.123Z","time":0.034,"message":"m"}"#,
            "ms=0; time=0.034",
        ),
        (
            r#"{"@timestamp":"2026-11-26T17:00:00.123Z","time":"34","message":"m"}"#,
            "ms=0; time=34",
        ),
        (
            r#"{"@timestamp":"2026-11-26T17:00:00.123Z","timestamp":"26/Nov/2026:18:00:00 +0100","message":"m"}"#,
            "ms=0; timestamp=26/Nov/2026:18:00:00 +0100",
        ),
        (
            r#"{"timestamp":"26/Nov/2026:18:00:00 +0100","message":"m"}"#,
            "ms=-123",
        ),
        (
            r#"{"timestamp":"soon","ts":1795712400123,"message":"m"}"#,
            "ms=0; timestamp=soon",
        ),
        (
            r#"{"timestamp":20261126,"message":"m"}"#,
            "ms=none; timestamp=20261126",
        ),
        (r#"{"timestamp":0,"message":"m"}"#, "ms=none"),
        (
            r#"{"timestamp":"0001-01-01T00:00:00Z","message":"m"}"#,
            "ms=none",
        ),
        (
            r#"{"timestamp":"2026-11-26 18:00:00.123 +01:00","message":"m"}"#,
            "ms=0",
        ),
        (
            r#"{"timestamp":"2026-11-26T22:30:00.123+0530","message":"m"}"#,
            "ms=0",
        ),
    ]);
    assert_eq!(
        read(r#"{"timestamp":5,"message":"m"}"#).no_time,
        NoTime::Implausible
    );
    assert_eq!(
        read(r#"{"timestamp":"soon","message":"m"}"#).no_time,
        NoTime::Unreadable
    );
    assert_eq!(read(r#"{"message":"m"}"#).no_time, NoTime::Absent);
}

#[test]
fn fields_are_read_by_type() {
    all(&[
        (
            r#"{"message":"m","service":{"a":1},"host":["x"],"user":{"roles":[]},"client_ip":true}"#,
            r#"service=k; host=; user=; ip=; service={"a":1}"#.split("; service={").next().unwrap(),
        ),
        (
            r#"{"message":"m","service":"  ","app":"shop"}"#,
            "service=shop",
        ),
        (
            r#"{"message":"m","source":"/var/log/a"}"#,
            "service=k; source=/var/log/a",
        ),
        (
            r#"{"level":"loud","severity":"ERROR","message":"m"}"#,
            "level=ERROR; level=ERROR",
        ),
        (
            r#"{"message":"m","kind":"v1, Kind=Lease","user":"u","kind":"Lease"}"#,
            "kind=Lease; user=u",
        ),
        (
            r#"{"message":"socket closed","status":1000}"#,
            "status=0; error=false",
        ),
        (
            r#"{"message":"m","status":"502, 200"}"#,
            "status=0; error=false",
        ),
        (
            r#"{"message":"first","message":"second"}"#,
            "message=second",
        ),
        (
            r#"{"message":"m","latency_ms":1e400,"status":99999999999999999999}"#,
            "latency=none; status=0; latency_ms=1e400",
        ),
    ]);
    let source = r#"{"message":"m","source":"till"}"#;
    let line = decode(source.as_bytes(), &context(None)).unwrap();
    assert_eq!(
        (&*line.service, line.service_from),
        ("till", ServiceFrom::Source)
    );
    let stream = r#"{"message":"m","source":"stdout"}"#;
    let line = decode(stream.as_bytes(), &context(None)).unwrap();
    assert_eq!(
        (&*line.service, line.service_from),
        ("unknown", ServiceFrom::Nobody)
    );
}

#[test]
fn several_records_are_one_dead_letter() {
    let batch = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a"}},{"body":{"stringValue":"b"}}]}]}]}"#;
    for payload in [
        "{\"message\":\"a\"}\n{\"message\":\"b\"}",
        "{\"message\":\"a\"}{\"message\":\"b\"}",
        r#"[{"message":"a"},{"message":"b"}]"#,
        r#"{"logEvents":[{"message":"a"},{"message":"b"}]}"#,
        batch,
    ] {
        let refused = decode(payload.as_bytes(), &context(None)).unwrap_err();
        assert_eq!(refused.reason, Reason::SeveralRecords, "{payload}");
    }
    for payload in ["[1,2]", "[]", "[INFO] text"] {
        assert_eq!(read(payload).message, payload);
    }
}
