//! Metric math: as much as dashboards and alarms of a canary need. What is not here is refused, never guessed.

use std::collections::BTreeMap;

/// Numbers by the second at which a point starts.
pub(super) type Numbers = BTreeMap<i64, f64>;

/// What an expression is worth.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Worth {
    Number(f64),
    Series(Numbers),
    Many(Vec<Numbers>),
}

/// How deep an expression may be nested.
const DEEPEST: usize = 50;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    Sign(&'static str),
}

/// Evaluates an expression over the series of other queries, by their ids.
///
/// # Errors
/// It is none, names an id that there is not, or uses what is not supported: why.
pub(super) fn evaluate(text: &str, known: &BTreeMap<String, Numbers>) -> Result<Numbers, String> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, known, depth: 0 };
    let worth = parser.comparison()?;
    if !parser.tokens.is_empty() {
        return Err("unexpected text after the expression".to_owned());
    }
    match worth {
        Worth::Series(series) => Ok(series),
        Worth::Number(_) => Err("the expression is a number and not a time series".to_owned()),
        Worth::Many(_) => Err("expressions that return several time series are not supported".to_owned()),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    const SIGNS: [&str; 17] =
        ["==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "^", "(", ")", "[", "]", ",", "&&"];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_digit() || first == '.' {
            let length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, _) = rest.split_at(length);
            tokens.push(Token::Number(number.parse().map_err(|_| format!("{number} is not a number"))?));
            length
        } else if first.is_ascii_alphabetic() {
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (name, _) = rest.split_at(length);
            tokens.push(Token::Name(name.to_owned()));
            length
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            tokens.push(Token::Sign(sign));
            sign.len()
        } else {
            return Err(format!("{first:?} is not supported"));
        };
        rest = rest.split_at(length).1.trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    known: &'a BTreeMap<String, Numbers>,
    depth: usize,
}

impl Parser<'_> {
    fn accept(&mut self, signs: &[&'static str]) -> Option<&'static str> {
        let [Token::Sign(sign), rest @ ..] = self.tokens else { return None };
        let sign = *signs.iter().find(|wanted| *wanted == sign)?;
        self.tokens = rest;
        Some(sign)
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        self.accept(&[sign]).map(drop).ok_or_else(|| format!("{sign} is missing"))
    }

    fn comparison(&mut self) -> Result<Worth, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("the expression is nested too deep".to_owned());
        }
        let left = self.sum()?;
        let worth = match self.accept(&["==", "!=", "<=", ">=", "<", ">"]) {
            None => Ok(left),
            Some(sign) => {
                let right = self.sum()?;
                combine(&left, &right, |a, b| {
                    let holds = match sign {
                        "==" => a == b,
                        "!=" => a != b,
                        "<=" => a <= b,
                        ">=" => a >= b,
                        "<" => a < b,
                        _ => a > b,
                    };
                    Some(f64::from(u8::from(holds)))
                })
            }
        };
        self.depth -= 1;
        worth
    }

    fn sum(&mut self) -> Result<Worth, String> {
        let mut left = self.product()?;
        while let Some(sign) = self.accept(&["+", "-"]) {
            let right = self.product()?;
            left = combine(&left, &right, |a, b| Some(if sign == "+" { a + b } else { a - b }))?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Worth, String> {
        let mut left = self.power()?;
        while let Some(sign) = self.accept(&["*", "/"]) {
            let right = self.power()?;
            // A division by zero is no point.
            left = combine(&left, &right, |a, b| match sign {
                "*" => Some(a * b),
                _ => (b != 0.0).then(|| a / b),
            })?;
        }
        Ok(left)
    }

    fn power(&mut self) -> Result<Worth, String> {
        if self.accept(&["-"]).is_some() {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err("the expression is nested too deep".to_owned());
            }
            let inner = self.power()?;
            self.depth -= 1;
            return combine(&Worth::Number(0.0), &inner, |a, b| Some(a - b));
        }
        let base = self.operand()?;
        if self.accept(&["^"]).is_none() {
            return Ok(base);
        }
        let exponent = self.operand()?;
        combine(&base, &exponent, |a, b| Some(a.powf(b)).filter(|power| power.is_finite()))
    }

    fn operand(&mut self) -> Result<Worth, String> {
        if self.accept(&["("]).is_some() {
            let inner = self.comparison()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.accept(&["["]).is_some() {
            let mut many = Vec::new();
            for worth in self.arguments("]")? {
                match worth {
                    Worth::Series(series) => many.push(series),
                    Worth::Many(more) => many.extend(more),
                    Worth::Number(_) => return Err("a number is not a time series".to_owned()),
                }
            }
            return Ok(Worth::Many(many));
        }
        let [token, rest @ ..] = self.tokens else {
            return Err("the expression ends too early".to_owned());
        };
        self.tokens = rest;
        match token {
            Token::Number(number) => Ok(Worth::Number(*number)),
            Token::Sign(sign) => Err(format!("{sign} stands where a value should")),
            Token::Name(name) => {
                if self.accept(&["("]).is_some() {
                    return self.function(name);
                }
                let series = self.known.get(name).ok_or_else(|| format!("there is no metric with the id {name}"))?;
                Ok(Worth::Series(series.clone()))
            }
        }
    }

    fn arguments(&mut self, end: &'static str) -> Result<Vec<Worth>, String> {
        let mut all = Vec::new();
        if self.accept(&[end]).is_some() {
            return Ok(all);
        }
        loop {
            all.push(self.comparison()?);
            if self.accept(&[end]).is_some() {
                return Ok(all);
            }
            self.expect(",")?;
        }
    }

    fn function(&mut self, name: &str) -> Result<Worth, String> {
        if name == "FILL" {
            let series = self.comparison()?;
            self.expect(",")?;
            let repeat = matches!(self.tokens, [Token::Name(word), ..] if word == "REPEAT");
            let by = if repeat {
                self.tokens = self.tokens.get(1..).unwrap_or_default();
                None
            } else {
                Some(self.comparison()?)
            };
            self.expect(")")?;
            return self.fill(series, by.as_ref());
        }
        let arguments = self.arguments(")")?;
        match (name, arguments.as_slice()) {
            ("SUM" | "AVG" | "MIN" | "MAX", [of]) => aggregate(name, of),
            ("ABS", [of]) => combine(&Worth::Number(0.0), of, |_, value| Some(value.abs())),
            ("IF", [condition, then]) => choose(condition, then, None),
            ("IF", [condition, then, otherwise]) => choose(condition, then, Some(otherwise)),
            ("METRICS", []) => Ok(Worth::Many(self.known.values().cloned().collect())),
            _ => Err(format!("the function {name} with {} arguments is not supported", arguments.len())),
        }
    }

    /// Puts values where other series have points and this one has none.
    fn fill(&self, series: Worth, by: Option<&Worth>) -> Result<Worth, String> {
        let Worth::Series(mut series) = series else {
            return Err("FILL takes a time series".to_owned());
        };
        let moments: std::collections::BTreeSet<i64> = self.known.values().flat_map(Numbers::keys).copied().collect();
        let mut last = None;
        for moment in moments {
            if let Some(value) = series.get(&moment) {
                last = Some(*value);
                continue;
            }
            let value = match by {
                None => last,
                Some(Worth::Number(number)) => Some(*number),
                Some(Worth::Series(other)) => other.get(&moment).copied(),
                Some(Worth::Many(_)) => return Err("FILL takes one filler".to_owned()),
            };
            if let Some(value) = value {
                series.insert(moment, value);
            }
        }
        Ok(Worth::Series(series))
    }
}

/// An operator between two values: where only one series has a point, the other counts as 0.
fn combine(left: &Worth, right: &Worth, operator: impl Fn(f64, f64) -> Option<f64>) -> Result<Worth, String> {
    let series = match (left, right) {
        (Worth::Number(a), Worth::Number(b)) => {
            return operator(*a, *b).map(Worth::Number).ok_or_else(|| "division by zero".to_owned());
        }
        (Worth::Number(a), Worth::Series(right)) => {
            right.iter().filter_map(|(at, b)| Some((*at, operator(*a, *b)?))).collect()
        }
        (Worth::Series(left), Worth::Number(b)) => {
            left.iter().filter_map(|(at, a)| Some((*at, operator(*a, *b)?))).collect()
        }
        (Worth::Series(left), Worth::Series(right)) => {
            let moments: std::collections::BTreeSet<i64> = left.keys().chain(right.keys()).copied().collect();
            let value = |series: &Numbers, at: i64| series.get(&at).copied().unwrap_or(0.0);
            moments.into_iter().filter_map(|at| Some((at, operator(value(left, at), value(right, at))?))).collect()
        }
        (Worth::Many(_), _) | (_, Worth::Many(_)) => {
            return Err("operators on several time series are not supported".to_owned());
        }
    };
    Ok(Worth::Series(series))
}

fn choose(condition: &Worth, then: &Worth, otherwise: Option<&Worth>) -> Result<Worth, String> {
    let Worth::Series(condition) = condition else {
        return Err("IF takes a time series as its condition".to_owned());
    };
    let at = |worth: &Worth, moment: i64| match worth {
        Worth::Number(number) => Ok(Some(*number)),
        Worth::Series(series) => Ok(series.get(&moment).copied()),
        Worth::Many(_) => Err("IF takes one time series at a time".to_owned()),
    };
    let mut chosen = Numbers::new();
    for (moment, holds) in condition {
        let value = match otherwise {
            _ if *holds != 0.0 => at(then, *moment)?,
            Some(otherwise) => at(otherwise, *moment)?,
            None => None,
        };
        if let Some(value) = value {
            chosen.insert(*moment, value);
        }
    }
    Ok(Worth::Series(chosen))
}

/// Of several series, the aggregate at each moment; of one, that of all its points, as a number.
fn aggregate(name: &str, of: &Worth) -> Result<Worth, String> {
    let over = |values: &[f64]| match name {
        "SUM" => values.iter().sum(),
        "AVG" => values.iter().sum::<f64>() / values.len() as f64,
        "MIN" => values.iter().copied().fold(f64::INFINITY, f64::min),
        _ => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    };
    match of {
        Worth::Number(_) => Err(format!("{name} takes time series")),
        Worth::Series(series) => {
            let values: Vec<f64> = series.values().copied().collect();
            if values.is_empty() { Ok(Worth::Series(Numbers::new())) } else { Ok(Worth::Number(over(&values))) }
        }
        Worth::Many(many) => {
            let moments: std::collections::BTreeSet<i64> = many.iter().flat_map(Numbers::keys).copied().collect();
            let at =
                |moment: i64| -> Vec<f64> { many.iter().filter_map(|series| series.get(&moment).copied()).collect() };
            Ok(Worth::Series(moments.into_iter().map(|moment| (moment, over(&at(moment)))).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known() -> BTreeMap<String, Numbers> {
        BTreeMap::from([
            ("e".to_owned(), Numbers::from([(0, 1.0), (60, 2.0), (180, 4.0)])),
            ("i".to_owned(), Numbers::from([(0, 10.0), (60, 0.0), (120, 5.0)])),
        ])
    }

    #[test]
    fn counts_what_is_missing_as_zero_and_drops_what_has_no_value() {
        for (text, expected) in [
            ("e/i", vec![(0, 0.1), (120, 0.0)]),
            ("100 * e / i", vec![(0, 10.0), (120, 0.0)]),
            ("e + i", vec![(0, 11.0), (60, 2.0), (120, 5.0), (180, 4.0)]),
            ("-(e - 1) ^ 2", vec![(0, 0.0), (60, -1.0), (180, -9.0)]),
            ("SUM([e, i])", vec![(0, 11.0), (60, 2.0), (120, 5.0), (180, 4.0)]),
            ("MAX(METRICS())", vec![(0, 10.0), (60, 2.0), (120, 5.0), (180, 4.0)]),
            ("i / SUM(i)", vec![(0, 10.0 / 15.0), (60, 0.0), (120, 5.0 / 15.0)]),
            ("FILL(e, 0)", vec![(0, 1.0), (60, 2.0), (120, 0.0), (180, 4.0)]),
            ("FILL(e, REPEAT)", vec![(0, 1.0), (60, 2.0), (120, 2.0), (180, 4.0)]),
            ("IF(i > 4, e/i, 0)", vec![(0, 0.1), (60, 0.0), (120, 0.0)]),
            ("IF(i > 4, i)", vec![(0, 10.0), (120, 5.0)]),
        ] {
            assert_eq!(evaluate(text, &known()), Ok(Numbers::from_iter(expected)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "1 + 1",
            "x",
            "e +",
            "e e",
            "RATE(e)",
            "SEARCH('{AWS/Lambda}', 'Sum')",
            "SUM(e)",
            "[e, i]",
            "METRICS() * 2",
            "ANOMALY_DETECTION_BAND(e)",
            "e && i",
            "SELECT SUM(x)",
            "(e",
            "FILL(e)",
        ] {
            assert!(evaluate(text, &known()).is_err(), "{text}");
        }
        assert!(evaluate(&("(".repeat(100_000) + "e"), &known()).is_err());
        assert!(evaluate(&("-".repeat(100_000) + "e"), &known()).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[eixSUMFILLIF0-9.()\\[\\],+*/^<>=& -]{0,40}|.*") {
            let _ = evaluate(&text, &known());
        }
    }
}
