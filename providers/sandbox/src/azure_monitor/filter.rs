//! `$filter`: `deployment eq 'green' and statusCode eq '*'`.

use std::collections::BTreeMap;

use super::metric::Metric;

/// Which values of a dimension are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// All, each in a series of its own.
    Each,
    /// These.
    Of(Vec<String>),
    /// All but these.
    Not(Vec<String>),
}

impl Values {
    /// Whether a value is meant; values have no case.
    pub(super) fn has(&self, value: &str) -> bool {
        let among = |values: &[String]| values.iter().any(|one| one.eq_ignore_ascii_case(value));
        match self {
            Self::Each => true,
            Self::Of(values) => among(values),
            Self::Not(values) => !among(values),
        }
    }
}

/// A word of the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Bare(String),
    Close,
    Open,
    Quoted(String),
}

/// Reads a filter: conditions by dimension, joined by `and`; values of one dimension by `or`. Dimensions that `metric` does
/// not have are refused when `strict`, else they match nothing.
pub(super) fn parse(text: &str, metric: &Metric, strict: bool) -> Result<BTreeMap<&'static str, Values>, String> {
    let mut words = words(text)?.into_iter().peekable();
    let mut found: BTreeMap<&'static str, Values> = BTreeMap::new();
    let mut last: Option<(&'static str, bool)> = None;
    let mut joined = None;
    let mut depth = 0_u32;
    let wrong = || format!("Failed to parse the filter: {}", text.chars().take(200).collect::<String>());
    loop {
        while words.next_if_eq(&Word::Open).is_some() {
            depth += 1;
        }
        let (name, equal) = match (words.next(), words.next()) {
            (Some(Word::Bare(name)), Some(Word::Bare(op))) if op.eq_ignore_ascii_case("eq") => (name, true),
            (Some(Word::Bare(name)), Some(Word::Bare(op))) if op.eq_ignore_ascii_case("ne") => (name, false),
            _ => return Err(wrong()),
        };
        let Some(Word::Quoted(value)) = words.next() else { return Err(wrong()) };
        let known = metric.dimensions.iter().find(|known| known.eq_ignore_ascii_case(&name)).copied();
        let known = match known {
            Some(known) => known,
            None if strict => {
                let allowed = metric.dimensions.join(", ");
                return Err(format!(
                    "Metric: {} does not support requested dimension combination: {name}, supported ones are: {allowed}",
                    metric.name
                ));
            }
            None => UNKNOWN,
        };
        match joined {
            Some(Joined::Or) if last != Some((known, true)) || !equal => {
                return Err("Operator 'or' is for values of one dimension.".to_owned());
            }
            Some(Joined::And) | None if found.contains_key(known) && (equal || last != Some((known, false))) => {
                return Err(format!("The dimension {known} is named twice."));
            }
            Some(Joined::And | Joined::Or) | None => {}
        }
        let entry =
            found.entry(known).or_insert_with(|| if equal { Values::Of(Vec::new()) } else { Values::Not(Vec::new()) });
        match entry {
            Values::Of(_) if value == "*" => *entry = Values::Each,
            Values::Of(values) | Values::Not(values) => values.push(value),
            Values::Each => {}
        }
        last = Some((known, equal));
        while words.next_if_eq(&Word::Close).is_some() {
            depth = depth.checked_sub(1).ok_or_else(wrong)?;
        }
        joined = match words.next() {
            None if depth == 0 => return Ok(found),
            Some(Word::Bare(word)) if word.eq_ignore_ascii_case("and") => Some(Joined::And),
            Some(Word::Bare(word)) if word.eq_ignore_ascii_case("or") => Some(Joined::Or),
            None | Some(Word::Bare(_) | Word::Close | Word::Open | Word::Quoted(_)) => return Err(wrong()),
        };
    }
}

/// A dimension that the metric does not have.
pub(super) const UNKNOWN: &str = "";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    And,
    Or,
}

fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        rest = match first {
            '(' => {
                words.push(Word::Open);
                after
            }
            ')' => {
                words.push(Word::Close);
                after
            }
            '\'' => {
                let (value, behind) = after.split_once('\'').ok_or("A quote in the filter does not end.")?;
                words.push(Word::Quoted(value.to_owned()));
                behind
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "()'".contains(c)).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                words.push(Word::Bare(word.to_owned()));
                behind
            }
        }
        .trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::super::metric::Resource;
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<&'static str, Values>, String> {
        parse(text, &Resource::Endpoint.metrics()[0], true)
    }

    #[test]
    fn conditions_are_read() {
        let green = Values::Of(vec!["green".to_owned()]);
        assert_eq!(read("deployment eq 'green'").unwrap(), [("deployment", green.clone())].into());
        let both = read("Deployment EQ '*' and (statusCode eq '424' or statuscode eq '500')").unwrap();
        let codes = Values::Of(vec!["424".to_owned(), "500".to_owned()]);
        assert_eq!(both, [("deployment", Values::Each), ("statusCode", codes)].into());
        assert!(green.has("Green") && !green.has("blue"));
        assert!(!read("statusCode ne '200'").unwrap()["statusCode"].has("200"));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "deployment",
            "deployment eq green",
            "deployment eq 'green",
            "deployment eq 'green' and",
            "(deployment eq 'green'",
            "deployment eq 'green')",
            "deployment eq 'green' or statusCode eq '200'",
            "deployment eq 'green' and deployment eq 'blue'",
            "colour eq 'green'",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(parse("colour eq 'x'", &Resource::Endpoint.metrics()[0], false).unwrap().contains_key(UNKNOWN));
    }
}
