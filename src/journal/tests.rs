//! Journals of a rollout that goes well, and what can become of their files.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mlroll_backend::{GuardToken, Nature, Readiness, Roles, Snapshot, Timestamp, TrafficSplit, Weight, extract};
use proptest::prelude::*;
use serde_json::json;

use super::record::{Line, Lines};
use super::*;
use crate::rollout::engine::{Action, Ended, Input, Kind, Look, Plan, Reaction, Rollout, Terms, Verdict};

fn header() -> Header {
    let weight = |bp| Weight::from_basis_points(bp).unwrap();
    let second = Duration::from_secs(1);
    let terms = Terms {
        id: "01JJOURNAL".to_owned(),
        kind: Kind::Rollout,
        stable: "41".parse().unwrap(),
        candidate: "42".parse().unwrap(),
        previous: None,
        steps: vec![weight(1000), Weight::FULL],
        bake: second * 180,
        judged: true,
        warm_up: second * 30,
        min_bake: second * 120,
        look: second * 60,
        settle_delay: second * 30,
        kept: None,
        watch_after: Duration::ZERO,
        // One third has no end in binary.
        alpha: 1.0 / 3.0,
        beta: 0.05,
        on_fail: Reaction::Rollback,
        on_inconclusive: Reaction::Hold,
        on_starved: Reaction::Rollback,
        no_data_budget: second * 600,
        settle_timeout: second * 600,
        note_limit: 256,
        overtakes: true,
        capacity: false,
        restores_when_halted: false,
        experiment: None,
        score: None,
    };
    let plan = Plan::new(terms, weight(1)).unwrap();
    let target = "lambda:eu-west-1/fraud@prod".to_owned();
    Header {
        target,
        at: time(0),
        reason: Some("weekly \"release\"\n".to_owned()),
        plan,
        metrics: [("url".to_owned(), "http://a".to_owned())].into(),
    }
}

fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_unix_milliseconds(1_795_230_000_123 + milliseconds).unwrap()
}

fn snapshot(split: &TrafficSplit, note: &str, guard: usize) -> Snapshot {
    let marker = extract(note).1.filter(|marker| marker.fits(split));
    Snapshot {
        roles: Roles::of(split, marker.as_ref(), None),
        split: Some(split.clone()),
        marker,
        guard: GuardToken { token: guard.to_string(), own_text: String::new() },
        readiness: Readiness::Live,
        modified: None,
        taken_back: None,
        contents: None,
        replaced: None,
        nature: Nature::default(),
    }
}

/// Every step of a rollout that is promoted.
fn records() -> Vec<Record> {
    let header = header();
    let mut rollout = Rollout::new(header.plan);
    let (mut split, mut note, mut now) = (TrafficSplit::full("41".parse().unwrap()), String::new(), 0);
    let mut input = Input::Started;
    let mut records: Vec<Record> = Vec::new();
    loop {
        now += 41;
        let action = rollout.step(input.clone(), time(now));
        let evidence = matches!(action, Action::Sample(_)).then(|| json!({"ln_e": 0.1 + 0.2}));
        records.push(Record { at: time(now), input, action: action.clone(), evidence, basis: None });
        input = match action {
            Action::Done { ended, .. } => {
                assert_eq!(ended, Ended::Promoted);
                return records;
            }
            Action::Observe => Input::Observed(Box::new(snapshot(&split, &note, note.len()))),
            Action::Sample(windows) => Input::Judged(
                (1..=windows.count)
                    .map(|n| Look { ends: windows.from.plus(windows.length * n), verdict: Verdict::Pass })
                    .collect(),
            ),
            Action::Prepare(_) => Input::Prepared,
            Action::Restore { .. } => Input::Restored,
            Action::Size { .. } => Input::Sized(None),
            Action::Shift { to, marker, .. } => {
                (split, note) = (to, marker.to_string());
                Input::Accepted
            }
            Action::Wait { until, .. } => {
                now = until.unix_milliseconds() - time(0).unix_milliseconds();
                Input::TimeReached
            }
        };
    }
}

/// A journal of all steps, as text.
fn text() -> Vec<u8> {
    let mut lines = Lines::default();
    let mut text = lines.write(&Line::Header(Box::new(header()))).unwrap();
    for record in records() {
        text += &lines.write(&Line::Step(Box::new(record))).unwrap();
    }
    text.into_bytes()
}

/// One journal in memory.
#[derive(Debug)]
struct Memory(Vec<u8>);

impl Store for Memory {
    fn append(&self, name: &str, _: u64, _: &[u8]) -> Result<(), JournalError> {
        Err(JournalError::Unwritable { file: name.to_owned(), message: "it is kept in memory".to_owned() })
    }

    fn read(&self, _: &str) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(Some(self.0.clone()))
    }

    fn list(&self) -> Result<Vec<String>, JournalError> {
        Ok(Vec::new())
    }

    fn place(&self, name: &str) -> String {
        name.to_owned()
    }
}

fn read(bytes: Vec<u8>) -> Result<Replay, JournalError> {
    replay(&Memory(bytes), "j")
}

/// A folder that is full after so many further appends, in the middle of one.
#[derive(Debug)]
struct Filling {
    folder: Folder,
    left: AtomicUsize,
}

impl Filling {
    fn fill(&self, name: &str, after: u64, bytes: &[u8]) {
        let path = self.folder.place(name);
        let mut kept = std::fs::read(&path).unwrap();
        kept.truncate(usize::try_from(after).unwrap());
        kept.extend(&bytes[..bytes.len() * 2 / 3]);
        std::fs::write(path, kept).unwrap();
    }
}

impl Store for Filling {
    fn append(&self, name: &str, after: u64, bytes: &[u8]) -> Result<(), JournalError> {
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
            return self.folder.append(name, after, bytes);
        }
        self.fill(name, after, bytes);
        Err(JournalError::Unwritable { file: name.to_owned(), message: "full".to_owned() })
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.folder.read(name)
    }

    fn list(&self) -> Result<Vec<String>, JournalError> {
        self.folder.list()
    }

    fn place(&self, name: &str) -> String {
        self.folder.place(name)
    }
}

#[test]
fn reading_it_back_leads_to_the_same_rollout_from_any_line() {
    let home = tempfile::tempdir().unwrap();
    let records = records();
    let folder = Folder::new(home.path().join("state/journals"));
    let (mut journal, begun) = Journal::begin(&folder, &header());
    begun.unwrap();
    let mut straight = Rollout::new(header().plan);
    for record in &records {
        straight.step(record.input.clone(), record.at);
        journal.append(record).unwrap();
        // As after a crash: another process reads it, and goes on.
        let read = replay(&folder, "01JJOURNAL").unwrap();
        assert_eq!((&read.rollout, &read.header), (&straight, &header()));
        drop(journal);
        journal = Journal::go_on(&folder, &read).unwrap();
    }
    let read = replay(&folder, "01JJOURNAL").unwrap();
    assert_eq!(read.records, records);
    assert_eq!(read.evidence(), Some(&json!({"ln_e": 0.1 + 0.2})));
    assert_eq!(read.header.plan.terms().alpha.to_bits(), (1.0_f64 / 3.0).to_bits());
    assert_eq!(folder.list().unwrap(), ["01JJOURNAL"]);
    assert!(matches!(read.rollout.ended(), Some((Ended::Promoted, _))));
}

#[test]
fn a_torn_last_line_is_cut_off_by_the_next_append() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::new(home.path());
    let records = records();
    let (mut journal, _) = Journal::begin(&folder, &header());
    journal.append(&records[0]).unwrap();
    let path = home.path().join("01JJOURNAL.jsonl");
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend(br#"{"v":1,"crc":"00"#);
    std::fs::write(&path, torn).unwrap();
    let read = replay(&folder, "01JJOURNAL").unwrap();
    assert_eq!(read.records, records[..1]);
    drop(journal);
    Journal::go_on(&folder, &read).unwrap().append(&records[1]).unwrap();
    assert_eq!(replay(&folder, "01JJOURNAL").unwrap().records, records[..2]);
}

#[test]
fn lines_that_a_full_disk_refused_are_written_with_the_next() {
    let home = tempfile::tempdir().unwrap();
    let records = records();
    for room in 1..5 {
        let name = header().plan.terms().id.clone();
        let store = Filling { folder: Folder::new(home.path().join(room.to_string())), left: AtomicUsize::new(room) };
        let (mut journal, begun) = Journal::begin(&store, &header());
        begun.unwrap();
        let failed = Cell::new(0);
        for record in &records[..6] {
            failed.set(failed.get() + usize::from(journal.append(record).is_err()));
        }
        assert_eq!((failed.get(), journal.is_behind()), (7 - room, true));
        // What was left is a beginning of what happened, and is still read as one.
        assert!(records.starts_with(&replay(&store, &name).unwrap().records));
        store.left.store(9, Ordering::Relaxed);
        journal.append(&records[6]).unwrap();
        assert!(!journal.is_behind());
        assert_eq!(replay(&store, &name).unwrap().records, records[..7]);
    }
}

#[test]
fn what_cannot_be_written_is_an_error_to_report() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let folder = Folder::new(file.join("below"));
    let (mut journal, begun) = Journal::begin(&folder, &header());
    assert!(matches!(begun, Err(JournalError::Unwritable { .. })), "{begun:?}");
    assert!(matches!(journal.append(&records()[0]), Err(JournalError::Unwritable { .. })));
    assert!(journal.is_behind());
    std::fs::create_dir(home.path().join("01JJOURNAL.jsonl")).unwrap();
    let (_, begun) = Journal::begin(&Folder::new(home.path()), &header());
    assert!(matches!(begun, Err(JournalError::Unwritable { .. })), "{begun:?}");
    let read = replay(&Folder::new(home.path()), "01JJOURNAL");
    assert!(matches!(read, Err(JournalError::Unreadable { .. })), "{read:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_says_so() {
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", home.path().join("01JJOURNAL.jsonl")).unwrap();
    let (_, begun) = Journal::begin(&Folder::new(home.path()), &header());
    let message = begun.unwrap_err().to_string();
    assert!(message.contains("No space left on device"), "{message}");
}

#[test]
fn there_is_one_writer() {
    let home = tempfile::tempdir().unwrap();
    // One that cannot lock.
    let folder = Filling { folder: Folder::new(home.path()), left: AtomicUsize::new(usize::MAX) };
    let records = records();
    let (mut journal, _) = Journal::begin(&folder, &header());
    let mut other = Journal::go_on(&folder, &replay(&folder, "01JJOURNAL").unwrap()).unwrap();
    journal.append(&records[0]).unwrap();
    let late = Record { at: time(9), ..records[0].clone() };
    assert!(matches!(other.append(&late), Err(JournalError::Taken { .. })));
    let mut changed = header();
    changed.reason = None;
    let (_, begun) = Journal::begin(&folder, &changed);
    assert!(matches!(begun, Err(JournalError::Taken { .. })));
    assert_eq!(replay(&folder, "01JJOURNAL").unwrap().records, records[..1]);
}

#[cfg(unix)]
#[test]
fn a_journal_is_gone_on_with_by_one_run_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::new(home.path());
    let records = records();
    let (mut journal, _) = Journal::begin(&folder, &header());
    let read = replay(&folder, "01JJOURNAL").unwrap();
    for _ in 0..2 {
        assert!(matches!(Journal::go_on(&folder, &read), Err(JournalError::InUse { .. })));
        journal.append(&records[0]).unwrap();
        drop(journal);
        journal = Journal::go_on(&folder, &replay(&folder, "01JJOURNAL").unwrap()).unwrap();
    }
    // Reading is for everybody.
    assert_eq!(replay(&folder, "01JJOURNAL").unwrap().records.len(), 2);
}

#[test]
fn names_stay_in_the_folder() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::new(home.path());
    for name in ["", "..", "../x", "a/b", "a.b", "a\0b", &"a".repeat(65)] {
        assert!(folder.append(name, 0, b"x").is_err(), "{name:?}");
        assert!(folder.read(name).is_err(), "{name:?}");
    }
    std::fs::write(home.path().join("notes.txt"), "").unwrap();
    assert_eq!(folder.list().unwrap(), Vec::<String>::new());
    assert_eq!(Folder::new(home.path().join("none")).list().unwrap(), Vec::<String>::new());
    assert_eq!(
        replay(&folder, "none").unwrap_err().to_string(),
        format!("there is no journal {}", folder.place("none"))
    );
}

#[test]
fn damage_is_refused_with_its_place() {
    let whole = text();
    let lines: Vec<&[u8]> = whole.split_inclusive(|b| *b == b'\n').collect();
    let place = |bytes: Vec<u8>| {
        let Err(JournalError::Damaged { place, .. }) = read(bytes) else { panic!("it was accepted") };
        (place.line, place.byte)
    };
    let length = |n: usize| u64::try_from(lines[..n].concat().len()).unwrap();
    let missing = [&lines[..2], &lines[3..]].concat().concat();
    assert_eq!(place(missing), (3, length(2) + 14), "the checksum of line 3");
    let doubled = [&lines[..3], &lines[2..]].concat().concat();
    assert_eq!(place(doubled), (4, length(3) + 14));
    assert_eq!(place(lines[1..].concat()), (1, 14));
    assert_eq!(place([&whole[..], b"hello\n"].concat()).0, lines.len() as u64 + 1);
}

#[test]
fn another_version_is_named() {
    let newer = String::from_utf8(text()).unwrap().replacen("{\"v\":2,", "{\"v\":12,", 1);
    let message = read(newer.into_bytes()).unwrap_err().to_string();
    assert!(message.contains("format 12") && message.contains("line 1"), "{message}");
}

/// A run that was begun by the first format is gone on with in this one.
#[test]
fn the_first_format_is_read_too() {
    const FIRST: &str = include_str!("tests/format-1.jsonl");
    let read = read(FIRST.as_bytes().to_vec()).unwrap();
    // It did not say what is measured.
    let first = Header { metrics: Default::default(), ..header() };
    assert_eq!((&read.header, &read.records), (&first, &records()));
    let mut lines = read.lines;
    let more = lines.write(&Line::Step(Box::new(records()[0].clone()))).unwrap();
    let both = super::replay(&Memory([FIRST.as_bytes(), more.as_bytes()].concat()), "j").unwrap_err();
    assert!(matches!(&both, JournalError::Differs { place } if place.line == 2 + records().len() as u64), "{both}");
}

#[test]
fn steps_that_this_program_would_not_take_are_refused() {
    let mut lines = Lines::default();
    let mut text = lines.write(&Line::Header(Box::new(header()))).unwrap();
    let other = Record { input: Input::TimeReached, ..records()[1].clone() };
    text += &lines.write(&Line::Step(Box::new(other))).unwrap();
    assert!(matches!(read(text.into_bytes()), Err(JournalError::Differs { place }) if place.line == 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_journal_cut_anywhere_is_its_whole_lines(at in any::<prop::sample::Index>()) {
        let whole = text();
        let cut = &whole[..at.index(whole.len() + 1)];
        let lines = cut.iter().filter(|b| **b == b'\n').count();
        match read(cut.to_vec()) {
            Ok(read) => prop_assert_eq!(&read.records[..], &records()[..lines - 1]),
            Err(error) => {
                prop_assert!(matches!(error, JournalError::Missing { .. }), "{}", error);
                prop_assert_eq!(lines, 0);
            }
        }
    }

    #[test]
    fn a_byte_that_has_changed_is_never_accepted(at in any::<prop::sample::Index>(), by in 1_u8..) {
        let mut text = text();
        let at = at.index(text.len());
        text[at] ^= by;
        prop_assert!(read(text).is_err(), "byte {}", at);
    }
}
