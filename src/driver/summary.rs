//! The file that says what an experiment came to.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use mlroll_backend::Target;

use super::Bench;
use crate::rollout::engine::Rollout;

/// Says that an experiment runs, by the rule that was frozen: what is there of another run is not to be taken for what this one
/// came to. Nothing where it is none, and where the place is no file: a pipe gets the end alone.
///
/// # Errors
/// The file cannot be written; it is as it was.
pub(super) fn begin(path: &Path, bench: &Bench, target: &Target, rollout: &Rollout) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Ok(());
    }
    bench.running(target, rollout).map_or(Ok(()), |found| replace(path, &format!("{found:#}\n")))
}

/// Writes the whole text or leaves what was there. What is no file, such as a pipe, is written to as it is.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = match fs::metadata(path) {
        Ok(there) if !there.is_file() => return fs::write(path, text),
        Ok(_) => fs::canonicalize(path)?,
        Err(_) => path.to_owned(),
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, &path)
    });
    if written.is_err() {
        // Best effort: what stays behind is named after this process.
        let _ = fs::remove_file(&part);
    }
    written
}
