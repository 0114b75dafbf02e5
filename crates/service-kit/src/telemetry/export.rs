//! Sends spans to an OTLP receiver.
//! Invariant: the runtime of the connection lives as long as the exporter, apart from the service's own.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use tokio::runtime::{Builder, Runtime};

use crate::options::HttpUrl;

/// One attempt to send a batch of spans.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExporterError {
    #[error("the exporter's thread cannot start")]
    Runtime(#[from] std::io::Error),
    #[error("the exporter cannot be built: {0}")]
    Build(#[from] opentelemetry_otlp::ExporterBuildError),
}

pub(super) struct Exporter {
    provider: SdkTracerProvider,
    runtime: Runtime,
}

impl Exporter {
    /// Connects at the first span, not now.
    pub(super) fn start(
        service_name: &'static str,
        endpoint: &HttpUrl,
    ) -> Result<Self, ExporterError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("telemetry")
            .enable_all()
            .build()?;
        let exporter = {
            // The connection's task is spawned when the exporter is built.
            let _entered = runtime.enter();
            SpanExporter::builder()
                .with_tonic()
                .with_endpoint(endpoint.as_str())
                .with_timeout(EXPORT_TIMEOUT)
                .build()?
        };
        let resource = Resource::builder().with_service_name(service_name).build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Reported {
                exporter,
                failing: AtomicBool::new(false),
            })
            .with_resource(resource)
            .build();
        Ok(Self { provider, runtime })
    }

    pub(super) fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    pub(super) fn shutdown(self, budget: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(budget) {
            tracing::warn!(%error, "the last spans were not sent");
        }
        self.runtime.shutdown_background();
    }
}

/// Says once when sending begins to fail, and once when it works again.
struct Reported {
    exporter: SpanExporter,
    failing: AtomicBool,
}

impl fmt::Debug for Reported {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exporter.fmt(out)
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Reported {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        let was_failing = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !was_failing => tracing::warn!(spans, %error, "spans are not sent"),
            Ok(()) if was_failing => tracing::info!("spans are sent again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
