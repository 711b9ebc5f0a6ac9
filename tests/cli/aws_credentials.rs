//! Who asks AWS: a GitHub job by its own token, and keys that end before a run does.

use std::time::{Duration, Instant};

use mlroll_faults::scripted::{Reply, Server};

use crate::watched::{end, start};
use crate::world::{FRAUD, World};

const KEYS: &str = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
    <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKIDJOB</AccessKeyId><SecretAccessKey>hunter4</SecretAccessKey>\
    <SessionToken>hunter5</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
    </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

#[test]
fn a_github_job_needs_no_login_step() {
    let github = Server::always(Reply::json(r#"{"value": "hunter3"}"#));
    let sts = Server::always(Reply::status(200, KEYS));
    let world = World::new()
        .unset("AWS_ACCESS_KEY_ID")
        .unset("AWS_SECRET_ACCESS_KEY")
        .unset("AWS_SESSION_TOKEN")
        .set("AWS_ENDPOINT_URL_STS", &sts.url)
        .set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/mlroll")
        .set("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{}/id?api-version=2.0", github.url))
        .set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2");
    let ran = world.run(&["canary", "--pct", "10", "--candidate", "3", "--target", FRAUD]);
    assert!(!format!("{ran:?}").contains("hunter"), "{ran:?}");
    ran.expect(0);
    assert_eq!(world.split(), "2+3:0.1");
    assert_eq!(github.requests()[0].headers["authorization"], "bearer hunter2");
    assert_eq!(sts.requests()[0].form["WebIdentityToken"], "hunter3");
    assert_eq!((github.requests().len(), sts.requests().len()), (1, 1), "one token for the whole run");
}

#[test]
fn a_job_that_may_not_have_a_token_is_told_what_it_lacks() {
    let github = Server::always(Reply::status(403, "hunter2"));
    let world = World::new()
        .unset("AWS_ACCESS_KEY_ID")
        .unset("AWS_SECRET_ACCESS_KEY")
        .unset("AWS_SESSION_TOKEN")
        .set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/mlroll")
        .set("ACTIONS_ID_TOKEN_REQUEST_URL", &github.url)
        .set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2");
    let ran = world.run(&["rollback", "--target", FRAUD]);
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    ran.expect(5).says("permissions: id-token: write");
    assert!(world.server.requests().is_empty());
}

#[test]
fn keys_that_end_before_the_run_may_are_told_at_its_start() {
    let cases = [
        (None, "end after 1h as a rule", true),
        (Some("2020-01-01T00:00:00Z"), "end at 2020-01-01T00:00:00Z", true),
        (Some("2099-01-01T00:00:00Z"), "", false),
    ];
    for (ends, says, warned) in cases {
        let world = World::new();
        let world = if let Some(ends) = ends { world.set("AWS_CREDENTIAL_EXPIRATION", ends) } else { world };
        let steps =
            ["rollout", "--no-gates", "--candidate", "3", "--target", FRAUD, "--steps", "10%,100%", "--bake", "2h"];
        let mut child = start(&world, &steps);
        let began = Instant::now();
        while world.split() == "2" && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let ran = end(child);
        assert_eq!(world.split(), "2+3:0.1", "{ran:?}");
        let said = format!("{ran:?}");
        assert_eq!(said.contains("AWS_SESSION_TOKEN"), warned, "{said}");
        assert!(said.contains(says) && (!warned || said.contains("nor rolled back")), "{said}");
    }
}
