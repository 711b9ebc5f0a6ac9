//! What Azure Monitor tells of it.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{VERSION, WORKSPACE, World, averages};

#[test]
fn nothing_is_there_in_three_shapes() {
    let world = World::blue_and_green();
    world.advance("20m");
    // Nobody has sent green anything: no series at all.
    let green = "metricnames=RequestsPerMinute&$filter=deployment eq 'green'";
    assert_eq!(world.series(green), Vec::<Value>::new());
    // A latency of no requests is a point without a value.
    world.route(&json!({ "blue": 50, "green": 50 }));
    world.route(&json!({ "blue": 100 }));
    world.advance("20m");
    let late = "timespan=2026-11-21T09:15:00Z/2026-11-21T09:40:00Z&interval=PT1M&aggregation=Average";
    let read = |metric: &str| {
        let (status, answer) = world.metrics(&format!("{late}&metricnames={metric}&$filter=deployment eq 'green'"));
        assert_eq!(status, 200, "{answer}");
        averages(&answer["value"][0]["timeseries"][0])
    };
    let (requests, latency) = (read("RequestsPerMinute"), read("RequestLatency_P95"));
    assert!(requests[0].is_none() && latency[0].is_none(), "from before the first: {requests:?}");
    let some = requests.iter().position(Option::is_some).unwrap();
    assert!(requests[some].unwrap() > 0.0 && latency[some].is_some());
    // A count of no requests is zero.
    let last = requests[15].unwrap();
    assert!(last == 0.0 && latency[15].is_none(), "{requests:?} {latency:?}");
    // Without a filter there is one series, whoever asks.
    assert_eq!(world.series("metricnames=RequestsPerMinute").len(), 1);
}

#[test]
fn ten_series_are_all_unless_more_are_asked_for() {
    let names: Vec<String> = (0..11).map(|n| format!("d{n:02}")).collect();
    let revisions: Vec<String> = names.iter().map(|name| format!("{name} = {{ error_rate = 0.5 }}")).collect();
    let world = World::new(&format!("blue = {{}}\n{}", revisions.join("\n")));
    let share = |n: usize| if n == 0 { 10 } else { 9 };
    let traffic: Value = names.iter().enumerate().map(|(n, name)| (name.clone(), json!(share(n)))).collect();
    world.route(&traffic);
    world.advance("15m");
    let split = "metricnames=RequestsPerMinute&$filter=deployment eq '*' and statusCode eq '*'";
    let ten = world.series(split);
    assert_eq!(ten.len(), 10);
    let all = world.series(&format!("{split}&top=200"));
    assert_eq!(all.len(), 23, "eleven deployments with two codes each, and blue from before");
    let metadata = all[0]["metadatavalues"].as_array().unwrap();
    let dimensions: Vec<&str> = metadata.iter().map(|one| one["name"]["value"].as_str().unwrap()).collect();
    assert_eq!(dimensions, ["deployment", "statuscode"], "names come back in lower case");
    assert_eq!(world.series(&format!("{split}&top=3")).len(), 3);
    let (status, answer) = world.metrics("metricnames=RequestsPerMinute&top=3");
    assert!(status == 400 && answer["message"].as_str().unwrap().contains("$filter"), "{answer}");
}

#[test]
fn a_model_that_fails_is_a_424_and_so_of_class_4xx() {
    let world = World::new("blue = { error_rate = 1.0 }\ngreen = {}");
    world.advance("20m");
    let codes = |dimension: &str| -> Vec<String> {
        let series = world.series(&format!("metricnames=RequestsPerMinute&$filter={dimension} eq '*'&top=50"));
        series.iter().map(|one| one["metadatavalues"][0]["value"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((codes("statusCode"), codes("statusCodeClass")), (vec!["424".to_owned()], vec!["4xx".to_owned()]));
    assert_eq!(codes("modelStatusCode"), ["500"]);
    let none = world.series("metricnames=RequestsPerMinute&$filter=deployment eq 'blue' and statusCodeClass eq '5xx'");
    assert_eq!(none, Vec::<Value>::new(), "a gate on 5xx sees nothing");
}

#[test]
fn percentiles_of_a_longer_interval_are_averages_of_minutes() {
    let world = World::new(
        "blue = { latency = { median = \"80ms\", p95 = \"160ms\" }, leak = { after = \"0s\", latency_per_hour = 5.0 } }",
    );
    world.advance("20m");
    let query = "metricnames=RequestLatency_P95&$filter=deployment eq 'blue'";
    let minutes: Vec<f64> = averages(&world.series(query)[0]).into_iter().map(Option::unwrap).collect();
    let (_, whole) = world.metrics(&format!(
        "timespan=2026-11-21T09:00:00Z/2026-11-21T09:10:00Z&interval=FULL&aggregation=Average&{query}"
    ));
    let points = averages(&whole["value"][0]["timeseries"][0]);
    let mean = minutes.iter().sum::<f64>() / minutes.len() as f64;
    assert_eq!((minutes.len(), points.len()), (10, 1));
    assert!((points[0].unwrap() - mean).abs() < 1e-9, "{points:?}, not {mean}");
    assert!(minutes.iter().any(|minute| (minute - mean).abs() > 1.0), "{minutes:?} are not all alike");
    for aggregation in ["Total", "Maximum", "Average,Count"] {
        let (status, answer) = world.metrics(&format!("{query}&aggregation={aggregation}"));
        assert!(status == 400 && answer["message"].as_str().unwrap().contains("not supported"), "{answer}");
    }
}

#[test]
fn the_newest_minute_is_too_small_and_grows() {
    let world = World::blue_and_green();
    let read = || averages(&world.series("metricnames=RequestsPerMinute")[0]);
    world.advance("9m30s");
    let early = read();
    assert!(early[0].is_some() && early[9].is_none(), "{early:?}");
    let newest = early.iter().rposition(Option::is_some).unwrap();
    world.advance("20s");
    let later = read();
    assert!(later[newest] > early[newest], "{early:?} {later:?}");
    world.advance("1h");
    let settled = read();
    assert!(settled.iter().all(Option::is_some), "{settled:?}");
    assert_eq!(settled[..newest], early[..newest], "what is settled stays");
}

#[test]
fn azure_monitors_errors_have_no_envelope_and_resource_managers_do() {
    let world = World::blue_and_green();
    let (status, answer) = world.metrics("metricnames=RequestsPerHour");
    let said = answer["message"].as_str().unwrap();
    assert!(status == 400 && said.starts_with("Failed to find metric configuration"), "{answer}");
    assert!(said.contains("Valid metrics: RequestsPerMinute,") && answer.get("error").is_none(), "{answer}");
    world.fault("azure-monitor", "Metrics_List", &json!({ "fault": "status", "status": 529 }));
    let (status, answer) = world.metrics("metricnames=RequestsPerMinute");
    assert!(status == 529 && answer["code"].is_string(), "{answer}");
    for (path, status, code) in [
        (format!("{WORKSPACE}/onlineEndpoints/nobody?{VERSION}"), 404, "ResourceNotFound"),
        (format!("{WORKSPACE}/onlineEndpoints/fraud"), 400, "MissingApiVersionParameter"),
        (format!("{WORKSPACE}/onlineEndpoints/fraud?api-version=2019-01-01"), 400, "NoRegisteredProviderFound"),
    ] {
        let (got, answer) = world.ask(Method::GET, &path, &Value::Null);
        assert_eq!((got, &answer["error"]["code"]), (status, &json!(code)), "{answer}");
    }
    let nobody = http::Request::get(format!("{WORKSPACE}/onlineEndpoints/fraud?{VERSION}")).body(Bytes::new()).unwrap();
    assert_eq!(world.sandbox.ask(&nobody).unwrap().status(), 401);
}
