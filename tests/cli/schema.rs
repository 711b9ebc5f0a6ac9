//! The JSON Schema of mlroll.toml, for editors: docs/mlroll.schema.json is made from the types below, and they are held
//! against the program's own parser.

#![allow(dead_code, reason = "types that are only described")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use mlroll::config;
use mlroll_faults::tool;
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::Value;

const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mlroll.schema.json");

/// mlroll.toml: which services are rolled out, where, and what decides.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields, title = "mlroll.toml")]
struct File {
    /// Where journals are kept: a folder, s3://, gs:// or az://
    state: Option<String>,
    /// Services by name
    #[schemars(default)]
    services: BTreeMap<String, Service>,
}

/// One service: what routes its traffic, and how it is rolled out. One of target, targets and waves is needed.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct Service {
    /// lambda:REGION/FUNCTION@ALIAS, sagemaker:REGION/ENDPOINT, cloud-run:PROJECT/REGION/SERVICE, azure-ml:..., or an ARN
    target: Option<String>,
    /// Several, moved together
    targets: Option<Vec<String>>,
    /// Several, moved one group after the other
    waves: Option<Vec<Wave>>,
    /// The shares of a rollout, rising to 100%
    steps: Option<Vec<Share>>,
    /// How long a step holds at most, as 10m
    bake: Option<String>,
    /// The part of it that is not judged
    warm_up: Option<String>,
    /// The shortest bake that may pass
    min_bake: Option<String>,
    /// One window of metrics
    look: Option<String>,
    /// How long the promoted revision is watched
    watch_after: Option<String>,
    /// How long a previous revision is kept from being overwritten
    keep_previous: Option<String>,
    /// The chance of a false rollback in a whole rollout
    alpha: Option<Share>,
    /// The chance of a false promotion by one gate
    beta: Option<Share>,
    /// What a failed gate does
    on_fail: Option<Reaction>,
    /// What a bake without a verdict does
    on_inconclusive: Option<Reaction>,
    /// What a candidate without its share of traffic does
    on_starved: Option<Reaction>,
    /// What a rollout does about the candidate's capacity: `match` gives it stable's before its first share, and sets that back
    /// at the end
    capacity: Option<Capacity>,
    /// What a model registry is told of whom was promoted (SageMaker); never whether it is approved
    model_stage: Option<Stage>,
    /// How much time without data a step may have
    no_data_budget: Option<String>,
    /// How long a shift may take until it is live
    settle_timeout: Option<String>,
    /// Where metrics come from
    metrics: Option<Metrics>,
    /// What decides
    gates: Option<Vec<Gate>>,
    /// Kayenta's score, in place of the single gates that Kayenta judges
    kayenta: Option<KayentaScore>,
}

/// Kayenta's score over the gates that it judges, 0 to 100.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct KayentaScore {
    /// From here on it is a pass; 95
    pass: Option<f64>,
    /// Below, it is a fail; 75
    marginal: Option<f64>,
    /// The weights of groups; the others share what is left of 100
    weights: Option<BTreeMap<String, f64>>,
}

/// Kayenta's settings of one metric, in its own words.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct KayentaMetric {
    /// Which change matters
    direction: Option<Direction>,
    /// What becomes of values that are missing
    nan_strategy: Option<NanStrategy>,
    /// What becomes of outliers
    outliers: Option<Outliers>,
    /// The size that a change needs
    effect_size: Option<EffectSize>,
    /// A fail of it makes the whole score 0
    critical: Option<bool>,
    /// No data is a fail
    must_have_data: Option<bool>,
    /// Its group in the score
    group: Option<String>,
}

/// The size that a change needs.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct EffectSize {
    /// How it is measured
    measure: Option<Measure>,
    /// The least effect that is High
    allowed_increase: Option<f64>,
    /// The greatest effect that is Low
    allowed_decrease: Option<f64>,
    /// The least effect that is critical
    critical_increase: Option<f64>,
    /// The greatest effect that is critical
    critical_decrease: Option<f64>,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Decrease,
    Either,
    Increase,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Measure {
    Cles,
    MeanRatio,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum NanStrategy {
    Remove,
    Replace,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outliers {
    Keep,
    Remove,
}

/// A stage in the life of a model, in its owners' own words.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct Stage {
    /// Such as Production
    stage: String,
    /// How far it is there, such as Approved
    status: String,
}

/// A group of targets that are moved together.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct Wave {
    targets: Vec<String>,
}

/// A number, or text with a unit: 0.01, "1%", "300ms".
#[derive(JsonSchema, Serialize)]
#[serde(untagged)]
enum Share {
    Number(f64),
    Text(String),
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Reaction {
    Hold,
    Rollback,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Capacity {
    Leave,
    Match,
}

/// Where metrics come from.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct Metrics {
    /// The store
    source: Source,
    /// How late the store is, or auto
    settle_delay: Option<String>,
    /// Azure Monitor: count requests in the traffic log of Azure ML, exactly: true, or the id of the Log Analytics workspace that
    /// it is in
    logs: Option<Logs>,
    /// Prometheus: how often it scrapes; measured when not given
    scrape: Option<String>,
    /// Prometheus: its address
    url: Option<String>,
    /// Prometheus: headers of every request
    headers: Option<BTreeMap<String, String>>,
    /// Prometheus: the variable that holds a bearer token
    bearer_env: Option<String>,
    /// Prometheus: the variable that holds the user
    basic_user_env: Option<String>,
    /// Prometheus: the variable that holds the password
    basic_password_env: Option<String>,
    /// Prometheus: a file of certificates to trust
    ca: Option<String>,
    /// Prometheus: send credentials over plain http beyond loopback
    allow_plain_http: Option<bool>,
    /// Prometheus: the counter of requests
    requests: Option<String>,
    /// Prometheus: the counter of errors
    errors: Option<String>,
    /// Prometheus: the histogram of latencies
    latency: Option<String>,
    /// Prometheus: metric names of a known server
    preset: Option<Preset>,
}

/// Whether the traffic log is read, or where.
#[derive(JsonSchema, Serialize)]
#[serde(untagged)]
enum Logs {
    Read(bool),
    Workspace(String),
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Source {
    AzureMonitor,
    CloudMonitoring,
    Cloudwatch,
    Prometheus,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Preset {
    Fastapi,
    Istio,
    Knative,
    Kserve,
    Seldon,
    Torchserve,
    Triton,
    Vllm,
}

/// A rule on one metric.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct Gate {
    /// error_rate, availability, latency, requests, instance_startup, pending_requests, cpu_headroom, memory_headroom,
    /// gpu_headroom or gpu_memory_headroom; one meaning on every source
    metric: Option<String>,
    /// Its name in findings
    name: Option<String>,
    /// Any query of the store that answers with one number
    query: Option<String>,
    /// Alarms of the store by name, in place of metric and query: one that is open is a FAIL
    alarms: Option<Vec<String>>,
    /// What happened, by a selector of the store: a share of one's own, together with events
    requests: Option<String>,
    /// What of requests counts, by a selector of the store
    events: Option<String>,
    /// The histogram of the model's own outputs, by a selector of the store
    scores: Option<String>,
    /// How far scores may drift: the population stability index
    max_psi: Option<f64>,
    /// The label whose values are compared each with itself, such as region
    strata: Option<String>,
    /// The unit of its values, for people
    unit: Option<String>,
    /// The absolute limit: FAIL above it, PASS below it
    max: Option<Share>,
    /// The absolute limit of what is better higher
    min: Option<Share>,
    /// Both boundaries against stable
    max_increase: Option<Boundary>,
    /// The FAIL boundary against stable
    fail: Option<Boundary>,
    /// The PASS boundary against stable
    pass: Option<Boundary>,
    /// The quantile of a latency, between 0 and 1
    quantile: Option<f64>,
    /// Which way is good
    better: Option<Better>,
    /// How values are judged; counts need none
    judge: Option<Judge>,
    /// The FAIL margin against stable, of a judge
    tolerance: Option<Share>,
    /// The PASS margin against stable, of a judge
    pass_tolerance: Option<Share>,
    /// Kayenta's settings, of judge = "kayenta"
    kayenta: Option<KayentaMetric>,
    /// How two values are compared
    difference: Option<Difference>,
    /// The gate's own part of the rollout's alpha
    alpha: Option<Share>,
    /// Keep half of its alpha for an exact test at the end
    final_look: Option<bool>,
    /// A change in either direction counts; for counts against stable
    two_sided: Option<bool>,
    /// Reported, never decides
    advisory: Option<bool>,
}

/// A rate against stable's: ratio times it, and abs on top.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct Boundary {
    ratio: Option<f64>,
    abs: Option<Share>,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Better {
    Higher,
    Lower,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Judge {
    Kayenta,
    MannWhitney,
    Shape,
    Sign,
    T,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Difference {
    Log,
    Plain,
}

fn made() -> String {
    serde_json::to_string_pretty(&schema_for!(File)).unwrap() + "\n"
}

#[test]
#[ignore = "writes docs/mlroll.schema.json: cargo test --test cli write_the_schema -- --ignored"]
fn write_the_schema() {
    std::fs::write(STORED, made()).unwrap();
}

#[test]
fn the_stored_schema_is_current() {
    let stored = std::fs::read_to_string(STORED).unwrap();
    assert!(stored == made(), "make it anew: cargo test --test cli write_the_schema -- --ignored");
}

/// The parser names the keys it knows when it meets one it does not: they are those of the schema.
#[test]
fn the_schema_has_the_keys_of_the_parser() {
    let schema: Value = serde_json::from_str(&made()).unwrap();
    let service = "[services.a]\ntarget = \"lambda:us-east-1/a@prod\"\n";
    for (place, text) in [
        ("", "unknown = 1\n".to_owned()),
        ("Service", format!("{service}unknown = 1\n")),
        ("Wave", "[[services.a.waves]]\nunknown = 1\n".to_owned()),
        ("Metrics", format!("{service}[services.a.metrics]\nunknown = 1\n")),
        ("Gate", format!("{service}[[services.a.gates]]\nunknown = 1\n")),
        ("Boundary", format!("{service}[[services.a.gates]]\nmetric = \"error_rate\"\nfail = {{ unknown = 1 }}\n")),
        ("Source", format!("{service}[services.a.metrics]\nsource = \"unknown\"\n")),
        ("Preset", format!("{service}[services.a.metrics]\nsource = \"prometheus\"\npreset = \"unknown\"\n")),
        ("Reaction", format!("{service}on_fail = \"unknown\"\n")),
        ("Judge", format!("{service}[[services.a.gates]]\nmetric = \"latency\"\njudge = \"unknown\"\n")),
    ] {
        let definition = if place.is_empty() { &schema } else { &schema["$defs"][place] };
        let known: BTreeSet<String> = match definition["properties"].as_object() {
            Some(properties) => properties.keys().cloned().collect(),
            None => definition["enum"].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect(),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mlroll.toml");
        std::fs::write(&path, text).unwrap();
        let message = config::load(&path).unwrap_err().to_string();
        let (_, expected) = message.split_once("expected").unwrap_or_else(|| panic!("{place}: {message}"));
        let named: BTreeSet<String> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(named, known, "{place}: {message}");
    }
}

/// Every example of the documents, and the file that holds every key, are what the schema describes and the parser reads.
#[test]
fn documented_files_fit_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = r#"
import json, pathlib, re, sys, tomllib, jsonschema
root = pathlib.Path(sys.argv[1])
validator = jsonschema.Draft202012Validator(json.loads((root / "docs/mlroll.schema.json").read_text()))
texts = [(root / "tests/cli/whole.toml").read_text()]
for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
    texts += [t for t in re.findall(r"```toml\n(.*?)```", page.read_text(), re.S) if "services." in t]
for text in texts:
    for error in validator.iter_errors(tomllib.loads(text)):
        print(error.json_path, error.message, text, sep="\n")
        sys.exit(1)
for wrong in ["on_fial = 1", "[services.a]\nsteps = 3", "[[services.a.gates]]\nmetric = 1", "[services.a]\non_fail = 'panic'"]:
    assert not validator.is_valid(tomllib.loads(wrong)), wrong
print(len(texts))
"#;
    let checked = Command::new(tool("python/bin/python")).args(["-c", script]).arg(root).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}{}", String::from_utf8_lossy(&checked.stderr));
    assert!(said.trim().parse::<u32>().unwrap() >= 4, "{said}");
}
