//! Parameters of a request, read strictly: a name that is not known is a mistake worth telling.

use std::str::FromStr;

use contracts::{Severity, websocket::Filter};

use crate::refusal::Refusal;

/// Names and values of a query string; empty values count as absent.
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub fn read(text: Option<&str>, known: &[&str]) -> Result<Self, Refusal> {
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(text.unwrap_or_default().as_bytes())
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
        if let Some((name, _)) = pairs
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()))
        {
            let name: String = name.chars().take(50).collect();
            let known = known.join(", ");
            return Err(Refusal::parameter(
                name,
                format!("not known here; there are {known}"),
            ));
        }
        Ok(Self { pairs })
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(found, value)| found == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Values separated by commas, also of a name that comes several times.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.pairs
            .iter()
            .filter(|(found, _)| found == name)
            .flat_map(|(_, value)| value.split(','))
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .collect()
    }

    pub fn number(&self, name: &str, least: u32, most: u32, default: u32) -> Result<u32, Refusal> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        let number = text
            .parse()
            .ok()
            .filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| {
            Refusal::parameter(
                name,
                format!("expected a whole number from {least} to {most}"),
            )
        })
    }

    pub fn value<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Refusal> {
        let read = self.text(name).map(str::parse).transpose();
        read.map_err(|_| Refusal::parameter(name, format!("expected {expected}")))
    }

    pub fn severity(&self) -> Result<Severity, Refusal> {
        let severity = self.value("min_severity", "low, medium, high or critical")?;
        Ok(severity.unwrap_or_default())
    }

    /// `services`, `kinds`, `min_severity` and `text`.
    pub fn filter(&self) -> Result<Filter, Refusal> {
        Ok(Filter {
            services: self.list("services"),
            kinds: self.list("kinds"),
            min_severity: self.severity()?,
            text: self.text("text").unwrap_or_default().to_owned(),
        })
    }
}
