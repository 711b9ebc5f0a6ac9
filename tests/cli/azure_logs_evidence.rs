//! No evidence from the traffic log is never a pass: every way in which Log Analytics can fail to tell, for every kind of gate.

use std::collections::VecDeque;
use std::sync::Mutex;

use mlroll_backend::Timestamp;
use mlroll_faults::arm::ArmOperation;
use mlroll_faults::scripted::{Reply, Request, Server};
use serde_json::{Value, json};

use crate::azure_ml::World;
use crate::scaled::FastClock;

/// How many runs are under way at once: most of what they do is wait.
const AT_ONCE: usize = 16;

const LOGS_TOKEN: &str = "verysecretlogstoken";

/// Gates of every kind that the log can answer.
const KINDS: [(&str, &str); 6] = [
    ("error_rate with a limit", "metric = \"error_rate\"\nmax = \"5%\""),
    ("error_rate against stable", "metric = \"error_rate\"\nmax_increase = { ratio = 2.0, abs = \"2%\" }"),
    ("latency with a limit", "metric = \"latency\"\nquantile = 0.95\nmax = \"300ms\""),
    ("latency by signs", "metric = \"latency\"\nquantile = 0.95\njudge = \"sign\""),
    ("latency by its shape", "metric = \"latency\"\njudge = \"shape\""),
    ("requests against stable", "metric = \"requests\"\njudge = \"sign\""),
];

/// How it fails to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Silence {
    /// No row at all.
    Empty,
    /// Rows twice.
    Doubled,
    /// 200, and `error` beside what there is.
    ErrorBeside,
    /// A column that was asked for is not there.
    MissingColumn,
    /// 400: nobody has ever sent rows.
    MissingTable,
    /// 204: there is nothing at all in the workspace.
    NoContent,
    /// Texts where counts belong.
    NotANumber,
    Status(u16),
    Timeout,
    Truncated,
    /// Rows without response codes and durations.
    Unknown,
}

const SILENCES: [Silence; 16] = [
    Silence::Timeout,
    Silence::Status(429),
    Silence::Status(500),
    Silence::Status(503),
    Silence::Status(504),
    Silence::Truncated,
    Silence::Empty,
    Silence::NoContent,
    Silence::NotANumber,
    Silence::Doubled,
    Silence::ErrorBeside,
    Silence::MissingColumn,
    Silence::MissingTable,
    Silence::Unknown,
    Silence::Status(401),
    Silence::Status(403),
];

/// Whom it does not tell about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum About {
    Both,
    Candidate,
}

/// What a service has whose candidate is a little better.
fn healthy(request: &Request) -> Value {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let (query, span) = (body["query"].as_str().unwrap(), body["timespan"].as_str().unwrap());
    let at = |text: &str| text.parse::<Timestamp>().unwrap().unix_seconds();
    let (from, until) = span.split_once('/').unwrap();
    let bounds = query.split(" = countif(Answered and TotalDurationMs > ").skip(1);
    let bounds: Vec<f64> = bounds.map(|rest| rest.split_once(')').unwrap().0.parse().unwrap()).collect();
    let column = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let mut columns = vec![column("Start", "datetime"), column("Deployment", "string")];
    columns.extend(["Requests", "Failed", "NoCode", "NoDuration"].map(|name| column(name, "long")));
    columns.extend((0..bounds.len()).map(|n| column(&format!("Above{n}"), "long")));
    columns.push(column("Throttled", "long"));
    let mut rows = Vec::new();
    for second in (at(from)..at(until)).step_by(60) {
        for (name, requests, failed, scale) in [("blue", 54_000.0, 200, 45.0), ("green", 6_000.0, 20, 40.0)] {
            if !query.contains(&format!("'{name}'")) {
                continue;
            }
            // Of its own in each minute, or nothing could be told by ranks.
            let requests: f64 = requests + (second / 60 % 7) as f64;
            let mut row = vec![json!(Timestamp::from_unix_seconds(second).unwrap().to_string()), json!(name)];
            row.extend([json!(requests as u64), json!(failed), json!(0), json!(0)]);
            row.extend(bounds.iter().map(|bound| json!((requests * (-bound / scale).exp()) as u64)));
            row.push(json!(0));
            rows.push(Value::Array(row));
        }
    }
    json!({ "tables": [{ "name": "PrimaryResult", "columns": columns, "rows": rows }] })
}

impl Silence {
    /// What is answered in place of `good`.
    fn spoil(self, about: About, mut good: Value) -> Reply {
        let error = |code: &str, message: &str| json!({ "error": { "code": code, "message": message } }).to_string();
        match self {
            Self::Timeout => return Reply::Silence,
            Self::Status(status) => return Reply::status(status, error("x", "y")),
            Self::Truncated => return Reply::Truncated(good.to_string()),
            Self::NoContent => return Reply::status(204, ""),
            Self::MissingTable => {
                let message = "Failed to resolve table or column expression named 'AmlOnlineEndpointTrafficLog'";
                return Reply::status(400, error("BadArgumentError", message));
            }
            Self::ErrorBeside => good["error"] = json!({ "code": "PartialError", "message": "a shard did not answer" }),
            Self::MissingColumn => good["tables"][0]["columns"][2]["name"] = json!("Wishes"),
            Self::Doubled | Self::Empty | Self::NotANumber | Self::Unknown => {}
        }
        let rows = good["tables"][0]["rows"].as_array_mut().unwrap();
        let concerned = |row: &Value| about == About::Both || row[1] == "green";
        match self {
            Self::Doubled => rows.extend(rows.clone()),
            Self::Empty => rows.retain(|row| !concerned(row)),
            Self::NotANumber => rows.iter_mut().filter(|row| concerned(row)).for_each(|row| row[2] = json!("NaN")),
            Self::Unknown => rows.iter_mut().filter(|row| concerned(row)).for_each(|row| {
                row[4] = row[2].clone();
                row[5] = row[2].clone();
            }),
            Self::ErrorBeside
            | Self::MissingColumn
            | Self::MissingTable
            | Self::NoContent
            | Self::Status(_)
            | Self::Timeout
            | Self::Truncated => {}
        }
        Reply::json(good.to_string())
    }
}

/// A world on the clock whose logs are answered by `script`, with a file of this gate.
fn world(
    clock: &FastClock,
    service: &str,
    gate: &str,
    script: impl Fn(&Request, &Value) -> Reply + Send + Sync + 'static,
) -> World {
    let mut world = World::new();
    let arm = world.arm.clone();
    let logs = Server::start(move |_, request| {
        if request.headers["authorization"] != format!("Bearer {LOGS_TOKEN}") {
            return Reply::status(403, r#"{"error":{"code":"InvalidAuthenticationTokenAudience","message":"whose?"}}"#);
        }
        script(request, &arm.record()["properties"]["traffic"])
    });
    world.env.push(("MLROLL_CLOCK", clock.url.clone()));
    world.env.push(("MLROLL_ENDPOINT_AZURE_LOGS", logs.url));
    world.env.push(("AZURE_LOGS_ACCESS_TOKEN", LOGS_TOKEN.to_owned()));
    let file = format!(
        "[services.fraud]\ntarget = \"azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud\"\n\
         steps = [\"10%\", \"100%\"]\nmin_bake = \"2m\"\nwarm_up = \"0s\"\nlook = \"60s\"\n{service}\n\
         [services.fraud.metrics]\nsource = \"azure-monitor\"\nlogs = true\nsettle_delay = \"0s\"\n\
         [[services.fraud.gates]]\n{gate}\n"
    );
    std::fs::write(world.folder.path().join("mlroll.toml"), file).unwrap();
    world
}

fn traffic(world: &World) -> Value {
    world.arm.record()["properties"]["traffic"].clone()
}

/// Runs a rollout whose store falls silent with the first shift; what is wrong with how it went, if anything.
fn play(silence: Silence, about: About, gate: &str, clock: &FastClock) -> Result<(), String> {
    let budget = if silence == Silence::Timeout { 60 } else { 120 };
    let service = format!("bake = \"20m\"\nno_data_budget = \"{budget}s\"");
    let world = world(clock, &service, gate, move |request, traffic| {
        let good = healthy(request);
        // Traffic has not moved: the queries are tried out.
        let tried_out = *traffic == json!({"blue": 100});
        if tried_out { Reply::json(good.to_string()) } else { silence.spoil(about, good) }
    });
    let ran = world.run(&["rollout", "--candidate", "green", "--output", "json"]);
    let document: Value = serde_json::from_str(&ran.stdout).map_err(|e| format!("{e}: {ran:?}"))?;
    let kind = document["error"]["kind"].as_str().unwrap_or_default();
    // Nobody at all where stable has users is evidence: the candidate is starved.
    let nobody = silence == Silence::Empty && about == About::Candidate;
    let expected = if nobody && !gate.contains("\"requests\"") { "starved" } else { "no_data" };
    let went = (ran.code, traffic(&world), world.arm.count(ArmOperation::Put));
    if went != (1, json!({"blue": 100}), 2) || kind != expected {
        return Err(format!("{went:?}, {kind} and not {expected}; {}", ran.stderr));
    }
    // Whoever keeps no log is told how to.
    let nothing = matches!(silence, Silence::Empty | Silence::NoContent) && about == About::Both;
    if nothing && !document["error"]["message"].to_string().contains("az monitor diagnostic-settings create") {
        return Err(format!("no word of what to type: {document}"));
    }
    if ran.stdout.contains(LOGS_TOKEN) || ran.stderr.contains(LOGS_TOKEN) {
        return Err("a secret got out".to_owned());
    }
    Ok(())
}

#[test]
fn a_traffic_log_that_tells_nothing_promotes_nobody() {
    let clock = FastClock::start(600.0);
    let mut cases = VecDeque::new();
    for silence in SILENCES {
        // How many requests there were is known also where nothing else is.
        let concerned = move |gate: &str| silence != Silence::Unknown || !gate.contains("\"requests\"");
        cases.extend(KINDS.iter().filter(|(_, gate)| concerned(gate)).map(|kind| (silence, About::Both, *kind)));
    }
    for silence in [Silence::Empty, Silence::NotANumber] {
        cases.extend(KINDS.map(|kind| (silence, About::Candidate, kind)));
    }
    let (queue, wrong) = (Mutex::new(cases), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().pop_front();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((silence, about, (name, gate))) = next() {
                    if let Err(what) = play(silence, about, gate, &clock) {
                        wrong.lock().unwrap().push(format!("{silence:?} about {about:?}, {name}: {what}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} cases went wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The same runs with a store that does tell: it is not something else that keeps them from being promoted.
#[test]
fn the_same_gates_promote_when_the_traffic_log_tells() {
    let clock = FastClock::start(600.0);
    std::thread::scope(|scope| {
        for (name, gate) in KINDS {
            let clock = &clock;
            scope.spawn(move || {
                let world = world(clock, "bake = \"1h\"", gate, |request, _| Reply::json(healthy(request).to_string()));
                let ran = world.run(&["rollout", "--candidate", "green"]);
                assert_eq!((ran.code, traffic(&world)), (0, json!({"green": 100})), "{name}: {ran:?}");
            });
        }
    });
}
