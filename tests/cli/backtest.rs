//! `gate backtest` on a real Prometheus that holds a month.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mlroll_faults::{Fault, Kind, Operation, Outsider, make_blocks};
use tempfile::TempDir;

use crate::scaled::{GATES, Reply, Store, config, healthy};
use crate::world::World;

const DAYS: u64 = 30;

/// Four scrapes a minute: fewer are no window of a minute.
const SCRAPE: u64 = 15;

/// What each series of revision 2 counts in a scrape: the counts differ from one to the next, and sum up to the last number.
const SERIES: [(&str, [u64; 4]); 5] = [
    (r#"r_total{version="2",code="200"}"#, [240, 250, 255, 243]),
    (r#"r_total{version="2",code="500"}"#, [2, 1, 3, 2]),
    (r#"d_bucket{version="2",le="0.1"}"#, [200, 210, 205, 203]),
    (r#"d_bucket{version="2",le="0.3"}"#, [235, 243, 250, 238]),
    (r#"d_bucket{version="2",le="+Inf"}"#, [242, 251, 258, 245]),
];

const CONFIG: &str = r#"
[services.fraud]
target = "lambda:us-east-1/fraud@prod"
steps = ["10%", "100%"]
bake = "31m"
warm_up = "1m"
look = "60s"

[services.fraud.metrics]
source = "prometheus"
url = "http://127.0.0.1:PORT"
requests = 'r_total{version="{{revision}}"}'
errors = 'r_total{version="{{revision}}",code=~"5.."}'
latency = 'd_bucket{version="{{revision}}"}'

[[services.fraud.gates]]
name = "errors"
metric = "error_rate"

[[services.fraud.gates]]
name = "error-limit"
metric = "error_rate"
max = "2%"

[[services.fraud.gates]]
name = "doubled"
metric = "error_rate"
max_increase = { ratio = 2.0, abs = "0.1%" }

[[services.fraud.gates]]
name = "p95"
metric = "latency"
quantile = 0.95
max = "300ms"

[[services.fraud.gates]]
name = "p75"
metric = "latency"
quantile = 0.75
max = "100ms"
"#;

/// Prometheus over blocks that end now.
struct Month {
    process: Outsider,
    _folder: TempDir,
}

impl Month {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let samples = folder.path().join("samples.txt");
        write(&samples);
        // Few blocks: each of them reads all of the file.
        make_blocks(folder.path(), &samples, &["--max-block-duration=1000h"]);
        std::fs::write(folder.path().join("prometheus.yml"), "global: {}\n").unwrap();
        let process = Outsider::prometheus(folder.path(), &["--storage.tsdb.retention.time=100y".to_owned()]);
        process.until_ready("");
        Self { process, _folder: folder }
    }

    /// Seconds that it has worked so far (proc(5): in the 14th and 15th field, in hundredths).
    fn cpu_time(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
    }
}

fn write(path: &Path) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let first = now / SCRAPE * SCRAPE - (DAYS * 86_400 + 3_600);
    // It takes a while to make blocks of it, and then there is a new end.
    let last = now + 1_800;
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    for (labels, counts) in SERIES {
        let mut sum = 0;
        for (time, count) in (first..=last).step_by(usize::try_from(SCRAPE).unwrap()).zip(counts.iter().cycle()) {
            sum += count;
            writeln!(file, "{labels} {sum} {time}").unwrap();
        }
    }
    writeln!(file, "# EOF").unwrap();
}

/// 43,200 windows of five gates.
#[test]
fn a_month_of_minutes_and_five_gates_take_less_than_ten_seconds() {
    let month = Month::start();
    let world = World::new();
    world.write("mlroll.toml", &CONFIG.replace("PORT", &month.process.port().to_string()));
    let before = month.cpu_time();
    let command = concat!("TIMEFORMAT='cpu %U %S'; time ", env!("CARGO_BIN_EXE_mlroll"), " gate backtest");
    let more = "--since 30d --regression 4x --output json --quiet";
    let ran = world.run_shell(&format!("{command} {more}")).expect(0);
    let spent = month.cpu_time() - before + cpu_time(&ran.stderr);
    let tried = ran.json();
    let gates = tried["gates"].as_array().unwrap();
    assert_eq!(gates.len(), 5, "{tried}");
    // Each minute has each of the four counts once.
    let (requests, errors, slow) = (996.0, 8.0, 30.0);
    for (gate, rate) in gates.iter().zip([errors / requests, errors / requests, errors / requests, slow / requests]) {
        let result = &gate["result"];
        let windows = result["windows"].as_u64().unwrap() + result["without_data"].as_u64().unwrap();
        // The last windows are not settled when it is asked.
        assert!((43_190..=43_200).contains(&windows), "{gate}");
        assert!(result["without_data"].as_u64().unwrap() <= 2, "{gate}");
        assert!((result["requests"].as_f64().unwrap() - requests).abs() < 1e-6, "{gate}");
        assert!((result["base_rate"].as_f64().unwrap() - rate).abs() < 1e-9, "{gate}");
        let of = |side: &str, name: &str| result[side][name].as_u64().unwrap();
        assert!(of("healthy", "bakes") >= 1_400, "{gate}");
        assert!(of("healthy", "failed") * 100 <= of("healthy", "bakes") * 2, "{gate}");
    }
    let errors = &gates[0]["result"]["regressed"];
    assert!(errors["failed"].as_u64().unwrap() * 100 >= errors["bakes"].as_u64().unwrap() * 90, "{errors}");
    // Others may use the machine at the same time: what counts is the work of both, one after the other. Without optimization
    // arithmetic alone takes some 20 s of it.
    assert!(spent < if cfg!(debug_assertions) { 300.0 } else { 10.0 }, "{spent} s of work");
    assert!(cfg!(debug_assertions) || ran.took < Duration::from_secs(10), "it took {:?}", ran.took);
}

/// A window that the store fails to answer is none without data.
#[test]
fn what_the_store_fails_to_answer_is_asked_again_and_then_ends_it() {
    for (status, times, code, said) in
        [(503, usize::MAX, 7, "the metric store: "), (401, usize::MAX, 5, "the metric store: "), (401, 1, 0, "")]
    {
        let world = World::new();
        // The one question before is about the newest window; this is about one that is two minutes older.
        let (newest, left) = (Mutex::new(None), Mutex::new(times));
        let store = Store::start(move |asked| {
            let newest = *newest.lock().unwrap().get_or_insert(asked.time);
            let mut left = left.lock().unwrap();
            if asked.time != newest - 120 || *left == 0 {
                return Reply::Body(healthy(asked, 6_000.0));
            }
            *left -= 1;
            Reply::Status(status)
        });
        let keys = "steps = [\"10%\", \"100%\"]\nbake = \"3m\"\nwarm_up = \"0s\"\nlook = \"60s\"";
        world.write("mlroll.toml", &config(store.port, keys, GATES));
        let ran = world.run(&["gate", "backtest", "--since", "8m", "--output", "json"]).expect(code);
        let document = ran.json();
        if code == 0 {
            for gate in document["gates"].as_array().unwrap() {
                assert_eq!(gate["result"]["without_data"], 0, "{gate}");
            }
        } else {
            assert!(document["error"]["message"].as_str().unwrap().starts_with(said), "{status}: {document}");
        }
    }
}

/// A control plane that does not answer is no mistake in the arguments.
#[test]
fn a_provider_that_does_not_answer_in_time_is_out_of_reach() {
    let world = World::new();
    let store = Store::start(|asked| Reply::Body(healthy(asked, 6_000.0)));
    world.write("mlroll.toml", &config(store.port, "steps = [\"10%\", \"100%\"]\nbake = \"3m\"", GATES));
    for typed in
        [&["gate", "backtest"][..], &["plan", "--candidate", "3"], &["rollout", "--candidate", "3", "--dry-run"]]
    {
        // `plan` looks at the alias once to decide, and once more to say so.
        for nth in 0..if typed[0] == "gate" { 1 } else { 2 } {
            world.server.fault(Fault::on(Operation::GetAlias).skip(nth).kind(Kind::HangBefore));
            let ran = world.run(&[typed, &["--timeout", "2s", "--output", "json"]].concat()).expect(7);
            let said = ran.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(said.contains("no answer within the time limit (--timeout)"), "{typed:?} {nth}: {said}");
            world.server.clear_faults();
        }
    }
}

/// Seconds, from what the shell says.
fn cpu_time(stderr: &str) -> f64 {
    let line = stderr.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap();
    line.split(' ').map(|part| part.parse::<f64>().unwrap()).sum()
}
