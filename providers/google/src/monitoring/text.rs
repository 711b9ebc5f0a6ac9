//! Custom queries: PromQL, or a filter with what is to be done with what it finds.

use std::time::Duration;

use mlroll_backend::{Error, ErrorKind, Result, RevisionId};

/// A custom query, before names are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// As `timeSeries.list` takes it.
    Filter { filter: String, aligner: String, reducer: String },
    /// In the language of Prometheus.
    PromQl(String),
}

impl Text {
    /// Reads a query.
    ///
    /// # Errors
    /// `Invalid`: it does not name the revision, has a name in braces that is not known, or is a filter that does not say how
    /// its points become one.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let names: Vec<&str> = text.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap_or(rest)).collect();
        if let Some(unknown) = names.iter().find(|name| !matches!(name.trim(), "revision" | "window")) {
            return Err(invalid(format!(
                "there is no `{{{{{unknown}}}}}`; known are {{{{revision}}}} and {{{{window}}}}"
            )));
        }
        if !names.iter().any(|name| name.trim() == "revision") {
            return Err(invalid("a query without {{revision}} cannot tell revisions apart"));
        }
        if !text.starts_with("metric.type") && !text.starts_with("resource.") {
            return Ok(Self::PromQl(text.to_owned()));
        }
        let parts: Vec<&str> = text.split('|').map(str::trim).collect();
        match parts.as_slice() {
            [filter, aligner, reducer] if aligner.starts_with("ALIGN_") && reducer.starts_with("REDUCE_") => {
                Ok(Self::Filter {
                    filter: (*filter).to_owned(),
                    aligner: (*aligner).to_owned(),
                    reducer: (*reducer).to_owned(),
                })
            }
            _ => Err(invalid(
                "a filter must say how its points become one: `metric.type=\"...\" AND ... | ALIGN_MEAN | REDUCE_SUM`",
            )),
        }
    }

    /// The text with names filled in. A revision of Cloud Run is letters, digits and `-`, which mean themselves wherever they
    /// stand in quotes; any other name is refused rather than escaped.
    pub(super) fn fill(text: &str, revision: &RevisionId, window: Duration) -> Result<String> {
        if !revision.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(invalid(format!("`{revision}` is no revision of Cloud Run")));
        }
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").unwrap_or((after, ""));
            filled.push_str(before);
            match name.trim() {
                "revision" => filled.push_str(revision.as_str()),
                _ => filled.push_str(&format!("{}s", window.as_secs())),
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "query", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_told_from_promql() {
        let filter = r#"metric.type="a/b" AND resource.labels.revision_name="{{revision}}" | ALIGN_MEAN | REDUCE_SUM"#;
        let Text::Filter { filter, aligner, reducer } = Text::parse(filter).unwrap() else { panic!("no filter") };
        assert_eq!((aligner.as_str(), reducer.as_str()), ("ALIGN_MEAN", "REDUCE_SUM"));
        assert_eq!(filter, r#"metric.type="a/b" AND resource.labels.revision_name="{{revision}}""#);
        let promql = r#"sum(rate(x{revision_name="{{ revision }}"}[{{window}}]))"#;
        assert_eq!(Text::parse(promql).unwrap(), Text::PromQl(promql.to_owned()));
        let filled = Text::fill(promql, &"fraud-00002-b".parse().unwrap(), Duration::from_secs(60)).unwrap();
        assert_eq!(filled, r#"sum(rate(x{revision_name="fraud-00002-b"}[60s]))"#);
        assert!(Text::fill(promql, &"a.b".parse().unwrap(), Duration::from_secs(60)).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "up",
            r#"x{v="{{version}}"}"#,
            r#"x{v="{{revision"}"#,
            r#"metric.type="a/b" AND resource.labels.revision_name="{{revision}}""#,
            r#"metric.type="a/b" AND resource.labels.revision_name="{{revision}}" | MEAN | SUM"#,
        ] {
            assert_eq!(Text::parse(text).unwrap_err().kind(), ErrorKind::Invalid, "{text}");
        }
    }
}
