//! Journals of runs that were really judged: retraced, told, and damaged.

use std::collections::BTreeMap;
use std::time::Duration;

use mlroll_backend::{
    Capacity, GuardToken, Histogram, Nature, Readiness, Roles, Sample, Snapshot, Timestamp, TrafficSplit, Weight,
    extract,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::driver::Standing;
use crate::journal::{Asked, Basis, Folder, Header, Journal, JournalError, Record, Replay, Store, replay};
use crate::judge::design_effect::DesignEffect;
use crate::judge::panel::{Evidence, Prelude};
use crate::rollout::engine::{Action, Experiment, Input, Kind, Plan, Reaction, Rollout, Terms};

const ERRORS: &str = r#"{"metric": "error_rate", "max_increase": {"ratio": 1.5, "abs": "0.1%"}}"#;
const SLOW: &str = r#"{"metric": "latency", "quantile": 0.95, "max": "300ms"}"#;

const COUNTER: &str = r#"{"name": "sample_ratio", "metric": "requests", "judge": "sign", "advisory": true}"#;
const SCORE: &str = r#"{"name": "score", "query": "x", "judge": "sign", "better": "higher"}"#;

fn weight(basis_points: u16) -> Weight {
    Weight::from_basis_points(basis_points).unwrap()
}

fn terms() -> Terms {
    let second = Duration::from_secs(1);
    Terms {
        id: "01JEXPLAIN".to_owned(),
        kind: Kind::Rollout,
        stable: "41".parse().unwrap(),
        candidate: "42".parse().unwrap(),
        previous: None,
        steps: vec![weight(1000), weight(5000), Weight::FULL],
        bake: second * 1200,
        judged: true,
        warm_up: Duration::ZERO,
        min_bake: second * 180,
        look: second * 60,
        settle_delay: second * 30,
        kept: None,
        watch_after: Duration::ZERO,
        alpha: 0.01,
        beta: 0.05,
        on_fail: Reaction::Rollback,
        on_inconclusive: Reaction::Hold,
        on_starved: Reaction::Rollback,
        no_data_budget: second * 600,
        settle_timeout: second * 600,
        note_limit: 256,
        overtakes: true,
        capacity: true,
        restores_when_halted: true,
        experiment: None,
        score: None,
    }
}

/// An experiment on the score.
fn experiment() -> Terms {
    let about = Experiment { metric: "score".to_owned(), alpha: 0.05, size: None, effect: 0.1 };
    let (kind, steps) = (Kind::Experiment, vec![weight(5000)]);
    Terms { kind, steps, experiment: Some(about), ..terms() }
}

fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_unix_milliseconds(1_795_230_000_123 + milliseconds).unwrap()
}

fn snapshot(split: &TrafficSplit, note: &str) -> Snapshot {
    let marker = extract(note).1.filter(|marker| marker.fits(split));
    Snapshot {
        roles: Roles::of(split, marker.as_ref(), None),
        split: Some(split.clone()),
        marker,
        guard: GuardToken { token: note.len().to_string(), own_text: String::new() },
        readiness: Readiness::Live,
        modified: None,
        taken_back: None,
        contents: None,
        replaced: None,
        nature: Nature::default(),
    }
}

/// What a minute of 10,000 requests says, with this share of the candidate's failing.
fn read(share: f64, errors: f64, salt: f64) -> Vec<Evidence> {
    let (candidate, stable) = (10_000.0 * share + salt, 10_000.0 * (1.0 - share) - salt);
    let slow =
        |n: f64| Sample::Histogram(Histogram::new(vec![(0.1, n / 2.0), (0.3, n * 0.98), (f64::INFINITY, n)]).unwrap());
    vec![
        Evidence {
            candidate: Sample::counts(candidate, candidate * errors),
            stable: Sample::counts(stable, stable * 0.005),
        },
        Evidence { candidate: slow(candidate), stable: slow(stable) },
    ]
}

/// The same with the requests, and with scores of which the candidate's are better.
fn scored(share: f64, errors: f64, salt: f64) -> Vec<Evidence> {
    let (candidate, stable) = (10_000.0 * share + salt, 10_000.0 * (1.0 - share) - salt);
    let values = |a: f64, b: f64| Evidence { candidate: Sample::value(a), stable: Sample::value(b) };
    let guard = read(share, errors, salt).into_iter().take(1);
    guard.chain([values(candidate, stable), values(0.33 + salt / 100.0, 0.3)]).collect()
}

/// The journal of a run whose candidate fails so many of its requests, as a process writes it; killed and taken up once.
fn run(errors: f64, folder: &Folder) -> Replay {
    journaled(terms(), &[(ERRORS, 1.3), (SLOW, 1.0)], folder, |share, salt| read(share, errors, salt))
}

/// The journal of an experiment that ends with a better candidate.
fn tried(folder: &Folder) -> Replay {
    let gates = [(ERRORS, 1.3), (COUNTER, 1.0), (SCORE, 1.0)];
    journaled(experiment(), &gates, folder, |share, salt| scored(share, 0.004, salt))
}

fn journaled(terms: Terms, gates: &[(&str, f64)], folder: &Folder, read: impl Fn(f64, f64) -> Vec<Evidence>) -> Replay {
    let plan = Plan::new(terms, weight(1)).unwrap();
    let header = Header {
        target: "lambda:eu-west-1/fraud@prod".to_owned(),
        at: time(0),
        reason: None,
        plan: plan.clone(),
        metrics: BTreeMap::new(),
    };
    let (mut journal, begun) = Journal::begin(folder, &header);
    begun.unwrap();
    let gates = gates.iter().map(|(json, factor)| {
        let effect: DesignEffect = serde_json::from_value(json!(factor)).unwrap_or(DesignEffect::NONE);
        (serde_json::from_str(json).unwrap(), Prelude::with_effect(effect))
    });
    let mut standing = Standing::new(gates.collect(), &plan).unwrap();
    let mut rollout = Rollout::new(plan.clone());
    let (mut split, mut note, mut now) = (TrafficSplit::full("41".parse().unwrap()), String::new(), 0);
    let (mut input, mut held, mut lines) = (Input::Started, None, 0);
    loop {
        now += 41;
        let action = rollout.step(input.clone(), time(now));
        let evidence =
            matches!(input, Input::Judged(_) | Input::Started).then(|| serde_json::to_value(&standing).unwrap());
        let asked =
            |gate: &str| Asked { gate: gate.to_owned(), candidate: Some(format!("{gate}{{v=\"42\"}}")), stable: None };
        let questions = || Basis::Asked(vec![asked("error_rate"), asked("latency")]);
        let basis = if input == Input::Started { Some(questions()) } else { held.take() };
        journal.append(&Record { at: time(now), input, action: action.clone(), evidence, basis }).unwrap();
        lines += 1;
        input = match action {
            _ if lines == 12 => Input::Started,
            Action::Done { .. } => return replay(folder, "01JEXPLAIN").unwrap(),
            Action::Observe => Input::Observed(Box::new(snapshot(&split, &note))),
            Action::Sample(windows) => {
                let share = split.weight_of(&"42".parse().unwrap()).fraction();
                let windows_read: Vec<_> = (0..windows.count).map(|n| read(share, f64::from(n) / 3.0)).collect();
                let looks = standing.judge(&plan, windows, &windows_read);
                held = Some(Basis::Read(windows_read));
                Input::Judged(looks)
            }
            Action::Prepare(_) => Input::Prepared,
            Action::Restore { .. } => Input::Restored,
            Action::Size { .. } => Input::Sized(Some(Capacity {
                token: "2".to_owned(),
                changes: vec!["instances of 42: 1 -> 4".to_owned()],
            })),
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

fn told(read: &Replay) -> (Value, String) {
    let retraced = Retraced::of(read);
    assert_eq!(retraced.difference, None);
    let account = Account::of(read, &retraced);
    (serde_json::to_value(&account).unwrap(), text(&account))
}

fn decisions(account: &Value) -> Vec<(String, String)> {
    let events = account["events"].as_array().unwrap().iter().filter(|event| event["event"] == "decided");
    events.map(|e| (e["decision"].as_str().unwrap().to_owned(), e["rule"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn a_fail_is_told_with_its_rule_and_its_numbers() {
    let home = tempfile::tempdir().unwrap();
    let (account, text) = told(&run(0.05, &Folder::new(home.path())));
    let decisions = decisions(&account);
    assert_eq!(decisions.len(), 1, "{decisions:?}");
    let (decision, rule) = &decisions[0];
    assert_eq!(decision, "rollback");
    assert!(
        rule.starts_with("FAIL: mean of e-values ")
            && rule.contains(">= 1/alpha = 100; `error_rate` has the largest share"),
        "{rule}"
    );
    let looks: Vec<&Value> = account["events"].as_array().unwrap().iter().filter(|e| e["event"] == "look").collect();
    let last = looks.last().unwrap();
    assert_eq!((&last["verdict"], &last["step"]), (&json!("fail"), &json!(1)));
    assert!(last["ln_e_fail"].as_f64().unwrap() >= 100f64.ln());
    assert!(last["read"][0]["candidate"]["counts"]["requests"].as_f64().unwrap() >= 1000.0);
    assert_eq!(account["outcome"], "rolled_back");
    assert!(text.contains("error_rate{v=\"42\"}") && text.contains("DECIDED rollback: FAIL"), "{text}");
    assert!(text.contains("write: 41 100 % -> 41 90 %, 42 10 %"), "{text}");
    let told = ["capacity to change: instances of 42: 1 -> 4", "capacity is ready", "capacity is set back"];
    let mut places = told.map(|told| text.find(told).unwrap());
    assert!(places.is_sorted(), "{text}");
    places.reverse();
    assert!(places[0] > text.find("DECIDED rollback").unwrap(), "{text}");
}

#[test]
fn passes_are_told_step_by_step_with_a_chart() {
    let home = tempfile::tempdir().unwrap();
    let (account, text) = told(&run(0.004, &Folder::new(home.path())));
    let decisions = decisions(&account);
    assert_eq!(decisions.iter().map(|(decision, _)| decision.as_str()).collect::<Vec<_>>(), ["pass", "pass"]);
    assert!(decisions[0].1.contains("1/beta = 20") && decisions[0].1.contains("`latency`"), "{decisions:?}");
    let events: Vec<&str> =
        account["events"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(events.iter().filter(|event| **event == "shift").count(), 3);
    assert_eq!(events.iter().filter(|event| **event == "taken_up").count(), 1);
    assert_eq!(account["outcome"], "promoted");
    assert!(text.contains('█') && text.contains("looks at step 2"), "{text}");
}

#[test]
fn an_experiment_is_told_with_who_is_better() {
    let home = tempfile::tempdir().unwrap();
    let (account, text) = told(&tried(&Folder::new(home.path())));
    let decisions = decisions(&account);
    assert_eq!(decisions.len(), 1, "{decisions:?}");
    assert!(decisions[0].1.starts_with("BETTER: ln E "), "{decisions:?}");
    let events = account["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["event"] == "taken_up"), "{account}");
    assert_eq!((&account["outcome"], text.contains("BETTER")), (&json!("shifted"), true), "{text}");
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

fn crc32(before: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!before, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1)))
    })
}

/// Lines with checksums that fit, as somebody writes them who knows how.
fn forged(lines: &[Value]) -> Vec<u8> {
    let mut crc = 0;
    let line = |line: &Value| {
        let text = line.to_string();
        crc = crc32(crc32(crc, b"2"), text.as_bytes());
        format!("{{\"v\":2,\"crc\":\"{crc:08x}\",\"line\":{text}}}\n")
    };
    lines.iter().map(line).collect::<String>().into_bytes()
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["line"].clone()).collect()
}

/// Paths to everything in a value that is no list and no object.
fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| leaves(item, format!("{path}/{n}"), found))
        }
        Value::Object(fields) => fields.iter().for_each(|(name, field)| leaves(field, format!("{path}/{name}"), found)),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => found.push(path),
    }
}

/// Of a rollout that fails, of one that passes, and of an experiment.
fn journals() -> &'static [Vec<u8>; 3] {
    static JOURNALS: std::sync::LazyLock<[Vec<u8>; 3]> = std::sync::LazyLock::new(|| {
        let runs: [fn(&Folder) -> Replay; 3] = [|folder| run(0.05, folder), |folder| run(0.004, folder), tried];
        runs.map(|run| {
            let home = tempfile::tempdir().unwrap();
            let folder = Folder::new(home.path());
            run(&folder);
            folder.read("01JEXPLAIN").unwrap().unwrap()
        })
    });
    &JOURNALS
}

/// Whether a journal verifies. Whatever it holds, it can also be told.
fn verifies(bytes: Vec<u8>) -> bool {
    let Ok(read) = replay(&Memory(bytes), "j") else { return false };
    let retraced = Retraced::of(&read);
    let _ = text(&Account::of(&read, &retraced));
    retraced.difference.is_none()
}

#[test]
fn what_is_forged_honestly_verifies() {
    for journal in journals() {
        assert!(verifies(journal.clone()) && verifies(forged(&lines(journal))));
    }
}

/// The first programs with experiments kept nothing to bound an effect by.
#[test]
fn an_experiment_of_before_verifies() {
    fn unbound(value: &mut Value) -> usize {
        match value {
            Value::Object(of) => {
                usize::from(of.remove("bounds").is_some()) + of.values_mut().map(unbound).sum::<usize>()
            }
            Value::Array(of) => of.iter_mut().map(unbound).sum(),
            Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => 0,
        }
    }
    let mut lines = lines(&journals()[2]);
    let taken: usize = lines.iter_mut().map(unbound).sum();
    assert!(taken > 2 && verifies(forged(&lines)), "{taken}");
    // What was kept from the beginning is kept to the end.
    let mut mixed = super::tests::lines(&journals()[2]);
    mixed.iter_mut().skip(2).for_each(|line| {
        unbound(line);
    });
    assert!(!verifies(forged(&mixed)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// A value anywhere, a line, a byte: damaged by somebody who mends the checksums, or by nobody in particular.
    #[test]
    fn a_journal_that_was_changed_verifies_or_is_refused_and_nothing_panics(
        which in 0usize..3, at in any::<prop::sample::Index>(), leaf in any::<prop::sample::Index>(), how in 0u8..12,
        number in prop_oneof![any::<f64>().prop_filter("finite", |x| x.is_finite()), (-1e4f64..1e4), Just(1e300), Just(0.0)],
        whole in any::<i64>(), byte in 1u8..,
    ) {
        let journal = &journals()[which];
        if how == 0 {
            let mut bytes = journal.clone();
            let n = at.index(bytes.len());
            bytes[n] ^= byte;
            prop_assert!(!verifies(bytes) || n + 1 == journal.len(), "a changed byte is not seen");
            return Ok(());
        }
        let mut lines = lines(journal);
        let n = at.index(lines.len());
        match how {
            1 => drop(lines.remove(n)),
            2 => lines.insert(n, lines[n].clone()),
            3 => lines.swap(n, leaf.index(journals()[which].iter().filter(|b| **b == b'\n').count())),
            _ => {
                let mut paths = Vec::new();
                leaves(&lines[n], String::new(), &mut paths);
                let path = paths[leaf.index(paths.len())].clone();
                let place = lines[n].pointer_mut(&path).unwrap();
                let before = place.clone();
                *place = match (how, &before) {
                    (4, _) => Value::Null,
                    (5, _) => json!(whole),
                    (_, Value::Number(_)) => json!(number),
                    (_, Value::Bool(is)) => json!(!is),
                    (6..=8, Value::String(text)) if text.parse::<f64>().is_ok() => json!(format!("{number:?}")),
                    (9, Value::String(text)) => json!(format!("{text}0")),
                    (_, Value::String(text)) => json!(text.chars().rev().collect::<String>()),
                    (_, Value::Array(_) | Value::Null | Value::Object(_)) => json!("x"),
                };
                // One number may be written in several ways.
                let number_of = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok()).map(f64::to_bits);
                let changed = *place != before && (number_of(place).is_none() || number_of(place) != number_of(&before));
                let of_the_judge = path.contains("/evidence/") || path.ends_with("/verdict");
                let verified = verifies(forged(&lines));
                prop_assert!(!(verified && changed && of_the_judge), "{path}: {before} was changed, and not seen");
                return Ok(());
            }
        }
        verifies(forged(&lines));
    }
}
