//! `deploy --smoke` on Cloud Run: a revision at zero traffic is asked by the address of a tag, by somebody who may.

use serde_json::{Value, json};

use crate::cloud_run::TARGET;
use crate::deploy_google::{IMAGE, SERVICE, call, everything_on_b, log, revisions, service, settled};
use crate::google_credentials::{as_an_account, of_a_job, user};
use crate::sandbox::Sandbox;

const WORSE: &str = "europe-docker.pkg.dev/acme/models/fraud:worse";

fn sandbox() -> Sandbox {
    let scenario = format!(
        r#"
        cloud_run = {{ images."{WORSE}" = {{ error_rate = 1.0 }} }}
        [targets."{TARGET}"]
        requests_per_second = 1
        stable = "fraud-00002-b"
        [targets."{TARGET}".revisions]
        fraud-00001-a = {{}}
        fraud-00002-b = {{}}
        fraud-00003-c = {{}}
        "#
    );
    let sandbox = Sandbox::start(&["--speed", "300"], &scenario);
    sandbox.write("request.json", "{\"amount\": 12}");
    sandbox
}

/// Deploys as somebody, and asks what was made.
fn smoke(sandbox: &Sandbox, who: &[(&str, &str)], more: &[&str]) -> (i32, Value) {
    let deploy = ["deploy", "--smoke", "request.json", "--target", TARGET, "--output", "json"];
    let mut command = sandbox.command(&[&deploy[..], more].concat());
    let output = command.env("PATH", sandbox.path()).envs(who.iter().copied()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let document = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
    (output.status.code().unwrap_or(-1), document)
}

fn answer(said: &Value) -> (bool, &str) {
    let smoke = &said["targets"][0]["smoke"];
    (smoke["ok"].as_bool().unwrap_or_else(|| panic!("{said}")), smoke["answer"].as_str().unwrap())
}

/// Everything is on b, and the tag on this revision.
fn with_the_tag_on(revision: &str) -> Value {
    let mut traffic = everything_on_b();
    let kind = traffic[0]["type"].clone();
    traffic.as_array_mut().unwrap().push(json!({ "type": kind, "revision": revision, "tag": "mlroll" }));
    traffic
}

#[test]
fn whoever_may_asks_the_new_revision_and_moves_nobody() {
    let sandbox = sandbox();
    let (url, host) = (sandbox.url().to_owned(), sandbox.url().strip_prefix("http://").unwrap().to_owned());
    let machine = [("GOOGLE_OAUTH_ACCESS_TOKEN", ""), ("GCE_METADATA_HOST", host.as_str())];
    let (code, said) = smoke(&sandbox, &machine, &["--image", IMAGE]);
    assert_eq!(code, 0, "{said}");
    let name = said["targets"][0]["revision"].as_str().unwrap().to_owned();
    assert_eq!(answer(&said), (true, format!(r#"200 {{"path":"/","revision":"{name}"}}"#).as_str()));
    assert_eq!(service(&sandbox)["traffic"], with_the_tag_on(&name));
    assert_eq!(service(&sandbox)["trafficStatuses"][0], everything_on_b()[0]);
    // Typed again it is asked again, and nothing is written.
    let writes = log(&sandbox, "UpdateService").len();
    let job = sandbox.path().join("job.json");
    std::fs::write(&job, as_an_account(of_a_job(&url), &url).to_string()).unwrap();
    let job = [("GOOGLE_OAUTH_ACCESS_TOKEN", ""), ("GOOGLE_APPLICATION_CREDENTIALS", job.to_str().unwrap())];
    let (code, said) = smoke(&sandbox, &job, &["--image", IMAGE, "--smoke-path", "/v1/models/fraud:predict"]);
    assert_eq!((code, log(&sandbox, "UpdateService").len()), (0, writes), "{said}");
    assert!(answer(&said).1.contains(r#""path":"/v1/models/fraud:predict""#), "{said}");
    assert_eq!((log(&sandbox, "Invoke").len(), log(&sandbox, "GenerateIdToken").len()), (2, 1));
    // The tag goes on to the next, and one that answers badly is told so.
    let (code, said) = smoke(&sandbox, &machine, &["--image", WORSE]);
    assert_eq!((code, &said["outcome"]), (1, &json!("failed")), "{said}");
    assert_eq!(answer(&said), (false, r#"500 {"error":"The model failed."}"#));
    assert_eq!(service(&sandbox)["traffic"], with_the_tag_on(&revisions(&sandbox)[0]));
    // A tag that is there already will do.
    let tagged = json!([everything_on_b()[0], { "type": 2, "revision": name, "tag": "next" }]);
    call(&sandbox, "PATCH", &format!("{SERVICE}?updateMask=traffic"), &json!({ "traffic": tagged }));
    settled(&sandbox);
    let writes = log(&sandbox, "UpdateService").len();
    assert_eq!(smoke(&sandbox, &machine, &["--image", IMAGE]).0, 0);
    assert_eq!(log(&sandbox, "UpdateService").len(), writes);
}

#[test]
fn whoever_may_not_is_told_what_is_missing_and_the_public_is_let_in() {
    let sandbox = sandbox();
    let url = sandbox.url().to_owned();
    let path = |name: &str, content: &Value| {
        let path = sandbox.path().join(name);
        std::fs::write(&path, content.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (job, person) = (path("job.json", &of_a_job(&url)), path("user.json", &user(&url)));
    for who in [
        &[][..],
        &[("GOOGLE_OAUTH_ACCESS_TOKEN", ""), ("GOOGLE_APPLICATION_CREDENTIALS", job.as_str())],
        &[("GOOGLE_OAUTH_ACCESS_TOKEN", ""), ("GOOGLE_APPLICATION_CREDENTIALS", person.as_str())],
    ] {
        let (code, said) = smoke(&sandbox, who, &["--image", IMAGE]);
        let message = said["error"]["message"].as_str().unwrap();
        assert_eq!(code, 5, "{said}");
        assert!(
            message.contains("lets nobody in without an identity token, and these credentials have none"),
            "{message}"
        );
    }
    assert_eq!(service(&sandbox)["trafficStatuses"][0], everything_on_b()[0]);
    let open = json!({ "invokerIamDisabled": true });
    call(&sandbox, "PATCH", &format!("{SERVICE}?updateMask=invokerIamDisabled"), &open);
    settled(&sandbox);
    let (code, said) = smoke(&sandbox, &[], &["--image", IMAGE]);
    assert_eq!((code, answer(&said).0), (0, true), "{said}");
    // A rehearsal asks nobody, and puts no tag anywhere.
    let asked = log(&sandbox, "Invoke").len();
    assert_eq!(smoke(&sandbox, &[], &["--image", "fraud:next", "--dry-run"]).0, 0);
    assert_eq!(log(&sandbox, "Invoke").len(), asked);
    for (path, says) in [("v1", "is no path"), ("//elsewhere.example/v1", "is no path"), ("/a b", "is no path")] {
        let output =
            sandbox.command(&["deploy", "--image", IMAGE, "--smoke", "request.json", "--smoke-path", path]).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(says), "{said}");
    }
}
