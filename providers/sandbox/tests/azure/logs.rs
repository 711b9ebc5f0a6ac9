//! What Log Analytics tells of it.

use bytes::Bytes;
use http::Method;
use mlroll_sandbox::Request;
use serde_json::{Value, json};

use super::{WORKSPACE, World};

const PATH: &str = "/query";
const QUERY: &str = "AmlOnlineEndpointTrafficLog | summarize N = count(), Failed = countif(toint(ResponseCode) == 424), \
                     Slow = countif(TotalDurationMs > 100) by Start = bin(TimeGenerated, 1m), Name = tolower(DeploymentName) \
                     | order by Start asc";
const SPAN: &str = "2026-11-21T09:00:00Z/2026-11-21T09:20:00Z";

/// Asks by the endpoint, with headers of one's own.
fn sent(world: &World, path: &str, token: &str, kind: &str, body: &str) -> (u16, Value) {
    let request = http::Request::builder().method(Method::POST).uri(path).header("content-type", kind);
    let request = if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) };
    let request: Request = request.body(Bytes::from(body.to_owned())).unwrap();
    let answer = world.sandbox.ask(&request).unwrap();
    let said = answer.body();
    (answer.status().as_u16(), if said.is_empty() { Value::Null } else { serde_json::from_slice(said).unwrap() })
}

fn endpoint() -> String {
    format!("/v1{WORKSPACE}/onlineEndpoints/FRAUD{PATH}")
}

fn asked(world: &World, query: &str, span: &str) -> (u16, Value) {
    let body = json!({ "query": query, "timespan": span }).to_string();
    sent(world, &endpoint(), "sandbox-logs", "application/json", &body)
}

/// The codes of an error, the outermost first.
fn codes(answer: &Value) -> Vec<&str> {
    let inner = |error: &Value| error.get("innererror").cloned();
    let mut error = &answer["error"];
    let mut codes = Vec::new();
    while let Some(code) = error["code"].as_str() {
        codes.push(code);
        if inner(error).is_none() {
            break;
        }
        error = &error["innererror"];
    }
    codes
}

#[test]
fn each_request_is_a_row_once_its_time_has_come() {
    let world = World::blue_and_green();
    world.route(&json!({ "blue": 50, "green": 50 }));
    world.advance("20m");
    let (status, answer) = asked(&world, QUERY, SPAN);
    assert_eq!(status, 200, "{answer}");
    let table = &answer["tables"][0];
    let columns: Vec<(&str, &str)> = table["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| (column["name"].as_str().unwrap(), column["type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        columns,
        [("Start", "datetime"), ("Name", "string"), ("N", "long"), ("Failed", "long"), ("Slow", "long")]
    );
    let rows = table["rows"].as_array().unwrap();
    let count = |row: &Value, place: usize| row[place].as_u64().unwrap();
    let of = |name: &str| rows.iter().filter(|row| row[1] == *name).collect::<Vec<_>>();
    // Five minutes are not there yet.
    assert!(of("blue").len() < 17 && of("blue").len() > 12, "{rows:?}");
    for row in of("green") {
        assert!(count(row, 2) > 0 && count(row, 3) == 0 && count(row, 4) < count(row, 2), "{row}");
    }
    let failed: u64 = of("blue").iter().map(|row| count(row, 3)).sum();
    assert!(failed > 0, "{rows:?}");
    // What is there does not change, and what was late is there now.
    world.advance("20m");
    let (_, later) = asked(&world, QUERY, SPAN);
    let later = later["tables"][0]["rows"].as_array().unwrap();
    assert!(later.len() > rows.len());
    assert_eq!(later[..4], rows[..4]);
    // Azure Monitor counts the same requests.
    let metric = "metricnames=RequestsPerMinute&timespan=2026-11-21T09:05:00Z/2026-11-21T09:06:00Z&interval=PT1M\
                  &aggregation=Average&$filter=deployment eq 'green'";
    let minute = &world.metrics(metric).1["value"][0]["timeseries"][0]["data"][0]["average"];
    let row = later.iter().find(|row| row[0] == "2026-11-21T09:05:00Z" && row[1] == "green").unwrap();
    assert_eq!(minute.as_f64().unwrap(), row[2].as_u64().unwrap() as f64);
}

#[test]
fn seconds_add_up_to_minutes() {
    let world = World::blue_and_green();
    world.advance("20m");
    let counted = |width: &str, condition: &str| {
        let query =
            format!("AmlOnlineEndpointTrafficLog {condition} | summarize N = count() by bin(TimeGenerated, {width})");
        let (status, answer) = asked(&world, &query, "2026-11-21T09:05:00Z/2026-11-21T09:07:00Z");
        assert_eq!(status, 200, "{answer}");
        let rows = answer["tables"][0]["rows"].as_array().unwrap().clone();
        (rows.len(), rows.iter().map(|row| row[1].as_u64().unwrap()).sum::<u64>())
    };
    let (minutes, all) = counted("60s", "");
    assert_eq!((minutes, counted("30s", "")), (2, (4, all)));
    let (status, answer) = asked(
        &world,
        "AmlOnlineEndpointTrafficLog | summarize count() by bin(TimeGenerated, 1s)",
        "2026-11-20T09:00:00Z/2026-11-21T09:10:00Z",
    );
    assert_eq!((status, codes(&answer).last().copied()), (400, Some("SYN0002")), "that would take minutes");
    let half =
        "| where TimeGenerated >= datetime(2026-11-21T09:05:00Z) and TimeGenerated < datetime(2026-11-21T09:05:30Z)";
    let (parts, some) = counted("60s", half);
    assert!(parts == 1 && some > 0 && some < all, "{some} of {all}");
}

#[test]
fn a_workspace_has_the_rows_of_all_endpoints_that_send_them() {
    let world = World::blue_and_green();
    world.advance("20m");
    let body = json!({ "query": QUERY, "timespan": SPAN }).to_string();
    let ask = |id: &str| sent(&world, &format!("/v1/workspaces/{id}/query"), "sandbox-logs", "application/json", &body);
    let (status, answer) = ask("00000000-0000-0000-0000-00000000000A");
    assert_eq!((status, &answer), (200, &asked(&world, QUERY, SPAN).1));
    let (status, answer) = ask("00000000-0000-0000-0000-00000000000b");
    assert_eq!((status, codes(&answer)), (404, vec!["WorkspaceNotFoundError"]));
    let query = format!("{QUERY} | where N > 0");
    let own = query.replace("Log |", "Log | where _ResourceId =~ '/subscriptions/x' |");
    assert_eq!(asked(&world, &own, SPAN).1["tables"][0]["rows"], json!([]));
}

#[test]
fn without_a_diagnostic_setting_there_is_no_table_or_nothing_in_it() {
    let world = World::told("[azure_logs]\ndiagnostic_setting = false\n", "blue = {}");
    world.advance("20m");
    let (status, answer) = asked(&world, QUERY, SPAN);
    assert_eq!((status, codes(&answer)), (400, vec!["BadArgumentError", "SemanticError", "SEM0100"]));
    let text = answer.to_string();
    assert!(
        text.contains("Failed to resolve table or column expression named 'AmlOnlineEndpointTrafficLog'"),
        "{text}"
    );
    let body = json!({ "query": QUERY, "timespan": SPAN }).to_string();
    let path = "/v1/workspaces/00000000-0000-0000-0000-00000000000a/query";
    let (status, answer) = sent(&world, path, "sandbox-logs", "application/json", &body);
    assert_eq!((status, &answer["tables"][0]["rows"]), (200, &json!([])));
}

#[test]
fn what_azure_refuses_is_refused() {
    let world = World::blue_and_green();
    let body = json!({ "query": QUERY, "timespan": SPAN }).to_string();
    let jwt = |audience: &str| {
        let part = |value: &Value| base64(&value.to_string());
        format!("{}.{}.x", part(&json!({})), part(&json!({ "aud": audience })))
    };
    let wrong = "InvalidAuthenticationTokenAudience";
    for (token, status, code) in [
        ("", 401, Some("AuthenticationFailed")),
        ("sandbox", 403, Some(wrong)),
        (jwt("https://management.azure.com/").as_str(), 403, Some(wrong)),
        (jwt("https://vault.azure.net").as_str(), 403, Some(wrong)),
        (jwt("https://api.loganalytics.io").as_str(), 200, None),
        ("sandbox-logs", 200, None),
        ("anything", 200, None),
    ] {
        let (got, answer) = sent(&world, &endpoint(), token, "application/json", &body);
        assert_eq!((got, codes(&answer).first().copied()), (status, code), "{token}: {answer}");
    }
    // And the other way round.
    let metrics = format!("{WORKSPACE}/onlineEndpoints/fraud?api-version=2024-10-01");
    for (token, status) in [("sandbox-logs", 401), (jwt("https://api.loganalytics.io").as_str(), 401), ("sandbox", 200)]
    {
        let request = http::Request::builder().uri(metrics.as_str()).header("authorization", format!("Bearer {token}"));
        let answer = world.sandbox.ask(&request.body(Bytes::new()).unwrap()).unwrap();
        assert_eq!(answer.status(), status, "{token}");
    }
    // Without JSON: nothing at all.
    assert_eq!(sent(&world, &endpoint(), "x", "text/plain", &body), (200, Value::Null));
    assert_eq!(sent(&world, &endpoint(), "x", "application/json", "{"), (200, Value::Null));
    for (query, inner) in [
        ("AmlOnlineEndpointConsoleLog | summarize count()", "SEM0100"),
        ("AmlOnlineEndpointTrafficLog | where Colour == 'x' | summarize count()", "SEM0100"),
        ("AmlOnlineEndpointTrafficLog | where ResponseCode == 'x' | summarize count()", "SEM0064"),
        ("AmlOnlineEndpointTrafficLog | take 5", "SYN0002"),
        ("AmlOnlineEndpointTrafficLog", "SYN0002"),
    ] {
        let (status, answer) = asked(&world, query, SPAN);
        assert_eq!((status, codes(&answer).last().copied()), (400, Some(inner)), "{query}: {answer}");
    }
    assert_eq!(asked(&world, QUERY, "yesterday").0, 400);
    let no_query = json!({ "timespan": SPAN }).to_string();
    assert_eq!(sent(&world, &endpoint(), "x", "application/json", &no_query).0, 400);
    let unlimited = json!({ "query": QUERY }).to_string();
    assert_eq!(sent(&world, &endpoint(), "x", "application/json", &unlimited).0, 200);
    let nobody = endpoint().replace("FRAUD", "nobody");
    let (status, answer) = sent(&world, &nobody, "x", "application/json", &body);
    assert_eq!((status, codes(&answer)), (404, vec!["ResourceNotFoundError"]));
    assert_eq!(world.ask(Method::GET, &endpoint(), &Value::Null).0, 404);
}

/// As JSON web tokens have it.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for n in 0..=chunk.len() {
            out.push(char::from(DIGITS[(bits >> (18 - 6 * n)) as usize & 63]));
        }
    }
    out
}
