//! The wire's types as the dashboard sees them: written from these by a test, so that they cannot differ.

use std::{fs, path::Path};

use ts_rs::{Config, TS};

use crate::{
    Level, Timestamp,
    anomaly::{
        Anomaly, Direction, Evidence, Explanation, Part, Sample, Severity, State, Subject,
        TemplateOf,
    },
    rest::{AnomaliesPage, Summary, Volume, VolumePoint},
    websocket::{ClientFrame, Filter, ServerFrame},
};

const WRITTEN: &str = "../../dashboard/src/api/contract.ts";

const HEAD: &str = "\
// What the gateway sends and takes, from the crate `contracts`. Not by hand:
// `make contract` writes it, and a test fails where it is not what the crate says.
";

fn declared<T: TS>(config: &Config) -> String {
    format!(
        "\n{}export {}\n",
        T::docs().unwrap_or_default(),
        T::decl(config)
    )
}

fn contract() -> String {
    // Counts and offsets stay below 2^53.
    let config = Config::default().with_large_int("number");
    let parts = [
        declared::<Timestamp>(&config),
        declared::<Level>(&config),
        declared::<State>(&config),
        declared::<Severity>(&config),
        declared::<Direction>(&config),
        declared::<Part>(&config),
        declared::<Explanation>(&config),
        declared::<Sample>(&config),
        declared::<TemplateOf>(&config),
        declared::<Subject>(&config),
        declared::<Evidence>(&config),
        declared::<Anomaly>(&config),
        declared::<AnomaliesPage>(&config),
        declared::<VolumePoint>(&config),
        declared::<Volume>(&config),
        declared::<Summary>(&config),
        declared::<ServerFrame>(&config),
        declared::<Filter>(&config),
        declared::<ClientFrame>(&config),
    ];
    HEAD.to_owned() + &parts.concat()
}

#[test]
fn the_dashboard_has_the_types_of_the_contract() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(WRITTEN);
    let wanted = contract();
    if std::env::var_os("WRITE_CONTRACT").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == wanted,
        "{WRITTEN} is not what the types say: run `make contract`"
    );
}
