//! What a query makes of a table.

use std::cmp::Ordering;

use super::Fault;
use super::parse::{Expression, Named, Query, Step};
use super::value::{Column, Kind, Row, Table, Value};

/// An expression whose names are places in a row.
enum Bound {
    All(Vec<Bound>),
    Any(Vec<Bound>),
    Bin(Box<Bound>, i64),
    Column(usize),
    Compare(&'static str, Box<Bound>, Box<Bound>),
    In(Box<Bound>, Vec<Bound>, bool),
    IsNull(Box<Bound>),
    Literal(Value),
    Lower(Box<Bound>),
    Not(Box<Bound>),
    ToInt(Box<Bound>),
}

/// What is made of the rows of a group.
enum Aggregate {
    Count,
    CountIf(Bound),
}

/// Does all steps.
pub(crate) fn run(query: &Query, mut table: Table) -> Result<Table, Fault> {
    if !query.steps.iter().any(|step| matches!(step, Step::Summarize { .. })) {
        return Err(Fault::Syntax("Single rows are not told by this sandbox: the query has no `summarize`".to_owned()));
    }
    for step in &query.steps {
        table = match step {
            Step::Extend(all) => extend(table, all)?,
            Step::Order(columns) => order(table, columns)?,
            Step::Summarize { values, by } => summarize(&table, values, by)?,
            Step::Where(condition) => {
                let (condition, kind) = bind(condition, &table.columns, "where")?;
                if kind != Kind::Bool {
                    let kind = kind.name();
                    return Err(Fault::semantic(
                        "SEM0080",
                        format!("'where' operator: expression is {kind}, not bool"),
                    ));
                }
                table.rows.retain(|row| condition.of(row).is_true());
                table
            }
        };
    }
    Ok(table)
}

/// The fault of a query about a table that is not there.
pub(crate) fn unknown_table(query: &Query) -> Fault {
    let operator = query.steps.first().map_or("where", operator);
    let message =
        format!("'{operator}' operator: Failed to resolve table or column expression named '{}'", query.table);
    Fault::semantic("SEM0100", message)
}

const fn operator(step: &Step) -> &'static str {
    match step {
        Step::Extend(_) => "extend",
        Step::Order(_) => "order",
        Step::Summarize { .. } => "summarize",
        Step::Where(_) => "where",
    }
}

fn extend(mut table: Table, all: &[Named]) -> Result<Table, Fault> {
    for named in all {
        let (value, kind) = bind(&named.value, &table.columns, "extend")?;
        let column = Column::new(name_of(named, table.columns.len()), kind);
        for row in &mut table.rows {
            let value = value.of(row);
            row.values.push(value);
        }
        table.columns.push(column);
    }
    Ok(table)
}

fn order(mut table: Table, columns: &[(String, bool)]) -> Result<Table, Fault> {
    let places = columns.iter().map(|(name, falls)| Ok((find(name, &table.columns, "order")?, *falls)));
    let places = places.collect::<Result<Vec<(usize, bool)>, Fault>>()?;
    table.rows.sort_by(|a, b| {
        let orders = places.iter().map(|(place, falls)| {
            let order = a.values.get(*place).zip(b.values.get(*place)).and_then(|(a, b)| a.order(b));
            let order = order.unwrap_or(Ordering::Equal);
            if *falls { order.reverse() } else { order }
        });
        orders.fold(Ordering::Equal, Ordering::then)
    });
    Ok(table)
}

fn summarize(table: &Table, values: &[Named], by: &[Named]) -> Result<Table, Fault> {
    let mut columns = Vec::new();
    let mut keys = Vec::new();
    for named in by {
        let (key, kind) = bind(&named.value, &table.columns, "summarize")?;
        columns.push(Column::new(name_of(named, columns.len()), kind));
        keys.push(key);
    }
    let mut aggregates = Vec::new();
    for named in values {
        let (aggregate, usual) = match &named.value {
            Expression::Call(name, arguments) => match (name.as_str(), arguments.as_slice()) {
                ("count", []) => (Aggregate::Count, "count_"),
                ("countif", [condition]) => {
                    let (condition, kind) = bind(condition, &table.columns, "summarize")?;
                    if kind != Kind::Bool {
                        return Err(Fault::semantic(
                            "SEM0080",
                            "countif(): argument #1 expected to be a bool expression",
                        ));
                    }
                    (Aggregate::CountIf(condition), "countif_")
                }
                (name, _) => return Err(unknown_function(name)),
            },
            Expression::All(_)
            | Expression::Any(_)
            | Expression::Compare(..)
            | Expression::In(..)
            | Expression::Literal(_)
            | Expression::Name(_) => {
                let message = "'summarize' operator: an expression is no aggregate that this sandbox knows";
                return Err(Fault::semantic("SEM0100", message));
            }
        };
        columns.push(Column::new(named.name.clone().unwrap_or_else(|| usual.to_owned()), Kind::Long));
        aggregates.push(aggregate);
    }
    let mut groups: Vec<(Vec<Value>, Vec<u64>)> = Vec::new();
    for row in &table.rows {
        let key: Vec<Value> = keys.iter().map(|key| key.of(row)).collect();
        let at = match groups.iter().rposition(|(known, _)| *known == key) {
            Some(at) => at,
            None => {
                groups.push((key, vec![0; aggregates.len()]));
                groups.len() - 1
            }
        };
        let Some((_, counts)) = groups.get_mut(at) else { continue };
        for (count, aggregate) in counts.iter_mut().zip(&aggregates) {
            let counts = match aggregate {
                Aggregate::Count => true,
                Aggregate::CountIf(condition) => condition.of(row).is_true(),
            };
            *count = count.saturating_add(if counts { row.times } else { 0 });
        }
    }
    if by.is_empty() && groups.is_empty() {
        groups.push((Vec::new(), vec![0; aggregates.len()]));
    }
    let count = |count: u64| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
    let rows = groups.into_iter().map(|(mut values, counts)| {
        values.extend(counts.into_iter().map(count));
        Row { values, times: 1 }
    });
    Ok(Table { columns, rows: rows.collect() })
}

/// The name that it was given, or Kusto's own.
fn name_of(named: &Named, place: usize) -> String {
    let usual = match &named.value {
        Expression::Name(name) => Some(name),
        Expression::Call(function, arguments) if function == "bin" => match arguments.first() {
            Some(Expression::Name(name)) => Some(name),
            Some(_) | None => None,
        },
        Expression::All(_)
        | Expression::Any(_)
        | Expression::Call(..)
        | Expression::Compare(..)
        | Expression::In(..)
        | Expression::Literal(_) => None,
    };
    named.name.as_ref().or(usual).cloned().unwrap_or_else(|| format!("Column{}", place + 1))
}

fn find(name: &str, columns: &[Column], operator: &str) -> Result<usize, Fault> {
    columns.iter().rposition(|column| column.name == name).ok_or_else(|| {
        let message = format!("'{operator}' operator: Failed to resolve scalar expression named '{name}'");
        Fault::semantic("SEM0100", message)
    })
}

fn unknown_function(name: &str) -> Fault {
    Fault::semantic("SEM0260", format!("Unknown function: '{name}'."))
}

fn bind(expression: &Expression, columns: &[Column], operator: &str) -> Result<(Bound, Kind), Fault> {
    let bound = |one: &Expression| bind(one, columns, operator);
    let many = |all: &[Expression]| {
        let of = |one| match bound(one)? {
            (one, Kind::Bool) => Ok(one),
            (_, kind) => Err(Fault::semantic("SEM0080", format!("an expression is {}, not bool", kind.name()))),
        };
        all.iter().map(of).collect::<Result<Vec<_>, Fault>>()
    };
    let unlike = |a: Kind, b: Kind| {
        let message =
            format!("Cannot compare values of types {} and {}. Try adding explicit casts", a.name(), b.name());
        Fault::semantic("SEM0064", message)
    };
    Ok(match expression {
        Expression::All(all) => (Bound::All(many(all)?), Kind::Bool),
        Expression::Any(all) => (Bound::Any(many(all)?), Kind::Bool),
        Expression::Compare(operator, left, right) => {
            let ((left, a), (right, b)) = (bound(left)?, bound(right)?);
            let texts = matches!(*operator, "=~" | "!~");
            if !a.fits(b) || (texts && a != Kind::Text) {
                return Err(unlike(a, b));
            }
            (Bound::Compare(operator, Box::new(left), Box::new(right)), Kind::Bool)
        }
        Expression::In(one, among, without_case) => {
            let (one, kind) = bound(one)?;
            let mut all = Vec::new();
            for other in among {
                let (other, theirs) = bound(other)?;
                if !kind.fits(theirs) || (*without_case && kind != Kind::Text) {
                    return Err(unlike(kind, theirs));
                }
                all.push(other);
            }
            (Bound::In(Box::new(one), all, *without_case), Kind::Bool)
        }
        Expression::Literal(value) => {
            let kind = match value {
                Value::Bool(_) | Value::Null => Kind::Bool,
                Value::Int(_) => Kind::Long,
                Value::Real(_) => Kind::Real,
                Value::Span(_) => Kind::Span,
                Value::Text(_) => Kind::Text,
                Value::Time(_) => Kind::Time,
            };
            (Bound::Literal(value.clone()), kind)
        }
        Expression::Name(name) => {
            let place = find(name, columns, operator)?;
            (Bound::Column(place), columns.get(place).map_or(Kind::Text, |column| column.kind))
        }
        Expression::Call(name, arguments) => {
            let all = arguments.iter().map(bound).collect::<Result<Vec<_>, Fault>>()?;
            let wrong =
                || Fault::semantic("SEM0219", format!("{name}(): its arguments are not of the kinds that it takes"));
            let mut all = all.into_iter();
            let (first, second) = (all.next().ok_or_else(wrong)?, all.next());
            if all.next().is_some() {
                return Err(wrong());
            }
            let of = |one: Bound| Box::new(one);
            match (name.as_str(), first, second) {
                ("bin", (value, Kind::Time), Some((Bound::Literal(Value::Span(width)), Kind::Span))) if width > 0 => {
                    (Bound::Bin(of(value), width), Kind::Time)
                }
                ("isnotnull", (value, _), None) => (Bound::Not(of(Bound::IsNull(of(value)))), Kind::Bool),
                ("isnull", (value, _), None) => (Bound::IsNull(of(value)), Kind::Bool),
                ("not", (value, Kind::Bool), None) => (Bound::Not(of(value)), Kind::Bool),
                ("toint", (value, kind), None) if kind.is_number() || kind == Kind::Text => {
                    (Bound::ToInt(of(value)), Kind::Int)
                }
                ("tolower", (value, Kind::Text), None) => (Bound::Lower(of(value)), Kind::Text),
                ("bin" | "isnotnull" | "isnull" | "not" | "toint" | "tolower", ..) => return Err(wrong()),
                (name, ..) => return Err(unknown_function(name)),
            }
        }
    })
}

impl Bound {
    fn of(&self, row: &Row) -> Value {
        match self {
            Self::All(all) => Value::Bool(all.iter().all(|one| one.of(row).is_true())),
            Self::Any(all) => Value::Bool(all.iter().any(|one| one.of(row).is_true())),
            Self::Bin(value, width) => {
                let Value::Time(at) = value.of(row) else { return Value::Null };
                Value::Time(at.div_euclid(*width).saturating_mul(*width))
            }
            Self::Column(place) => row.values.get(*place).cloned().unwrap_or(Value::Null),
            Self::Compare(operator, left, right) => {
                let (left, right) = (left.of(row), right.of(row));
                let without_case = || match (&left, &right) {
                    (Value::Text(a), Value::Text(b)) => a.eq_ignore_ascii_case(b),
                    _ => false,
                };
                let Some(order) = left.order(&right) else { return Value::Null };
                Value::Bool(match *operator {
                    "==" => order.is_eq(),
                    "!=" => order.is_ne(),
                    "=~" => without_case(),
                    "!~" => !without_case(),
                    ">=" => order.is_ge(),
                    "<=" => order.is_le(),
                    "<" => order.is_lt(),
                    _ => order.is_gt(),
                })
            }
            Self::In(one, among, without_case) => {
                let one = one.of(row);
                let same = |other: &Value| match (&one, other) {
                    (Value::Text(a), Value::Text(b)) if *without_case => a.eq_ignore_ascii_case(b),
                    (one, other) => one.order(other).is_some_and(Ordering::is_eq),
                };
                Value::Bool(among.iter().any(|other| same(&other.of(row))))
            }
            Self::IsNull(value) => Value::Bool(value.of(row) == Value::Null),
            Self::Literal(value) => value.clone(),
            Self::Lower(value) => {
                let Value::Text(text) = value.of(row) else { return Value::Null };
                Value::Text(text.to_lowercase().into())
            }
            Self::Not(value) => {
                let Value::Bool(value) = value.of(row) else { return Value::Null };
                Value::Bool(!value)
            }
            Self::ToInt(value) => match value.of(row) {
                Value::Int(value) => Value::Int(value),
                Value::Real(value) => Value::Int(value as i64),
                Value::Text(text) => text.trim().parse().map_or(Value::Null, Value::Int),
                Value::Bool(_) | Value::Null | Value::Span(_) | Value::Time(_) => Value::Null,
            },
        }
    }
}
