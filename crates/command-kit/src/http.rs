//! A plain HTTP client for short questions.

use std::time::Duration;

use anyhow::Context as _;

const TIMEOUT: Duration = Duration::from_secs(5);

pub fn client() -> anyhow::Result<reqwest::Client> {
    // Fails only if a provider is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        // What it asks lies on this machine; a proxy of the environment has no business with it.
        .no_proxy()
        .build()
        .context("cannot make an HTTP client")
}

/// Asks again and again until the answer is a success.
pub async fn until_ok(client: &reqwest::Client, url: &str) {
    const LOOK_AGAIN: Duration = Duration::from_millis(100);
    loop {
        let answer = client.get(url).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
