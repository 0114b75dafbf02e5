//! Parameters of a request, read strictly: a name that is not known is a mistake worth telling.

use std::str::FromStr;

use contracts::websocket::Filter;

use crate::filter::{self, BadField};
use crate::refusal::Refusal;

/// Names and values of a query string; empty values count as absent.
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// `known`: names beside those of a filter, which are taken where there is one.
    pub fn read(text: Option<&str>, known: &[&str], has_filter: bool) -> Result<Self, Refusal> {
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(text.unwrap_or_default().as_bytes())
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
        if let Some((name, _)) = pairs.iter().find(|(name, _)| {
            let is_of_filter = has_filter && filter::is_known(name);
            !is_of_filter && !known.contains(&name.as_str())
        }) {
            let name: String = name.chars().take(50).collect();
            let filter: &[&str] = if has_filter { &filter::NAMES } else { &[] };
            let known = [filter, known].concat().join(", ");
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

    /// `services`, `kinds`, `min_severity` and `text`.
    pub fn filter(&self) -> Result<Filter, BadField> {
        let pairs = self.pairs.iter();
        filter::of_pairs(pairs.map(|(name, text)| (name.as_str(), text.as_str())))
    }
}
