//! Filters: which series are meant.

use std::fmt;

use crate::google::Refusal;

/// What a comparison is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A label of the metric.
    Metric(String),
    MetricType,
    /// A label of the monitored resource.
    Resource(String),
    ResourceType,
}

/// Labels of the metrics of Cloud Run, and of `cloud_run_revision`.
const METRIC_LABELS: [&str; 3] = ["response_code", "response_code_class", "route"];
const RESOURCE_LABELS: [&str; 5] = ["configuration_name", "location", "project_id", "revision_name", "service_name"];

impl Key {
    /// Reads `resource.labels.x` and its like.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let parts: Vec<&str> = text.split('.').map(|part| part.trim_matches('"')).collect();
        match parts.as_slice() {
            ["metric", "type"] => Ok(Self::MetricType),
            ["resource", "type"] => Ok(Self::ResourceType),
            ["metric", "labels" | "label", label] if METRIC_LABELS.contains(label) => {
                Ok(Self::Metric((*label).to_owned()))
            }
            ["resource", "labels" | "label", label] if RESOURCE_LABELS.contains(label) => {
                Ok(Self::Resource((*label).to_owned()))
            }
            ["project"] => Ok(Self::Resource("project_id".to_owned())),
            _ => Err(Refusal::invalid(format!(
                "The field '{text}' is none of the metric or of its monitored resource; labels are {} and {}.",
                METRIC_LABELS.join(", "),
                RESOURCE_LABELS.join(", ")
            ))),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metric(label) => write!(f, "metric.labels.{label}"),
            Self::MetricType => f.write_str("metric.type"),
            Self::Resource(label) => write!(f, "resource.labels.{label}"),
            Self::ResourceType => f.write_str("resource.type"),
        }
    }
}

/// What a field must be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    OneOf(Vec<String>),
    Starts(String),
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Test {
    key: Key,
    negated: bool,
    wanted: Wanted,
}

/// Comparisons that must all hold, and the one metric type that they are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) metric: String,
    tests: Vec<Test>,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// It cannot be read, has a field that is not known, or does not name exactly one metric type.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let mut tokens = tokens(text)?.into_iter().peekable();
        let mut tests = Vec::new();
        while let Some(token) = tokens.next() {
            let Token::Word(field) = token else { return Err(unreadable(text)) };
            let key = Key::parse(&field)?;
            let negated = match tokens.next() {
                Some(Token::Sign('=')) => false,
                Some(Token::Sign('!')) if tokens.next() == Some(Token::Sign('=')) => true,
                _ => return Err(unreadable(text)),
            };
            let wanted = match tokens.next() {
                Some(Token::Text(value)) => Wanted::OneOf(vec![value]),
                Some(Token::Word(name)) if tokens.peek() == Some(&Token::Sign('(')) => {
                    tokens.next();
                    let mut values = Vec::new();
                    loop {
                        let Some(Token::Text(value)) = tokens.next() else { return Err(unreadable(text)) };
                        values.push(value);
                        match tokens.next() {
                            Some(Token::Sign(',')) => {}
                            Some(Token::Sign(')')) => break,
                            _ => return Err(unreadable(text)),
                        }
                    }
                    match (name.as_str(), values.as_slice()) {
                        ("one_of", _) => Wanted::OneOf(values),
                        ("starts_with", [start]) => Wanted::Starts(start.clone()),
                        _ => return Err(Refusal::invalid(format!("The function '{name}' cannot be used so."))),
                    }
                }
                Some(Token::Word(value)) => Wanted::OneOf(vec![value]),
                Some(Token::Sign(_)) | None => return Err(unreadable(text)),
            };
            tests.push(Test { key, negated, wanted });
            // Between comparisons it may be left out, at the end it may not stand.
            if tokens.next_if_eq(&Token::Word("AND".to_owned())).is_some() && tokens.peek().is_none() {
                return Err(unreadable(text));
            }
        }
        let of_type = tests.iter().filter(|test| test.key == Key::MetricType && !test.negated);
        let types: Vec<&Test> = of_type.collect();
        match types.as_slice() {
            [Test { wanted: Wanted::OneOf(values), .. }] if values.len() == 1 => {
                Ok(Self { metric: values.concat(), tests })
            }
            _ => Err(Refusal::invalid("The filter must name exactly one metric type, as in metric.type = \"...\".")),
        }
    }

    /// Whether a field may have a value.
    pub(super) fn takes(&self, key: &Key, value: &str) -> bool {
        self.tests.iter().filter(|test| test.key == *key).all(|test| {
            let found = match &test.wanted {
                Wanted::OneOf(values) => values.iter().any(|wanted| wanted == value),
                Wanted::Starts(start) => value.starts_with(start),
            };
            found != test.negated
        })
    }
}

fn unreadable(text: &str) -> Refusal {
    Refusal::invalid(format!("Field filter had an invalid value of \"{text}\": Could not parse filter."))
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Sign(char),
    Text(String),
    Word(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => {}
            '=' | '!' | '(' | ')' | ',' => tokens.push(Token::Sign(c)),
            '"' => {
                let mut value = String::new();
                loop {
                    match rest.next().ok_or_else(|| unreadable(text))? {
                        '"' => break,
                        '\\' => value.extend(rest.next()),
                        other => value.push(other),
                    }
                }
                tokens.push(Token::Text(value));
            }
            c if c.is_alphanumeric() || "_-./".contains(c) => {
                let mut word = String::from(c);
                // A label may be quoted after its dot.
                while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || "_-./\"".contains(*c)) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
            _ => return Err(unreadable(text)),
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_says_who_is_meant() {
        let filter = Filter::parse(
            r#"metric.type="run.googleapis.com/request_count" AND resource.type = "cloud_run_revision"
            resource.labels.revision_name=one_of("a","b") AND metric.label."response_code_class" != "5xx"
            AND resource.label.service_name=starts_with("fr")"#,
        )
        .unwrap();
        assert_eq!(filter.metric, "run.googleapis.com/request_count");
        let takes = |key: &str, value| filter.takes(&Key::parse(key).unwrap(), value);
        assert!(takes("resource.labels.revision_name", "b") && !takes("resource.labels.revision_name", "c"));
        assert!(
            takes("metric.labels.response_code_class", "2xx") && !takes("metric.labels.response_code_class", "5xx")
        );
        assert!(takes("resource.labels.service_name", "fraud") && !takes("resource.labels.service_name", "x"));
        assert!(takes("resource.labels.location", "anywhere"));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in [
            "",
            "metric.type",
            "metric.type=",
            r#"metric.type=="a""#,
            r#"metric.type="a"#,
            r#"metric.type="a" AND"#,
            r#"metric.type="a" AND resource.labels.zone="b""#,
            r#"metric.type="a" AND metric.type="b""#,
            r#"metric.type=one_of("a","b")"#,
            r#"resource.type="a""#,
            r#"metric.type="a" AND resource.type=ends_with("x")"#,
            r#"metric.type="a" AND resource.type=one_of("x""#,
            r#"metric.type="a" > 3"#,
        ] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
    }
}
