//! No evidence from Azure Monitor is never a pass: every way in which it can fail to tell, for every kind of gate.

use std::collections::VecDeque;
use std::sync::Mutex;

use mlroll_backend::Timestamp;
use mlroll_faults::arm::ArmOperation;
use mlroll_faults::scripted::{Reply, Request};
use serde_json::{Value, json};

use crate::azure_ml::World;
use crate::scaled::FastClock;

/// How many runs are under way at once: most of what they do is wait.
const AT_ONCE: usize = 16;

/// What says nothing of requests is no gate by itself.
macro_rules! beside_errors {
    ($gate:literal) => {
        concat!($gate, "\n[[services.fraud.gates]]\nmetric = \"error_rate\"\nmax = \"5%\"")
    };
}

/// Gates of every kind that Azure Monitor can answer.
const KINDS: [(&str, &str); 7] = [
    ("error_rate with a limit", "metric = \"error_rate\"\nmax = \"5%\""),
    ("error_rate against stable", "metric = \"error_rate\"\nmax_increase = { ratio = 2.0, abs = \"2%\" }"),
    ("requests against stable", "metric = \"requests\"\njudge = \"sign\""),
    (
        "p95 with a limit",
        "name = \"p95\"\nquery = \"metricnames=RequestLatency_P95&$filter=deployment eq '{{revision}}'\"\nmax = 300",
    ),
    (
        "p95 by signs",
        "name = \"p95\"\nquery = \"metricnames=RequestLatency_P95&$filter=deployment eq '{{revision}}'\"\njudge = \"sign\"",
    ),
    ("memory_headroom", beside_errors!("metric = \"memory_headroom\"\nmin = \"20%\"")),
    (
        "cpu_headroom against stable",
        beside_errors!("metric = \"cpu_headroom\"\njudge = \"sign\"\npass_tolerance = \"10%\""),
    ),
];

/// How it fails to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Silence {
    /// No series at all.
    Empty,
    /// 200, and words in place of `Success`.
    ErrorCode,
    /// Points with nothing but their time.
    NoValues,
    /// Texts where numbers belong.
    NotANumber,
    /// Series that nobody asked for in this number, or that lack what tells them apart.
    SeveralSeries,
    Status(u16),
    Timeout,
    Truncated,
    Zeros,
}

const SILENCES: [Silence; 14] = [
    Silence::Timeout,
    Silence::Status(429),
    Silence::Status(529),
    Silence::Status(500),
    Silence::Status(503),
    Silence::Truncated,
    Silence::Empty,
    Silence::NoValues,
    Silence::Zeros,
    Silence::NotANumber,
    Silence::ErrorCode,
    Silence::SeveralSeries,
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
    let field = |name: &str| request.form.get(name).cloned().unwrap_or_default();
    let (from, until) = field("timespan").split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap().unix_seconds();
    let of = field("aggregation").to_ascii_lowercase();
    let series = |deployment: &str, code: &str, value: f64| {
        let points = (at(&from)..at(&until)).step_by(60).map(|second| {
            let mut point = json!({"timeStamp": Timestamp::from_unix_seconds(second).unwrap()});
            // Of its own in each minute, or nothing could be told by ranks.
            point[of.as_str()] = json!(value + (second / 60 % 7) as f64 / 100.0);
            point
        });
        json!({"metadatavalues": [{"name": {"value": "deployment"}, "value": deployment},
                                  {"name": {"value": "statuscode"}, "value": code}],
               "data": points.collect::<Vec<_>>()})
    };
    let green = request.path.contains("/deployments/green/") || field("$filter").contains("'green'");
    let one = |stable: f64, candidate: f64| {
        vec![if green { series("green", "", candidate) } else { series("blue", "", stable) }]
    };
    let series = match field("metricnames").as_str() {
        "RequestsPerMinute" => vec![
            series("blue", "200", 2690.0),
            series("blue", "424", 10.0),
            series("green", "200", 299.0),
            series("green", "424", 1.0),
        ],
        "RequestLatency_P95" => one(130.0, 120.0),
        _ => one(60.0, 50.0),
    };
    json!({"interval": "PT1M", "value": [{"errorCode": "Success", "timeseries": series}]})
}

impl Silence {
    /// What is answered in place of `good`.
    fn spoil(self, about: About, mut good: Value) -> Reply {
        match self {
            Self::Timeout => return Reply::Silence,
            Self::Status(status) => return Reply::status(status, r#"{"code":"x","message":"y"}"#),
            Self::Truncated => return Reply::Truncated(good.to_string()),
            Self::ErrorCode => good["value"][0]["errorCode"] = json!("InternalError"),
            Self::Empty | Self::NoValues | Self::NotANumber | Self::SeveralSeries | Self::Zeros => {}
        }
        let series = good["value"][0]["timeseries"].as_array_mut().unwrap();
        let concerned = |one: &Value| about == About::Both || one["metadatavalues"][0]["value"] == "green";
        match self {
            Self::Empty => series.retain(|one| !concerned(one)),
            Self::SeveralSeries => {
                let mut more = series.clone();
                for one in &mut more {
                    one["metadatavalues"] = json!([]);
                }
                series.extend(more);
            }
            Self::ErrorCode
            | Self::NoValues
            | Self::NotANumber
            | Self::Status(_)
            | Self::Timeout
            | Self::Truncated
            | Self::Zeros => {}
        }
        let spoilt = match self {
            Self::NoValues => Some(Value::Null),
            Self::NotANumber => Some(json!("NaN")),
            Self::Zeros => Some(json!(0.0)),
            Self::Empty | Self::ErrorCode | Self::SeveralSeries | Self::Status(_) | Self::Timeout | Self::Truncated => {
                None
            }
        };
        let points = series.iter_mut().filter(|one| concerned(one)).flat_map(|one| one["data"].as_array_mut().unwrap());
        for (name, value) in points.flat_map(|point| point.as_object_mut().unwrap()) {
            if let Some(spoilt) = spoilt.as_ref().filter(|_| name != "timeStamp") {
                value.clone_from(spoilt);
            }
        }
        Reply::json(good.to_string())
    }
}

/// A world on the clock, with a file of these gates.
fn world(clock: &FastClock, service: &str, gates: &str) -> World {
    let mut world = World::new();
    world.env.push(("MLROLL_CLOCK", clock.url.clone()));
    let file = format!(
        "[services.fraud]\ntarget = \"azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud\"\n\
         steps = [\"10%\", \"100%\"]\nmin_bake = \"2m\"\nwarm_up = \"0s\"\nlook = \"60s\"\n{service}\n\
         [services.fraud.metrics]\nsource = \"azure-monitor\"\nsettle_delay = \"0s\"\n\
         [[services.fraud.gates]]\n{gates}\n"
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
    let world = world(clock, &format!("bake = \"20m\"\nno_data_budget = \"{budget}s\""), gate);
    let beside = gate.contains("[[services");
    world.arm.script_metrics(move |request, traffic| {
        let good = healthy(request);
        let requests = request.form["metricnames"] == "RequestsPerMinute";
        let theirs = good["value"][0]["timeseries"][0]["metadatavalues"][0]["value"] == "green";
        // Of gates beside errors it is only they that nobody tells of: silent errors hold by themselves.
        let concerned = if requests { !beside } else { about == About::Both || theirs };
        // Traffic has not moved: the queries are tried out.
        let tried_out = *traffic == json!({"blue": 100});
        if tried_out || !concerned { Reply::json(good.to_string()) } else { silence.spoil(about, good) }
    });
    let ran = world.run(&["rollout", "--candidate", "green", "--output", "json"]);
    let document: Value = serde_json::from_str(&ran.stdout).map_err(|e| format!("{e}: {ran:?}"))?;
    let kind = document["error"]["kind"].as_str().unwrap_or_default();
    // Nobody at all where stable has users is evidence: the candidate is starved.
    let nobody = matches!(silence, Silence::Empty | Silence::NoValues | Silence::Zeros) && about == About::Candidate;
    let expected = if nobody && gate.starts_with("metric = \"error_rate\"") { "starved" } else { "no_data" };
    let went = (ran.code, traffic(&world), world.arm.count(ArmOperation::Put));
    if went != (1, json!({"blue": 100}), 2) || kind != expected {
        return Err(format!("{went:?}, {kind} and not {expected}; {}", ran.stderr));
    }
    Ok(())
}

#[test]
fn azure_monitor_that_tells_nothing_promotes_nobody() {
    let clock = FastClock::start(600.0);
    let mut cases = VecDeque::new();
    for silence in SILENCES {
        cases.extend(KINDS.map(|kind| (silence, About::Both, kind)));
    }
    for silence in [Silence::Empty, Silence::NoValues, Silence::Zeros, Silence::NotANumber] {
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
fn the_same_gates_promote_when_azure_monitor_tells() {
    let clock = FastClock::start(600.0);
    std::thread::scope(|scope| {
        for (name, gate) in KINDS {
            let clock = &clock;
            scope.spawn(move || {
                let world = world(clock, "bake = \"1h\"", gate);
                world.arm.script_metrics(|request, _| Reply::json(healthy(request).to_string()));
                let ran = world.run(&["rollout", "--candidate", "green"]);
                assert_eq!((ran.code, traffic(&world)), (0, json!({"green": 100})), "{name}: {ran:?}");
            });
        }
    });
}
