//! Journals as files of a folder: `NAME.jsonl`.

#[cfg(unix)]
use std::fs::TryLockError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{JournalError, Lock, Store};

/// Journals as files of a folder, which is made by the first write.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    summary: Option<PathBuf>,
}

const ENDING: &str = "jsonl";
const HOLD: &str = "hold";

impl Folder {
    /// Journals in `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { root: path.into(), summary: None }
    }

    /// The same, where what an experiment comes to is written to `path` besides: from its beginning on it says that it runs.
    #[must_use]
    pub fn with_summary(self, path: impl Into<PathBuf>) -> Self {
        Self { summary: Some(path.into()), ..self }
    }

    /// Where what an experiment comes to is written.
    #[must_use]
    pub fn summary(&self) -> Option<&Path> {
        self.summary.as_deref()
    }

    fn path(&self, name: &str) -> Result<PathBuf, JournalError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
            return Err(JournalError::Missing { file: name.escape_debug().to_string() });
        }
        Ok(self.root.join(name).with_extension(ENDING))
    }
}

impl Folder {
    /// Asks the run of that name to hold, before its next write.
    ///
    /// # Errors
    /// The request cannot be left.
    pub fn request_hold(&self, name: &str) -> Result<(), JournalError> {
        let path = self.path(name)?.with_extension(HOLD);
        fs::write(&path, b"")
            .map_err(|e| JournalError::Unwritable { file: path.display().to_string(), message: e.to_string() })
    }

    /// Whether the run of that name was asked to hold; the request is taken.
    #[must_use]
    pub fn take_hold(&self, name: &str) -> bool {
        self.path(name).is_ok_and(|path| fs::remove_file(path.with_extension(HOLD)).is_ok())
    }
}

impl Store for Folder {
    fn append(&self, name: &str, after: u64, bytes: &[u8]) -> Result<(), JournalError> {
        let path = self.path(name)?;
        let unwritable = |e: io::Error| JournalError::Unwritable { file: self.place(name), message: e.to_string() };
        let mut file = match open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                make_folder(&self.root).and_then(|()| create(&path)).map_err(unwritable)?
            }
            opened => opened.map_err(unwritable)?,
        };
        match rest_is_ours(&mut file, after, bytes) {
            Ok(true) => {}
            Ok(false) => return Err(JournalError::Taken { file: self.place(name) }),
            Err(e) => return Err(unwritable(e)),
        }
        let written = write(&mut file, after, bytes);
        if written.is_err() {
            // Best effort: what stays behind is cut off by the next append, or read as a torn line.
            let _ = file.set_len(after);
        }
        written.map_err(unwritable)
    }

    /// On the file itself, so that nothing is left behind by a run that is killed. Elsewhere a lock would keep out this
    /// process' own appends too; there the lengths of appends tell two runs apart.
    #[cfg(unix)]
    fn lock(&self, name: &str) -> Result<Option<Lock>, JournalError> {
        let Ok(file) = File::open(self.path(name)?) else {
            return Ok(None);
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Err(JournalError::InUse { file: self.place(name) }),
            // Not every file system can; then the lengths of appends tell two runs apart.
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
        match fs::read(self.path(name)?) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(JournalError::Unreadable { file: self.place(name), message: e.to_string() }),
        }
    }

    fn list(&self) -> Result<Vec<String>, JournalError> {
        let unreadable =
            |e: io::Error| JournalError::Unreadable { file: self.root.display().to_string(), message: e.to_string() };
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(unreadable(e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            // Whatever else has such a name, a pipe say, is not waited for.
            if !path.is_file() {
                continue;
            }
            let name = path.file_stem().and_then(|name| name.to_str());
            if let Some(name) = name.filter(|name| self.path(name).is_ok_and(|known| known == path)) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn place(&self, name: &str) -> String {
        self.root.join(format!("{name}.{ENDING}")).display().to_string()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Makes the file, and makes its name survive a power cut.
fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    path.parent().map_or(Ok(()), sync_folder)?;
    Ok(file)
}

/// Makes the folder and those around it, and makes their names survive.
fn make_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let around = path.parent().filter(|around| !around.as_os_str().is_empty());
    around.map_or(Ok(()), make_folder)?;
    match fs::create_dir(path) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
        Ok(()) | Err(_) => {}
    }
    sync_folder(around.unwrap_or(Path::new(".")))
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

/// A folder cannot be opened as a file here, and its names are stored with it.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether what lies behind the first `after` bytes is left of an append that failed: a torn line, or a beginning of what
/// is appended now.
fn rest_is_ours(file: &mut File, after: u64, bytes: &[u8]) -> io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    if length <= after {
        return Ok(length == after);
    }
    file.seek(SeekFrom::Start(after))?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    Ok(bytes.starts_with(&rest) || !rest.contains(&b'\n'))
}

fn write(file: &mut File, after: u64, bytes: &[u8]) -> io::Result<()> {
    if file.seek(SeekFrom::End(0))? != after {
        file.set_len(after)?;
    }
    file.seek(SeekFrom::Start(after))?;
    file.write_all(bytes)?;
    file.sync_all()
}
