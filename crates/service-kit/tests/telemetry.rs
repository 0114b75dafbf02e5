//! Spans reach a real OTLP gRPC receiver with their parents and links. One test: logs are global to a process.

use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use service_kit::Telemetry;
use service_kit::options::{Problems, ServiceOptions};
use service_kit::telemetry::{add_link, current_traceparent, link_parent};
use tokio::sync::mpsc;
use tonic::transport::server::TcpIncoming;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const LINKED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const DEADLINE: Duration = Duration::from_secs(30);

struct Receiver(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let _ = self.0.send(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

#[test]
fn spans_arrive_with_their_service_parent_and_link() {
    let (sender, mut requests) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(
        tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(Receiver(sender)))
            .serve_with_incoming(TcpIncoming::from(listener)),
    );

    let telemetry = Telemetry::start("barograph-test", &options(address).unwrap());
    assert!(telemetry.exports());
    let span = tracing::info_span!("handle record");
    link_parent(&span, TRACEPARENT);
    link_parent(&span, "nonsense");
    add_link(&span, LINKED);
    let sent_along = span.in_scope(|| current_traceparent().unwrap());
    assert_eq!(current_traceparent(), None);
    drop(span);
    telemetry.shutdown();

    let request = runtime
        .block_on(async { tokio::time::timeout(DEADLINE, requests.recv()).await })
        .unwrap()
        .unwrap();
    let spans = &request.resource_spans[0];
    let attributes = &spans.resource.as_ref().unwrap().attributes;
    let service = attributes
        .iter()
        .find(|attribute| attribute.key == "service.name")
        .unwrap();
    let service = service.value.as_ref().unwrap().value.as_ref();
    assert_eq!(
        service,
        Some(&Value::StringValue("barograph-test".to_owned()))
    );

    let span: &Span = &spans.scope_spans[0].spans[0];
    assert_eq!(span.name, "handle record");
    assert_eq!(hex(&span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(
        hex(&span.links[0].trace_id),
        "0af7651916cd43dd8448eb211c80319c"
    );
    assert_eq!(
        sent_along,
        format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id))
    );
}

fn options(receiver: SocketAddr) -> Result<ServiceOptions, Problems> {
    let endpoint = (
        "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
        format!("http://{receiver}"),
    );
    // What is logged has no say in what is traced.
    let quiet = ("LOG_LEVEL".to_owned(), "error".to_owned());
    ServiceOptions::from_pairs([endpoint, quiet])
}

fn hex(bytes: &[u8]) -> String {
    let number = bytes
        .iter()
        .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("{number:0width$x}", width = bytes.len() * 2)
}
