use std::io::ErrorKind;
use std::time::{Duration, Instant};

use mlroll_faults::{Fault, Kind, Operation, Request, Server};
use serde_json::{Value, json};

use crate::client::{Client, PROD, server};

/// A server whose next update meets the fault.
fn faulty(kind: Kind) -> Server {
    let server = server();
    server.fault(Fault::on(Operation::UpdateAlias).target("fraud@prod").kind(kind));
    server
}

fn canary() -> Value {
    json!({ "RoutingConfig": { "AdditionalVersionWeights": { "2": 0.05 } } })
}

/// Returns whether the update reached the alias, once the log agrees.
fn applied(server: &Server) -> bool {
    let weights = server.alias("fraud", "prod").unwrap().weights;
    assert_eq!(last(server).applied, !weights.is_empty());
    !weights.is_empty()
}

fn last(server: &Server) -> Request {
    server.requests().pop().unwrap()
}

#[test]
fn status_answers_with_an_error() {
    for (code, member, kind) in [
        ("ServiceException", "Message", json!("Service")),
        ("ResourceNotFoundException", "Message", json!("Service")),
        ("SomethingException", "message", json!("Service")),
    ] {
        let server = faulty(Kind::status(503, code, "not today"));
        let mut client = Client::new(&server);
        let answer = client.put(&canary());
        assert_eq!(answer.error(), (503, code.to_owned(), "not today".to_owned()));
        assert_eq!(answer.json()[member], "not today");
        assert_eq!(answer.json()["Type"], kind);
        assert!(!applied(&server));
        assert_eq!(last(&server).status, Some(503));
        assert_eq!(client.put(&canary()).status, 200);
    }
}

#[test]
fn latency_delays_and_then_serves() {
    let delay = Duration::from_millis(50);
    let server = faulty(Kind::Latency(delay));
    let started = Instant::now();
    assert_eq!(Client::new(&server).put(&canary()).status, 200);
    assert!(started.elapsed() >= delay);
    assert!(applied(&server));
}

#[test]
fn resets_come_before_or_after_the_change() {
    for (kind, expected) in [(Kind::ResetBefore, false), (Kind::ResetAfter, true)] {
        let server = faulty(kind);
        let error = Client::new(&server).try_put(&canary()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(applied(&server), expected);
        assert_eq!(last(&server).status, None);
    }
}

#[test]
fn truncate_sends_half_of_the_body() {
    let server = faulty(Kind::Truncate);
    let error = Client::new(&server).try_put(&canary()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(applied(&server));
    assert_eq!(last(&server).status, Some(200));
}

#[test]
fn hangs_come_before_or_after_the_change() {
    for (kind, expected) in [(Kind::HangBefore, false), (Kind::HangAfter, true)] {
        let server = faulty(kind);
        let mut client = Client::new(&server);
        client.timeout(Duration::from_secs(2));
        let error = client.try_put(&canary()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert_eq!(applied(&server), expected);
        assert_eq!(last(&server).status, None);
        assert_eq!(Client::new(&server).get(PROD).status, 200);
    }
}

#[test]
fn dropping_the_server_ends_hangs_delays_and_idle_connections() {
    let server = server();
    server.fault(Fault::any().kind(Kind::HangBefore));
    server.fault(Fault::any().kind(Kind::Latency(Duration::from_secs(600))));
    let mut idle = Client::new(&server);
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let mut client = Client::new(&server);
            std::thread::spawn(move || client.try_get(PROD).unwrap_err())
        })
        .collect();
    while server.requests().len() < 2 {
        std::thread::yield_now();
    }
    let started = Instant::now();
    drop(server);
    assert!(started.elapsed() < Duration::from_secs(2));
    for client in waiting {
        let error = client.join().unwrap();
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof), "{error:?}");
    }
    idle.try_get(PROD).unwrap_err();
}

#[test]
fn web_pages_come_before_or_after_the_change() {
    for (kind, expected) in [(Kind::WrongContentTypeBefore, false), (Kind::WrongContentTypeAfter, true)] {
        let server = faulty(kind);
        let answer = Client::new(&server).put(&canary());
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/html"));
        assert!(answer.body.starts_with(b"<!doctype html>"));
        assert_eq!(applied(&server), expected);
    }
}

#[test]
fn bodies_are_empty_or_garbage_after_the_change() {
    let server = faulty(Kind::EmptyBody);
    let answer = Client::new(&server).put(&canary());
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert!(applied(&server));

    let server = faulty(Kind::GarbageJson);
    let answer = Client::new(&server).put(&canary());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["FunctionVersion"], 7);
    assert!(applied(&server));
}

#[test]
fn a_foreign_write_makes_a_conditional_write_stale() {
    let server = faulty(Kind::foreign_write(|alias| alias.version = "3".into()));
    let mut body = canary();
    body["RevisionId"] = json!(server.alias("fraud", "prod").unwrap().revision_id);
    let mut client = Client::new(&server);
    assert_eq!(client.put(&body).status, 412);
    assert_eq!(server.alias("fraud", "prod").unwrap().version, "3");
    assert!(!applied(&server));
    body["RevisionId"] = json!(server.alias("fraud", "prod").unwrap().revision_id);
    assert_eq!(client.put(&body).status, 200);
}

#[test]
fn a_foreign_write_can_come_with_a_request_about_something_else() {
    let server = server();
    let before = server.alias("fraud", "prod").unwrap();
    let path = "/2015-03-31/functions/fraud/configuration?Qualifier=2";
    let fault = Fault::on(Operation::GetFunctionConfiguration).target("fraud");
    server.fault(fault.clone().kind(Kind::foreign_write(|alias| alias.version = "3".into())));
    assert_eq!(Client::new(&server).get(path).status, 200);
    assert_eq!(server.alias("fraud", "prod").unwrap(), before);

    server.fault(fault.kind(Kind::foreign_write_to("fraud", "prod", |alias| alias.version = "3".into())));
    assert_eq!(Client::new(&server).get(path).status, 200);
    let after = server.alias("fraud", "prod").unwrap();
    assert_eq!(after.version, "3");
    assert_ne!(after.revision_id, before.revision_id);
}

#[test]
fn a_version_vanishes_just_before_it_is_used() {
    let server = faulty(Kind::DeleteVersion("2".into()));
    let (status, code, _) = Client::new(&server).put(&canary()).error();
    assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
    assert!(!applied(&server));
}

#[test]
fn faults_skip_repeat_and_clear() {
    let server = server();
    server.fault(Fault::on(Operation::GetAlias).skip(1).times(2));
    let mut client = Client::new(&server);
    let statuses: Vec<u16> = (0..4).map(|_| client.get(PROD).status).collect();
    assert_eq!(statuses, [200, 500, 500, 200]);
    server.fault(Fault::any().forever());
    assert_eq!(client.get(PROD).status, 500);
    assert_eq!(client.put(&canary()).status, 500);
    server.clear_faults();
    assert_eq!(client.get(PROD).status, 200);
}
