//! One thing that was looked at.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Fine,
    /// Nothing to do unless one wants to.
    Note,
    /// Works, and should be looked at.
    Warning,
    Wrong,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) area: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) what: String,
    /// What to do; only a fine finding has none.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    pub(crate) fn fine(area: &'static str, what: impl Into<String>) -> Self {
        Self {
            area,
            verdict: Verdict::Fine,
            what: what.into(),
            remedy: None,
        }
    }

    pub(crate) fn note(
        area: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::with(Verdict::Note, area, what.into(), remedy.into())
    }

    pub(crate) fn warning(
        area: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::with(Verdict::Warning, area, what.into(), remedy.into())
    }

    pub(crate) fn wrong(
        area: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::with(Verdict::Wrong, area, what.into(), remedy.into())
    }

    fn with(verdict: Verdict, area: &'static str, what: String, remedy: String) -> Self {
        Self {
            area,
            verdict,
            what,
            remedy: Some(remedy),
        }
    }
}
