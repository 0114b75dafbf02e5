//! Of what a finding speaks besides its service.

use super::words::quoted;
use crate::codec::{Loaded, Reader, Writer};

/// Nothing of it: the finding is about the service as such.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    pub template: Option<Template>,
    /// The machine that wrote the lines.
    pub host: Option<String>,
    /// What was called, as in `POST /pay`.
    pub endpoint: Option<String>,
    /// The address of a client.
    pub address: Option<String>,
    pub user: Option<String>,
    /// The name of a rule that somebody wrote.
    pub rule: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub id: u64,
    pub text: String,
}

impl Template {
    pub(crate) fn save(&self, to: &mut Writer) {
        to.u64(self.id);
        to.text(&self.text);
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            id: from.u64()?,
            text: from.text(usize::MAX)?.to_owned(),
        })
    }
}

impl Subject {
    /// What tells its series from others of its service and metric: `/template=7`, `/host=db-1`; empty
    /// where it is about the service as such. Wordings may change, so that a template is its id.
    pub fn series(&self) -> String {
        let template = self
            .template
            .as_ref()
            .map(|template| template.id.to_string());
        let named = [
            ("template", &template),
            ("host", &self.host),
            ("endpoint", &self.endpoint),
            ("address", &self.address),
            ("user", &self.user),
            ("rule", &self.rule),
        ];
        let parts = named.into_iter().filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!("/{name}={value}"))
        });
        parts.collect()
    }

    /// How its template reads, in a title.
    pub(crate) fn quoted(&self) -> String {
        let template = self.template.as_ref();
        quoted(template.map_or("", |template| template.text.as_str()))
    }

    pub(crate) fn save_whole(&self, to: &mut Writer) {
        to.maybe(self.template.as_ref(), Template::save);
        for text in [
            &self.host,
            &self.endpoint,
            &self.address,
            &self.user,
            &self.rule,
        ] {
            to.maybe(text.as_ref(), |text, to| to.text(text));
        }
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let template = from.maybe(Template::load)?;
        let mut text = || from.maybe(|from| from.text(usize::MAX).map(str::to_owned));
        Ok(Self {
            template,
            host: text()?,
            endpoint: text()?,
            address: text()?,
            user: text()?,
            rule: text()?,
        })
    }

    /// Adds nothing where it is about the service as such.
    pub(super) fn save(&self, to: &mut Writer) {
        if *self != Self::default() {
            to.text(&self.series());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_names_what_it_is_about_and_a_service_as_such_needs_no_name() {
        assert_eq!(Subject::default().series(), "");
        let subject = Subject {
            template: Some(Template {
                id: 7,
                text: "login of <*> refused".to_owned(),
            }),
            user: Some("root".to_owned()),
            ..Subject::default()
        };
        assert_eq!(subject.series(), "/template=7/user=root");
    }
}
