//! Whatever is thrown at it, it goes on serving.

use std::time::{Duration, Instant};

use mlroll_sandbox::{Background, Options};
use serde_json::{Value, json};

use crate::client::{Client, FRAUD, PROD, options, sandbox};

/// SplitMix64: a fixed sequence for a fixed seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).unwrap()).unwrap()
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let n = self.below(most + 1);
        (0..n).map(|_| u8::try_from(self.next() & 0xff).unwrap()).collect()
    }

    /// A value of any type, sometimes deeply nested.
    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 7 } else { 9 }) {
            0 => Value::Null,
            1 => json!(self.next().is_multiple_of(2)),
            2 => json!(self.next()),
            3 => json!(-1.5e300),
            4 => json!("$LATEST"),
            5 => json!(self.below(5).to_string()),
            6 => json!("é\u{0}\u{1F600}".repeat(self.below(200))),
            7 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let keys = ["RoutingConfig", "AdditionalVersionWeights", "2", "3", "x"];
                let n = self.below(4);
                (0..n).map(|_| (self.one(&keys).to_owned(), self.value(depth - 1))).collect()
            }
        }
    }
}

const METHODS: [&str; 7] = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "BREW"];
const PATHS: [&str; 22] = [
    PROD,
    FRAUD,
    "/2015-03-31/functions/",
    "/2015-03-31/functions/fraud/aliases?MaxItems=-1",
    "/2015-03-31/functions/fraud/aliases?Marker=%ff%00&MaxItems=99999999999999999999",
    "/2015-03-31/functions/fraud/versions?Marker=AAAA%2B%2F%3D",
    "/2015-03-31/functions/fraud/versions",
    "/2015-03-31/functions/fraud/code",
    "/2015-03-31/functions/fraud/configuration?Qualifier=%F0%28%8C%28",
    "/2015-03-31/functions/%2e%2e%2f/aliases/%00",
    "/2015-03-31/functions/arn%3Aaws%3Alambda%3A%3A%3Afunction%3A%3A/aliases/prod",
    "/2015-03-31/functions/fraud/invocations?Qualifier=prod",
    "/2019-09-30/functions/fraud/provisioned-concurrency?Qualifier=prod",
    "/2019-09-30/functions/fraud/provisioned-concurrency?List=ALL&Marker=x",
    "/2017-10-31/functions/fraud/concurrency",
    "/2016-08-19/account-settings/",
    "/_sandbox/faults/",
    "/_sandbox/clock",
    "/_sandbox/requests",
    "/service/GraniteServiceVersion20100801/operation/GetMetricData",
    "/api/v1/query?query=%7B",
    "//%%%",
];
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=AK/1/us-east-1/lambda/aws4_request\r\n";

/// CBOR whose lengths promise more than there is.
const CBOR: [&[u8]; 5] =
    [b"\xbf", b"\xbf\x6aMetricData\x9f", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", b"\xc1\xfb\x7f", b"\x5b\x7f\xff"];

/// One malformed request; no header wishes for more of the connection.
fn malformed(chance: &mut Chance) -> Vec<u8> {
    let (method, path) = (chance.one(&METHODS), chance.one(&PATHS));
    let signed = if chance.below(5) > 0 { SIGNED } else { "" };
    let with = |headers: &str, body: &[u8], length: usize| {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{signed}{headers}Content-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    };
    match chance.below(12) {
        0 => chance.bytes(2000),
        1 => [b"GET / HTTP/1.1\r\n".as_slice(), &chance.bytes(300), b"\r\n\r\n"].concat(),
        2 => format!("{method} {path} HTTP/9.9\r\n\r\n").into_bytes(),
        3 => {
            let body = chance.bytes(500);
            with("", &body, body.len())
        }
        4 => {
            let body = chance.value(4).to_string();
            with("Content-Type: application/json\r\n", body.as_bytes(), body.len())
        }
        5 => {
            let body = json!({"FunctionVersion": "3", "RoutingConfig": chance.value(3)}).to_string();
            let cut = &body.as_bytes()[..chance.below(body.len())];
            with("", cut, cut.len())
        }
        6 => {
            let body = chance.one(&CBOR);
            with("Content-Type: application/cbor\r\nSmithy-Protocol: rpc-v2-cbor\r\n", body, body.len())
        }
        7 => with("", b"{\"Description\":\"", 100_000),
        8 => with(&format!("X-Huge: {}\r\n", "x".repeat(70_000)), b"", 0),
        9 => with(&"X-Many: x\r\n".repeat(150), b"", 0),
        10 => with("Transfer-Encoding: chunked\r\n", b"zz\r\n\xff\r\n0\r\n\r\n", 3),
        _ => {
            let body = "[".repeat(chance.below(3000));
            with("", body.as_bytes(), body.len())
        }
    }
}

#[test]
fn ten_thousand_malformed_requests_leave_it_serving() {
    let sandbox = sandbox();
    let mut chance = Chance(20_261_121);
    for n in 0..10_000 {
        let mut client = Client::new(&sandbox);
        // The server may hang up in the middle: that is its right.
        let _ = client.send(&malformed(&mut chance));
        // Half of the clients go away without a look at the answer.
        if n % 2 == 0 {
            client.stop_sending();
            client.some();
        }
    }
    let mut client = Client::new(&sandbox);
    // Some of them were legal, and may have changed or deleted anything.
    client.delete("/_sandbox/faults").good();
    let settings = client.get("/2016-08-19/account-settings/").good();
    assert_eq!(settings["AccountLimit"]["ConcurrentExecutions"], 1000);
    let log = client.get("/_sandbox/requests").good();
    let last = log.as_array().unwrap().last().unwrap().clone();
    assert!(last["n"].as_u64().unwrap() > 3000, "most of them were read as requests: {last}");
    assert!(log.as_array().unwrap().iter().all(|entry| entry["status"] != 500), "none of them broke an API");
}

#[test]
fn long_bodies_are_refused_before_they_are_read() {
    let sandbox = Background::start(Options { largest_body: 1000, ..options() }).unwrap();
    let mut client = Client::new(&sandbox);
    client.send(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n").unwrap();
    assert_eq!(client.answer().unwrap().status, 413);
    let mut client = Client::new(&sandbox);
    client.send(b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    client.send(&[b"7d0\r\n".as_slice(), &[b'x'; 2000], b"\r\n0\r\n\r\n"].concat()).unwrap();
    assert_eq!(client.answer().unwrap().status, 413);
    Client::new(&sandbox).get(PROD).good();
}

#[test]
fn slow_and_silent_clients_have_a_time_limit() {
    let sandbox = Background::start(Options { patience: Duration::from_millis(300), ..options() }).unwrap();
    let started = Instant::now();
    let mut silent = Client::new(&sandbox);
    let mut half_head = Client::new(&sandbox);
    half_head.send(b"GET / HTTP/1.1\r\nHost").unwrap();
    let mut half_body = Client::new(&sandbox);
    half_body.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{").unwrap();
    Client::new(&sandbox).get(PROD).good();
    assert_eq!(half_body.answer().unwrap().status, 408);
    let _ = half_head.rest();
    let _ = silent.rest();
    assert!(started.elapsed() < Duration::from_secs(5), "they are still connected");
}

#[test]
fn more_connections_than_there_is_room_for_are_outlasted() {
    let sandbox = Background::start(Options { patience: Duration::from_millis(500), ..options() }).unwrap();
    let silent: Vec<Client> = (0..450).map(|_| Client::new(&sandbox)).collect();
    Client::new(&sandbox).get(PROD).good();
    drop(silent);
    Client::new(&sandbox).get(PROD).good();
}
