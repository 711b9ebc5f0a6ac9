//! A line: `{"v":2,"crc":"89abcdef","line":{...}}`.
//!
//! The checksum goes on from that of the line before, so a line that is missing, doubled or moved is seen too.

use std::collections::BTreeMap;

use mlroll_backend::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checksum::crc32;
use crate::judge::panel::Evidence;
use crate::rollout::engine::{Action, Input, Plan};

/// What a journal is about: its first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The target.
    pub target: String,
    /// When it was begun.
    pub at: Timestamp,
    /// Why, in a person's words.
    pub reason: Option<String>,
    /// The plan, frozen.
    pub plan: Plan,
    /// Where the numbers come from and what is counted, by the keys of `metrics`, frozen too. Empty for a run without gates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, String>,
}

/// A step: what happened, and what was done about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub input: Input,
    /// What is done about it. Written before it is.
    pub action: Action,
    /// What the judge needs to go on from here, and to explain itself. The engine does not read it.
    pub evidence: Option<Value>,
    /// What the judge was told, so that it can be asked again. Lines of format 1 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
}

/// What evidence is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// What each gate asks for, in their order: told whenever a process takes the run up.
    Asked(Vec<Asked>),
    /// What the judged windows held: for each, in their order, what it says to each gate.
    Read(Vec<Vec<Evidence>>),
}

/// What a gate asks its store for, with everything filled in; `None` when the store has no words for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The gate.
    pub gate: String,
    /// About the revision on trial.
    pub candidate: Option<String>,
    /// About the revision in charge.
    pub stable: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Header(Box<Header>),
    Step(Box<Record>),
}

/// The lines of a journal in their order: what the next one goes on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    crc: u32,
}

/// Why bytes are no line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// Byte of the line, from 0, and what is wrong there.
    At(usize, String),
    /// A later program wrote it.
    Version(String),
}

const OPENING: &str = r#"{"v":"#;
const VERSION: &str = "2";
/// Read too; it knows no `basis`.
const FIRST: &str = "1";
const BEFORE_CRC: &str = r#","crc":""#;
const BEFORE_LINE: &str = r#"","line":"#;
const CLOSING: &str = "}";

impl Lines {
    /// Writes the next line.
    pub(super) fn write(&mut self, line: &Line) -> Result<String, serde_json::Error> {
        let text = serde_json::to_string(line)?;
        let crc = sum(self.crc, VERSION, text.as_bytes());
        self.crc = crc;
        Ok(format!("{OPENING}{VERSION}{BEFORE_CRC}{crc:08x}{BEFORE_LINE}{text}{CLOSING}\n"))
    }

    /// Reads the next line, without its line feed.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Line, Damage> {
        let at = |n: usize, what: &str| Damage::At(n, what.to_owned());
        let rest = bytes.strip_prefix(OPENING.as_bytes()).ok_or_else(|| at(0, "this is no line of a journal"))?;
        let (version, rest) = version_of(rest)?;
        let mut place = OPENING.len() + version.len();
        let rest = rest.strip_prefix(BEFORE_CRC.as_bytes()).ok_or_else(|| at(place, "no checksum"))?;
        place += BEFORE_CRC.len();
        let (crc, rest) = rest.split_at_checked(8).ok_or_else(|| at(place, "no checksum"))?;
        let told = place;
        place += crc.len();
        let rest = rest.strip_prefix(BEFORE_LINE.as_bytes()).ok_or_else(|| at(place, "no content"))?;
        place += BEFORE_LINE.len();
        let text = rest.strip_suffix(CLOSING.as_bytes()).ok_or_else(|| at(bytes.len(), "no end"))?;
        let found = sum(self.crc, version, text);
        if format!("{found:08x}").as_bytes() != crc {
            return Err(at(told, "the checksum does not fit: a byte has changed, or a line is missing"));
        }
        let line =
            serde_json::from_slice(text).map_err(|e| at(place + e.column().saturating_sub(1), &e.to_string()))?;
        self.crc = found;
        Ok(line)
    }
}

/// The checksum of a line that goes on from another. In format 1 it did not cover the version.
fn sum(before: u32, version: &str, text: &[u8]) -> u32 {
    let before = if version == FIRST { before } else { crc32(before, version.as_bytes()) };
    crc32(before, text)
}

fn version_of(rest: &[u8]) -> Result<(&'static str, &[u8]), Damage> {
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (version, rest) = rest.split_at_checked(digits).unwrap_or((rest, &[]));
    let version = String::from_utf8_lossy(version).into_owned();
    match version.as_str() {
        FIRST => Ok((FIRST, rest)),
        VERSION => Ok((VERSION, rest)),
        "" => Err(Damage::At(OPENING.len(), "no version".to_owned())),
        _ => Err(Damage::Version(version)),
    }
}
