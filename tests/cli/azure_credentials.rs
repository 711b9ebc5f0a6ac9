//! Credentials that a whole process finds: managed identities, and the command line tools.

use std::os::unix::fs::PermissionsExt as _;

use mlroll_faults::arm::TOKEN;
use mlroll_faults::scripted::{Reply, Server};
use serde_json::json;

use crate::azure_ml::World;

/// Without the ready token.
fn world() -> World {
    let mut world = World::new();
    world.env.retain(|(name, _)| *name != "AZURE_ACCESS_TOKEN");
    world
}

/// A tool of that name on the path, which notes its arguments and does what `script` says.
fn tool(world: &World, name: &str, script: &str) {
    let path = world.folder.path().join(name);
    let calls = world.folder.path().join("calls");
    std::fs::write(&path, format!("#!/bin/sh\necho {name} \"$@\" >> '{}'\n{script}\n", calls.display())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn calls(world: &World) -> String {
    std::fs::read_to_string(world.folder.path().join("calls")).unwrap_or_default()
}

/// App Service, Functions and Container Apps tell a process where its identity answers.
#[test]
fn a_managed_identity_is_asked_where_the_platform_says() {
    for client in [None, Some("22222222-2222-2222-2222-222222222222")] {
        let answer =
            json!({ "access_token": TOKEN, "expires_on": "4000000000", "resource": "r", "token_type": "Bearer" });
        let identity = Server::always(Reply::json(answer.to_string()));
        let mut world = world();
        world.env.push(("IDENTITY_ENDPOINT", format!("{}/msi/token", identity.url)));
        world.env.push(("IDENTITY_HEADER", "verysecretheader".to_owned()));
        world.env.extend(client.map(|client| ("AZURE_CLIENT_ID", client.to_owned())));
        let (ran, _) = world.verb(&["canary", "--pct", "10"]);
        assert!(!ran.stderr.contains("verysecret"), "{}", ran.stderr);
        ran.expect(0);
        let asked = identity.requests();
        assert_eq!(asked.len(), 1, "asked once for the whole run");
        assert_eq!(asked[0].path, "/msi/token");
        assert_eq!(asked[0].headers["x-identity-header"], "verysecretheader");
        assert_eq!(asked[0].form["resource"], "https://management.azure.com");
        assert_eq!(asked[0].form.get("client_id").map(String::as_str), client, "a user-assigned one is named");
    }
    // What it says may hold anything.
    let refusing = Server::always(Reply::status(400, r#"{"error":"hunter2","error_description":"hunter2"}"#));
    let mut world = world();
    world.env.push(("IDENTITY_ENDPOINT", format!("{}/msi/token", refusing.url)));
    world.env.push(("IDENTITY_HEADER", "verysecretheader".to_owned()));
    let (ran, _) = world.verb(&["rollback"]);
    assert!(!ran.stderr.contains("hunter2") && !ran.stderr.contains("verysecret"), "{}", ran.stderr);
    ran.expect(5).says("managed-identity: ");
    assert!(world.arm.requests().is_empty());
    // In clear text only to this machine.
    let mut world = self::world();
    world.env.push(("IDENTITY_ENDPOINT", "http://192.0.2.1/msi/token".to_owned()));
    world.env.push(("IDENTITY_HEADER", "verysecretheader".to_owned()));
    let (ran, _) = world.verb(&["rollback"]);
    assert!(ran.took.as_secs() < 30, "{:?}", ran.took);
    ran.expect(5).says("managed-identity: it would go out in clear text");
}

#[test]
fn azd_is_asked_after_az_or_alone() {
    let azd = format!(r#"echo '{{"token":"{TOKEN}","expiresOn":"2096-01-18T00:00:00Z"}}'"#);
    for (az, asked, found) in [
        // Not there; nobody is logged in; not wanted.
        (None, None, "azd auth token"),
        (Some("echo 'Please run az login' >&2; exit 1"), None, "az account get-access-token"),
        (Some("exit 9"), Some("azd"), "azd auth token"),
    ] {
        let mut world = world();
        world.env.push(("PATH", format!("{}:/usr/bin:/bin", world.folder.path().display())));
        world.env.extend(asked.map(|kind| ("MLROLL_AZURE_CREDENTIAL", kind.to_owned())));
        if let Some(script) = az {
            tool(&world, "az", script);
        }
        tool(&world, "azd", &azd);
        world.verb(&["canary", "--pct", "10"]).0.expect(0);
        let calls = calls(&world);
        assert!(calls.starts_with(found), "{calls}");
        assert_eq!(calls.matches("azd auth token").count(), 1, "kept for the whole run: {calls}");
        assert!(calls.contains("--scope https://management.azure.com/.default"), "{calls}");
    }
    // Whoever has a secret, even a wrong one, is never somebody else's login.
    let mut world = world();
    world.env.push(("PATH", format!("{}:/usr/bin:/bin", world.folder.path().display())));
    tool(&world, "azd", &azd);
    for (name, value) in [
        ("AZURE_TENANT_ID", "11111111-1111-1111-1111-111111111111"),
        ("AZURE_CLIENT_ID", "app"),
        ("AZURE_CLIENT_SECRET", "hunter2"),
        ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:9"),
    ] {
        world.env.push((name, value.to_owned()));
    }
    let (ran, _) = world.verb(&["rollback"]);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    ran.expect(5).says("client-secret: AZURE_AUTHORITY_HOST must be https");
    assert_eq!((calls(&world), world.arm.requests().len()), (String::new(), 0));
}

/// A token with an `exp` of 2020, and one of 2099.
#[test]
fn a_token_that_ends_before_the_run_may_is_told_at_its_start() {
    for (claims, warned) in [("eyJleHAiOjE1Nzc4MzY4MDB9", true), ("eyJleHAiOjQwNzA5MDg4MDB9", false)] {
        let mut world = world();
        let token = format!("hunter2.{claims}.hunter2");
        world.arm.set_token(&token);
        world.env.push(("AZURE_ACCESS_TOKEN", token));
        let steps = ["rollout", "--no-gates", "--candidate", "green", "--steps", "10%,100%", "--bake", "1s"];
        let (ran, _) = world.verb(&steps);
        let end = "the ready access token (AZURE_ACCESS_TOKEN) will end at 2020-01-01T00:00:00Z";
        assert_eq!(ran.stderr.contains(end), warned, "{}", ran.stderr);
        assert!(ran.stderr.contains("nor rolled back") == warned && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
        ran.expect(0);
    }
}
