//! A run makes the calls that were printed before, and no others: by method, URL and body, on each cloud.

use serde_json::Value;

use crate::sandbox::{FAILING, HEALTHY, Sandbox, config, world};
use crate::world::FRAUD;
use crate::{capacity, sagemaker_capacity};

/// A call to a control plane.
#[derive(Clone, Debug, PartialEq)]
struct Call {
    operation: String,
    method: String,
    /// Path and query: all that is said is said to the sandbox.
    url: String,
    body: Value,
}

impl Call {
    /// As a document prints it.
    fn said(sandbox: &Sandbox, call: &Value) -> Self {
        let url = call["url"].as_str().unwrap();
        let url = url.strip_prefix(sandbox.url()).unwrap_or_else(|| panic!("{url} is not of {}", sandbox.url()));
        Self {
            operation: text(&call["operation"]),
            method: text(&call["method"]),
            url: url.to_owned(),
            body: call["body"].clone(),
        }
    }

    /// As it was received.
    fn made(request: &Value) -> Self {
        let (path, query) = (text(&request["path"]), text(&request["query"]));
        Self {
            operation: text(&request["operation"]),
            method: text(&request["method"]),
            url: if query.is_empty() { path } else { format!("{path}?{query}") },
            body: request["body"].clone(),
        }
    }

    fn is_read(&self) -> bool {
        self.method == "GET" || ["Describe", "List"].iter().any(|reading| self.operation.starts_with(reading))
    }

    /// A read: of calls that go to one place each names what it reads.
    fn read(&self) -> (String, Value) {
        (self.place(), self.body.clone())
    }

    /// What it does, where a body does not tell.
    fn place(&self) -> String {
        let operation = if self.url == "/" { self.operation.as_str() } else { "" };
        format!("{} {} {operation}", self.method, self.url)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn calls(sandbox: &Sandbox, printed: &Value) -> Vec<Call> {
    printed.as_array().into_iter().flatten().map(|call| Call::said(sandbox, call)).collect()
}

/// What went to control planes.
#[derive(Debug)]
struct Made {
    calls: Vec<Call>,
    /// What was refused for its rate, and made again.
    refused: Vec<Call>,
}

impl Made {
    /// Since the log was emptied.
    fn of(sandbox: &Sandbox) -> Self {
        let log: Value = serde_json::from_str(&sandbox.ask("GET", "/_sandbox/requests", "")).unwrap();
        let planes = ["lambda", "cloud-run", "sagemaker", "application-autoscaling", "azure-ml"];
        let of_planes = |request: &&Value| request["api"].as_str().is_some_and(|api| planes.contains(&api));
        let log = log.as_array().unwrap().iter().filter(of_planes);
        let (refused, done): (Vec<&Value>, Vec<&Value>) = log.partition(|request| request["status"] == 429);
        let calls: Vec<Call> = done.into_iter().map(Call::made).collect();
        let refused: Vec<Call> = refused.into_iter().map(Call::made).collect();
        for call in &refused {
            assert!(calls.contains(call), "refused, and not made again: {call:?}");
        }
        Self { calls, refused }
    }

    /// How many reads, or writes, there were in all.
    fn count(&self, reads: bool) -> usize {
        self.calls.iter().chain(&self.refused).filter(|call| call.is_read() == reads).count()
    }
}

/// What only the run can know, as `unknown` of its plan says: what guards a write, the time and the run's id in the note, and what
/// Azure keeps in an endpoint.
fn known(unknown: &str, body: &Value) -> Value {
    assert!(unknown.contains("the time and the run's id in the note"), "{unknown}");
    let guarded = unknown.contains("guards each write");
    let kept = unknown.contains("AzureAsyncOperationUri");
    fn masked(value: &Value, hidden: &dyn Fn(&str) -> bool) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields.iter().filter(|(name, _)| !hidden(name));
                fields.map(|(name, value)| (name.clone(), masked(value, hidden))).collect()
            }
            Value::Array(values) => values.iter().map(|value| masked(value, hidden)).collect(),
            Value::String(text) if text.contains("mlroll v1 ") || text.contains(" id=") => {
                let is_new = |word: &&str| !["at=", "id="].iter().any(|name| word.starts_with(name));
                text.trim_matches(['[', ']']).split(' ').filter(is_new).collect::<Vec<_>>().join(" ").into()
            }
            Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
    masked(body, &|name| {
        (guarded && ["RevisionId", "etag"].contains(&name)) || (kept && name == "AzureAsyncOperationUri")
    })
}

/// What was printed of a run.
#[derive(Debug, Default)]
struct Printed {
    /// Up to its first shift, and that.
    first: Vec<Call>,
    /// Whether how often capacity is looked at, and how it is set back, is unknown.
    sized: bool,
    /// The shifts after the first, each with its reads.
    later: Vec<Vec<Call>>,
    /// What looking at the target takes; not known of verbs that nobody watches, which only wait for their own write.
    observe: Option<Vec<Call>>,
    /// How often it is looked at, where each split is live at once.
    most: Option<u64>,
    /// Reads of the metric store, which nobody counts as the run's.
    learnt: usize,
    unknown: String,
}

impl Printed {
    /// By `plan`, of a run that goes on to the end, or is taken back from its first step.
    fn plan(sandbox: &Sandbox, plan: &Value, taken_back: bool) -> Self {
        let planning = Made::of(sandbox);
        let of = |part: &Value| calls(sandbox, part);
        let steps: Vec<Vec<Call>> = plan["steps"].as_array().unwrap().iter().map(|step| of(&step["calls"])).collect();
        let capacity = &plan["capacity"];
        let learn = of(&plan["learn"]);
        let begins = [of(&plan["opening"]), learn.clone(), of(&plan["observe"]), of(&capacity["reads"])].concat();
        let later = if taken_back { vec![of(&plan["rollback"])] } else { steps[1..].to_vec() };
        let first = [begins, of(&capacity["prepare"]), steps[0].clone()].concat();
        Self {
            first: once(first, &planning.refused),
            sized: capacity["changes"].as_array().is_some_and(|changes| !changes.is_empty()),
            later,
            observe: Some(of(&plan["observe"])),
            most: plan["observed"]["most"].as_u64(),
            learnt: learn.len(),
            unknown: plan["unknown"].to_string(),
        }
    }

    /// By a dry run: what it prints is all, or all up to the first shift.
    fn dry_run(sandbox: &Sandbox, document: &Value) -> Self {
        assert_eq!(document["schema"], "mlroll/dry-run/1", "{document}");
        let first = once(calls(sandbox, &document["calls"]), &Made::of(sandbox).refused);
        Self { first, ..Self::default() }
    }

    fn compare(&self, what: &str, sandbox: &Sandbox, done: &Value) {
        let all = Made::of(sandbox);
        let (reads, writes, mut made) = (all.count(true), all.count(false), all.calls);
        let counted = &done["targets"][0]["calls"];
        let count = |name: &str| usize::try_from(counted[name].as_u64().unwrap()).unwrap();
        assert_eq!((count("read") + count("poll") + self.learnt, count("write")), (reads, writes), "{what}: {counted}");

        // Each write, in order.
        let written = |calls: &[Call]| -> Vec<(String, Value)> {
            let writes = calls.iter().filter(|call| !call.is_read());
            writes.map(|call| (call.place(), known(&self.unknown, &call.body))).collect()
        };
        let expected = written(&[self.first.as_slice(), &self.later.concat()].concat());
        let mut wrote = written(&made);
        if self.sized {
            assert!(self.unknown.contains("the calls that set it back"), "{what}: {}", self.unknown);
            // What comes after is setting it back.
            wrote.truncate(expected.len());
            let is_last = |(at, call): (usize, &Call)| (!call.is_read()).then_some(at + 1);
            let last = made.iter().enumerate().filter_map(is_last).take(expected.len()).last();
            made.truncate(last.unwrap_or_default());
        }
        assert_eq!(wrote, expected, "{what}: {made:#?}");

        // Before the first shift, each read as often as it was said; two may go out at once.
        let sorted = |calls: &[Call]| -> Vec<(String, Value)> {
            let mut reads: Vec<_> = calls.iter().filter(|call| call.is_read()).map(Call::read).collect();
            reads.sort_by(|a, b| (&a.0, a.1.to_string()).cmp(&(&b.0, b.1.to_string())));
            reads
        };
        let shift = |calls: &[Call]| {
            let last = self.first.iter().rev().find(|call| !call.is_read()).map(Call::place);
            let nth = written(&self.first).iter().filter(|(place, _)| Some(place) == last.as_ref()).count();
            let same = calls.iter().enumerate().filter(|(_, call)| Some(call.place()) == last && !call.is_read());
            same.map(|(at, _)| at).nth(nth.saturating_sub(1)).unwrap_or(calls.len())
        };
        let (before, after) = made.split_at(shift(&made));
        let said = sorted(&self.first);
        let (read, mut since) = (sorted(before), sorted(after));
        if self.sized {
            let mut more = read;
            said.iter().for_each(|call| take(&mut more, call, what));
            assert!(more.iter().all(|call| said.contains(call)), "{what}: {more:?}");
        } else {
            assert_eq!(read, said, "{what}: before the first shift");
        }

        // And since then those of each shift, and looks at the target.
        sorted(&self.later.concat()).iter().for_each(|call| take(&mut since, call, what));
        let Some(observe) = self.observe.as_deref().map(sorted) else {
            assert!(since.iter().all(|call| said.contains(call)), "{what}: {since:?} since");
            return;
        };
        let mut looks = 0;
        while since.contains(&observe[0]) {
            observe.iter().for_each(|call| take(&mut since, call, what));
            looks += 1;
        }
        assert_eq!(since, [], "{what}: reads that nobody foretold");
        if what.starts_with("lambda") {
            assert!(looks < self.most.unwrap(), "{what}: {looks} looks and one before, of {:?}", self.most);
        }
    }
}

/// Without those that were refused when it was found out what to print: each was made again, and printed each time.
fn once(mut printed: Vec<Call>, refused: &[Call]) -> Vec<Call> {
    for call in refused {
        let at = printed.iter().position(|printed| printed == call);
        at.map(|at| printed.remove(at));
    }
    printed
}

/// Takes one such call out.
fn take(from: &mut Vec<(String, Value)>, call: &(String, Value), what: &str) {
    let at = from.iter().position(|made| made == call);
    from.remove(at.unwrap_or_else(|| panic!("{what}: {call:?} was foretold, and not made")));
}

/// A run as it is typed, how it ends, and how the candidate is.
struct Run {
    behaviour: &'static str,
    plan: &'static [&'static str],
    run: &'static [&'static str],
    ends: (i32, &'static str),
}

const RUNS: [Run; 5] = [
    Run { behaviour: HEALTHY, plan: &["plan"], run: &["rollout"], ends: (0, "promoted") },
    Run { behaviour: FAILING, plan: &["plan"], run: &["rollout"], ends: (1, "rolled_back") },
    Run { behaviour: HEALTHY, plan: &["plan", "--pct", "10"], run: &["canary", "--pct", "10"], ends: (0, "shifted") },
    Run {
        behaviour: FAILING,
        plan: &["plan", "--pct", "10"],
        run: &["canary", "--pct", "10"],
        ends: (1, "rolled_back"),
    },
    Run {
        behaviour: HEALTHY,
        plan: &["plan", "--no-gates", "--bake", "2m"],
        run: &["rollout", "--no-gates", "--bake", "2m"],
        ends: (0, "promoted"),
    },
];

/// Promise 5, on the request log of a sandbox.
fn makes_the_calls_of_its_plan(sandbox: &Sandbox, run: &Run) {
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let (code, plan) = sandbox.run(run.plan);
    assert_eq!((code, plan["schema"].as_str()), (0, Some("mlroll/plan/1")), "{plan}");
    let what = format!("{} {:?}, {}", text(&plan["target"]), run.run, run.ends.1);
    let printed = Printed::plan(sandbox, &plan, run.ends.0 != 0);
    assert_eq!(Made::of(sandbox).count(false), 0, "{what}: the plan wrote");
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let (code, done) = sandbox.run(run.run);
    assert_eq!((code, done["outcome"].as_str()), (run.ends.0, Some(run.ends.1)), "{what}: {done}");
    printed.compare(&what, sandbox, &done);
    bills_what_it_said(&plan, &done, run.ends.0 == 0);
    let waits = plan["blocked"].as_array().unwrap().len();
    let overtakes = ["lambda:", "cloud-run:"].iter().any(|cloud| what.starts_with(cloud));
    assert_eq!(waits > 0, !overtakes, "{plan}");
}

/// No run costs more than the longest that was foretold. One that was late asks for several windows at once, and so costs less than
/// the shortest: here a second is ten minutes.
fn bills_what_it_said(plan: &Value, done: &Value, promoted: bool) {
    let asked = &done["targets"][0]["metrics"];
    assert_eq!(plan["metrics"].is_object(), asked.is_object(), "{plan} {done}");
    for what in ["calls", "series"] {
        let of = |bill: &Value| bill[what].as_u64().unwrap_or_default();
        let (opening, look) = (of(&plan["metrics"]["opening"]), of(&plan["metrics"]["look"]));
        let (least, most) = (of(&plan["metrics"]["least"]), of(&plan["metrics"]["most"]));
        assert!(least <= most && (most == 0 || least > opening), "{plan}");
        let cheapest = if promoted { opening + look } else { opening };
        assert!((cheapest..=most).contains(&of(asked)), "{what}: {asked}, not from {cheapest} to {most}");
    }
}

/// Dry runs of what is not watched, one after the other on one target: each prints all calls of the run.
fn makes_the_calls_of_its_dry_run(sandbox: &Sandbox, unknown: &str, candidate: &str) {
    for typed in [
        &["canary", "--no-gates", "--pct", "10"][..],
        &["rollback"],
        &["canary", "--no-gates", "--pct", "50", "--candidate", "", "--again"],
        &["promote", "--force"],
        &["rollback"],
    ] {
        let typed: Vec<&str> = typed.iter().map(|word| if word.is_empty() { candidate } else { word }).collect();
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        let (code, document) = sandbox.run(&[&typed[..], &["--dry-run"]].concat());
        assert_eq!(code, 0, "{typed:?}: {document}");
        let printed = Printed { unknown: unknown.to_owned(), ..Printed::dry_run(sandbox, &document) };
        assert_eq!(Made::of(sandbox).count(false), 0, "{typed:?}: the dry run wrote");
        sandbox.ask("DELETE", "/_sandbox/requests", "");
        let (code, done) = sandbox.run(&typed);
        assert_eq!(code, 0, "{typed:?}: {done}");
        printed.compare(&format!("{typed:?}"), sandbox, &done);
    }
}

/// An experiment has a dry run up to its first shift; its way back is that of a canary with the same share.
fn makes_the_calls_of_an_experiment(sandbox: &Sandbox, plan: &Value, ends: &[&str]) {
    let typed = ["experiment", "--pct", "10", "--metric", "error_rate", "--bake", "30m"];
    let planned = Printed::plan(sandbox, plan, true);
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let (code, document) = sandbox.run(&[&typed[..], &["--dry-run"]].concat());
    assert_eq!(code, 0, "{document}");
    let first = Printed::dry_run(sandbox, &document).first;
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    let (_, done) = sandbox.run(&typed);
    let outcome = done["outcome"].as_str().unwrap();
    assert!(ends.contains(&outcome), "{done}");
    let later = if outcome == "rolled_back" { planned.later } else { Vec::new() };
    let printed = Printed { later, most: Some(u64::MAX), ..planned };
    Printed { first, ..printed }.compare("experiment", sandbox, &done);
}

fn on(cloud: (&str, &str, [&str; 2])) {
    let (target, source, revisions) = cloud;
    std::thread::scope(|scope| {
        for run in &RUNS {
            scope
                .spawn(move || makes_the_calls_of_its_plan(&service_of(target, source, revisions, run.behaviour), run));
        }
        for (behaviour, ends) in [(HEALTHY, &["shifted", "held", "rolled_back"][..]), (FAILING, &["rolled_back"])] {
            scope.spawn(move || {
                let sandbox = service_of(target, source, revisions, behaviour);
                let (_, plan) = sandbox.run(&["plan", "--pct", "10"]);
                if behaviour == HEALTHY {
                    let unjudged = service_of(target, source, revisions, behaviour);
                    makes_the_calls_of_its_dry_run(&unjudged, &plan["unknown"].to_string(), revisions[1]);
                }
                makes_the_calls_of_an_experiment(&sandbox, &plan, ends);
            });
        }
    });
}

#[test]
fn a_run_on_lambda_makes_the_calls_that_were_printed() {
    on(CLOUDS[0]);
}

#[test]
fn a_run_on_cloud_run_makes_the_calls_that_were_printed() {
    on(CLOUDS[1]);
}

#[test]
fn a_run_on_sagemaker_makes_the_calls_that_were_printed() {
    on(CLOUDS[2]);
}

#[test]
fn a_run_on_azure_ml_makes_the_calls_that_were_printed() {
    on(CLOUDS[3]);
}

#[test]
fn a_run_makes_the_calls_of_its_plan_by_a_store_that_nobody_bills() {
    for run in &RUNS[..2] {
        let sandbox = Sandbox::start(&["--speed", "600"], &world(run.behaviour, "0s"));
        sandbox.write("mlroll.toml", &config("30s", ""));
        makes_the_calls_of_its_plan(&sandbox, run);
    }
}

/// Capacity before the first share: provisioned concurrency of an alias and of a version, and instances that scale by themselves.
#[test]
fn a_run_that_is_given_capacity_makes_the_calls_that_were_printed() {
    std::thread::scope(|scope| {
        for run in &RUNS[..2] {
            for on in ["prod", "2"] {
                scope.spawn(move || makes_the_calls_of_its_plan(&capacity::start(run.behaviour, on), run));
            }
            for autoscaling in ["autoscaling = [2, 8]", ""] {
                scope.spawn(move || {
                    makes_the_calls_of_its_plan(&sagemaker_capacity::start(run.behaviour, autoscaling), run)
                });
            }
        }
        for run in &RUNS[2..4] {
            scope.spawn(move || {
                makes_the_calls_of_its_plan(&sagemaker_capacity::start(run.behaviour, "autoscaling = [2, 8]"), run)
            });
        }
    });
}

/// A service of each cloud with the metrics of its own, and what its revisions are called.
const CLOUDS: [(&str, &str, [&str; 2]); 4] = [
    (FRAUD, "cloudwatch", ["2", "3"]),
    ("cloud-run:acme/europe-west3/fraud", "cloud-monitoring", ["fraud-00002-b", "fraud-00003-c"]),
    ("sagemaker:us-east-1/fraud", "cloudwatch", ["a", "b"]),
    ("azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud", "azure-monitor", ["blue", "green"]),
];

fn service_of(target: &str, source: &str, [stable, candidate]: [&str; 2], behaviour: &str) -> Sandbox {
    let world = format!(
        r#"
        seed = 7
        start = "2026-11-21T03:00:07Z"
        [targets."{target}"]
        requests_per_second = 200
        stable = "{stable}"
        [targets."{target}".revisions]
        {stable} = {HEALTHY}
        {candidate} = {behaviour}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "600"], &world);
    let config = format!(
        r#"
        [services.fraud]
        target = "{target}"
        steps = ["10%", "50%", "100%"]
        bake = "1h"
        no_data_budget = "1h"
        [services.fraud.metrics]
        source = "{source}"
        [[services.fraud.gates]]
        metric = "error_rate"
        max_increase = {{ ratio = 1.5, abs = "0.2%" }}
        "#
    );
    sandbox.write("mlroll.toml", &config);
    sandbox
}
