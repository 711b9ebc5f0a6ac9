//! What a request asks, from its address and its form.

use std::collections::BTreeMap;

use http::Method;
use mlroll_backend::Timestamp;
use promql_parser::parser::{Expr, VectorSelector, parse};

use super::answer::Problem;
use crate::api::Request;

/// The most milliseconds since 1970, either way, that sums of times are safe with: beyond the year 9999.
const FARTHEST: f64 = 1e15;

/// Names and values, those of the form first.
#[derive(Clone, Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn of(request: &Request) -> Self {
        let mut all = Vec::new();
        let is_form = kind(request).starts_with("application/x-www-form-urlencoded");
        // A body of another type is not read, as in Go.
        if request.method() == Method::POST && is_form {
            all.extend(form_urlencoded::parse(request.body()).into_owned());
        }
        let is_json = kind(request).starts_with("application/json");
        // As Cloud Monitoring's discovery document has it; Prometheus reads no such body, and its clients send none.
        if request.method() == Method::POST
            && is_json
            && let Ok(members) = serde_json::from_slice::<BTreeMap<String, String>>(request.body())
        {
            all.extend(members);
        }
        if let Some(query) = request.uri().query() {
            all.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
        }
        Self(all)
    }

    fn first(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    /// The parsed `query`.
    pub(super) fn query(&self) -> Result<Expr, Problem> {
        let query = self.first("query");
        if query.trim().is_empty() {
            let why = "unknown position: parse error: no expression found in input";
            return Err(Problem::parameter("query", why));
        }
        parse(query).map_err(|why| Problem::parameter("query", &format!("1:1: parse error: {why}")))
    }

    /// All selectors of `match[]`.
    pub(super) fn selectors(&self) -> Result<Vec<VectorSelector>, Problem> {
        let all = self.0.iter().filter(|(name, _)| name == "match[]");
        all.map(|(_, text)| match parse(text) {
            Ok(Expr::VectorSelector(selector)) => Ok(selector),
            Ok(_) => Err(Problem::parameter("match[]", "1:1: parse error: expected a vector selector")),
            Err(why) => Err(Problem::parameter("match[]", &format!("1:1: parse error: {why}"))),
        })
        .collect()
    }

    /// A moment, in milliseconds since 1970, when the parameter is there.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Problem> {
        let text = self.first(name);
        if text.is_empty() {
            return Ok(None);
        }
        let seconds = text.parse::<f64>().ok().map(|seconds| (seconds * 1000.0).round());
        let milliseconds = match seconds {
            Some(milliseconds) if milliseconds.abs() < FARTHEST => Some(milliseconds as i64),
            Some(_) => None,
            None => text.parse::<Timestamp>().ok().map(Timestamp::unix_milliseconds),
        };
        let wrong = || Problem::parameter(name, &format!("cannot parse {text:?} to a valid timestamp"));
        milliseconds.map(Some).ok_or_else(wrong)
    }

    /// Nothing here takes as long as any timeout, but one that makes no sense is told.
    pub(super) fn timeout(&self) -> Result<(), Problem> {
        let text = self.first("timeout");
        if text.is_empty() { Ok(()) } else { duration("timeout", text).map(drop) }
    }

    /// `start`, `end` and `step`, in milliseconds.
    pub(super) fn range(&self) -> Result<(i64, i64, i64), Problem> {
        let moment = |name: &str| {
            let missing = || Problem::parameter(name, "cannot parse \"\" to a valid timestamp");
            self.time(name)?.ok_or_else(missing)
        };
        let (start, end) = (moment("start")?, moment("end")?);
        if end < start {
            return Err(Problem::parameter("end", "end timestamp must not be before start time"));
        }
        let step = duration("step", self.first("step"))?;
        if step <= 0 {
            let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(Problem::parameter("step", why));
        }
        Ok((start, end, step))
    }
}

/// The type of a request's body.
fn kind(request: &Request) -> &str {
    let kind = request.headers().get(http::header::CONTENT_TYPE);
    kind.and_then(|value| value.to_str().ok()).map(str::trim_start).unwrap_or_default()
}

/// A duration in milliseconds: seconds as a number, or text such as `1h30m`.
fn duration(name: &str, text: &str) -> Result<i64, Problem> {
    let wrong = || Problem::parameter(name, &format!("cannot parse {text:?} to a valid duration"));
    if let Ok(seconds) = text.parse::<f64>() {
        let milliseconds = (seconds * 1000.0).trunc();
        return if milliseconds.abs() < FARTHEST { Ok(milliseconds as i64) } else { Err(wrong()) };
    }
    let parsed = promql_parser::util::parse_duration(text).map_err(|_| wrong())?;
    i64::try_from(parsed.as_millis()).map_err(|_| wrong())
}
