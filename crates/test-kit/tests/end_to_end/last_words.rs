//! A service that ends says why, with the log level that it has when nobody chose one.

use std::process::{Command, Stdio};

use local_stack::{Ports, ports::loopback};
use test_kit::{lines, wait};

use crate::space;

const TIMES: usize = 5;

/// `LOG_LEVEL` of whoever runs the tests is not the one that is tested.
fn said_by(program: &str, variables: &[(&str, String)]) -> anyhow::Result<(Option<i32>, String)> {
    let ended = Command::new(test_kit::program(program)?)
        .env_remove("LOG_LEVEL")
        .env_remove("RUST_LOG")
        .env(
            "ADMIN_LISTEN",
            loopback(Ports::free()?.processor_admin).to_string(),
        )
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::null())
        .output()?;
    let log = String::from_utf8_lossy(&ended.stderr).into_owned();
    Ok((ended.status.code(), log))
}

/// The client of Kafka is the first thing that is made, and it cannot be.
#[test]
fn a_gateway_and_a_generator_that_cannot_go_on_say_why() -> anyhow::Result<()> {
    for _ in 0..TIMES {
        for program in ["ws-gateway", "log-generator"] {
            let listen = loopback(Ports::free()?.gateway).to_string();
            let (code, log) = said_by(
                program,
                &[
                    ("GATEWAY_LISTEN", listen),
                    ("KAFKA_BROKERS", "127.0.0.1:1".to_owned()),
                    ("KAFKA_SECURITY_PROTOCOL", "ssl".to_owned()),
                    ("KAFKA_SSL_CA_LOCATION", "/nowhere/ca.pem".to_owned()),
                ],
            )?;
            assert_eq!(code, Some(70), "{program}: {log}");
            let said = log.contains("task failed") && log.contains("ssl.ca.location");
            assert!(said, "{program}: {log}");
        }
    }
    Ok(())
}

/// Everything was well, and then what it needs is of another shape.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processor_that_cannot_go_on_says_why() -> anyhow::Result<()> {
    let space = space("last-words").await?;
    let service = space.service("anomaly-processor", "processor");
    let processor = space.stack.spawn(service)?;
    for time in 0..TIMES {
        let message = format!("line {time}");
        let line = lines::line("service", lines::now(), contracts::Level::Info, &message);
        // Every partition flows: one that has not begun waits for its table instead.
        processor.ready().await?;
        space.produce(vec![line.clone(); 20]).await?;
        space.all_arrived(&processor).await?;
        space.rows("RENAME TABLE logs TO elsewhere").await?;
        space.produce(vec![line]).await?;
        wait::until("the processor ends", wait::LONG, async || {
            Ok((!processor.child.is_running()).then_some(()))
        })
        .await
        .map_err(|error| processor.with_log(error))?;
        let log = std::fs::read_to_string(processor.child.log())?;
        let why = |line: &&str| line.contains("task failed") && line.contains("cannot be stored");
        assert_eq!(log.lines().filter(why).count(), time + 1, "{log}");
        space.rows("RENAME TABLE elsewhere TO logs").await?;
        processor.child.start_again()?;
    }
    Ok(())
}
