//! The source over real HTTP, against a store that fails on demand.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "a failed step fails the test, and modules share their parts"
)]

use std::time::{Duration, Instant};

use mlroll_backend::{ErrorKind, Finite, MetricSource, Query, Sample, Subject, Timestamp, Why, Window};
use mlroll_faults::scripted::{Reply, Request, Server};
use mlroll_prometheus::{Auth, Limits, Prometheus, Secret, Settings};

const END: i64 = 1_795_229_640;

fn window() -> Window {
    Window::new(at(END - 60), at(END)).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds).unwrap()
}

fn subject(revision: &str) -> Subject {
    Subject::new("lambda:eu-west-1/fraud@prod".parse().unwrap(), revision.parse().unwrap())
}

fn settings(url: &str) -> Settings {
    let limits = Limits {
        attempt: Duration::from_millis(400),
        total: Duration::from_secs(10),
        backoff: Duration::from_millis(1),
        attempts: 3,
        answer: 20_000,
        ..Limits::default()
    };
    Settings {
        url: url.to_owned(),
        requests: Some(r#"r_total{version="{{revision}}"}"#.to_owned()),
        errors: Some(r#"r_total{version="{{revision}}",code=~"5.."}"#.to_owned()),
        latency: Some(r#"d_bucket{version="{{revision}}"}"#.to_owned()),
        limits,
        ..Settings::default()
    }
}

fn source(server: &Server) -> Prometheus {
    Prometheus::new(&settings(&server.url)).unwrap()
}

fn queries() -> [Query; 4] {
    [Query::ErrorRate, Query::Latency, Query::Requests, Query::Custom("x{v=\"{{revision}}\"}".to_owned())]
}

async fn sample(source: &Prometheus, query: &Query) -> Sample {
    source.sample(std::slice::from_ref(query), &[subject("42")], &[window()]).await.unwrap().remove(0)
}

/// An instant vector of `(labels, value)` at `time`.
fn vector(time: i64, series: &[(&str, &str)]) -> String {
    let series: Vec<String> = series
        .iter()
        .map(|(labels, value)| format!(r#"{{"metric":{{{labels}}},"value":[{time},"{value}"]}}"#))
        .collect();
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, series.join(","))
}

/// A whole answer to `query` with `value` in all places, as of `time`, whose newest sample is `age` old.
fn answer(query: &Query, value: &str, time: i64, age: i64) -> String {
    let newest = (END - age).to_string();
    let newest = (r#""mlroll":"newest0""#, newest.as_str());
    let requests = (r#""mlroll":"requests0""#, value);
    match query.name() {
        "custom" => vector(time, &[("", value)]),
        "error_rate" => vector(time, &[requests, newest, (r#""mlroll":"errors0""#, value)]),
        "latency" => {
            let bucket = |le| format!(r#""mlroll":"buckets","le":"{le}""#);
            vector(time, &[(&bucket("0.1"), value), (&bucket("+Inf"), value), newest])
        }
        "requests" => vector(time, &[requests, newest]),
        other => panic!("{other} is not asked here"),
    }
}

#[tokio::test]
async fn whole_answers_are_read() {
    let two = Finite::new(2.0).unwrap();
    for query in queries() {
        let server = Server::always(Reply::json(answer(&query, "2", END, 10)));
        let found = sample(&source(&server), &query).await;
        match query.name() {
            "error_rate" => {
                assert_eq!(found, Sample::Counts { requests: two, events: two, throttled: Finite::default() })
            }
            "latency" => {
                assert!(matches!(found, Sample::Histogram(h) if h.buckets() == [(0.1, 2.0), (f64::INFINITY, 2.0)]));
            }
            _ => assert_eq!(found, Sample::Value(two)),
        }
        let [request] = server.requests().try_into().unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v1/query"));
        assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
        assert_eq!((request.form["time"].as_str(), request.form["timeout"].as_str()), ("1795229640", "400ms"));
        assert!(request.form["query"].contains(r#"="42""#), "{request:?}");
    }
}

/// What answers with status 200 but says nothing: no number, no error, one attempt.
#[tokio::test]
async fn what_says_nothing_is_no_data() {
    for query in queries() {
        let custom = matches!(query, Query::Custom(_));
        let good = answer(&query, "2", END, 10);
        let warned = good.replacen("{\"status\"", r#"{"warnings":["remote_read: down"],"infos":["x"],"status""#, 1);
        let informed = good.replacen("{\"status\"", r#"{"infos":["PromQL info: no counter"],"status""#, 1);
        assert!(!matches!(sample(&source(&Server::always(Reply::json(informed))), &query).await, Sample::NoData(_)));
        let mut cases = vec![
            ("empty", vector(END, &[]), "empty"),
            ("NaN", answer(&query, "NaN", END, 10), "not_a_number"),
            ("+Inf", answer(&query, "+Inf", END, 10), "infinite"),
            ("-Inf", answer(&query, "-Inf", END, 10), "infinite"),
            ("of an earlier moment", answer(&query, "2", END - 40, 10), "stale"),
            (
                "several series",
                vector(END, &[(r#""pod":"a""#, "1"), (r#""pod":"b""#, "2")]),
                if custom { "several_series" } else { "inconsistent" },
            ),
            ("warnings", warned, "partial"),
        ];
        if !custom {
            cases.push(("old samples", answer(&query, "2", END, 31), "stale"));
        }
        for (case, body, expected) in cases {
            let server = Server::always(Reply::json(body));
            match sample(&source(&server), &query).await {
                Sample::NoData(why) => assert_eq!(why.name(), expected, "{query} {case}"),
                judged => panic!("{query} {case}: {judged:?}"),
            }
            assert_eq!(server.requests().len(), 1, "{query} {case}");
            let checked = source(&server).check(std::slice::from_ref(&query), &[subject("42")], window()).await;
            assert!(matches!(checked.as_deref(), Ok([Sample::NoData(_)])), "{query} {case}: {checked:?}");
        }
    }
}

/// What is an error: no data when sampled, told when checked, tried again only where that may help.
#[tokio::test]
async fn failures_are_no_data_and_found_by_the_check() {
    use ErrorKind::{Auth, Invalid, NotFound, Throttled, Unavailable, Unexpected};
    let data = |kind: &str, result: &str| {
        Reply::json(format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#))
    };
    let said = |text: &str| format!(r#"{{"status":"error","errorType":"x","error":"{text}"}}"#);
    let redirect =
        |status| Reply::Answer { status, headers: vec![("location", "/login".to_owned())], body: Vec::new() };
    let native = r#"[{"metric":{},"histogram":[1795229640,{"count":"1","sum":"1","buckets":[]}]}]"#;
    let cases = [
        ("301", redirect(301), Unexpected, 1),
        ("302", redirect(302), Unexpected, 1),
        ("400", Reply::status(400, said("parse error")), Invalid, 1),
        ("401", Reply::status(401, "Unauthorized"), Auth, 1),
        ("403", Reply::status(403, "<html>"), Auth, 1),
        ("404", Reply::status(404, "404 page not found"), NotFound, 1),
        ("422", Reply::status(422, said("too many samples")), Invalid, 1),
        ("429", Reply::status(429, ""), Throttled, 3),
        ("500", Reply::status(500, said("oops")), Unavailable, 3),
        ("502", Reply::status(502, "<html>"), Unavailable, 3),
        ("503", Reply::status(503, said("query timed out")), Unavailable, 3),
        ("504", Reply::status(504, ""), Unavailable, 3),
        ("timeout", Reply::Silence, Unavailable, 3),
        ("truncated", Reply::Truncated(vector(END, &[("", "1")])), Unavailable, 3),
        ("too long", Reply::json(vector(END, &[("", "1")]) + &" ".repeat(20_000)), Unexpected, 1),
        ("login page", Reply::json("<html>Sign in</html>"), Unexpected, 1),
        ("nothing", Reply::json(""), Unexpected, 1),
        ("half", Reply::json(r#"{"status":"success","data":{"resultType":"vector","resul"#), Unexpected, 1),
        ("another service", Reply::json("{}"), Unexpected, 1),
        ("error with 200", Reply::json(said("oops")), Unexpected, 1),
        ("no data", Reply::json(r#"{"status":"success"}"#), Unexpected, 1),
        ("scalar", data("scalar", r#"[1795229640,"2"]"#), Invalid, 1),
        ("string", data("string", r#"[1795229640,"2"]"#), Invalid, 1),
        ("matrix", data("matrix", r#"[{"metric":{},"values":[[1795229640,"2"]]}]"#), Invalid, 1),
        ("native histogram", data("vector", native), Invalid, 1),
        ("no value", data("vector", r#"[{"metric":{}}]"#), Unexpected, 1),
        ("no number", data("vector", r#"[{"metric":{},"value":[1795229640,"two"]}]"#), Unexpected, 1),
        ("no vector", data("vector", r#"{"a":1}"#), Unexpected, 1),
        ("later", Reply::json(vector(END + 60, &[("", "1")])), Unexpected, 1),
    ];
    for (case, reply, kind, attempts) in cases {
        for query in queries() {
            let server = Server::always(reply.clone());
            let source = source(&server);
            match sample(&source, &query).await {
                Sample::NoData(Why::Failed { kind: found, message }) => {
                    assert_eq!(found, kind, "{query} {case}: {message}");
                    assert!(message.contains("revision 42"), "{message}");
                }
                judged => panic!("{query} {case}: {judged:?}"),
            }
            assert_eq!(server.requests().len(), attempts, "{query} {case}");
            assert!(server.requests().iter().all(|request| request.path == "/api/v1/query"), "{query} {case}");
            if attempts == 1 {
                let checked = source.check(std::slice::from_ref(&query), &[subject("42")], window()).await;
                assert_eq!(checked.unwrap_err().kind(), kind, "{query} {case}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = Prometheus::new(&settings(&format!("http://{closed}"))).unwrap();
    let error = source.check(&[Query::Requests], &[subject("42")], window()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("Connection refused") && error.to_string().contains("attempts 3"), "{error}");
}

#[tokio::test]
async fn a_passing_failure_is_survived() {
    let good = answer(&Query::Requests, "7", END, 10);
    let server = Server::start(move |n, _| match n {
        0 => Reply::Answer { status: 429, headers: vec![("retry-after", "0".to_owned())], body: Vec::new() },
        1 => Reply::Truncated(good.clone()),
        _ => Reply::json(good.clone()),
    });
    assert_eq!(sample(&source(&server), &Query::Requests).await, Sample::value(7.0));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn waiting_has_an_end() {
    let started = Instant::now();
    let later = Reply::Answer { status: 429, headers: vec![("retry-after", "3600".to_owned())], body: Vec::new() };
    let server = Server::always(later);
    let found = sample(&source(&server), &Query::Requests).await;
    assert!(matches!(found, Sample::NoData(Why::Failed { kind: ErrorKind::Throttled, .. })), "{found:?}");
    assert_eq!(server.requests().len(), 1);

    let server = Server::always(Reply::Silence);
    let mut settings = settings(&server.url);
    settings.limits = Limits { total: Duration::from_millis(600), attempts: 100, ..settings.limits };
    let error = Prometheus::new(&settings).unwrap().check(&[Query::Requests], &[subject("42")], window()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(server.requests().len(), 2);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn errors_without_a_series_are_zero_only_with_traffic() {
    let requests = |count| vec![(r#""mlroll":"requests0""#, count), (r#""mlroll":"newest0""#, "1795229630")];
    let zero = Finite::new(0.0).unwrap();
    for (series, expected) in [
        (requests("10"), Sample::Counts { requests: Finite::new(10.0).unwrap(), events: zero, throttled: zero }),
        (requests("0"), Sample::NoData(Why::Empty)),
        (vec![(r#""mlroll":"errors0""#, "3"), (r#""mlroll":"newest0""#, "1795229630")], Sample::NoData(Why::Empty)),
        (vec![(r#""mlroll":"requests0""#, "10")], Sample::NoData(Why::Stale { age_seconds: None })),
        (
            [requests("0"), vec![(r#""mlroll":"errors0""#, "0")]].concat(),
            Sample::Counts { requests: zero, events: zero, throttled: zero },
        ),
    ] {
        let server = Server::always(Reply::json(vector(END, &series)));
        assert_eq!(sample(&source(&server), &Query::ErrorRate).await, expected, "{series:?}");
    }
}

#[tokio::test]
async fn buckets_that_are_none_are_no_data() {
    let newest = (r#""mlroll":"newest0""#, "1795229630");
    for series in [
        vec![(r#""mlroll":"buckets""#, "3"), newest],
        vec![(r#""mlroll":"buckets","le":"0.1""#, "3"), newest],
        vec![(r#""mlroll":"buckets","le":"fast""#, "3"), newest],
        vec![(r#""mlroll":"buckets","le":"+Inf""#, "-3"), newest],
        vec![newest],
    ] {
        let server = Server::always(Reply::json(vector(END, &series)));
        let found = sample(&source(&server), &Query::Latency).await;
        assert!(matches!(found, Sample::NoData(Why::Inconsistent { .. } | Why::Empty)), "{series:?}: {found:?}");
    }
}

#[tokio::test]
async fn samples_come_in_the_promised_order() {
    let server = Server::start(|_, request| {
        // The query's digit, the revision and the window, in one number; the first asked is answered last.
        let query: String = request.form["query"].chars().filter(char::is_ascii_digit).collect();
        std::thread::sleep(Duration::from_millis(if query.starts_with('1') { 60 } else { 1 }));
        let time: i64 = request.form["time"].parse().unwrap();
        Reply::json(vector(time, &[("", &format!("{query}{}", (END - time) / 60))]))
    });
    let custom = |n: u8| Query::Custom(format!("x{n}{{v=\"{{{{revision}}}}\"}}"));
    let windows = [1, 0].map(|n| Window::new(at(END - 60 * (n + 1)), at(END - 60 * n)).unwrap());
    let found = source(&server).sample(&[custom(1), custom(2)], &[subject("3"), subject("4")], &windows).await.unwrap();
    let expected = [131.0, 130.0, 141.0, 140.0, 231.0, 230.0, 241.0, 240.0];
    assert_eq!(found, expected.map(Sample::value));
}

/// What a store says to twenty windows in a row, of which the sixth is broken.
async fn ranged(script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> (Vec<Sample>, Vec<Request>) {
    let server = Server::start(move |_, request| {
        let number = |key: &str| request.form[key].parse::<i64>().unwrap();
        if let Some(reply) = script(request) {
            return reply;
        }
        let at = |time: i64| format!(r#"[{time},"{}"]"#, (END - time) / 60);
        if request.path == "/api/v1/query" {
            let series = |part: &str, value: i64| {
                format!(r#"{{"metric":{{"mlroll":"{part}"}},"value":[{},"{value}"]}}"#, number("time"))
            };
            let series =
                [series("requests0", (END - number("time")) / 60), series("newest0", number("time"))].join(",");
            return Reply::json(format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#
            ));
        }
        assert_eq!((request.path.as_str(), number("step")), ("/api/v1/query_range", 60));
        let times: Vec<i64> = (0..).map(|n| number("start") + 60 * n).take_while(|t| *t <= number("end")).collect();
        let series = |part: &str, value: &dyn Fn(i64) -> String| {
            let values: Vec<String> = times.iter().map(|time| value(*time)).collect();
            format!(r#"{{"metric":{{"mlroll":"{part}"}},"values":[{}]}}"#, values.join(","))
        };
        let series = [series("requests0", &at), series("newest0", &|time| format!(r#"[{time},"{time}"]"#))].join(",");
        Reply::json(format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#))
    });
    let windows: Vec<Window> = Window::within(at(END - 1200), at(END), Duration::from_secs(60)).unwrap().collect();
    let found = source(&server).sample(&[Query::Requests], &[subject("42")], &windows).await.unwrap();
    assert_eq!(found.len(), 20);
    (found, server.requests())
}

fn covers(request: &Request, time: i64) -> bool {
    let number = |key: &str| request.form.get(key).and_then(|text| text.parse::<i64>().ok());
    match number("time") {
        Some(at) => at == time,
        None => number("start").is_some_and(|start| start <= time) && number("end").is_some_and(|end| time <= end),
    }
}

#[tokio::test]
async fn an_error_stays_with_its_window_also_in_a_range() {
    let expected: Vec<Sample> = (0..20).rev().map(|n| Sample::value(f64::from(n))).collect();
    let (found, requests) = ranged(|_| None).await;
    assert_eq!((found, requests.len()), (expected.clone(), 1));
    let broken = END - 14 * 60;
    for status in [422, 503] {
        let (mut found, _) = ranged(move |request| covers(request, broken).then(|| Reply::status(status, "{}"))).await;
        assert!(matches!(found.remove(5), Sample::NoData(Why::Failed { .. })), "{found:?}");
        assert_eq!(found, [&expected[..5], &expected[6..]].concat());
    }
    let warning = r#"{"status":"success","warnings":["x"],"data":{"resultType":"matrix","result":[]}}"#;
    let ranges = |request: &Request| request.path.ends_with("_range");
    for reply in [
        Reply::json(warning),
        Reply::status(404, "404 page not found"),
        Reply::status(403, "only /query"),
        Reply::json("<html>"),
        Reply::json("x".repeat(21_000)),
    ] {
        let again = reply.clone();
        let (found, requests) = ranged(move |request| ranges(request).then(|| again.clone())).await;
        assert_eq!(found, expected, "{reply:?}");
        assert!(requests.len() <= 23, "{reply:?}: {}", requests.len());
    }
}

#[tokio::test]
async fn a_query_without_a_selector_is_refused_before_anything_is_sent() {
    let server = Server::always(Reply::status(500, ""));
    let source = Prometheus::new(&Settings { errors: None, ..settings(&server.url) }).unwrap();
    let error = source.sample(&[Query::Requests, Query::ErrorRate], &[subject("42")], &[window()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("errors"), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn credentials_go_to_the_store_and_nowhere_else() {
    let elsewhere = Server::always(Reply::json(vector(END, &[("", "1")])));
    let location = elsewhere.url.clone();
    let server = Server::start(move |_, _| Reply::Answer {
        status: 307,
        headers: vec![("location", format!("{location}/api/v1/query?token=hunter2"))],
        body: Vec::new(),
    });
    let password = || Secret::new("hunter2");
    for (auth, expected) in [
        (Auth::Bearer(password()), Some("Bearer hunter2")),
        (Auth::Basic { user: "me".to_owned(), password: password() }, Some("Basic bWU6aHVudGVyMg==")),
        (Auth::None, None),
    ] {
        let headers = vec![("X-Scope-OrgID".to_owned(), password())];
        let source = Prometheus::new(&Settings { auth, headers, ..settings(&server.url) }).unwrap();
        let error = source.check(&[Query::Requests], &[subject("42")], window()).await.unwrap_err();
        assert!(error.message().contains("redirect"), "{error}");
        assert!(!format!("{error} {error:?} {source:?}").contains("hunter2"), "{error:?}");
        let request = server.requests().pop().unwrap();
        assert_eq!(request.headers.get("authorization").map(String::as_str), expected);
        assert_eq!(request.headers["x-scope-orgid"], "hunter2");
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_gateway_that_takes_only_get_is_asked_so() {
    let server = Server::start(|_, request| match request.method.as_str() {
        "GET" => Reply::json(vector(END, &[("", "3")])),
        _ => Reply::status(405, "Method Not Allowed"),
    });
    let source = Prometheus::new(&settings(&format!("{}/prefix/", server.url))).unwrap();
    assert_eq!(sample(&source, &Query::Custom("a + b".to_owned())).await, Sample::value(3.0));
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!((requests[1].path.as_str(), requests[1].form["query"].as_str()), ("/prefix/api/v1/query", "a + b"));
    assert_eq!(requests[0].form, requests[1].form);
}

#[tokio::test]
async fn a_store_that_does_not_know_its_scrapes_is_not_held_up() {
    let ask = |reply: Reply| async move {
        let server = Server::always(reply);
        source(&server).granularity(&queries(), &subject("42"), at(END)).await
    };
    let vector = |value: &str| {
        let value = format!(r#"{{"metric":{{}},"value":[{END},"{value}"]}}"#);
        Reply::json(format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{value}]}}}}"#))
    };
    let shortest = ask(vector("40")).await.unwrap().unwrap().shortest;
    assert_eq!(shortest, Duration::from_secs(54));
    for reply in
        [Reply::status(400, "{}"), Reply::status(422, "{}"), vector("NaN"), vector("+Inf"), vector("0"), vector("-3")]
    {
        assert_eq!(ask(reply.clone()).await.unwrap(), None, "{reply:?}");
    }
    for (status, kind) in [(401, ErrorKind::Auth), (503, ErrorKind::Unavailable)] {
        assert_eq!(ask(Reply::status(status, "{}")).await.unwrap_err().kind(), kind);
    }
}
