//! No evidence is never a pass, and no reason to go back before the budget is spent: every way in which a metric store
//! can fail to tell, for every kind of gate.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mlroll_faults::Operation;
use serde_json::{Value, json};

use crate::scaled::{Asked, FastClock, GATES, Reply, Store, config, healthy, share};
use crate::world::World;

/// How many runs are under way at once: most of what they do is wait.
const AT_ONCE: usize = 12;

/// Gates of every kind that a rollout accepts.
const KINDS: [(&str, &str); 11] = [
    ("error_rate against stable", "metric = \"error_rate\"\nmax_increase = { ratio = 2.0, abs = \"2%\" }"),
    (
        "error_rate by regions",
        "metric = \"error_rate\"\nstrata = \"region\"\nmax_increase = { ratio = 2.0, abs = \"2%\" }",
    ),
    ("scores by their index", "name = \"score\"\nscores = 'scores{version=\"{{revision}}\"}'\nmax_psi = 0.2"),
    (
        "scores by their tails",
        "name = \"score\"\nscores = 'scores{version=\"{{revision}}\"}'\nmax_increase = { ratio = 2.0, abs = \"2%\" }",
    ),
    ("error_rate with a limit", "metric = \"error_rate\"\nmax = \"5%\""),
    ("latency with a limit", "metric = \"latency\"\nquantile = 0.95\nmax = \"300ms\""),
    (
        "counts of one's own against stable",
        "name = \"orders\"\nrequests = 'visits{version=\"{{revision}}\"}'\nevents = 'orders{version=\"{{revision}}\"}'\nbetter = \"higher\"\nfail = { ratio = 0.9 }\npass = { ratio = 0.5 }",
    ),
    ("requests against stable", "metric = \"requests\"\njudge = \"sign\""),
    ("query with a limit", "name = \"own\"\nquery = 'own{version=\"{{revision}}\"}'\nmax = 2.0"),
    ("query by signs", "name = \"own\"\nquery = 'own{version=\"{{revision}}\"}'\njudge = \"sign\""),
    ("query by t", "name = \"own\"\nquery = 'own{version=\"{{revision}}\"}'\njudge = \"t\""),
];

/// How a store fails to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Silence {
    Empty,
    /// All numbers are this one.
    Number(&'static str),
    /// The newest sample is too old.
    Stale,
    SeveralSeries,
    Warnings,
    Status(u16),
    Timeout,
    Truncated,
}

const SILENCES: [Silence; 16] = [
    Silence::Timeout,
    Silence::Status(429),
    Silence::Status(500),
    Silence::Status(503),
    Silence::Truncated,
    Silence::Empty,
    Silence::Number("NaN"),
    Silence::Number("+Inf"),
    Silence::Number("-Inf"),
    Silence::Stale,
    Silence::SeveralSeries,
    Silence::Warnings,
    Silence::Status(401),
    Silence::Status(403),
    Silence::Status(404),
    Silence::Status(422),
];

impl Silence {
    /// What the store answers in place of `good`.
    fn spoil(self, asked: &Asked, mut good: Value) -> Reply {
        match self {
            Self::Timeout => return Reply::Silence,
            Self::Status(status) => return Reply::Status(status),
            Self::Truncated => return Reply::Truncated(good),
            Self::Warnings => good["warnings"] = json!(["a store did not answer"]),
            Self::Empty | Self::Number(_) | Self::SeveralSeries | Self::Stale => {}
        }
        let series = good["data"]["result"].as_array_mut().unwrap();
        match self {
            Self::Empty => series.clear(),
            Self::Number(number) => {
                for one in series.iter_mut().filter(|one| one["metric"]["mlroll"] != "newest0") {
                    one["value"][1] = json!(number);
                }
            }
            Self::SeveralSeries => {
                let mut doubled = series.clone();
                for one in &mut doubled {
                    one["metric"]["pod"] = json!("b");
                }
                series.extend(doubled);
            }
            Self::Stale => {
                for one in series {
                    match one["metric"]["mlroll"].as_str() {
                        Some("newest0") => one["value"][1] = json!((asked.time - 50).to_string()),
                        Some(_) => {}
                        None => one["value"][0] = json!(asked.time - 50),
                    }
                }
            }
            Self::Status(_) | Self::Timeout | Self::Truncated | Self::Warnings => {}
        }
        Reply::Body(good)
    }

    /// Silence is waited out in real time, half a minute long: one is all there is time for.
    fn budget(self) -> Duration {
        Duration::from_secs(if self == Self::Timeout { 60 } else { 120 })
    }
}

/// Whom the store does not tell about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum About {
    Both,
    Candidate,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    silence: Silence,
    kind: (&'static str, &'static str),
    about: About,
    hold: bool,
}

/// Runs a rollout whose store falls silent with the first shift; what is wrong with how it went, if anything.
fn play(case: Case, clock: &FastClock) -> Result<(), String> {
    let Case { silence, kind: (_, gate), about, hold } = case;
    let world = Arc::new(World::new().set("MLROLL_CLOCK", &clock.url));
    let alias = Arc::clone(&world);
    let store = Store::start(move |asked| {
        let good = healthy(asked, 6000.0 * share(&alias, &asked.revision).max(0.01));
        let concerned = about == About::Both || asked.revision == "3";
        // Traffic has not moved: the queries are tried out.
        if alias.alias().weights.is_empty() || !concerned { Reply::Body(good) } else { silence.spoil(asked, good) }
    });
    let service = format!(
        "steps = [\"10%\", \"100%\"]\nbake = \"10m\"\nmin_bake = \"2m\"\nwarm_up = \"0s\"\nlook = \"60s\"\nno_data_budget = \"{}s\"\non_inconclusive = \"{}\"",
        silence.budget().as_secs(),
        if hold { "hold" } else { "rollback" }
    );
    world.write("mlroll.toml", &config(store.port, &service, &format!("[[services.fraud.gates]]\n{gate}")));
    let ran = world.run(&["rollout", "--candidate", "3", "--output", "json"]);
    let document: Value = serde_json::from_str(&ran.stdout).map_err(|e| format!("{e}: {ran:?}"))?;
    let writes: Vec<Instant> = world.sent(Operation::UpdateAlias).iter().map(|request| request.at).collect();
    let kind = document["error"]["kind"].as_str().unwrap_or_default();
    // Nobody at all where stable has users is evidence: the candidate is starved.
    let starved = kind == "starved" && about == About::Candidate && silence == Silence::Empty;
    let went = (ran.code, world.split(), writes.len());
    let expected = if hold && !starved { (3, "2+3:0.1".to_owned(), 1) } else { (1, "2".to_owned(), 2) };
    if went != expected || !(kind == "no_data" || starved) {
        return Err(format!("{went:?}, expected {expected:?}; {}", ran.stderr));
    }
    let (first, last) = (writes[0], writes.last().copied().filter(|last| *last != writes[0]));
    let waited = clock.between(first, last.unwrap_or_else(Instant::now));
    // The run counts from when it sends the first write: that takes milliseconds to arrive, which are seconds here, and on a
    // busy machine more.
    if !starved && waited + Duration::from_secs(60) < silence.budget() {
        return Err(format!("gave up after {waited:?}"));
    }
    Ok(())
}

fn play_all(cases: Vec<Case>) {
    let clock = FastClock::start(600.0);
    let (queue, wrong) = (Mutex::new(VecDeque::from(cases)), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().pop_front();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = next() {
                    if let Err(what) = play(case, &clock) {
                        wrong.lock().unwrap().push(format!("{case:?}: {what}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} cases went wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_store_that_tells_nothing_promotes_nobody_and_has_its_time() {
    let mut cases = Vec::new();
    for silence in SILENCES {
        for kind in KINDS {
            cases.extend([true, false].map(|hold| Case { silence, kind, about: About::Both, hold }));
        }
    }
    play_all(cases);
}

#[test]
fn a_store_that_tells_only_of_stable_promotes_nobody() {
    let mut cases = Vec::new();
    for silence in SILENCES.into_iter().filter(|silence| *silence != Silence::Timeout) {
        cases.extend(KINDS.map(|kind| Case { silence, kind, about: About::Candidate, hold: false }));
    }
    play_all(cases);
}

/// The same runs with a store that does tell: it is not something else that keeps them from being promoted.
#[test]
fn the_same_gates_promote_when_the_store_tells() {
    let clock = FastClock::start(600.0);
    for (name, gate) in KINDS {
        let world = Arc::new(World::new().set("MLROLL_CLOCK", &clock.url));
        let alias = Arc::clone(&world);
        // A little better than stable, so that gates which compare values have something to find.
        let store = Store::start(move |asked| {
            let mut body = healthy(asked, 6000.0 * share(&alias, &asked.revision).max(0.01));
            if asked.query.starts_with("own") && asked.revision == "3" {
                body["data"]["result"][0]["value"][1] = json!((0.4 + 0.001 * (asked.time / 60 % 7) as f64).to_string());
            }
            Reply::Body(body)
        });
        let service = "steps = [\"50%\", \"100%\"]\nbake = \"1h\"\nmin_bake = \"2m\"\nwarm_up = \"0s\"\nlook = \"60s\"";
        world.write("mlroll.toml", &config(store.port, service, &format!("[[services.fraud.gates]]\n{gate}")));
        let ran = world.run(&["rollout", "--candidate", "3"]);
        assert_eq!((ran.code, world.split().as_str()), (0, "3"), "{name}: {ran:?}");
    }
}

/// A window of fewer than four scrapes is made up of what `increase` extrapolates.
#[test]
fn looks_too_short_for_the_store_are_refused_before_traffic_moves() {
    let clock = FastClock::start(600.0);
    let service = |look: &str| {
        format!("steps = [\"10%\", \"100%\"]\nbake = \"10m\"\nmin_bake = \"2m\"\nwarm_up = \"0s\"\nlook = \"{look}\"")
    };
    let gates = format!("[[services.fraud.gates]]\n{}", KINDS[0].1);
    for (look, key, code) in [
        // As measured: a sample every 15 s.
        ("30s", "", 2),
        ("60s", "", 0),
        ("60s", "scrape = \"30s\"", 2),
        ("30s", "scrape = \"7s\"", 0),
    ] {
        let world = Arc::new(World::new().set("MLROLL_CLOCK", &clock.url));
        let alias = Arc::clone(&world);
        let store =
            Store::start(move |asked| Reply::Body(healthy(asked, 6000.0 * share(&alias, &asked.revision).max(0.01))));
        let file = config(store.port, &service(look), &gates);
        world.write("mlroll.toml", &file.replace("settle_delay", &format!("{key}\nsettle_delay")));
        let ran = world.run(&["rollout", "--candidate", "3"]).expect(code);
        if code == 2 {
            ran.says("`look`").says("4 scrapes");
            assert_eq!(world.sent(Operation::UpdateAlias).len(), 0);
        }
    }
}

/// What a store answered before it failed is not all there is: the newest windows may say otherwise.
#[test]
fn evidence_cut_short_by_a_failing_store_promotes_nobody() {
    let clock = FastClock::start(1.0);
    let world = Arc::new(World::new().set("MLROLL_CLOCK", &clock.url));
    let alias = Arc::clone(&world);
    // Since when nothing is told about the candidate; the newest window that was asked for; and whether its query is tried out.
    let (silent_since, newest) = (Arc::new(AtomicI64::new(i64::MAX)), Arc::new(AtomicI64::new(0)));
    let tried = Arc::new(AtomicBool::new(false));
    let (since, latest, first) = (Arc::clone(&silent_since), Arc::clone(&newest), Arc::clone(&tried));
    let store = Store::start(move |asked| {
        let good = healthy(asked, 6000.0 * share(&alias, &asked.revision).max(0.01));
        if asked.revision != "3" {
            return Reply::Body(good);
        }
        latest.fetch_max(asked.time, Ordering::SeqCst);
        let trying = !first.swap(true, Ordering::SeqCst);
        if trying || asked.time < since.load(Ordering::SeqCst) { Reply::Body(good) } else { Reply::Status(400) }
    });
    let service = "steps = [\"10%\", \"100%\"]\nbake = \"10m\"\nwarm_up = \"0s\"\nlook = \"60s\"";
    world.write("mlroll.toml", &config(store.port, service, &format!("[[services.fraud.gates]]\n{}", KINDS[0].1)));
    world.run(&["canary", "--pct", "10", "--candidate", "3", "--no-gates"]).expect(0);
    clock.advance(Duration::from_secs(600));
    world.run(&["gate", "check"]).expect(0);
    // What is answered is enough for a pass, and it is not all.
    for verb in [&["promote"][..], &["gate", "check"]] {
        for silent in [0, 1, 4, 60] {
            tried.store(false, Ordering::SeqCst);
            silent_since.store(newest.load(Ordering::SeqCst) - 60 * silent, Ordering::SeqCst);
            let ran = world.run(verb).expect(7);
            ran.says(if silent == 60 { "refuses the query" } else { "for a part of the time only" });
        }
    }
    assert_eq!((world.split().as_str(), world.sent(Operation::UpdateAlias).len()), ("2+3:0.1", 1));
    silent_since.store(i64::MAX, Ordering::SeqCst);
    world.run(&["promote"]).expect(0);
    assert_eq!(world.split(), "3");
}

/// What one gate shows does not wait for another, whose query the store cannot answer.
#[test]
fn a_gate_that_cannot_be_read_does_not_hide_one_that_fails() {
    let clock = FastClock::start(600.0);
    for (errors, code, split) in [(0.5, 1, "2"), (0.005, 3, "2+3:0.1")] {
        let world = Arc::new(World::new().set("MLROLL_CLOCK", &clock.url));
        let alias = Arc::clone(&world);
        let store = Store::start(move |asked| {
            let live = share(&alias, &asked.revision);
            if asked.revision == "3" && live > 0.0 && asked.query.contains("\"buckets\"") {
                return Reply::Status(500);
            }
            let mut body = healthy(asked, 6000.0 * live.max(0.01));
            for one in body["data"]["result"].as_array_mut().unwrap() {
                if asked.revision == "3" && one["metric"]["mlroll"] == "errors0" {
                    one["value"][1] = json!((6000.0 * live * errors).to_string());
                }
            }
            Reply::Body(body)
        });
        let service = "steps = [\"10%\", \"100%\"]\nbake = \"10m\"\nmin_bake = \"2m\"\nwarm_up = \"0s\"\nlook = \"60s\"\non_inconclusive = \"hold\"";
        world.write("mlroll.toml", &config(store.port, service, GATES));
        let ran = world.run(&["rollout", "--candidate", "3", "--output", "json"]);
        assert_eq!((ran.code, world.split().as_str()), (code, split), "{errors}: {ran:?}");
        if code == 1 {
            assert_eq!(ran.json()["error"]["kind"], "gate_failed", "{ran:?}");
            let verified = world.run(&["explain", "--verify"]);
            assert_eq!(verified.code, 0, "{verified:?}");
        }
    }
}
