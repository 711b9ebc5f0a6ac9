//! Values, rows and tables.

use std::cmp::Ordering;
use std::sync::Arc;

use mlroll_backend::Timestamp;
use serde_json::json;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Long,
    Real,
    Span,
    Text,
    Time,
}

impl Kind {
    /// As Azure writes it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Long => "long",
            Self::Real => "real",
            Self::Span => "timespan",
            Self::Text => "string",
            Self::Time => "datetime",
        }
    }

    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Long | Self::Real)
    }

    /// Whether values of both can be compared.
    pub(super) fn fits(self, other: Self) -> bool {
        self == other || (self.is_number() && other.is_number())
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    Null,
    Real(f64),
    /// In seconds.
    Span(i64),
    Text(Arc<str>),
    /// In seconds since 1970.
    Time(i64),
}

impl Value {
    pub(super) const fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    /// The order of two values; nothing is before or after null.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) | (Self::Span(a), Self::Span(b)) | (Self::Time(a), Self::Time(b)) => {
                Some(a.cmp(b))
            }
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Real(b)) => (*a as f64).partial_cmp(b),
            (Self::Real(a), Self::Int(b)) => a.partial_cmp(&(*b as f64)),
            (Self::Real(a), Self::Real(b)) => a.partial_cmp(b),
            _ => None,
        }
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Bool(value) => json!(value),
            Self::Int(value) | Self::Span(value) => json!(value),
            Self::Null => serde_json::Value::Null,
            Self::Real(value) => json!(value),
            Self::Text(value) => json!(value.as_ref()),
            Self::Time(value) => json!(Timestamp::from_unix_seconds(*value).map(|at| at.to_string())),
        }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

impl Column {
    pub(crate) fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind }
    }
}

/// A row, as often as it is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) values: Vec<Value>,
    pub(crate) times: u64,
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// As it is answered.
    pub(crate) fn shown(&self) -> serde_json::Value {
        let columns = self.columns.iter().map(|column| json!({ "name": column.name, "type": column.kind.name() }));
        let rows = self.rows.iter().map(|row| row.values.iter().map(Value::shown).collect::<Vec<_>>());
        json!({ "name": "PrimaryResult", "columns": columns.collect::<Vec<_>>(), "rows": rows.collect::<Vec<_>>() })
    }
}
