//! Watched rollouts on Cloud Run, judged by a real Prometheus, and gates that read Cloud Monitoring.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mlroll_faults::{CloudRun, RunRequest, RunService, Tokens};
use serde_json::{Value, json};

use crate::cloud_run::{NAME, TARGET, World, user_file};
use crate::watched::{Behaviour, GOOD, Service, config_of, start};

/// Revisions 2 and 3 of a service on Cloud Run, users who are sent where it says, and a Prometheus.
fn watched(errors: f64) -> (Arc<crate::world::World>, Arc<CloudRun>, Service) {
    let server = Arc::new(CloudRun::start());
    server.add(NAME, RunService::new(&["1", "2", "3"], "2"));
    server.change(NAME, |service| service.looks_to_settle = 1);
    // The second token can be had only after a while: longer than one call to the provider tries.
    let tokens = Tokens::answering(|n, _| {
        let token = |token: &str| json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600});
        Some(match n {
            0 => (200, token("verysecretfirst")),
            1..=10 => (503, json!({"error": "unavailable"})),
            _ => (200, token("verysecretfresh")),
        })
    });
    server.take_tokens(&["verysecretfirst"]);
    let world = crate::world::World::new().set("MLROLL_ENDPOINT_CLOUD_RUN", &server.url());
    let path = world.path().join("user.json");
    std::fs::write(&path, user_file(&tokens).to_string()).unwrap();
    let world = Arc::new(world.set("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().unwrap()));
    let split = {
        let server = Arc::clone(&server);
        move || {
            let shares =
                server.service(NAME).unwrap().statuses.into_iter().filter_map(|entry| {
                    Some((entry["revision"].as_str()?.to_owned(), entry["percent"].as_f64()? / 100.0))
                });
            ("2".to_owned(), shares.filter(|(revision, _)| revision != "2").collect())
        }
    };
    let service = Service::of(&world, split, [GOOD, Behaviour { errors, ..GOOD }]);
    world.write("mlroll.toml", &config_of(service.port, "").replace(crate::world::FRAUD, TARGET));
    (world, server, service)
}

#[test]
fn a_watched_rollout_is_promoted_though_its_token_expires_on_the_way() {
    let (world, server, _service) = watched(GOOD.errors);
    let child = start(&world, &["rollout"]);
    wait_for(&server, "3=10");
    server.take_tokens(&["verysecretfresh"]);
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    assert!(!stdout.contains("verysecret") && !stderr.contains("verysecret"));
    assert_eq!(server.service(NAME).unwrap().split(), "3=100");
    let writes: Vec<RunRequest> =
        server.requests().into_iter().filter(|r| r.operation == "UpdateService" && r.status == 200).collect();
    let shares: Vec<&Value> = writes.iter().map(|write| &write.body["traffic"]).collect();
    assert_eq!(shares.len(), 3, "10 %, 50 %, 100 %: {shares:?}");
    assert!(writes[2].token == "verysecretfresh" && server.requests().iter().any(|r| r.status == 401));
}

#[test]
fn a_bad_candidate_is_taken_back() {
    let (world, server, _service) = watched(0.2);
    world.run(&["rollout", "--output", "json"]).expect(1);
    let service = server.service(NAME).unwrap();
    assert_eq!(service.split(), "2=100");
    assert!(service.annotations["mlroll.dev/rollout"].contains("state=rolled_back stable=2 bad=3"));
}

#[test]
fn without_its_note_nothing_goes_on_but_the_way_back_does() {
    let world = World::new();
    world.change(|service| service.refuses_annotations = true);
    world.verb(&["canary", "--pct", "10"]).0.expect(2).says("Annotations cannot be changed");
    assert_eq!(world.split(), "fraud-b=100");

    let (world, server, _service) = watched(0.2);
    let child = start(&world, &["rollout"]);
    wait_for(&server, "3=10");
    server.change(NAME, |service| service.refuses_annotations = true);
    let output = child.wait_with_output().unwrap();
    assert_eq!(server.service(NAME).unwrap().split(), "2=100");
    assert_eq!(output.status.code(), Some(1));
}

fn wait_for(server: &CloudRun, split: &str) {
    let started = Instant::now();
    while !server.service(NAME).unwrap().split().contains(split) {
        assert!(started.elapsed() < Duration::from_secs(60), "no canary begins");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Cloud Monitoring with 2,700 requests a minute for b and 300 for d, of which some fail.
fn monitoring(errors: u32, spoilt: bool) -> Tokens {
    Tokens::answering(move |_, asked| {
        let end = asked.query.split("interval.endTime=").nth(1)?.split('&').next()?.to_owned();
        let series = |revision: &str, class: &str, count: u32| {
            json!({"metric": {"labels": {"response_code_class": class}}, "resource": {"labels": {"revision_name": revision}},
                "points": [{"interval": {"endTime": end}, "value": {"int64Value": count.to_string()}}]})
        };
        let all = [
            series("fraud-b", "2xx", 2690),
            series("fraud-b", "5xx", 10),
            series("fraud-d", "2xx", 300 - errors),
            series("fraud-d", "5xx", errors),
        ];
        let mut answer = json!({"timeSeries": all});
        if spoilt {
            answer["executionErrors"] = json!([{"code": 4, "message": "deadline exceeded"}]);
        }
        Some((200, answer))
    })
}

#[test]
fn gates_read_cloud_monitoring() {
    let config = |more: &str| {
        format!(
            "[services.fraud]\ntarget = \"{TARGET}\"\nbake = \"20m\"\nwarm_up = \"0s\"\nlook = \"60s\"\n
            [services.fraud.metrics]\nsource = \"cloud-monitoring\"\n{more}\n
            [[services.fraud.gates]]\nmetric = \"error_rate\"\nmax_increase = {{ ratio = 2.0, abs = \"1%\" }}\n"
        )
    };
    for (errors, spoilt, code, verdict) in [(1, false, 0, "pass"), (60, false, 1, "fail"), (1, true, 3, "inconclusive")]
    {
        let store = monitoring(errors, spoilt);
        let world = World::with_canary().set("MLROLL_ENDPOINT_CLOUD_MONITORING", &store.url());
        std::fs::write(world.folder.path().join("mlroll.toml"), config("settle_delay = \"auto\"")).unwrap();
        if !spoilt {
            let early = world.run(&["gate", "check", "--output", "json"]).expect(3).json();
            assert_eq!(early["findings"][0]["looks"], 0, "nothing from before the shift: {early}");
        }
        world.change(|service| {
            let note = service.annotations.get_mut("mlroll.dev/rollout").unwrap();
            let (before, rest) = note.split_once("at=").unwrap();
            let (at, after) = rest.split_once([' ', ']']).unwrap();
            let an_hour_earlier = at.parse::<i64>().unwrap() - 3600;
            let end = if after.is_empty() { "]" } else { " " };
            *note = format!("{before}at={an_hour_earlier}{end}{after}");
        });
        let ran = world.run(&["gate", "check", "--output", "json"]);
        let document = ran.json();
        ran.expect(code);
        assert_eq!(document["verdict"], verdict, "{document}");
        assert!(world.writes().is_empty());
    }
    let world = World::with_canary();
    std::fs::write(world.folder.path().join("mlroll.toml"), config("url = \"http://127.0.0.1\"")).unwrap();
    world.run(&["gate", "check"]).expect(2).says("metrics.url is for `source = \"prometheus\"`");
    std::fs::write(world.folder.path().join("mlroll.toml"), config("").replace("60s", "30s")).unwrap();
    world.run(&["gate", "check"]).expect(2).says("aligns to whole minutes");
}
