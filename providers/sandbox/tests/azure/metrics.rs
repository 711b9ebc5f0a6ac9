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

/// What is told of a deployment's own resource over ten minutes from nine.
fn of_deployment(world: &World, name: &str, query: &str) -> (u16, Value) {
    let span = "timespan=2026-11-21T09:00:00Z/2026-11-21T09:10:00Z&interval=PT1M";
    let query = query.replace(' ', "%20").replace('\'', "%27").replace('$', "%24");
    let path = format!(
        "{WORKSPACE}/onlineEndpoints/fraud/deployments/{name}/providers/Microsoft.Insights/metrics?api-version=2024-02-01&{span}&{query}"
    );
    world.ask(Method::GET, &path, &Value::Null)
}

#[test]
fn what_instances_use_is_told_of_the_deployment_while_it_has_requests() {
    let world = World::new(
        "blue = { instances = { cpu = 0.5, memory = 0.8, gpu = 0.9, gpu_memory = 1.0 } }\ngreen = { instances = {} }\nred = {}",
    );
    world.advance("20m");
    let points = |name: &str, query: &str| -> Vec<Value> {
        let (status, answer) = of_deployment(&world, name, query);
        assert_eq!((status, &answer["value"][0]["unit"]), (200, &json!("Percent")), "{answer}");
        let series = answer["value"][0]["timeseries"].as_array().unwrap().clone();
        assert_eq!(series.len(), 1, "one series over all instances: {answer}");
        series[0]["data"].as_array().unwrap().clone()
    };
    for (metric, most) in [
        ("CpuUtilizationPercentage", 50.0),
        ("CpuMemoryUtilizationPercentage", 80.0),
        ("GpuUtilizationPercentage", 90.0),
        ("GpuMemoryUtilizationPercentage", 100.0),
    ] {
        let all = points("blue", &format!("metricnames={metric}&aggregation=Maximum,Minimum,average"));
        assert_eq!(all.len(), 10);
        for point in all {
            let value = |name: &str| point[name].as_f64().unwrap();
            assert!((value("maximum") - most).abs() < 1e-9, "{metric}: {point}");
            assert!(value("minimum") < value("average") && value("average") < value("maximum"), "{point}");
        }
    }
    // Whoever has no requests, no accelerator, or is not told of.
    for (name, metric) in [
        ("green", "CpuUtilizationPercentage"),
        ("red", "CpuUtilizationPercentage"),
        ("green", "GpuUtilizationPercentage"),
    ] {
        let points = points(name, &format!("metricnames={metric}&aggregation=Maximum"));
        assert!(
            points.iter().all(|point| point.get("timeStamp").is_some() && point.get("maximum").is_none()),
            "{points:?}"
        );
    }
    let split = "metricnames=CpuUtilizationPercentage&aggregation=Maximum&$filter=instanceId eq '*'";
    let (_, answer) = of_deployment(&world, "blue", split);
    let told =
        |series: &Value| (series["metadatavalues"][0]["name"]["value"].clone(), series["data"][0]["maximum"].clone());
    let series: Vec<_> = answer["value"][0]["timeseries"].as_array().unwrap().iter().map(told).collect();
    assert_eq!(
        series,
        [(json!("instanceid"), json!(50.0)), (json!("instanceid"), json!(45.0))],
        "it has two instances"
    );
    for wrong in [
        "metricnames=CpuUtilizationPercentage&aggregation=Total",
        "metricnames=CpuUtilizationPercentage,RequestsPerMinute&aggregation=Maximum",
        "metricnames=MemoryUtilizationPercentage&aggregation=Maximum",
        "metricnames=CpuUtilizationPercentage&aggregation=Maximum&$filter=deployment eq 'blue'",
    ] {
        let (status, answer) = of_deployment(&world, "blue", wrong);
        assert!(status == 400 && answer["message"].is_string(), "{wrong}: {answer}");
    }
    // The endpoint's own resource has none of it.
    assert_eq!(world.metrics("metricnames=CpuUtilizationPercentage&aggregation=Maximum").0, 400);
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
