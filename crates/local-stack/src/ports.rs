//! Which port belongs to which part, and whether it can be had.
//!
//! Invariant: everything listens on 127.0.0.1 only.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use crate::StackError;

/// Ports of one stack. The defaults are the ones of the documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    pub kafka: u16,
    pub kafka_controller: u16,
    pub clickhouse: u16,
    pub gateway: u16,
    pub processor_admin: u16,
    pub gateway_admin: u16,
    pub generator_admin: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            kafka: 9092,
            kafka_controller: 9093,
            clickhouse: 8123,
            gateway: 8080,
            processor_admin: 9101,
            gateway_admin: 9102,
            generator_admin: 9103,
        }
    }
}

/// A port, who needs it, and how to choose another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub port: u16,
    pub needed_by: &'static str,
    /// Name of the flag; the variable is the same in capitals with `BAROGRAPH_` before it.
    pub flag: &'static str,
}

impl Claim {
    pub fn variable(&self) -> String {
        let name = self.flag.trim_start_matches('-').replace('-', "_");
        format!("BAROGRAPH_{}", name.to_uppercase())
    }

    /// One sentence when the port cannot be had.
    pub fn problem(&self) -> Option<String> {
        let cause = TcpListener::bind(loopback(self.port)).err()?;
        let Self {
            port,
            needed_by,
            flag,
        } = *self;
        let choose = format!("choose another one with {flag} or {}", self.variable());
        Some(match cause.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("port {port}, needed by {needed_by}, is taken: {choose}")
            }
            _ => {
                format!("port {port}, needed by {needed_by}, cannot be opened ({cause}): {choose}")
            }
        })
    }
}

pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl Ports {
    /// What Kafka and ClickHouse themselves need.
    pub fn claims_of_stores(&self) -> [Claim; 3] {
        let claim = |port, needed_by, flag| Claim {
            port,
            needed_by,
            flag,
        };
        [
            claim(self.kafka, "Kafka", "--kafka-port"),
            claim(
                self.kafka_controller,
                "Kafka's controller",
                "--kafka-controller-port",
            ),
            claim(self.clickhouse, "ClickHouse", "--clickhouse-port"),
        ]
    }

    /// What the services need on top.
    pub fn claims_of_services(&self) -> [Claim; 4] {
        let claim = |port, needed_by, flag| Claim {
            port,
            needed_by,
            flag,
        };
        [
            claim(self.gateway, "the gateway", "--gateway-port"),
            claim(
                self.processor_admin,
                "the processor's admin server",
                "--processor-admin-port",
            ),
            claim(
                self.gateway_admin,
                "the gateway's admin server",
                "--gateway-admin-port",
            ),
            claim(
                self.generator_admin,
                "the generator's admin server",
                "--generator-admin-port",
            ),
        ]
    }

    /// Ports that nobody listens on. They lie below the range that outgoing connections are given,
    /// so that none is lost between this call and the start of its owner.
    pub fn free() -> Result<Self, StackError> {
        const LOWEST: u16 = 15_000;
        const COUNT: u16 = 16_000;
        let mut next = LOWEST + random_u16()? % COUNT;
        let mut found = BTreeSet::new();
        for _ in 0..COUNT {
            if found.len() == 7 {
                break;
            }
            if TcpListener::bind(loopback(next)).is_ok() {
                found.insert(next);
            }
            next = LOWEST + (next - LOWEST + 1) % COUNT;
        }
        let mut ports = found.into_iter();
        let mut next = || ports.next().ok_or(StackError::NoFreePorts);
        Ok(Self {
            kafka: next()?,
            kafka_controller: next()?,
            clickhouse: next()?,
            gateway: next()?,
            processor_admin: next()?,
            gateway_admin: next()?,
            generator_admin: next()?,
        })
    }
}

fn random_u16() -> Result<u16, StackError> {
    let mut bytes = [0; 2];
    random_bytes(&mut bytes)?;
    Ok(u16::from_le_bytes(bytes))
}

/// Bytes from the operating system.
pub(crate) fn random_bytes(bytes: &mut [u8]) -> Result<(), StackError> {
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(bytes))
        .map_err(|source| StackError::io("read random bytes from /dev/urandom", source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_distinct_and_can_be_opened() {
        let ports = Ports::free().unwrap();
        let claims = [
            &ports.claims_of_stores()[..],
            &ports.claims_of_services()[..],
        ]
        .concat();
        assert_eq!(
            claims
                .iter()
                .map(|claim| claim.port)
                .collect::<BTreeSet<_>>()
                .len(),
            7
        );
        assert_eq!(
            claims.iter().filter_map(Claim::problem).collect::<Vec<_>>(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_taken_port_is_named_with_its_owner_and_the_way_out() {
        let listener = TcpListener::bind(loopback(0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let ports = Ports {
            kafka_controller: port,
            ..Ports::free().unwrap()
        };
        assert_eq!(
            ports.claims_of_stores()[1].problem(),
            Some(format!(
                "port {port}, needed by Kafka's controller, is taken: choose another one with \
                 --kafka-controller-port or BAROGRAPH_KAFKA_CONTROLLER_PORT"
            ))
        );
    }
}
