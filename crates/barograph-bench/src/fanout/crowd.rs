//! The processes that the clients live in.
//!
//! Invariant: they end with this handle, and by themselves when this process is gone.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{plan::Plan, tally::Tally};

/// A process may open twenty thousand files, and an address has 28,000 ports.
const CLIENTS_OF_A_PROCESS: u64 = 9_000;
const CONNECTED_WITHIN: Duration = Duration::from_secs(120);
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

pub(super) struct Crowd {
    members: Vec<Member>,
}

struct Member {
    _child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    /// Returns when every client is subscribed.
    pub(super) async fn connect(gateway: SocketAddr, plan: Plan) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let mut members = Vec::new();
        let mut first = 0;
        while first < plan.clients {
            let count = CLIENTS_OF_A_PROCESS.min(plan.clients - first);
            let source = Ipv4Addr::new(127, 0, 0, 2 + members.len() as u8);
            let mut child = Command::new(&program)
                .args(["clients", "--gateway", &gateway.to_string()])
                .args(["--source", &source.to_string()])
                .args(["--first", &first.to_string(), "--count", &count.to_string()])
                .args(["--of", &plan.clients.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // A Ctrl-C is for the measurement, which ends them.
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
                .with_context(|| format!("cannot run {}", program.display()))?;
            let (Some(commands), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
                bail!("no pipes to the clients");
            };
            members.push(Member {
                _child: child,
                commands,
                answers: BufReader::new(answers).lines(),
            });
            first += count;
        }
        for member in &mut members {
            let answer = member.answer(CONNECTED_WITHIN).await?;
            if answer != "connected" {
                bail!("the clients say {answer:?} instead of being connected");
            }
        }
        Ok(Self { members })
    }

    pub(super) async fn tally(&mut self) -> anyhow::Result<Tally> {
        let mut sum = Tally::default();
        for member in &mut self.members {
            member.tell("report").await?;
            sum.merge(&serde_json::from_str(
                &member.answer(ANSWERED_WITHIN).await?,
            )?);
        }
        Ok(sum)
    }

    /// Has those read that did not.
    pub(super) async fn resume(&mut self) -> anyhow::Result<()> {
        for member in &mut self.members {
            member.tell("resume").await?;
        }
        Ok(())
    }

    /// Asks again and again until `is_enough`, for so long.
    pub(super) async fn until(
        &mut self,
        within: Duration,
        is_enough: impl Fn(&Tally) -> bool,
    ) -> anyhow::Result<Tally> {
        let begun = std::time::Instant::now();
        loop {
            let tally = self.tally().await?;
            if is_enough(&tally) || begun.elapsed() > within {
                return Ok(tally);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

impl Member {
    async fn tell(&mut self, command: &str) -> anyhow::Result<()> {
        let line = format!("{command}\n");
        Ok(self.commands.write_all(line.as_bytes()).await?)
    }

    async fn answer(&mut self, within: Duration) -> anyhow::Result<String> {
        let answer = tokio::time::timeout(within, self.answers.next_line());
        answer
            .await
            .with_context(|| format!("a process of clients does not answer within {within:?}"))??
            .context("a process of clients has ended; what it said stands above")
    }
}
