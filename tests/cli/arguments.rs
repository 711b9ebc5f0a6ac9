//! Arguments and configuration: what is wrong, where, and what is allowed. Nothing is touched.

use mlroll_faults::{Fault, Kind, Operation};

use crate::world::{FRAUD, World};

fn service(name: &str) -> String {
    format!("[services.{name}]\ntarget = \"lambda:us-east-1/{name}@prod\"\n")
}

#[test]
fn wrong_arguments_exit_2_and_say_what_is_allowed() {
    let world = World::new();
    let target = ["--target", FRAUD];
    let cases: [(&[&str], &str); 18] = [
        (&["canary", "--pct", "0"], "mlroll rollback"),
        (&["canary", "--pct", "100"], "mlroll promote"),
        (&["canary", "--pct", "101"], "percentage from 0 to 100"),
        (&["canary", "--pct", "ten"], "percentage from 0 to 100"),
        (&["canary", "--pct", "0.001"], "finer than 0.01 %"),
        (&["canary", "--pct", "-1"], "-1"),
        (&["canary"], "--pct"),
        (&["canary", "--pct", "10", "--bake", "10m"], "--bake"),
        (&["canary", "--pct", "10", "--bake", "ten"], "is not a duration"),
        (&["canary", "--pct", "10", "--candidate", "a b"], "is not a revision"),
        (&["canary", "--pct", "10", "--again"], "--candidate"),
        (&["promote"], "--force"),
        (&["rollback", "--timeout", "soon"], "is not a duration"),
        (&["rollback", "--timeout", "0s"], "no time at all"),
        (&["rollback", "--all", "--to", "1"], "cannot be used with"),
        (&["rollback", "--since", "1h"], "--all"),
        (&["roolback"], "rollback"),
        (&["rollback", "--all"], "take one of the two"),
    ];
    for (arguments, allowed) in cases {
        let ran = world.run(&[arguments, &target].concat()).expect(2);
        assert!(ran.stderr.contains(allowed), "{arguments:?}: {}", ran.stderr);
        let ran = world.run(&[arguments, &target, &["--output", "json"]].concat()).expect(2);
        assert_eq!(
            (&ran.json()["schema"], &ran.json()["exit_code"]),
            (&"mlroll/error/1".into(), &2.into()),
            "{arguments:?}"
        );
        assert_eq!(ran.json()["error"]["kind"], "invalid");
        assert!(ran.json()["error"].to_string().contains(allowed), "{}", ran.stdout);
    }
    for (uri, allowed) in [
        ("lambda:us-east-1/fraud", "FUNCTION@ALIAS"),
        ("lambda:us-east-1/fraud@7", "a number is a version"),
        ("ecs:us-east-1/fraud", "lambda:REGION/FUNCTION@ALIAS"),
        ("arn:aws:lambda:us-east-1:123456789012:function:fraud", "names a function"),
    ] {
        world.run(&["status", "--target", uri]).expect(2).says(allowed);
    }
    assert_eq!(world.wire(), (0, 0));
}

#[test]
fn a_wrong_file_is_named_with_its_line() {
    let world = World::new();
    for (text, complaint) in [
        (
            "[services.fraud]\ntarget = \"lambda:us-east-1/fraud@prod\"\non_fial = \"hold\"\n",
            "mlroll.toml:3:1: unknown field `on_fial`, expected one of",
        ),
        (
            "[services.fraud]\ntarget = \"lambda:us-east-1/fraud@prod\"\nbake = \"10 minuts\"\n",
            "mlroll.toml:3:8: `10 minuts` is not a duration",
        ),
        (
            "[services.fraud]\ntarget = \"lambda:us-east-1/fraud\"\n",
            "mlroll.toml:2:10: target `lambda:us-east-1/fraud`",
        ),
        (
            "[services.fraud]\ntarget = \"lambda:us-east-1/fraud@prod\"\nsteps = [\"10 %\", \"200 %\"]\n",
            "mlroll.toml:3:9:",
        ),
        ("[services.fraud\n", "mlroll.toml:1:"),
        ("", "has no services"),
    ] {
        world.write("mlroll.toml", text);
        for verb in [&["status"][..], &["canary", "--pct", "5"], &["promote", "--force"]] {
            world.run(verb).expect(2).says(complaint);
        }
    }
    world.write("mlroll.toml", &(service("fraud") + &service("rank")));
    world.run(&["canary", "--pct", "5"]).expect(2).says("which service? mlroll.toml has fraud, rank");
    world
        .run(&["canary", "fruad", "--pct", "5"])
        .expect(2)
        .says("unknown service `fruad`; mlroll.toml has fraud, rank");
    world.run(&["status", FRAUD]).expect(2).says("--target lambda:us-east-1/fraud@prod");
    world.run(&["status", "--config", "other.toml"]).expect(2).says("there is no other.toml");
    assert_eq!(world.wire(), (0, 0));
}

#[test]
fn without_a_file_a_target_is_asked_for() {
    let world = World::new();
    for verb in [&["status"][..], &["rollback"], &["canary", "--pct", "5"], &["promote", "--force"]] {
        world.run(verb).expect(2).says("--target lambda:REGION/FUNCTION@ALIAS");
    }
}

#[test]
fn services_are_found_in_the_file() {
    let world = World::new();
    world.write("mlroll.toml", &service("fraud"));
    world.run(&["canary", "--pct", "10"]).expect(0);
    let ran = world.run(&["status", "fraud", "--output", "json"]).expect(0);
    assert_eq!(ran.json()["targets"][0]["service"], "fraud");
    world.run(&["promote", "fraud", "--force"]).expect(0);
    world.run(&["rollback"]).expect(0);
    assert_eq!(world.split(), "2");
    std::fs::create_dir(world.path().join("deploy")).unwrap();
    std::fs::rename(world.path().join("mlroll.toml"), world.path().join("deploy/x.toml")).unwrap();
    world.run(&["status", "--config", "deploy/x.toml"]).expect(0);
}

/// At 3 a.m. a rollback must not fail because of a typo in a gate.
#[test]
fn a_rollback_reads_only_the_targets_of_a_broken_file() {
    let world = World::with_canary("10");
    let broken = "state = 7\n[services.rank]\ntarget = \"nonsense\"\n[services.fraud]\ntarget = \"lambda:us-east-1/fraud@prod\"\nbake = \"forever\"\nunknown = 1\n[[services.fraud.gates]]\nmax = \n";
    world.write("mlroll.toml", broken);
    world.run(&["status", "fraud"]).expect(2);
    world.run(&["rollback", "rank"]).expect(2).says("the targets of service `rank` cannot be read");
    assert_eq!(world.wire(), (0, 0));
    world.run(&["rollback", "fraud"]).expect(0);
    assert_eq!(world.split(), "2");
}

#[test]
fn a_rollback_of_a_target_opens_no_file() {
    let world = World::with_canary("10");
    world.write("mlroll.toml", "this is not TOML");
    world.run(&["rollback", "--target", FRAUD]).expect(0);
    assert_eq!(world.split(), "2");
    world.run(&["canary", "--pct", "5", "--candidate", "4", "--target", FRAUD]).expect(2);
}

#[test]
fn gates_without_metrics_are_not_passed_over() {
    let world = World::new();
    world.write(
        "mlroll.toml",
        &(service("fraud") + "[[services.fraud.gates]]\nmetric = \"error_rate\"\nmax = \"1%\"\n"),
    );
    let arn = "arn:aws:lambda:us-east-1:123456789012:function:fraud:prod";
    for verb in [
        &["canary", "--pct", "5"][..],
        &["canary", "--pct", "5", "--target", FRAUD],
        &["canary", "--pct", "5", "--target", arn],
        &["promote"],
    ] {
        world.run(verb).expect(2).says("has gates");
    }
    assert_eq!(world.wire(), (0, 0));
    world.run(&["canary", "--pct", "5", "--no-gates"]).expect(0).says("not judged");
}

#[test]
fn help_is_data_and_names_every_verb() {
    let world = World::new();
    let ran = world.run(&["--help"]).expect(0);
    for word in ["canary", "completions", "gate", "promote", "rollback", "status", "--dry-run", "--target", "--output"]
    {
        assert!(ran.stdout.contains(word), "{word}");
    }
    assert!(ran.stderr.is_empty());
    world.run(&["--version"]).expect(0).says("mlroll 0.");
    world.run(&[]).expect(2);
}

#[test]
fn quiet_says_nothing_and_verbose_names_each_request() {
    let world = World::with_canary("10");
    let ran = world.run(&["status", "--quiet", "--target", FRAUD]).expect(0);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    world.run(&["status", "--verbose", "--target", FRAUD]).expect(0).says("GetAlias GET http://127.0.0.1");
    let ran = world.run(&["status", "--target", FRAUD]).expect(0);
    ran.says(&format!("calls go to {}, which is not the cloud's own endpoint", world.server.url()));
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let world = World::with_canary("10");
    world.server.fault(Fault::on(Operation::GetAlias).kind(Kind::Latency(std::time::Duration::from_millis(300))));
    let mut child = world
        .command(&["status", "--target", FRAUD])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

#[test]
fn a_reader_that_goes_away_does_not_change_the_status() {
    let world = World::new();
    for (target, code) in [(FRAUD, 6), ("lambda:us-east-1/nope@prod", 6)] {
        let mut command = world.command(&["rollback", "--target", target]);
        let mut child =
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn a_link_that_leads_nowhere_is_not_a_missing_file() {
    let world = World::new();
    std::os::unix::fs::symlink("/nonexistent/mlroll.toml", world.path().join("mlroll.toml")).unwrap();
    world.run(&["canary", "--pct", "5", "--target", FRAUD]).expect(2);
    assert_eq!(world.wire(), (0, 0));
}
