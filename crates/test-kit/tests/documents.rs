//! Generated pages say what the code says. After a change: `UPDATE_DOCS=1 cargo test -p test-kit --test documents`.

use std::path::Path;

use anyhow::Context as _;
use service_kit::metrics::{Registry, markdown};

/// Would catch a metric that was added, renamed or explained anew without its page.
#[test]
fn the_page_of_the_metrics_is_up_to_date() -> anyhow::Result<()> {
    let registries: [(&str, Registry); 3] = std::array::from_fn(|at| {
        let registry = Registry::new();
        // Each has its admin endpoints.
        service_kit::http::register(&registry);
        let service = match at {
            0 => {
                anomaly_processor::metrics::Metrics::new(&registry);
                "anomaly-processor"
            }
            1 => {
                ws_gateway::metrics::Metrics::new(&registry);
                "ws-gateway"
            }
            _ => {
                log_generator::service::metrics::Metrics::new(&registry);
                "log-generator"
            }
        };
        (service, registry)
    });
    let mut page = String::from(
        "# Metrics\n\nEach service serves these at `/metrics` of its `ADMIN_LISTEN` address. This page is generated\n\
         from the catalogs in the code.\n",
    );
    for (service, registry) in &registries {
        page.extend(["\n## ", service, "\n\n", &markdown(&registry.describe())]);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page)?;
    }
    let written = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    assert!(
        written == page,
        "docs/metrics.md is stale: UPDATE_DOCS=1 cargo test -p test-kit --test documents"
    );
    Ok(())
}
