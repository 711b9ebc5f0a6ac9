//! As much of the Kusto query language as counts requests: `T | where .. | extend .. | summarize .. by .. | order by ..`. What is
//! not here is refused, with the kind of error that Azure has for it.

mod lex;
mod parse;
mod run;
mod value;

pub(super) use self::parse::{Query, parse};
pub(super) use self::run::{run, unknown_table};
pub(super) use self::value::{Column, Kind, Row, Table, Value};

/// What is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It means nothing.
    Semantic {
        /// Kusto's code.
        code: &'static str,
        message: String,
    },
    /// It cannot be read.
    Syntax(String),
}

impl Fault {
    fn semantic(code: &'static str, message: impl Into<String>) -> Self {
        Self::Semantic { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests;
