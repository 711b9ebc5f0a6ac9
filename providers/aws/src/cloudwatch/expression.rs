//! Queries of the user's own: `Namespace Metric{Dimension="value", ...} Statistic`.

use std::fmt;
use std::str::FromStr;

use mlroll_backend::RevisionId;

use super::series::{Place, Series};

/// A metric that the user names, as `Shop Conversions{Service="fraud", Version="{{revision}}"} Sum`.
///
/// Names with spaces stand in double quotes, in which `\` escapes a quote or itself. `{{revision}}` is filled in, in values of
/// dimensions only. The statistic is any that CloudWatch has: `Sum`, `Average`, `p99.9`, `tm99`, `TC(300:)`, ...
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    namespace: String,
    metric: String,
    dimensions: Vec<(String, String)>,
    statistic: String,
}

/// Why a text is no [`Expression`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidExpression(String);

const FORM: &str =
    r#"`Namespace Metric{Dimension="value", ...} Statistic`, such as `Shop Sales{Version="{{revision}}"} Sum`"#;

const REVISION: &str = "{{revision}}";

/// Dimensions a metric may have (CloudWatch API model).
const MOST_DIMENSIONS: usize = 30;

impl Expression {
    pub(super) fn series(&self, place: &Place, revision: &RevisionId) -> Series {
        let filled = |(name, value): &(String, String)| (name.clone(), value.replace(REVISION, revision.as_str()));
        Series {
            place: place.clone(),
            namespace: self.namespace.clone(),
            metric: self.metric.clone(),
            dimensions: self.dimensions.iter().map(filled).collect(),
            statistic: self.statistic.clone(),
        }
    }
}

impl FromStr for Expression {
    type Err = InvalidExpression;

    fn from_str(text: &str) -> Result<Self, InvalidExpression> {
        parse(text).map_err(|why| InvalidExpression(format!("`{text}` is not {FORM}: {why}")))
    }
}

fn parse(text: &str) -> Result<Expression, String> {
    let mut rest = Rest(text);
    let namespace = rest.name("a namespace")?;
    let metric = rest.name("a metric")?;
    let dimensions = if rest.take('{') { rest.dimensions()? } else { Vec::new() };
    let statistic = rest.0.trim().to_owned();
    if !is_statistic(&statistic) {
        return Err(match statistic.as_str() {
            "" => "the statistic is missing".to_owned(),
            other => {
                format!("`{other}` is no statistic; there are Sum, Average, SampleCount, Minimum, Maximum, p95, ...")
            }
        });
    }
    for (what, name) in [("a namespace", &namespace), ("a metric", &metric)] {
        if name.contains("{{") {
            return Err(format!("{{{{revision}}}} stands in {what}; allowed is the value of a dimension"));
        }
        if name.chars().count() > 255 || name.chars().any(char::is_control) {
            return Err(format!("{what} has 1 to 255 printable characters"));
        }
    }
    for (name, value) in &dimensions {
        if name.contains("{{") || value.replace(REVISION, "").contains("{{") {
            return Err("only {{revision}} is filled in, and only in the value of a dimension".to_owned());
        }
        if name.len() > 255 || value.len() > 1024 || !name.is_ascii() || !value.is_ascii() {
            return Err(format!("the dimension `{name}` is longer than CloudWatch allows, or not ASCII"));
        }
        if dimensions.iter().filter(|(other, _)| other == name).count() > 1 {
            return Err(format!("the dimension `{name}` stands there twice"));
        }
    }
    if dimensions.len() > MOST_DIMENSIONS {
        return Err(format!("a metric has at most {MOST_DIMENSIONS} dimensions"));
    }
    Ok(Expression { namespace, metric, dimensions, statistic })
}

/// What is left of the text.
struct Rest<'t>(&'t str);

impl Rest<'_> {
    fn take(&mut self, c: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(c);
        if let Some(rest) = rest {
            self.0 = rest;
        }
        rest.is_some()
    }

    /// A name: in quotes, or up to the next space or brace, equals sign, comma.
    fn name(&mut self, what: &str) -> Result<String, String> {
        if self.take('"') {
            return self.quoted(what);
        }
        let text = self.0.trim_start();
        let ends = text.find(|c: char| c.is_whitespace() || "{}=,\"".contains(c)).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(ends).unwrap_or((text, ""));
        self.0 = rest;
        if name.is_empty() { Err(format!("{what} is missing")) } else { Ok(name.to_owned()) }
    }

    fn quoted(&mut self, what: &str) -> Result<String, String> {
        let mut value = String::new();
        let mut chars = self.0.chars();
        loop {
            match chars.next() {
                None => return Err(format!("{what} begins with a quote that does not end")),
                Some('"') => break,
                Some('\\') => match chars.next() {
                    Some(c @ ('"' | '\\')) => value.push(c),
                    _ => return Err(format!("in {what}, `\\` escapes a quote or itself")),
                },
                Some(c) => value.push(c),
            }
        }
        self.0 = chars.as_str();
        if value.is_empty() { Err(format!("{what} is empty")) } else { Ok(value) }
    }

    fn dimensions(&mut self) -> Result<Vec<(String, String)>, String> {
        let mut dimensions = Vec::new();
        while !self.take('}') {
            let name = self.name("a dimension")?;
            if !self.take('=') || !self.take('"') {
                return Err(format!("after the dimension `{name}` there must be its value, as {name}=\"...\""));
            }
            let value = self.quoted("a value")?;
            dimensions.push((name, value));
            if !self.take(',') && !self.0.trim_start().starts_with('}') {
                return Err("between dimensions there must be a comma, and at the end a brace".to_owned());
            }
        }
        Ok(dimensions)
    }
}

/// The statistics of `Statistics-definitions` in CloudWatch's guide: plain ones; a letter pair and a percentage, as `p99.9`;
/// a pair with bounds, each a number or a percentage and one of them left out at will, as `TM(2%:98%)`.
fn is_statistic(text: &str) -> bool {
    if ["SampleCount", "Average", "Sum", "Minimum", "Maximum", "IQM"].contains(&text) {
        return true;
    }
    let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok();
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let simple = ["p", "tm", "tc", "ts", "wm"].iter().find_map(|kind| text.strip_prefix(kind));
    if let Some(percentage) = simple {
        let within = percentage.parse::<f64>().is_ok_and(|p| (0.0..=100.0).contains(&p));
        return plain(percentage) && number(percentage) && within;
    }
    let bounded = ["TM", "TC", "TS", "WM", "PR"].iter().find_map(|kind| text.strip_prefix(kind));
    let bounds = bounded.and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')')?.split_once(':'));
    bounds.is_some_and(|(lower, upper)| {
        let bound = |text: &str| {
            let digits = text.strip_suffix('%').unwrap_or(text);
            text.is_empty() || (plain(digits) && number(digits))
        };
        (!lower.is_empty() || !upper.is_empty()) && bound(lower) && bound(upper)
    })
}

impl fmt::Display for InvalidExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidExpression {}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(text: &str) -> Series {
        let place = Place { region: "us-east-1".to_owned(), account: None };
        text.parse::<Expression>().unwrap().series(&place, &"$LATEST".parse().unwrap())
    }

    #[test]
    fn names_dimensions_and_the_statistic_are_read() {
        let read = series(r#"Shop Sales{Service="fraud", Version = "v-{{revision}}",} p99.9"#);
        let dimensions: Vec<_> = read.dimensions.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            (read.namespace.as_str(), read.metric.as_str(), read.statistic.as_str()),
            ("Shop", "Sales", "p99.9")
        );
        assert_eq!(dimensions, [("Service", "fraud"), ("Version", "v-$LATEST")]);

        let read = series(r#"  "My Shop" "a \"b\" \\c"{"Model Name"="x y"}TC(300:)"#);
        assert_eq!((read.namespace.as_str(), read.metric.as_str()), ("My Shop", "a \"b\" \\c"));
        assert_eq!((read.dimensions[0].0.as_str(), read.statistic.as_str()), ("Model Name", "TC(300:)"));
        assert!(series("/aws/sagemaker/Endpoints GPUUtilization Maximum").dimensions.is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "a namespace is missing"),
            ("Shop", "a metric is missing"),
            ("Shop Sales", "the statistic is missing"),
            ("Shop Sales{} Median", "`Median` is no statistic"),
            ("Shop Sales p101", "no statistic"),
            ("Shop Sales TC(:)", "no statistic"),
            ("Shop Sales TC(1e3:)", "no statistic"),
            ("Shop Sales p95 p99", "no statistic"),
            ("Shop Sales{Version=42} Sum", "must be its value"),
            ("Shop Sales{Version} Sum", "must be its value"),
            (r#"Shop Sales{Version="42" Sum"#, "must be a comma"),
            (r#"Shop Sales{Version="42"#, "does not end"),
            (r#"Shop Sales{Version=""} Sum"#, "a value is empty"),
            (r#"Shop Sales{V="a\b"} Sum"#, "escapes a quote or itself"),
            (r#"Shop Sales{V="1",V="2"} Sum"#, "twice"),
            (r#"Shop Sales{V="{{revison}}"} Sum"#, "only {{revision}}"),
            (r#"Shop "{{revision}}"{V="1"} Sum"#, "{{revision}} stands in a metric"),
            ("SELECT AVG(x) FROM SCHEMA(y)", "no statistic"),
        ] {
            let error = text.parse::<Expression>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let many: Vec<String> = (0..31).map(|n| format!("d{n}=\"1\"")).collect();
        assert!(format!("Shop Sales{{{}}} Sum", many.join(",")).parse::<Expression>().is_err());
    }
}
