//! What a rollout did, line by line: enough to go on after a crash, and to explain every step.
//!
//! - `record`: a line, versioned and checksummed
//! - [`Store`]: where lines are kept; [`Folder`] keeps them in files. Shared stores come behind the same trait
//! - [`Journal`]: writes a rollout's lines, each before its action is performed
//! - [`replay()`]: reads them back, and takes every step again
//!
//! A line that cannot be written is an error value, never the end of a rollout: it is kept and written with the next.

mod checksum;
mod folder;
mod record;
mod replay;
mod store;

pub use folder::Folder;
pub use record::{Asked, Basis, Header, Record};
pub use replay::{Replay, header_of, replay};
pub use store::{JournalError, Lock, Place, Store};

use record::{Line, Lines};

/// The journal of one rollout, for its one writer.
#[derive(Debug)]
pub struct Journal<'a> {
    store: &'a dyn Store,
    name: String,
    /// How many bytes of it are known to be stored.
    stored: u64,
    lines: Lines,
    /// Lines that are not stored yet.
    unsaved: String,
    /// Keeps other runs away.
    _lock: Option<Lock>,
}

impl<'a> Journal<'a> {
    /// Begins the journal of a rollout, and stores its plan.
    ///
    /// # Errors
    /// There is one of that name, or it cannot be stored; the journal can be used all the same, and tries again.
    pub fn begin(store: &'a dyn Store, header: &Header) -> (Self, Result<(), JournalError>) {
        let name = header.plan.terms().id.clone();
        let mut journal = Self { store, name, stored: 0, lines: Lines::default(), unsaved: String::new(), _lock: None };
        let begun = journal.push(&Line::Header(Box::new(header.clone()))).and_then(|()| journal.lock());
        (journal, begun)
    }

    /// Goes on with the journal that was read. A torn last line is cut off by the next append.
    ///
    /// # Errors
    /// `InUse`: another run goes on with it.
    pub fn go_on(store: &'a dyn Store, replay: &Replay) -> Result<Self, JournalError> {
        let name = replay.header.plan.terms().id.clone();
        let (stored, lines) = (replay.whole, replay.lines);
        let mut journal = Self { store, name, stored, lines, unsaved: String::new(), _lock: None };
        journal.lock()?;
        Ok(journal)
    }

    fn lock(&mut self) -> Result<(), JournalError> {
        self._lock = self.store.lock(&self.name)?;
        Ok(())
    }

    /// Stores a step, to the disk, with all lines that could not be stored before.
    ///
    /// # Errors
    /// It could not be stored, and is kept for the next time.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        self.push(&Line::Step(Box::new(record.clone())))
    }

    /// Whether there are lines that are not stored.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.unsaved.is_empty()
    }

    fn push(&mut self, line: &Line) -> Result<(), JournalError> {
        let text = self
            .lines
            .write(line)
            .map_err(|e| JournalError::Unwritable { file: self.name.clone(), message: e.to_string() })?;
        self.unsaved.push_str(&text);
        self.store.append(&self.name, self.stored, self.unsaved.as_bytes())?;
        self.stored = self.stored.saturating_add(u64::try_from(self.unsaved.len()).unwrap_or(u64::MAX));
        self.unsaved.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
