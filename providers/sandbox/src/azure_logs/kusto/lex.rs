//! Words of a query.

use mlroll_backend::Timestamp;

use super::Fault;

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Int(i64),
    Name(String),
    Real(f64),
    /// In seconds.
    Span(i64),
    Symbol(&'static str),
    Text(String),
    /// In seconds since 1970.
    Time(i64),
}

/// Longer ones first.
const SYMBOLS: [&str; 14] = ["==", "!=", "=~", "!~", ">=", "<=", "|", ",", "(", ")", "=", "<", ">", ";"];

/// How many seconds a unit has.
const UNITS: [(&str, i64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// Takes a query apart.
pub(super) fn words(text: &str) -> Result<Vec<Word>, Fault> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after).trim_start();
            continue;
        }
        let (word, after) = if matches!(first, '\'' | '"') {
            string(rest, first)?
        } else if first.is_ascii_digit() {
            number(rest)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            name(rest)?
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Word::Symbol(symbol), rest.get(symbol.len()..).unwrap_or_default())
        } else {
            return Err(unreadable(rest));
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// What is said of a place that cannot be read.
pub(super) fn unreadable(rest: &str) -> Fault {
    let shown: String = rest.chars().take(40).collect();
    Fault::Syntax(format!("Query could not be parsed at '{shown}'"))
}

fn string(text: &str, quote: char) -> Result<(Word, &str), Fault> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        let c = match c {
            c if c == quote => {
                return Ok((Word::Text(value), text.get(at + c.len_utf8()..).unwrap_or_default()));
            }
            '\n' => break,
            '\\' => match chars.next().map(|(_, escaped)| escaped) {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).map(|(_, digit)| digit).collect();
                    let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
                    code.and_then(char::from_u32).ok_or_else(|| unreadable(text))?
                }
                Some(escaped @ ('\\' | '\'' | '"')) => escaped,
                Some(_) | None => return Err(unreadable(text)),
            },
            c => c,
        };
        value.push(c);
    }
    Err(unreadable(text))
}

fn number(text: &str) -> Result<(Word, &str), Fault> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, after) = text.split_at(end);
    let unit_end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
    let (unit, behind) = after.split_at(unit_end);
    let whole: Option<i64> = digits.parse().ok();
    let word = match (unit, whole) {
        ("", Some(whole)) => Some(Word::Int(whole)),
        ("", None) => digits.parse().ok().filter(|real: &f64| real.is_finite()).map(Word::Real),
        (unit, Some(whole)) => {
            let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds);
            seconds.and_then(|seconds| whole.checked_mul(seconds)).map(Word::Span)
        }
        (_, None) => None,
    };
    word.map(|word| (word, behind)).ok_or_else(|| unreadable(text))
}

/// A name, an operator that looks like one, or a moment: `datetime(2026-11-21T08:00:00Z)`.
fn name(text: &str) -> Result<(Word, &str), Fault> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    if name == "datetime"
        && let Some(inside) = after.trim_start().strip_prefix('(')
    {
        let (moment, behind) = inside.split_once(')').ok_or_else(|| unreadable(text))?;
        let at: Timestamp = moment.trim().parse().map_err(|_| unreadable(text))?;
        return Ok((Word::Time(at.unix_seconds()), behind));
    }
    if name == "in"
        && let Some(behind) = after.strip_prefix('~')
    {
        return Ok((Word::Symbol("in~"), behind));
    }
    Ok((Word::Name(name.to_owned()), after))
}
