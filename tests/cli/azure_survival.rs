//! What Azure and other people keep with an endpoint goes back as it came, byte for byte: a PUT is the whole endpoint.

use mlroll_faults::arm::{ArmFault, ArmKind, ArmOperation, deployment};
use serde_json::Value;

use crate::azure_ml::World;

/// An endpoint as nobody here has ever seen one: both kinds of identity, private access, fields of versions to come, numbers
/// and escapes that a parser writes differently, members in no order.
const CANARY: &str = r#"{"zone":[1.0, 1e5,{"b":1,"a":12345678901234567890}], "id":"/x","name":"Fraud","type":"t",
    "tags":{"team":"fra\u00fcd \/","mlroll-rollout":"[mlroll v1 state=canary stable=blue candidate=green at=1795230000 id=ID]","":"1"},"location":"eastus","kind":"Managed",
    "identity":{"principalId":"p","type":"SystemAssigned,UserAssigned","tenantId":"t","userAssignedIdentities":{"/subscriptions/s/resourcegroups/G/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u":{"clientId":"c","future":[ ],"principalId":"p"}},"later":null},
    "properties":{"scoringUri":"https://x","mirrorTraffic":{"red":  10},"authMode":"AADToken","provisioningState":"Succeeded","description":null,
      "traffic":{"Blue":90,"green":10},"publicNetworkAccess":"Disabled","properties":{"azureml.onlineendpointid":"1","AzureAsyncOperationUri":"https://y"},"keys":null,"compute":"/k8s","swaggerUri":"z","novelty":{"x":0.10,"y":-0}},
    "sku":null,"systemData":{"createdAt":"2022-10-28T19:26:29.5331Z","lastModifiedAt":"2022-10-28T19:26:49.5331Z"}}"#;

/// What has to be put, but for our tag, traffic and mirrored traffic.
const PUT: &str = r#"{"zone":[1.0, 1e5,{"b":1,"a":12345678901234567890}],"tags":{"team":"fra\u00fcd \/","mlroll-rollout":"TAG","":"1"},"location":"eastus","kind":"Managed","identity":{"type":"SystemAssigned,UserAssigned","userAssignedIdentities":{"/subscriptions/s/resourcegroups/G/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u":{"future":[ ]}},"later":null},"properties":{"mirrorTraffic":MIRROR,"authMode":"AADToken","description":null,"traffic":TRAFFIC,"publicNetworkAccess":"Disabled","properties":{"azureml.onlineendpointid":"1","AzureAsyncOperationUri":"https://y"},"keys":null,"compute":"/k8s","novelty":{"x":0.10,"y":-0}},"sku":null}"#;

/// Runs a verb on the endpoint of [`CANARY`]: the text that is put, and the tag in it.
fn put(verb: &[&str]) -> (String, String) {
    let world = World::new();
    world.arm.fraud(|endpoint| {
        endpoint.record = serde_json::from_str(CANARY).unwrap();
        endpoint.deployments.push(deployment("red", 3));
    });
    world.arm.fault(ArmFault::on(ArmOperation::Get, ArmKind::Text(CANARY)).forever());
    world.verb(verb).0.expect(0);
    let puts: Vec<_> =
        world.arm.requests().into_iter().filter(|request| request.operation == ArmOperation::Put).collect();
    assert_eq!(puts.len(), 1, "{puts:?}");
    let document: Value = serde_json::from_str(&puts[0].text).unwrap();
    (puts[0].text.clone(), document["tags"]["mlroll-rollout"].as_str().unwrap().to_owned())
}

#[test]
fn all_that_is_not_traffic_or_our_tag_goes_back_byte_for_byte() {
    for (verb, traffic, mirror, says) in [
        (
            &["canary", "--pct", "25", "--no-wait"][..],
            r#"{"blue":75,"green":25}"#,
            r#"{"red":  10}"#,
            "[mlroll v1 state=canary stable=blue candidate=green at=",
        ),
        (
            &["promote", "--force", "--no-wait"],
            r#"{"green":100}"#,
            r#"{"red":  10}"#,
            "[mlroll v1 state=promoted stable=green previous=blue at=",
        ),
        (&["rollback", "--no-wait"], r#"{"blue":100}"#, "{}", "[mlroll v1 state=rolled_back stable=blue bad=green at="),
    ] {
        let (text, tag) = put(verb);
        assert!(tag.starts_with(says), "{tag}");
        let expected = PUT.replace("TAG", &tag).replace("TRAFFIC", traffic).replace("MIRROR", mirror);
        assert_eq!(text, expected, "{verb:?}");
    }
    // Mirrored traffic is moved without our tag or live traffic.
    let tag = "[mlroll v1 state=canary stable=blue candidate=green at=1795230000 id=ID]";
    let (text, _) = put(&["shadow", "--off", "--no-wait"]);
    let kept = r#"{"Blue":90,"green":10}"#;
    assert_eq!(text, PUT.replace("TAG", tag).replace("TRAFFIC", kept).replace("MIRROR", "{}"));
}
