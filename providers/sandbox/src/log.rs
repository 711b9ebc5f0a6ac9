//! The record of what was asked of the clouds.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::Value;

/// One request, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    /// The position in the order of arrival, from 1, over the whole life of the sandbox.
    pub(crate) n: u64,
    /// When it arrived, in the sandbox's time.
    pub(crate) at: String,
    /// The API; null for a request that is nobody's.
    pub(crate) api: Option<&'static str>,
    pub(crate) operation: Option<&'static str>,
    pub(crate) target: Option<String>,
    pub(crate) method: String,
    /// As sent, without the query.
    pub(crate) path: String,
    /// As sent; empty without one.
    pub(crate) query: String,
    /// What was sent as JSON; null for anything else, and for more than [`MOST_BODY`].
    pub(crate) body: Option<Value>,
    /// The status sent; null when the connection was cut.
    pub(crate) status: Option<u16>,
}

/// A larger body is not kept, in bytes.
const MOST_BODY: usize = 16 * 1024;

/// A body as it is kept.
pub(crate) fn kept(body: &[u8]) -> Option<Value> {
    if body.len() > MOST_BODY { None } else { serde_json::from_slice(body).ok() }
}

/// The latest requests, in order of arrival.
#[derive(Debug)]
pub(crate) struct Log {
    most: usize,
    count: u64,
    entries: VecDeque<Entry>,
}

impl Log {
    /// A log that forgets the oldest beyond `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, count: 0, entries: VecDeque::new() }
    }

    /// Records a request; its number is given here.
    pub(crate) fn record(&mut self, entry: Entry) {
        self.count += 1;
        if self.most == 0 {
            return;
        }
        while self.entries.len() >= self.most {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { n: self.count, ..entry });
    }

    /// Forgets all; the numbering goes on.
    pub(crate) fn clear(&mut self) -> usize {
        std::mem::take(&mut self.entries).len()
    }

    pub(crate) const fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_and_counts_on() {
        let entry = |path: &str| Entry {
            n: 0,
            at: String::new(),
            api: None,
            operation: None,
            target: None,
            method: "GET".into(),
            path: path.into(),
            query: String::new(),
            body: None,
            status: Some(404),
        };
        let mut log = Log::new(2);
        ["/1", "/2", "/3"].into_iter().for_each(|path| log.record(entry(path)));
        let kept: Vec<(u64, &str)> = log.entries().iter().map(|e| (e.n, e.path.as_str())).collect();
        assert_eq!(kept, [(2, "/2"), (3, "/3")]);
        assert_eq!(log.clear(), 2);
        log.record(entry("/4"));
        assert_eq!(log.entries()[0].n, 4);
        let mut none = Log::new(0);
        none.record(entry("/1"));
        assert!(none.entries().is_empty());
    }

    #[test]
    fn keeps_what_is_json_and_not_too_long() {
        assert_eq!(kept(br#"{"a": 1}"#), Some(serde_json::json!({ "a": 1 })));
        assert_eq!(kept(format!("\"{}\"", "x".repeat(MOST_BODY)).as_bytes()), None);
        assert_eq!((kept(b""), kept(b"grant_type=x&assertion=y")), (None, None));
    }
}
