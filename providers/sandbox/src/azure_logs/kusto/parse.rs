//! From a query's text to its steps.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::Fault;
use super::lex::{Word, words};
use super::value::Value;

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    pub(super) table: String,
    pub(super) steps: Vec<Step>,
}

/// What is done to a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Extend(Vec<Named>),
    /// Columns, and whether they fall.
    Order(Vec<(String, bool)>),
    Summarize {
        values: Vec<Named>,
        by: Vec<Named>,
    },
    Where(Expression),
}

/// An expression and the name that it gets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    pub(super) name: Option<String>,
    pub(super) value: Expression,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Call(String, Vec<Expression>),
    Compare(&'static str, Box<Expression>, Box<Expression>),
    /// Whether a text is among others, or with `true` but for its case.
    In(Box<Expression>, Vec<Expression>, bool),
    Literal(Value),
    Name(String),
}

/// How deep expressions may be nested.
const DEEPEST: usize = 32;

/// Reads a query.
pub(crate) fn parse(text: &str) -> Result<Query, Fault> {
    let mut reader = Reader { words: words(text)?.into_iter().peekable(), depth: 0 };
    let table = reader.name()?;
    let mut steps = Vec::new();
    while reader.words.peek().is_some() {
        reader.symbol("|")?;
        steps.push(reader.step()?);
    }
    Ok(Query { table, steps })
}

impl Query {
    /// The table that it is about.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// Seconds since 1970 between which its first conditions confine `TimeGenerated`.
    pub(crate) fn between(&self) -> Option<(i64, i64)> {
        let mut bounds = (i64::MIN, i64::MAX);
        for step in &self.steps {
            let Step::Where(condition) = step else { break };
            let conditions =
                if let Expression::All(all) = condition { all.as_slice() } else { std::slice::from_ref(condition) };
            for condition in conditions {
                if let Expression::Compare(operator, left, right) = condition
                    && let (Expression::Name(name), Expression::Literal(Value::Time(at))) =
                        (left.as_ref(), right.as_ref())
                    && name == "TimeGenerated"
                {
                    match *operator {
                        ">=" => bounds.0 = bounds.0.max(*at),
                        "<" => bounds.1 = bounds.1.min(*at),
                        _ => {}
                    }
                }
            }
        }
        Some(bounds).filter(|(from, until)| *from > i64::MIN && *until < i64::MAX)
    }

    /// All moments that it names, in seconds since 1970, and all stretches of time, in seconds.
    pub(crate) fn granules(&self) -> (Vec<i64>, Vec<i64>) {
        let mut found = (Vec::new(), Vec::new());
        for step in &self.steps {
            match step {
                Step::Extend(all) => all.iter().for_each(|named| named.value.granules(&mut found)),
                Step::Order(_) => {}
                Step::Summarize { values, by } => {
                    values.iter().chain(by).for_each(|named| named.value.granules(&mut found));
                }
                Step::Where(condition) => condition.granules(&mut found),
            }
        }
        found
    }
}

impl Expression {
    fn granules(&self, found: &mut (Vec<i64>, Vec<i64>)) {
        match self {
            Self::All(all) | Self::Any(all) | Self::Call(_, all) => all.iter().for_each(|one| one.granules(found)),
            Self::Compare(_, left, right) => {
                left.granules(found);
                right.granules(found);
            }
            Self::In(one, all, _) => {
                one.granules(found);
                all.iter().for_each(|one| one.granules(found));
            }
            Self::Literal(Value::Time(second)) => found.0.push(*second),
            Self::Literal(Value::Span(seconds)) => found.1.push(*seconds),
            Self::Literal(_) | Self::Name(_) => {}
        }
    }
}

struct Reader {
    words: Peekable<IntoIter<Word>>,
    depth: usize,
}

impl Reader {
    fn wrong(&mut self) -> Fault {
        let at = self.words.peek().map_or_else(|| "its end".to_owned(), |word| format!("{word:?}"));
        Fault::Syntax(format!("Query could not be parsed at {at}"))
    }

    fn name(&mut self) -> Result<String, Fault> {
        match self.words.next_if(|word| matches!(word, Word::Name(_))) {
            Some(Word::Name(name)) => Ok(name),
            _ => Err(self.wrong()),
        }
    }

    fn has(&mut self, symbol: &'static str) -> bool {
        self.words.next_if_eq(&Word::Symbol(symbol)).is_some()
    }

    fn has_name(&mut self, name: &str) -> bool {
        self.words.next_if(|word| matches!(word, Word::Name(found) if found == name)).is_some()
    }

    fn symbol(&mut self, symbol: &'static str) -> Result<(), Fault> {
        if self.has(symbol) { Ok(()) } else { Err(self.wrong()) }
    }

    fn step(&mut self) -> Result<Step, Fault> {
        let name = self.name()?;
        match name.as_str() {
            "where" => self.any().map(Step::Where),
            "extend" => self.list(Self::named).map(Step::Extend),
            "summarize" => {
                let values = self.list(Self::named)?;
                let by = if self.has_name("by") { self.list(Self::named)? } else { Vec::new() };
                Ok(Step::Summarize { values, by })
            }
            "order" | "sort" => {
                if !self.has_name("by") {
                    return Err(self.wrong());
                }
                self.list(|reader| {
                    let column = reader.name()?;
                    let falls = !reader.has_name("asc");
                    let _ = falls && reader.has_name("desc");
                    Ok((column, falls))
                })
                .map(Step::Order)
            }
            other => Err(Fault::Syntax(format!("The operator '{other}' is not part of this sandbox's query language"))),
        }
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        let mut all = vec![one(self)?];
        while self.has(",") {
            all.push(one(self)?);
        }
        Ok(all)
    }

    /// `Name = expression`, or the expression alone.
    fn named(&mut self) -> Result<Named, Fault> {
        let value = self.any()?;
        if let Expression::Name(name) = &value
            && self.has("=")
        {
            return Ok(Named { name: Some(name.clone()), value: self.any()? });
        }
        Ok(Named { name: None, value })
    }

    fn any(&mut self) -> Result<Expression, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Fault::Syntax("The query is nested too deeply".to_owned()));
        }
        let mut all = vec![self.all()?];
        while self.has_name("or") {
            all.push(self.all()?);
        }
        self.depth -= 1;
        Ok(if all.len() == 1 { all.remove(0) } else { Expression::Any(all) })
    }

    fn all(&mut self) -> Result<Expression, Fault> {
        let mut all = vec![self.comparison()?];
        while self.has_name("and") {
            all.push(self.comparison()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expression::All(all) })
    }

    fn comparison(&mut self) -> Result<Expression, Fault> {
        let left = self.operand()?;
        for operator in ["==", "!=", "=~", "!~", ">=", "<=", "<", ">"] {
            if self.has(operator) {
                return Ok(Expression::Compare(operator, Box::new(left), Box::new(self.operand()?)));
            }
        }
        let without_case = self.has("in~");
        if without_case || self.has_name("in") {
            self.symbol("(")?;
            let among = self.list(Self::operand)?;
            self.symbol(")")?;
            return Ok(Expression::In(Box::new(left), among, without_case));
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Expression, Fault> {
        if self.has("(") {
            let inside = self.any()?;
            self.symbol(")")?;
            return Ok(inside);
        }
        let literal = |value| Ok(Expression::Literal(value));
        match self.words.next_if(|word| !matches!(word, Word::Symbol(_))) {
            Some(Word::Int(value)) => literal(Value::Int(value)),
            Some(Word::Real(value)) => literal(Value::Real(value)),
            Some(Word::Span(value)) => literal(Value::Span(value)),
            Some(Word::Text(value)) => literal(Value::Text(value.into())),
            Some(Word::Time(value)) => literal(Value::Time(value)),
            Some(Word::Name(name)) if self.has("(") => {
                let arguments =
                    if self.words.peek() == Some(&Word::Symbol(")")) { Vec::new() } else { self.list(Self::any)? };
                self.symbol(")")?;
                Ok(Expression::Call(name, arguments))
            }
            Some(Word::Name(name)) => Ok(Expression::Name(name)),
            Some(Word::Symbol(_)) | None => Err(self.wrong()),
        }
    }
}
