use mlroll_faults::{Alias, Options, Server};
use serde_json::Value;

use crate::client::Client;

/// Follows the markers and returns the names on each page.
fn pages(client: &mut Client, path: &str, list: &str, name: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut marker = String::new();
    loop {
        let body = client.get(&format!("{path}{marker}")).json();
        let items = body[list].as_array().unwrap().iter();
        pages.push(items.map(|item| item[name].as_str().unwrap().to_owned()).collect());
        let Value::String(next) = &body["NextMarker"] else { return pages };
        let separator = if path.contains('?') { '&' } else { '?' };
        let next = next.replace('$', "%24").replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        marker = format!("{separator}Marker={next}");
    }
}

#[test]
fn versions_come_fifty_at_a_time_at_most() {
    let server = Server::start();
    server.add_function("fraud", &(1..=120).collect::<Vec<u64>>());
    let mut client = Client::new(&server);
    let lengths = |pages: Vec<Vec<String>>| pages.iter().map(Vec::len).collect::<Vec<_>>();
    let path = "/2015-03-31/functions/fraud/versions";
    let all = pages(&mut client, path, "Versions", "Version");
    assert_eq!(all[0][..3], ["$LATEST", "1", "2"]);
    assert_eq!(all[2].last().unwrap(), "120");
    assert_eq!(lengths(all), [50, 50, 21]);
    let capped = pages(&mut client, &format!("{path}?MaxItems=10000"), "Versions", "Version");
    assert_eq!(lengths(capped), [50, 50, 21]);
    let single = pages(&mut client, &format!("{path}?MaxItems=1"), "Versions", "Version");
    assert_eq!(lengths(single).len(), 121);
}

#[test]
fn a_full_last_page_has_no_marker() {
    let server = Server::start_with(Options { page_size: 2, ..Options::default() });
    server.add_function("fraud", &[1, 2, 3]);
    let path = "/2015-03-31/functions/fraud/versions";
    let found = pages(&mut Client::new(&server), path, "Versions", "Version");
    assert_eq!(found, [["$LATEST", "1"], ["2", "3"]]);
}

#[test]
fn aliases_are_filtered_by_version() {
    let server = Server::start_with(Options { page_size: 1, ..Options::default() });
    server.add_function("fraud", &[1, 2]);
    for (name, version) in [("prod", "1"), ("beta", "2"), ("next", "2")] {
        server.add_alias("fraud", name, Alias { version: version.into(), ..Alias::default() });
    }
    let path = "/2015-03-31/functions/fraud/aliases";
    let mut client = Client::new(&server);
    assert_eq!(pages(&mut client, path, "Aliases", "Name"), [["beta"], ["next"], ["prod"]]);
    let filtered = format!("{path}?FunctionVersion=2");
    assert_eq!(pages(&mut client, &filtered, "Aliases", "Name"), [["beta"], ["next"]]);
}

#[test]
fn bad_pages_are_refused() {
    let server = Server::start();
    server.add_function("fraud", &[1]);
    let mut client = Client::new(&server);
    for (query, code) in [
        ("MaxItems=0", "ValidationException"),
        ("MaxItems=10001", "ValidationException"),
        ("MaxItems=x", "ValidationException"),
        ("Marker=nonsense", "InvalidParameterValueException"),
        ("Marker=1+/=", "InvalidParameterValueException"),
    ] {
        let answer = client.get(&format!("/2015-03-31/functions/fraud/versions?{query}"));
        assert_eq!((answer.status, answer.header("x-amzn-errortype")), (400, code), "{query}");
    }
}
