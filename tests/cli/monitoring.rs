//! Gates on Cloud Monitoring: alarms, what instances lack, and a store that tells nothing of any of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};

use mlroll_backend::Timestamp;
use mlroll_faults::scripted::{Reply, Request, Server};
use serde_json::{Value, json};

use crate::cloud_run::{TARGET, World};
use crate::sandbox::Sandbox;
use crate::scaled::FastClock;

/// How many runs are under way at once: most of what they do is wait.
const AT_ONCE: usize = 16;

/// What says nothing of requests is no gate by itself.
macro_rules! beside_errors {
    ($gate:literal) => {
        concat!($gate, "\n[[services.fraud.gates]]\nmetric = \"error_rate\"\nmax = \"5%\"")
    };
}

/// Gates of every kind that Cloud Monitoring can answer.
const KINDS: [(&str, &str); 12] = [
    ("error_rate with a limit", "metric = \"error_rate\"\nmax = \"5%\""),
    ("error_rate against stable", "metric = \"error_rate\"\nmax_increase = { ratio = 2.0, abs = \"2%\" }"),
    ("latency with a limit", "metric = \"latency\"\nquantile = 0.95\nmax = \"300ms\""),
    // Of 300 requests a window no higher one is read.
    ("latency by signs", "metric = \"latency\"\nquantile = 0.9\njudge = \"sign\"\npass_tolerance = \"20%\""),
    ("requests against stable", "metric = \"requests\"\njudge = \"sign\""),
    ("PromQL with a limit", "name = \"own\"\nquery = 'sum(own{revision_name=\"{{revision}}\"})'\nmax = 2.0"),
    (
        "a filter by signs",
        "name = \"own\"\njudge = \"sign\"\npass_tolerance = \"20%\"\nquery = 'metric.type=\"run.googleapis.com/container/instance_count\" \
         AND resource.labels.revision_name=\"{{revision}}\" | ALIGN_MEAN | REDUCE_SUM'",
    ),
    ("instance_startup", beside_errors!("metric = \"instance_startup\"\nmax = \"30s\"")),
    ("pending_requests", beside_errors!("metric = \"pending_requests\"\nmax = 5")),
    ("memory_headroom", beside_errors!("metric = \"memory_headroom\"\nmin = \"20%\"")),
    (
        "gpu_headroom against stable",
        beside_errors!("metric = \"gpu_headroom\"\njudge = \"sign\"\npass_tolerance = \"10%\""),
    ),
    ("alarms beside errors", beside_errors!("alarms = [\"slow\", \"errors\"]")),
];

/// How a store fails to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Silence {
    /// Nothing at all; of alarms, no such policy; of PromQL, no series.
    Empty,
    /// Numbers that are none; of alarms, times that are none.
    NotANumber,
    /// A part is missing, and it says so; of alarms, the list does not end.
    Partial,
    SeveralSeries,
    Status(u16),
    Timeout,
    Truncated,
}

const SILENCES: [Silence; 9] = [
    Silence::Timeout,
    Silence::Status(429),
    Silence::Status(503),
    Silence::Truncated,
    Silence::Empty,
    Silence::NotANumber,
    Silence::Partial,
    Silence::SeveralSeries,
    Silence::Status(403),
];

/// What a healthy service has in the minute that is asked about: b is stable, d the candidate.
fn healthy(request: &Request) -> Value {
    let field = |name: &str| request.form.get(name).cloned().unwrap_or_default();
    if request.path.ends_with("/alertPolicies") {
        let policy =
            |n: u32, name: &str| json!({"name": format!("projects/acme/alertPolicies/{n}"), "displayName": name});
        return json!({"alertPolicies": [policy(1, "slow"), policy(2, "errors")]});
    }
    if request.path.ends_with("/alerts") {
        return json!({});
    }
    // Of its own in each minute: what never changes is told from itself by nobody.
    let minute = |seconds: i64| seconds / 60 % 7;
    let of_revision = |text: &str, minute: i64| {
        let usual = if text.contains("fraud-d") { 0.55 } else { 0.6 };
        usual + f64::from(i32::try_from(minute).unwrap()) / 1000.0
    };
    if request.path.ends_with("/query") {
        let at: i64 = field("time").parse().unwrap();
        let value = json!([at, of_revision(&field("query"), minute(at)).to_string()]);
        return json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": value}]}});
    }
    let (end, filter) = (field("interval.endTime"), field("filter"));
    let at = minute(end.parse::<Timestamp>().unwrap().unix_seconds());
    let series = |revision: &str, class: &str, value: Value| {
        json!({"metric": {"labels": {"response_code_class": class}}, "resource": {"labels": {"revision_name": revision}},
            "points": [{"interval": {"endTime": end}, "value": value}]})
    };
    let int = |count: u32| json!({"int64Value": count.to_string()});
    let spread = |mean: f64, counts: [u32; 3]| {
        json!({"distributionValue": {"count": counts.iter().sum::<u32>().to_string(), "mean": mean,
            "bucketOptions": {"explicitBuckets": {"bounds": [100, 300]}}, "bucketCounts": counts.map(|n| n.to_string())}})
    };
    let both = |value: Value| vec![series("fraud-b", "", value.clone()), series("fraud-d", "", value)];
    let all = if filter.contains("request_count") {
        let of = |revision: &str, good: u32, bad: u32| {
            [series(revision, "2xx", int(good)), series(revision, "5xx", int(bad))]
        };
        [of("fraud-b", 2690, 10), of("fraud-d", 299, 1)].concat()
    } else if filter.contains("request_latencies") {
        let moved = u32::try_from(at).unwrap();
        let stable = spread(90.0, [2000 + 10 * moved, 690 - 10 * moved, 10]);
        vec![series("fraud-b", "", stable), series("fraud-d", "", spread(90.0, [230 + moved, 69 - moved, 1]))]
    } else if filter.contains("startup_latencies") {
        both(spread(4500.0, [0, 0, 2]))
    } else if filter.contains("instance_count") {
        vec![series("", "", json!({"doubleValue": of_revision(&filter, at)}))]
    } else if filter.contains("pending_requests") {
        both(int(0))
    } else {
        vec![series("fraud-b", "", json!({"doubleValue": 0.6})), series("fraud-d", "", json!({"doubleValue": 0.55}))]
    };
    json!({"timeSeries": all})
}

impl Silence {
    /// What the store answers in place of `good`.
    fn spoil(self, request: &Request, mut good: Value) -> Reply {
        let about_alarms = request.path.contains("/alert");
        if request.path.ends_with("/query") {
            let result = &mut good["data"]["result"];
            match self {
                Self::Empty => *result = json!([]),
                Self::NotANumber => result[0]["value"][1] = json!("NaN"),
                Self::SeveralSeries => *result = json!([result[0], result[0]]),
                Self::Partial => good["warnings"] = json!(["remote_read: a part did not answer"]),
                Self::Status(status) => return Reply::status(status, "{}"),
                Self::Timeout => return Reply::Silence,
                Self::Truncated => return Reply::Truncated(good.to_string()),
            }
            return Reply::json(good.to_string());
        }
        match self {
            Self::Timeout => return Reply::Silence,
            Self::Status(status) => return Reply::status(status, "{}"),
            Self::Truncated => return Reply::Truncated(good.to_string()),
            Self::Empty => good = json!({}),
            Self::Partial if about_alarms => good["nextPageToken"] = json!("again"),
            Self::Partial => good["executionErrors"] = json!([{"code": 4, "message": "deadline exceeded"}]),
            Self::NotANumber if request.path.ends_with("/alerts") => {
                let policy = json!({"name": "projects/acme/alertPolicies/1", "displayName": "slow"});
                good = json!({"alerts": [{"policy": policy, "openTime": "yesterday"}]});
            }
            Self::SeveralSeries if about_alarms => good = json!([good]),
            Self::NotANumber | Self::SeveralSeries => {}
        }
        for series in good["timeSeries"].as_array_mut().into_iter().flatten() {
            if self == Self::NotANumber {
                series["points"][0]["value"] = json!({"doubleValue": "NaN"});
            }
        }
        // Where one number is asked for, two are one too many; where they are added up, what is no number is.
        if self == Self::SeveralSeries && !about_alarms {
            let mut more = good["timeSeries"].as_array().cloned().unwrap_or_default();
            if request.form.get("filter").is_some_and(|filter| filter.contains("request_count")) {
                for series in &mut more {
                    series["points"][0]["value"] = json!({"distributionValue": {}});
                }
            }
            good["timeSeries"].as_array_mut().unwrap().extend(more);
        }
        Reply::json(good.to_string())
    }
}

/// A world on the clock, whose store answers as `script` says; it is told who has traffic.
fn world(clock: &FastClock, script: impl Fn(&Request, &str) -> Reply + Send + Sync + 'static) -> Arc<World> {
    let seen: Arc<OnceLock<Arc<World>>> = Arc::default();
    let asked = Arc::clone(&seen);
    let store = Server::start(move |_, request| {
        let split = asked.get().map(|world| world.split()).unwrap_or_default();
        script(request, &split)
    });
    let world = World::new().set("MLROLL_ENDPOINT_CLOUD_MONITORING", &store.url).set("MLROLL_CLOCK", &clock.url);
    let world = Arc::new(world);
    let _ = seen.set(Arc::clone(&world));
    world
}

fn configure(world: &World, service: &str, gates: &str) {
    let file = format!(
        "[services.fraud]\ntarget = \"{TARGET}\"\nmin_bake = \"2m\"\nwarm_up = \"0s\"\nlook = \"60s\"\n{service}\n
        [services.fraud.metrics]\nsource = \"cloud-monitoring\"\nsettle_delay = \"0s\"\n
        [[services.fraud.gates]]\n{gates}\n"
    );
    std::fs::write(world.folder.path().join("mlroll.toml"), file).unwrap();
}

/// Runs a rollout whose store falls silent with the first shift; what is wrong with how it went, if anything.
fn play(silence: Silence, gate: &str, clock: &FastClock) -> Result<(), String> {
    let beside = gate.contains("[[services");
    let world = world(clock, move |request, split| {
        let good = healthy(request);
        // Of gates beside errors it is only they that nobody tells of: silent errors hold by themselves.
        let errors = request.form.get("filter").is_some_and(|filter| filter.contains("request_count"));
        let concerned = !beside || !errors;
        // Traffic has not moved: the queries are tried out.
        if split == "fraud-b=100" || !concerned { Reply::json(good.to_string()) } else { silence.spoil(request, good) }
    });
    let budget = if silence == Silence::Timeout { 60 } else { 120 };
    let service = format!("steps = [\"10%\", \"100%\"]\nbake = \"20m\"\nno_data_budget = \"{budget}s\"");
    configure(&world, &service, gate);
    let ran = world.run(&["rollout", "--candidate", "fraud-d", "--output", "json"]);
    let document: Value = serde_json::from_str(&ran.stdout).map_err(|e| format!("{e}: {ran:?}"))?;
    let kind = document["error"]["kind"].as_str().unwrap_or_default();
    let went = (ran.code, world.split(), world.writes().len());
    if went != (1, "fraud-b=100".to_owned(), 2) || kind != "no_data" {
        return Err(format!("{went:?}, {kind}; {}", ran.stderr));
    }
    Ok(())
}

#[test]
fn cloud_monitoring_that_tells_nothing_promotes_nobody() {
    let clock = FastClock::start(600.0);
    let mut cases = VecDeque::new();
    for silence in SILENCES {
        cases.extend(KINDS.map(|(name, gate)| (silence, name, gate)));
    }
    let (queue, wrong) = (Mutex::new(cases), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap().pop_front();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((silence, name, gate)) = next() {
                    if let Err(what) = play(silence, gate, &clock) {
                        wrong.lock().unwrap().push(format!("{silence:?}, {name}: {what}"));
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
fn the_same_gates_promote_when_cloud_monitoring_tells() {
    let clock = FastClock::start(600.0);
    std::thread::scope(|scope| {
        for (name, gate) in KINDS {
            let clock = &clock;
            scope.spawn(move || {
                let world = world(clock, |request, _| Reply::json(healthy(request).to_string()));
                // A second in which nobody gets to run is ten minutes here.
                configure(&world, "steps = [\"10%\", \"100%\"]\nbake = \"1h\"\nno_data_budget = \"6h\"", gate);
                let ran = world.run(&["rollout", "--candidate", "fraud-d"]);
                assert_eq!((ran.code, world.split().as_str()), (0, "fraud-d=100"), "{name}: {ran:?}");
            });
        }
    });
}

/// An alert of the policy `slow` since a moment, in RFC 3339.
fn alert(since: &str) -> Value {
    let policy = json!({"name": "projects/acme/alertPolicies/1", "displayName": "slow"});
    json!({"alerts": [{"name": "projects/acme/alerts/1", "state": "OPEN", "policy": policy, "openTime": since}]})
}

const ALARMS: &str = KINDS[11].1;
const STEPS: &str = "steps = [\"10%\", \"100%\"]\nbake = \"1h\"";

#[test]
fn an_alarm_that_opens_takes_the_candidate_back() {
    let clock = FastClock::start(600.0);
    let world = world(&clock, |request, split| {
        let opened = request.path.ends_with("/alerts") && split.contains("fraud-d=10");
        let answer = if opened { alert("2026-11-21T03:01:30Z") } else { healthy(request) };
        Reply::json(answer.to_string())
    });
    configure(&world, STEPS, ALARMS);
    let ran = world.run(&["rollout", "--candidate", "fraud-d", "--output", "json"]);
    let document = ran.json();
    ran.expect(1);
    assert_eq!((world.split().as_str(), &document["error"]["kind"]), ("fraud-b=100", &json!("gate_failed")));
    let finding = &document["findings"][0];
    assert_eq!((&finding["gate"], &finding["verdict"]), (&json!("alarms"), &json!("fail")), "{finding}");
    assert!(finding["reason"].as_str().unwrap().starts_with("`slow`, `errors`: open in "), "{finding}");
    world.run(&["explain"]).expect(0).says("FAIL: an alarm of `alarms` was open; on_fail = rollback");
    world.run(&["explain", "--verify"]).expect(0);
}

#[test]
fn an_alarm_that_is_open_already_lets_nothing_begin() {
    let clock = FastClock::start(600.0);
    let open = |request: &Request, _: &str| {
        let answer = if request.path.ends_with("/alerts") { alert("2026-11-20T03:00:00Z") } else { healthy(request) };
        Reply::json(answer.to_string())
    };
    let held = world(&clock, open);
    configure(&held, STEPS, ALARMS);
    for verb in [&["rollout"][..], &["canary", "--pct", "10"]] {
        let ran = held.run(&[verb, &["--candidate", "fraud-d"]].concat());
        ran.expect(3).says("gate `alarms`: an alarm is open before anything has begun").says("advisory = true");
    }
    assert!(held.writes().is_empty());
    held.run(&["plan", "--candidate", "fraud-d"]).expect(0).says("an alarm of it is open, and no run begins");
    // A candidate that has traffic is judged all the same.
    held.run(&["canary", "--pct", "10", "--candidate", "fraud-d", "--no-gates"]).expect(0);
    clock.advance(std::time::Duration::from_secs(600));
    let ran = held.run(&["gate", "check", "--output", "json"]);
    assert_eq!(ran.json()["findings"][0]["verdict"], "fail");
    ran.expect(1);
    held.run(&["rollout", "--candidate", "fraud-d"]).expect(1);
    assert_eq!(held.split(), "fraud-b=100");

    let reported = world(&clock, open);
    configure(&reported, STEPS, &ALARMS.replacen(']', "]\nadvisory = true", 1));
    reported.run(&["rollout", "--candidate", "fraud-d"]).expect(0);
    assert_eq!(reported.split(), "fraud-d=100");
}

/// Two policies are called the same, and one of them was renamed after its alert opened.
#[test]
fn an_alarm_is_the_policy_that_is_named_whatever_others_are_called() {
    let service = "cloud-run:acme/europe-west3/fraud";
    let sandbox = Sandbox::start(
        &[],
        &format!(
            r#"
            [cloud_monitoring.alerts]
            a = {{ display_name = "slow" }}
            b = {{ display_name = "slow", opens = "10m", formerly = "sluggish" }}
            c = {{ display_name = "other", opens = "10m", formerly = "still" }}
            d = {{ display_name = "still" }}
            e = {{ display_name = "over", opens = "10m", closes = "20m" }}
            [targets."{service}"]
            requests_per_second = 50
            stable = "fraud-00002-b"
            [targets."{service}".revisions]
            fraud-00002-b = {{}}
            fraud-00003-c = {{}}
            "#
        ),
    );
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "2h"}"#);
    for (alarm, open) in [
        ("projects/acme/alertPolicies/1", false),
        ("projects/acme/alertPolicies/2", true),
        ("slow", true),
        ("other", true),
        ("still", false),
        ("over", false),
    ] {
        let gates = format!(
            "[[services.fraud.gates]]\nmetric = \"error_rate\"\nmax = \"5%\"\n\n[[services.fraud.gates]]\nalarms = [\"{alarm}\"]\n"
        );
        let metrics = "[services.fraud.metrics]\nsource = \"cloud-monitoring\"\n";
        sandbox.write(
            "mlroll.toml",
            &format!("[services.fraud]\ntarget = \"{service}\"\nsteps = [\"10%\", \"100%\"]\n{metrics}{gates}"),
        );
        let (code, said) = sandbox.run(&["plan", "--candidate", "fraud-00003-c"]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(said.to_string().contains("an alarm of it is open"), open, "{alarm}: {said}");
    }
}

#[test]
fn what_a_store_cannot_answer_is_refused_by_gate_and_store_before_traffic_moves() {
    let clock = FastClock::start(600.0);
    let world = world(&clock, |request, _| Reply::json(healthy(request).to_string()));
    let rollout = ["rollout", "--candidate", "fraud-d"];
    configure(&world, STEPS, "alarms = [\"slow\"]");
    world.run(&rollout).expect(2).says("only alarms and instances are critical").says("metric = \"error_rate\"");
    configure(&world, STEPS, &ALARMS.replace("\"errors\"", "\"erorrs\""));
    world.run(&rollout).expect(6).says("project acme has no alert policy `erorrs`");
    configure(&world, STEPS, "metric = \"disk_headroom\"\nmax = 1\njudge = \"sign\"");
    world.run(&rollout).expect(2).says("there is no built-in metric `disk_headroom`").says("gpu_headroom");
    configure(&world, STEPS, "metric = \"instance_startup\"\nmax = 30");
    world.run(&rollout).expect(2).says("mlroll.toml:15:7: max: a duration is text with a unit");
    for (gate, name) in [(KINDS[9].1, "memory_headroom"), (ALARMS, "alarms")] {
        configure(&world, STEPS, gate);
        let path = world.folder.path().join("mlroll.toml");
        let file = std::fs::read_to_string(&path).unwrap();
        // Nobody listens there: it is refused before anybody is asked.
        let prometheus = "source = \"prometheus\"\nurl = \"http://127.0.0.1:9\"\nrequests = 'r{v=\"{{revision}}\"}'\nerrors = 'e{v=\"{{revision}}\"}'";
        std::fs::write(&path, file.replace("source = \"cloud-monitoring\"", prometheus)).unwrap();
        world
            .run(&rollout)
            .expect(2)
            .says(&format!("gate `{name}`: "))
            .says(&format!("Prometheus has nothing to answer `{name}` with"));
    }
    assert!(world.writes().is_empty());
}
