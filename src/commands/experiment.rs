//! `mlroll experiment`

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use mlroll_backend::{RevisionId, Weight};
use serde_json::{Value, json};

use super::foresee::first_shifts;
use super::plan::{positive, rate};
use super::watched::{Begin, Run, Watched, only, state_of, watch};
use super::{Context, Ended};
use crate::cli::{duration, percent, revision};
use crate::config::{Service, Watching, select};
use crate::driver::{COUNTER, OnInterrupt};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::judge::gate::{Gate, Rule};
use crate::rollout::engine::Experiment;

pub(super) use crate::driver::replace;

/// Where it is written what an experiment came to, unless told otherwise.
pub(super) const SUMMARY: &str = "ab_summary.json";

/// Hold a split until one metric tells which revision is better (A/B test)
///
/// The test may be read after every look: it names a difference where there is none with a chance of at most --alpha. It ends
/// with the look that shows one, or undecided after the bake or --size. The gates of the service guard it: when one fails,
/// stable gets everything back. Requests that are not split as they should be stop it. A candidate that is shown to be worse is
/// taken back (`on_fail`), one that is better keeps its share. On SageMaker a candidate without traffic first gets as many
/// instances as stable, and the bounds of its autoscaling.
#[derive(Args, Debug)]
pub struct ExperimentArgs {
    /// The service of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// The candidate's share in percent
    #[arg(long, value_name = "P", value_parser = percent)]
    pub pct: Weight,
    /// The metric that decides: a gate of the service by its name, whose limits are not read, or error_rate or availability
    #[arg(long, value_name = "NAME")]
    pub metric: String,
    /// The revision on trial
    #[arg(long, value_name = "REV", value_parser = revision)]
    pub candidate: Option<RevisionId>,
    /// Try a revision again that was rolled back
    #[arg(long, requires = "candidate")]
    pub again: bool,
    /// How long it lasts at most, in place of the bake of the service
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub bake: Option<Duration>,
    /// Requests of both revisions after which it ends undecided, where that is before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    pub size: Option<u64>,
    /// The chance of naming a difference where there is none
    #[arg(long, value_name = "SHARE", value_parser = level, default_value = "5%")]
    pub alpha: f64,
    /// The difference that it is meant to show, such as 0.1 for a tenth; the power is that for it
    #[arg(long, value_name = "PART", value_parser = positive, default_value = "0.1")]
    pub effect: f64,
    /// Where to write what it came to
    #[arg(long, value_name = "FILE", default_value = SUMMARY)]
    pub summary: PathBuf,
    /// What an interrupt does
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub on_interrupt: OnInterrupt,
}

/// An error level for a flag.
fn level(text: &str) -> Result<f64, String> {
    let between = rate(text).ok().filter(|level| *level > 0.0 && *level < 1.0);
    between.ok_or_else(|| format!("`{text}` is no error level; allowed are such as `5%`, above 0 and below 1"))
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, or output cannot be written.
pub fn run(args: &ExperimentArgs, context: &Context) -> Result<ExitStatus, Ended> {
    if context.global.dry_run {
        return begin(args, context);
    }
    let before = held(&args.summary);
    begin(args, context).map_err(|ended| told_of_another(ended, &args.summary, before.as_deref()))
}

fn begin(args: &ExperimentArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    if args.pct == Weight::ZERO || args.pct == Weight::FULL {
        let failure = Failure::usage(format!("an experiment at {} compares with nobody", args.pct));
        return Err(failure.hint("the most is learnt at `--pct 50`").into());
    }
    check_place(&args.summary)?;
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    let (selected, service) = only(&selected, config.as_ref())?;
    let service = &with_metric(service, &args.metric)?;
    let about = Experiment { metric: args.metric.clone(), alpha: args.alpha, size: args.size, effect: args.effect };
    let watching = Watching::experiment(service, args.pct, args.bake, about);
    let (state, folder) = state_of(config.as_ref(), global.config.as_deref())?;
    let state = state.with_summary(&args.summary);
    // One that is unfinished is gone on with: to begin anew until something shows would be a way to any result.
    let verb = watching.kind.verb();
    let begin = Begin::New { watching, candidate: args.candidate.clone(), again: args.again, go_on: true };
    let runs = vec![Run { selected, service: Cow::Borrowed(service), begin }];
    let (on_interrupt, summary) = (args.on_interrupt, Some(args.summary.clone()));
    let watched = Watched { verb, state, folder, on_interrupt, summary, runs, refused: Vec::new() };
    if global.dry_run { first_shifts(context, &watched) } else { watch(context, watched) }
}

/// The service with the metric that decides as its last gate, and before it what counts requests where nothing else does.
pub(super) fn with_metric(service: &Service, metric: &str) -> Result<Service, Failure> {
    let mut service = service.clone();
    let about = metric_gate(&service.gates, metric)?;
    // It decides now, and need not be reported besides.
    service.gates.retain(|gate| gate.name() != metric || !gate.is_advisory());
    if !service.gates.iter().chain([&about]).any(counts_requests) {
        let counter = json!({ "name": COUNTER, "metric": "requests", "judge": "sign", "advisory": true });
        service.gates.push(serde_json::from_value(counter).map_err(|e| wrong(&e.to_string()))?);
    }
    service.gates.push(about);
    Ok(service)
}

/// Whether it counts the requests of each window. A series of latencies may be one of the store's own percentiles.
fn counts_requests(gate: &Gate) -> bool {
    let counted = match gate.rule() {
        Rule::Count(_) | Rule::Latency(_) | Rule::Shape(_) => true,
        Rule::Alarms | Rule::Drift(_) | Rule::Samples(_) | Rule::Series(_) => gate.metric() == Some("requests"),
    };
    counted && gate.tells_requests()
}

fn wrong(why: &str) -> Failure {
    Failure::usage(format!("--metric: {why}"))
}

/// A gate that fails whatever is worse than stable, by however little. One of that name that guards keeps it for itself.
fn metric_gate(gates: &[Gate], metric: &str) -> Result<Gate, Failure> {
    let mut named = gates.iter().filter(|gate| gate.name() == metric);
    let (found, second) = (named.next(), named.next());
    if found.is_some_and(|gate| gate.scores().is_some()) {
        let failure = wrong(&format!("gate `{metric}`: scores drift both ways, and neither is better"));
        return Err(failure.hint("name a gate that has a better and a worse, and let this one guard the experiment"));
    }
    let guards = found.is_some_and(|gate| !gate.is_advisory());
    let mut file: Value = match (found, second) {
        (Some(_), Some(_)) => {
            let failure = wrong(&format!("the service has several gates `{metric}`"));
            return Err(failure.hint("give the one that is meant a `name` of its own"));
        }
        (Some(gate), None) => serde_json::to_value(gate).map_err(|e| wrong(&e.to_string()))?,
        (None, _) if matches!(metric, "availability" | "error_rate") => json!({ "metric": metric }),
        (None, _) => {
            let names: Vec<&str> = gates.iter().map(Gate::name).chain(["error_rate", "availability"]).collect();
            let failure = wrong(&format!("the service has no gate `{}`", metric.escape_debug()));
            return Err(failure
                .hint(format!("allowed are: {}", names.join(", ")))
                .hint("for another, write a gate with `advisory = true`: it decides nothing elsewhere"));
        }
    };
    let keys = file.as_object_mut().ok_or_else(|| wrong("a gate is an object"))?;
    let limits =
        ["max", "max_increase", "fail", "pass", "tolerance", "pass_tolerance", "alpha", "final_look", "two_sided"];
    for key in limits {
        keys.remove(key);
    }
    // A lower limit is how some say that more is better; availability is so by itself.
    if keys.remove("min").is_some() && keys.get("metric").is_none_or(|metric| metric != "availability") {
        keys.insert("better".to_owned(), json!("higher"));
    }
    keys.insert("advisory".to_owned(), json!(false));
    if guards {
        keys.insert("name".to_owned(), json!(format!("{metric} (A/B)")));
    }
    let compares_values = keys.contains_key("query") || keys.get("judge").is_some_and(|judge| judge != "shape");
    if !compares_values {
        keys.insert("fail".to_owned(), json!({ "ratio": 1.0, "abs": 0.0 }));
    }
    let gate: Gate = serde_json::from_value(file).map_err(|e| wrong(&e.to_string()))?;
    match gate.rule() {
        Rule::Samples(_) => {
            let failure = wrong(&format!("gate `{metric}`: mann_whitney and kayenta decide at planned looks only"));
            Err(failure.hint("judge = \"t\" or \"sign\""))
        }
        Rule::Alarms => {
            let failure =
                wrong(&format!("gate `{metric}`: an alarm measures nothing that two revisions could differ in"));
            Err(failure.hint("name a gate that does, and let the alarm guard the experiment"))
        }
        Rule::Count(_) | Rule::Drift(_) | Rule::Latency(_) | Rule::Series(_) | Rule::Shape(_) => Ok(gate),
    }
}

/// Refuses, before any traffic moves, a place that nothing can be written to.
pub(super) fn check_place(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let why = match (path.is_dir(), folder.is_dir()) {
        (true, _) => "is a folder",
        (false, false) => "lies in no folder that exists",
        (false, true) => return Ok(()),
    };
    Err(Failure::usage(format!("--summary: `{}` {why}", path.display())))
}

/// What a file of that name holds, where there is one.
pub(super) fn held(summary: &Path) -> Option<Vec<u8>> {
    // A pipe would be waited for.
    fs::metadata(summary).ok().filter(fs::Metadata::is_file)?;
    fs::read(summary).ok()
}

/// What was refused has written no summary: whoever reads the one that is there must know.
pub(super) fn told_of_another(ended: Ended, summary: &Path, before: Option<&[u8]>) -> Ended {
    let Ended::Failed(failure) = ended else { return ended };
    let Some(held) = held(summary).filter(|held| Some(held.as_slice()) == before) else {
        return Ended::Failed(failure);
    };
    let read: Option<Value> = serde_json::from_slice(&held).ok();
    let run = read.as_ref().and_then(|read| read.get("run")?.as_str()).map(|run| format!("run {}", run.escape_debug()));
    let whose = run.unwrap_or_else(|| "something else".to_owned());
    failure
        .hint(format!("`{}` was not written: what it says is of {whose}, which was before", summary.display()))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gates(of: &[&str]) -> Vec<Gate> {
        of.iter().map(|gate| serde_json::from_str(gate).unwrap()).collect()
    }

    const SCORE: &str = r#"{"name": "score", "query": "x", "min": 3.0, "difference": "plain", "advisory": true}"#;
    const SLOW: &str = r#"{"name": "slow", "metric": "latency", "quantile": 0.9, "max": "300ms", "advisory": true}"#;
    const ERRORS: &str = r#"{"metric": "error_rate", "max": "1%", "alpha": "0.1%"}"#;

    #[test]
    fn limits_are_left_out_and_what_is_compared_stays() {
        let gates = gates(&[SCORE, SLOW, ERRORS, r#"{"name": "up", "metric": "availability", "min": "99%"}"#]);
        let shown = |metric: &str| serde_json::to_value(metric_gate(&gates, metric).unwrap()).unwrap();
        let strict = json!({ "ratio": 1.0, "abs": 0.0 });
        for (metric, want) in [
            (
                "score",
                json!({ "name": "score", "query": "x", "better": "higher", "difference": "plain", "advisory": false }),
            ),
            (
                "slow",
                json!({ "name": "slow", "metric": "latency", "quantile": 0.9, "fail": strict, "advisory": false }),
            ),
            (
                "error_rate",
                json!({ "name": "error_rate (A/B)", "metric": "error_rate", "fail": strict, "advisory": false }),
            ),
            ("up", json!({ "name": "up (A/B)", "metric": "availability", "fail": strict, "advisory": false })),
            ("availability", json!({ "metric": "availability", "fail": strict, "advisory": false })),
        ] {
            assert_eq!(shown(metric), want);
        }
    }

    #[test]
    fn what_cannot_decide_is_refused() {
        let ranks = r#"{"name": "ranks", "query": "x", "judge": "kayenta"}"#;
        let gates = gates(&[ranks, SLOW, SLOW]);
        for (metric, why) in
            [("ranks", "planned looks only"), ("slow", "several"), ("sales", "no gate `sales`"), ("", "no gate")]
        {
            let failure = metric_gate(&gates, metric).unwrap_err();
            assert!(failure.exit == ExitStatus::Usage && failure.message.contains(why), "{failure:?}");
        }
    }

    #[test]
    fn requests_are_asked_for_where_no_gate_tells_them() {
        let names = |of: &[&str], metric: &str| {
            let service = with_metric(&Service { gates: gates(of), ..Service::default() }, metric).unwrap();
            service.gates.iter().map(|gate| gate.name().to_owned()).collect::<Vec<_>>()
        };
        let guard = SCORE.replace("true", "false");
        assert_eq!(names(&[SCORE], "score"), [COUNTER, "score"]);
        assert_eq!(names(&[&guard], "score"), ["score", COUNTER, "score (A/B)"]);
        assert_eq!(names(&[SCORE, SLOW], "score"), ["slow", "score"]);
        assert_eq!(names(&[ERRORS], "error_rate"), ["error_rate", "error_rate (A/B)"]);
        assert_eq!(names(&[], "error_rate"), ["error_rate"]);
        // What has no query of its own need not count requests.
        for silent in [
            r#"{"name": "other", "alarms": ["slow"]}"#,
            r#"{"name": "other", "metric": "latency", "quantile": 0.9, "judge": "sign"}"#,
            r#"{"name": "other", "metric": "memory_headroom", "min": "20%"}"#,
            r#"{"name": "other", "requests": "visits", "events": "orders", "better": "higher", "fail": {"ratio": 0.9}}"#,
        ] {
            assert_eq!(names(&[silent, SCORE], "score"), ["other", COUNTER, "score"]);
        }
    }

    #[test]
    fn a_summary_is_replaced_as_a_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ab.json");
        for text in ["one", "two"] {
            replace(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing else is left behind");
        let missing = home.path().join("no").join("ab.json");
        assert!(replace(&missing, "x").is_err());
        for wrong in [home.path(), &missing] {
            assert_eq!(check_place(wrong).unwrap_err().exit, ExitStatus::Usage);
        }
        check_place(Path::new(SUMMARY)).unwrap();
    }
}
