//! Faults on demand: what goes wrong, for which requests, how often.

mod spec;

use serde_json::{Value, json};

use crate::api::{Operation, Twist};

pub(crate) use spec::parse;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Answered with an error in the API's own format; not carried out.
    Status,
    /// Carried out at once and answered late.
    Latency,
    /// The connection is reset; not carried out.
    ResetBefore,
    /// Carried out, and the connection is reset.
    ResetAfter,
    /// Carried out; the answer ends in the middle, and the connection with it.
    Truncate,
    /// Only the API itself can play it.
    Twist(Twist),
}

impl Kind {
    /// All of them, with their names.
    pub(crate) const ALL: [(Self, &'static str); 10] = [
        (Self::Status, "status"),
        (Self::Latency, "latency"),
        (Self::ResetBefore, "reset_before"),
        (Self::ResetAfter, "reset_after"),
        (Self::Truncate, "truncate"),
        (Self::Twist(Twist::Stale), "stale"),
        (Self::Twist(Twist::SettleForever), "settle_forever"),
        (Self::Twist(Twist::SettleCanceled), "settle_canceled"),
        (Self::Twist(Twist::SettleFailed), "settle_failed"),
        (Self::Twist(Twist::ForeignWrite), "foreign_write"),
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Whether the request goes on to the faults behind it, and in the end to the API.
    const fn lets_pass(self) -> bool {
        matches!(self, Self::Latency | Self::Twist(Twist::ForeignWrite))
    }
}

/// A fault, and the requests it befalls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) api: &'static str,
    /// None: any that the fault makes sense for.
    pub(crate) operation: Option<String>,
    /// As in the request log, or its part before the `@`; none: any.
    pub(crate) target: Option<String>,
    /// How many such requests are let through first.
    pub(crate) skip: u64,
    /// How many it befalls.
    pub(crate) times: u64,
    pub(crate) kind: Kind,
    /// The status of an error.
    pub(crate) status: http::StatusCode,
    /// The code of an error; none: the one that goes with the status.
    pub(crate) code: Option<String>,
    /// How much later the answer is sent.
    pub(crate) latency_ms: u64,
}

impl Fault {
    fn befalls(&self, api: &str, operation: &Operation) -> bool {
        let target = self.target.as_deref();
        self.api == api
            && self.operation.as_deref().is_none_or(|name| name == operation.name)
            && target.is_none_or(|wanted| {
                let found = operation.target.as_deref().unwrap_or_default();
                found.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
            })
    }

    /// As `GET /_sandbox/faults` shows it.
    fn shown(&self) -> Value {
        let mut shown = json!({
            "api": self.api,
            "operation": self.operation,
            "target": self.target,
            "skip": self.skip,
            "times": self.times,
            "fault": self.kind.name(),
            "latency_ms": self.latency_ms,
        });
        if let (Kind::Status, Value::Object(shown)) = (self.kind, &mut shown) {
            shown.insert("status".to_owned(), json!(self.status.as_u16()));
            shown.insert("code".to_owned(), json!(self.code));
        }
        shown
    }
}

/// The faults in force, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Book {
    count: u64,
    faults: Vec<(u64, Fault)>,
}

impl Book {
    /// Adds a fault behind the others; an error when there are too many.
    pub(crate) fn add(&mut self, fault: Fault) -> Result<Value, String> {
        if self.faults.len() >= MOST {
            return Err(format!("there are {MOST} faults already: DELETE /_sandbox/faults"));
        }
        self.count += 1;
        let shown = fault.shown();
        self.faults.push((self.count, fault));
        Ok(shown)
    }

    /// Takes the faults that befall a request, and counts them.
    ///
    /// They are tried in the order in which they were added. One that answers the request itself hides it from the
    /// later ones, so that several on the same operation befall consecutive requests; [`Kind::Latency`] and
    /// [`Twist::ForeignWrite`] let it go on, and so combine with whatever comes after them.
    pub(crate) fn strike(
        &mut self,
        api: &str,
        operation: &Operation,
        can: impl Fn(Twist) -> bool,
    ) -> Vec<(u64, Fault)> {
        let mut struck = Vec::new();
        for (id, fault) in &mut self.faults {
            let possible = match fault.kind {
                Kind::Twist(twist) => can(twist),
                Kind::Status | Kind::Latency | Kind::ResetBefore | Kind::ResetAfter | Kind::Truncate => true,
            };
            if fault.times == 0 || !possible || !fault.befalls(api, operation) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times -= 1;
            struck.push((*id, fault.clone()));
            if !fault.kind.lets_pass() {
                break;
            }
        }
        struck
    }

    /// Gives back a strike that had no effect.
    pub(crate) fn refund(&mut self, id: u64) {
        if let Some((_, fault)) = self.faults.iter_mut().find(|(other, _)| *other == id) {
            fault.times += 1;
        }
    }

    /// Forgets those that are used up.
    pub(crate) fn tidy(&mut self) {
        self.faults.retain(|(_, fault)| fault.times > 0);
    }

    /// Forgets all, and tells how many were left.
    pub(crate) fn clear(&mut self) -> usize {
        std::mem::take(&mut self.faults).len()
    }

    /// The faults that can still strike.
    pub(crate) fn shown(&self) -> Value {
        self.faults.iter().map(|(_, fault)| fault.shown()).collect()
    }
}

/// Each request is compared with all of them.
const MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: Kind) -> Fault {
        Fault {
            api: "lambda",
            operation: None,
            target: None,
            skip: 0,
            times: 1,
            kind,
            status: http::StatusCode::INTERNAL_SERVER_ERROR,
            code: None,
            latency_ms: 0,
        }
    }

    fn get(target: &str) -> Operation {
        Operation { name: "GetAlias", target: Some(target.to_owned()) }
    }

    fn kinds(book: &mut Book, operation: &Operation) -> Vec<Kind> {
        let struck = book.strike("lambda", operation, |_| true).into_iter().map(|(_, f)| f.kind).collect();
        book.tidy();
        struck
    }

    #[test]
    fn those_that_let_pass_combine_and_the_others_take_turns() {
        let mut book = Book::default();
        for kind in [Kind::Latency, Kind::Status, Kind::Twist(Twist::ForeignWrite), Kind::Truncate] {
            book.add(fault(kind)).unwrap();
        }
        let operation = get("fraud@prod");
        assert_eq!(kinds(&mut book, &operation), [Kind::Latency, Kind::Status]);
        assert_eq!(kinds(&mut book, &operation), [Kind::Twist(Twist::ForeignWrite), Kind::Truncate]);
        assert_eq!(kinds(&mut book, &operation), []);
        assert_eq!(book.shown(), json!([]));
    }

    #[test]
    fn only_what_is_meant_is_struck() {
        let mut book = Book::default();
        book.add(Fault { target: Some("fraud".into()), skip: 1, times: 2, ..fault(Kind::Status) }).unwrap();
        assert_eq!(kinds(&mut book, &get("fraud-0001@prod")), []);
        assert_eq!(kinds(&mut book, &get("fraud@prod")), [], "the first is skipped");
        assert_eq!(book.strike("cloudwatch", &get("fraud"), |_| true), []);
        assert_eq!(kinds(&mut book, &get("fraud")).len(), 1);
        assert_eq!(kinds(&mut book, &get("fraud@3")).len(), 1);
        assert_eq!(kinds(&mut book, &get("fraud")), []);
    }

    #[test]
    fn a_strike_without_effect_is_given_back() {
        let mut book = Book::default();
        book.add(fault(Kind::Twist(Twist::Stale))).unwrap();
        assert!(book.strike("lambda", &get("fraud"), |_| false).is_empty());
        let struck = book.strike("lambda", &get("fraud"), |_| true);
        book.refund(struck[0].0);
        book.tidy();
        assert_eq!(kinds(&mut book, &get("fraud")).len(), 1);
    }
}
