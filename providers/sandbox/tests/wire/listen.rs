use std::io;

use mlroll_sandbox::{Background, Options};

use crate::client::{Client, PROD, options, sandbox};

#[test]
fn any_address_but_loopback_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "169.254.169.254:80"] {
        let refused = Background::start(Options { listen: address.parse().unwrap(), ..options() }).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{address}");
        assert!(refused.to_string().contains("loopback only"), "{refused}");
    }
    let taken = sandbox();
    let listen = taken.url().strip_prefix("http://").unwrap().parse().unwrap();
    let refused = Background::start(Options { listen, ..options() }).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn worlds_that_make_no_sense_are_refused() {
    let refused = Background::start(Options { fleet: 10_000, ..options() }).unwrap_err();
    assert!(refused.to_string().contains("at most 9999"), "{refused}");
    let mut scenario = mlroll_sandbox::scenario::Scenario::default_world();
    scenario.targets.get_mut("lambda:us-east-1/fraud@prod").unwrap().stable = "9".to_owned();
    let refused = Background::start(Options { scenario: Some(scenario), ..options() }).unwrap_err();
    assert!(refused.to_string().contains("stable is \"9\""), "{refused}");
}

#[test]
fn exports_lead_every_client_here() {
    let sandbox = sandbox();
    let exports = sandbox.exports();
    let value = |name: &str| exports.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    for name in [
        "AWS_ENDPOINT_URL",
        "MLROLL_ENDPOINT_CLOUD_RUN",
        "MLROLL_ENDPOINT_CLOUD_MONITORING",
        "MLROLL_ENDPOINT_AZURE",
        "MLROLL_ENDPOINT_AZURE_LOGS",
        "MLROLL_SANDBOX_URL",
    ] {
        assert_eq!(value(name), Some(sandbox.url()), "{name}");
    }
    assert_eq!(value("MLROLL_CLOCK"), Some(format!("{}/_sandbox/clock", sandbox.url()).as_str()));
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "GOOGLE_OAUTH_ACCESS_TOKEN",
        "AZURE_ACCESS_TOKEN",
        "AZURE_LOGS_ACCESS_TOKEN",
    ] {
        assert!(!value(name).unwrap().is_empty());
    }
    assert_eq!(value("AWS_EC2_METADATA_DISABLED"), Some("true"));
    assert_eq!((value("AWS_REGION"), value("AWS_DEFAULT_REGION")), (Some("us-east-1"), Some("us-east-1")));
}

#[test]
fn ends_with_its_connections_when_dropped() {
    let sandbox = sandbox();
    let mut client = Client::new(&sandbox);
    client.get(PROD).good();
    drop(sandbox);
    assert!(client.call("GET", PROD, b"").is_err());
}
