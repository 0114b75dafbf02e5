//! Says so when the dashboard is not there to be embedded; the crate compiles without it.

use std::path::Path;

fn main() {
    let dist = Path::new("../../dashboard/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    if !dist.join("index.html").exists() {
        println!(
            "cargo::warning=the dashboard is not built (make dashboard); a page that says so takes its place"
        );
    }
}
