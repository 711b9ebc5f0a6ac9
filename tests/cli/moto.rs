//! On moto, an AWS that others wrote: traffic really moves, and each call is counted in moto's own log.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mlroll_faults::{Outsider, tool};
use serde_json::{Value, json};

use crate::watched::{Behaviour, GOOD, ROLLOUT, Service};
use crate::world::World;

struct Moto {
    server: Outsider,
    url: String,
}

impl Moto {
    fn start(folder: &Path) -> Self {
        let server = Outsider::moto(folder);
        let moto = Self { url: server.url(), server };
        let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/moto_seed.py");
        let seeded = Command::new(tool("python/bin/python")).arg(seed).arg(&moto.url).status().unwrap();
        assert!(seeded.success(), "{}", moto.server.log());
        moto
    }

    /// Requests about the alias so far, as moto logged them: reads and writes.
    fn counted(&self) -> (usize, usize) {
        let log = self.server.log();
        let count = |method: &str| {
            log.lines().filter(|l| l.contains(&format!("{method} /2015-03-31/functions/fraud/"))).count()
        };
        (count("GET"), count("PUT"))
    }
}

/// The split as any client reads it from moto.
fn split_of(url: &str) -> (String, BTreeMap<String, f64>) {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let key = "Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0";
    let path = "/2015-03-31/functions/fraud/aliases/prod";
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: AWS4-HMAC-SHA256 {key}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let alias: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let weights = alias["RoutingConfig"]["AdditionalVersionWeights"].as_object().cloned().unwrap_or_default();
    let weights = weights.into_iter().map(|(version, weight)| (version, weight.as_f64().unwrap())).collect();
    (alias["FunctionVersion"].as_str().unwrap().to_owned(), weights)
}

/// The loop closed over other people's parts: moto's alias, Prometheus' numbers.
#[test]
fn a_rollout_on_moto_is_promoted_or_rolled_back_by_its_gates() {
    for (errors, code, outcome, version) in [(0.005, 0, "promoted", "3"), (0.2, 1, "rolled_back", "2")] {
        let world = World::new().unset("AWS_ENDPOINT_URL_LAMBDA");
        let moto = Moto::start(world.path());
        let world = world.set("AWS_ENDPOINT_URL", &moto.url);
        let url = moto.url.clone();
        let _service = Service::of(&world, move || split_of(&url), [GOOD, Behaviour { errors, ..GOOD }]);
        // Moto has no provisioned concurrency that could be listed.
        let file = world.path().join("mlroll.toml");
        let config = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, config.replacen("[services.fraud]", "[services.fraud]\ncapacity = \"leave\"", 1))
            .unwrap();
        let ran = world.run(&[&ROLLOUT[..], &["--output", "json"]].concat()).expect(code);
        assert_eq!(ran.json()["outcome"], outcome);
        assert_eq!(split_of(&moto.url), (version.to_owned(), BTreeMap::new()));
    }
}

/// Moto has no revision ids of functions, and no states: what is left says that requests are what others take them for.
#[test]
fn the_same_code_deployed_twice_is_one_version() {
    let world = World::new().unset("AWS_ENDPOINT_URL_LAMBDA");
    let moto = Moto::start(world.path());
    let world = world.set("AWS_ENDPOINT_URL", &moto.url);
    std::fs::write(world.path().join("model.zip"), archive()).unwrap();
    for outcome in ["deployed", "unchanged"] {
        let (ran, document) = world.verb(&["deploy", "--zip", "model.zip"]);
        ran.expect(0);
        assert_eq!((&document["outcome"], &document["targets"][0]["revision"]), (&json!(outcome), &json!("4")));
    }
    assert_eq!(split_of(&moto.url), ("2".to_owned(), BTreeMap::new()), "nobody is moved");
}

/// An archive without files, which is the end of a directory and nothing before it.
fn archive() -> Vec<u8> {
    [&b"PK\x05\x06"[..], &[0; 18]].concat()
}

#[test]
fn traffic_moves_with_the_fewest_calls() {
    let world = World::new().unset("AWS_ENDPOINT_URL_LAMBDA");
    let moto = Moto::start(world.path());
    let world = world.set("AWS_ENDPOINT_URL", &moto.url);
    let mut before = moto.counted();
    // Moto answers the update before it writes its log line: give the line a moment.
    let mut step = |arguments: &[&str], outcome: &str, reads: usize, writes: usize, split: Value| {
        let (ran, document) = world.verb(arguments);
        ran.expect(0);
        assert_eq!(document["outcome"], outcome, "{arguments:?}");
        assert_eq!(document["targets"][0]["after"], split, "{arguments:?}");
        assert_eq!(
            document["targets"][0]["calls"],
            json!({"read": reads, "write": writes, "poll": 0}),
            "{arguments:?}"
        );
        let expected = (before.0 + reads, before.1 + writes);
        let started = Instant::now();
        while moto.counted() != expected && started.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(moto.counted(), expected, "{arguments:?}: on the wire");
        let (_, status) = world.verb(&["status"]);
        let shares: Vec<Value> = status["targets"][0]["split"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| json!({"revision": s["revision"], "percent": s["percent"]}))
            .collect();
        assert_eq!(Value::from(shares), split, "{arguments:?}: as status reads it");
        before = (expected.0 + 1, expected.1);
    };
    let both = |a: f64, b: f64| json!([{"revision": "2", "percent": a}, {"revision": "3", "percent": b}]);
    let all = |revision: &str| json!([{"revision": revision, "percent": 100.0}]);
    // The first shift also lists the versions and checks both of the pair.
    step(&["canary", "--pct", "10"], "shifted", 4, 1, both(90.0, 10.0));
    step(&["canary", "--pct", "0.5"], "shifted", 1, 1, both(99.5, 0.5));
    step(&["rollback"], "rolled_back", 1, 1, all("2"));
    step(&["rollback"], "unchanged", 1, 0, all("2"));
    step(&["canary", "--pct", "10", "--candidate", "3", "--again"], "shifted", 3, 1, both(90.0, 10.0));
    step(&["promote", "--force"], "promoted", 1, 1, all("3"));
    step(&["rollback"], "rolled_back", 1, 1, all("2"));
    step(&["rollback"], "unchanged", 1, 0, all("2"));
    let ran = world.run(&["rollback", "--target", "lambda:us-east-1/fraud@nope"]).expect(6);
    ran.says("traffic: untouched");
}
