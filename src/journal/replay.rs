//! From a journal back to the rollout.

use mlroll_backend::Timestamp;

use super::record::{Damage, Line, Lines};
use super::{Header, JournalError, Place, Record, Store};
use crate::rollout::engine::Rollout;

/// A journal that was read, and the rollout it leads to.
#[derive(Debug)]
pub struct Replay {
    /// What it is about.
    pub header: Header,
    /// Its steps.
    pub records: Vec<Record>,
    /// The rollout after the last of them.
    pub rollout: Rollout,
    /// When the stage began that it is at.
    entered: Timestamp,
    /// How many bytes belong to whole lines. A torn line behind them was never acted upon.
    pub(super) whole: u64,
    pub(super) lines: Lines,
}

impl Replay {
    /// When the stage began that it is at; of one that shifted nothing, the run.
    #[must_use]
    pub fn entered(&self) -> Timestamp {
        self.entered
    }

    /// What the judge stored last.
    #[must_use]
    pub fn evidence(&self) -> Option<&serde_json::Value> {
        self.records.iter().rev().find_map(|record| record.evidence.as_ref())
    }
}

/// Reads a journal and takes every step again.
///
/// The last line may be torn, by a crash in the middle of its write: then it was not acted upon, and it is passed over.
///
/// # Errors
/// There is no such journal, it cannot be read, any other byte of it is not as it was written, another version wrote it, or
/// the steps lead to other actions than it names.
pub fn replay(store: &dyn Store, name: &str) -> Result<Replay, JournalError> {
    let file = store.place(name);
    let bytes = store.read(name)?.ok_or_else(|| JournalError::Missing { file: file.clone() })?;
    let mut reader = Reader { file, rest: &bytes, line: 1, byte: 0, lines: Lines::default() };
    let missing = JournalError::Missing { file: reader.file.clone() };
    let header = match reader.next()?.ok_or(missing)? {
        (_, Line::Header(header)) => *header,
        (place, Line::Step(_)) => return Err(no_header(place)),
    };
    let mut rollout = Rollout::new(header.plan.clone());
    let mut records = Vec::new();
    let mut entered = header.at;
    while let Some((place, line)) = reader.next()? {
        let Line::Step(record) = line else {
            return Err(JournalError::Damaged { place, message: "a second beginning".to_owned() });
        };
        let stage = rollout.stage();
        if rollout.step(record.input.clone(), record.at) != record.action {
            return Err(JournalError::Differs { place });
        }
        if rollout.stage() != stage {
            entered = record.at;
        }
        records.push(*record);
    }
    Ok(Replay { header, records, rollout, entered, whole: reader.byte, lines: reader.lines })
}

/// What a journal is about, by its first line alone: also of one that is damaged further on.
///
/// # Errors
/// There is no such journal, it cannot be read, or its first line is not as it was written.
pub fn header_of(store: &dyn Store, name: &str) -> Result<Header, JournalError> {
    let file = store.place(name);
    let bytes = store.read(name)?.ok_or_else(|| JournalError::Missing { file: file.clone() })?;
    let mut reader = Reader { file: file.clone(), rest: &bytes, line: 1, byte: 0, lines: Lines::default() };
    match reader.next()?.ok_or(JournalError::Missing { file })? {
        (_, Line::Header(header)) => Ok(*header),
        (place, Line::Step(_)) => Err(no_header(place)),
    }
}

fn no_header(place: Place) -> JournalError {
    JournalError::Damaged { place, message: "the first line does not say what the journal is about".to_owned() }
}

struct Reader<'a> {
    file: String,
    rest: &'a [u8],
    line: u64,
    byte: u64,
    lines: Lines,
}

impl Reader<'_> {
    /// The next whole line.
    fn next(&mut self) -> Result<Option<(Place, Line)>, JournalError> {
        let Some(length) = self.rest.iter().position(|b| *b == b'\n') else {
            return self.torn().map(|()| None);
        };
        let (line, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        let place = self.place(0);
        let read = self.lines.read(line).map_err(|damage| self.damaged(damage))?;
        self.rest = rest.get(1..).unwrap_or_default();
        self.byte = self.byte.saturating_add(u64::try_from(length).unwrap_or(u64::MAX)).saturating_add(1);
        self.line += 1;
        Ok(Some((place, read)))
    }

    /// What is left is the beginning of a line, or it is damaged: a line feed that has changed would make a line longer
    /// than whole.
    fn torn(&self) -> Result<(), JournalError> {
        let Some((_, line)) = self.rest.split_last() else {
            return Ok(());
        };
        let mut lines = self.lines;
        match lines.read(line) {
            Ok(_) => Err(self.damaged(Damage::At(line.len(), "the line does not end here".to_owned()))),
            Err(_) => Ok(()),
        }
    }

    fn place(&self, at: usize) -> Place {
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        Place { file: self.file.clone(), line: self.line, byte: self.byte.saturating_add(at) }
    }

    fn damaged(&self, damage: Damage) -> JournalError {
        match damage {
            Damage::At(at, message) => JournalError::Damaged { place: self.place(at), message },
            Damage::Version(found) => JournalError::Version { place: self.place(0), found },
        }
    }
}
