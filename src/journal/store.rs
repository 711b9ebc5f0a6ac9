//! Where journals are kept.

use std::any::Any;
use std::fmt::{self, Debug};

/// Keeps journals by name, each a text that only grows.
///
/// A name is that of a rollout: 1 to 64 characters of `A-Z a-z 0-9 -`.
pub trait Store: Debug + Send + Sync {
    /// Puts `bytes` behind the first `after` bytes of the journal, and returns when they would survive a power cut.
    ///
    /// # Behaviour
    /// - `after` is 0 for a journal that is not there yet.
    /// - What is left of an append that failed is cut off first; whole lines of somebody else are not.
    ///
    /// # Errors
    /// The journal is not as long as that, somebody else wrote to it, or it cannot be written.
    fn append(&self, name: &str, after: u64, bytes: &[u8]) -> Result<(), JournalError>;

    /// Keeps others from going on with the journal, until what is returned is dropped or this process ends.
    ///
    /// # Behaviour
    /// - Appends and reads, from any process, are not kept from anything: an append that follows on what it should is good.
    /// - `None` where the store cannot lock, or there is no journal yet.
    ///
    /// # Errors
    /// `InUse`: somebody else keeps it.
    fn lock(&self, _name: &str) -> Result<Option<Lock>, JournalError> {
        Ok(None)
    }

    /// Reads a whole journal; `None` when there is none of that name.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, JournalError>;

    /// The names of all journals, in order.
    ///
    /// # Errors
    /// They cannot be listed.
    fn list(&self) -> Result<Vec<String>, JournalError>;

    /// What people call the journal of that name: a path, a URL.
    fn place(&self, name: &str) -> String;
}

/// What keeps a journal to one run, as long as it is there.
pub type Lock = Box<dyn Any + Send + Sync>;

/// A byte of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The journal.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The byte in the file, from 0.
    pub byte: u64,
}

/// What is wrong with a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// What it holds was not written by us.
    Damaged {
        /// Where.
        place: Place,
        /// What it is.
        message: String,
    },
    /// Taking its steps again does not lead to the actions it names.
    Differs {
        /// Where.
        place: Place,
    },
    /// Another run goes on with it.
    InUse {
        /// The journal.
        file: String,
    },
    /// There is none of that name, or nothing whole is in it.
    Missing {
        /// The journal.
        file: String,
    },
    /// Somebody else wrote to it, or it is there already.
    Taken {
        /// The journal.
        file: String,
    },
    /// It cannot be read.
    Unreadable {
        /// The journal, or where journals are.
        file: String,
        /// Why.
        message: String,
    },
    /// It cannot be written: a full disk, a read-only folder.
    Unwritable {
        /// The journal.
        file: String,
        /// Why.
        message: String,
    },
    /// A program of another version wrote it.
    Version {
        /// Where.
        place: Place,
        /// The version.
        found: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}, byte {}", self.file, self.line, self.byte)
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { place, message } => write!(f, "the journal is damaged: {place}: {message}"),
            Self::Differs { place } => {
                write!(f, "the journal does not follow from itself: {place}: this program would have acted otherwise")
            }
            Self::InUse { file } => write!(f, "another run is going on with the journal {file}"),
            Self::Missing { file } => write!(f, "there is no journal {file}"),
            Self::Taken { file } => write!(f, "someone else has written to the journal {file}"),
            Self::Unreadable { file, message } => write!(f, "the journal {file} cannot be read: {message}"),
            Self::Unwritable { file, message } => write!(f, "the journal {file} cannot be written: {message}"),
            Self::Version { place, found } => {
                write!(f, "{place}: written by another version of mlroll (format {found}; this one reads 1 and 2)")
            }
        }
    }
}

impl std::error::Error for JournalError {}
