//! What a copied endpoint config or model keeps of its original, on the sandbox.

use serde_json::{Value, json};

use crate::sagemaker_deploy::{aws, start};
use crate::sandbox::Sandbox;

const FRAUD: &str = "sagemaker:us-east-1/fraud";
const FRONT: &str = "arn:aws:sagemaker:us-east-1:123456789012:";
const IMAGE: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/fraud:2";

/// Stable's original config and model, with tags.
fn tagged() -> Sandbox {
    let sandbox = start("b = {}", "");
    for name in ["endpoint-config/fraud-1", "model/fraud-a"] {
        let tags = [("team", name), ("aws:cloudformation:stack-name", "fraud"), ("mlroll-endpoint", "other")]
            .map(|(key, value)| json!({ "Key": key, "Value": value }));
        let added = aws(&sandbox, "AddTags", &json!({ "ResourceArn": format!("{FRONT}{name}"), "Tags": tags }));
        assert!(added["Tags"].is_array(), "{added}");
    }
    sandbox
}

fn deploy(sandbox: &Sandbox, data: &str) -> Value {
    let (code, document) = sandbox.run(&["deploy", "--model-data", data, "--image", IMAGE, "--target", FRAUD]);
    assert_eq!((code, document["outcome"].as_str()), (0, Some("deployed")), "{document}");
    document["targets"][0].clone()
}

/// The live endpoint config, and the model in slot b.
fn live(sandbox: &Sandbox) -> (Value, Value) {
    let endpoint = aws(sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }));
    let name = &endpoint["EndpointConfigName"];
    let config = aws(sandbox, "DescribeEndpointConfig", &json!({ "EndpointConfigName": name }));
    let model = aws(sandbox, "DescribeModel", &json!({ "ModelName": config["ProductionVariants"][1]["ModelName"] }));
    (config, model)
}

fn tags(sandbox: &Sandbox, arn: &Value) -> Vec<(String, String)> {
    let listed = aws(sandbox, "ListTags", &json!({ "ResourceArn": arn }));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    listed["Tags"].as_array().unwrap().iter().map(|tag| (text(&tag["Key"]), text(&tag["Value"]))).collect()
}

fn value<'t>(tags: &'t [(String, String)], key: &str) -> Option<&'t str> {
    tags.iter().find(|(one, _)| one == key).map(|(_, value)| value.as_str())
}

#[test]
fn tags_go_to_the_copies_but_for_those_of_aws_and_of_mlroll() {
    let sandbox = tagged();
    let target = deploy(&sandbox, "s3://models/2.tar.gz");
    assert!(!target["notes"].to_string().contains("tags"), "{target}");
    let (config, model) = live(&sandbox);
    for (arn, original) in
        [(&config["EndpointConfigArn"], "endpoint-config/fraud-1"), (&model["ModelArn"], "model/fraud-a")]
    {
        let tags = tags(&sandbox, arn);
        assert_eq!(value(&tags, "team"), Some(original), "{tags:?}");
        assert_eq!(value(&tags, "aws:cloudformation:stack-name"), None, "{tags:?}");
        assert_eq!(value(&tags, "mlroll-endpoint"), Some("fraud"), "{tags:?}");
    }
    // A shadow's config has them, too.
    let (code, document) = sandbox.run(&["shadow", "--pct", "20", "--candidate", "b", "--no-gates", "--target", FRAUD]);
    assert_eq!(code, 0, "{document}");
    let endpoint = aws(&sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }));
    let shadowed = json!(format!("{FRONT}endpoint-config/{}", endpoint["EndpointConfigName"].as_str().unwrap()));
    assert_eq!(value(&tags(&sandbox, &shadowed), "team"), Some("endpoint-config/fraud-1"));
}

#[test]
fn tags_that_may_not_be_read_are_missed_and_that_is_said() {
    let sandbox = tagged();
    // The first is the endpoint's own.
    let denied = json!({ "api": "sagemaker", "operation": "ListTags", "fault": "status", "status": 400,
        "code": "AccessDeniedException", "skip": 1, "times": 2 });
    sandbox.ask("POST", "/_sandbox/faults", &denied.to_string());
    let target = deploy(&sandbox, "s3://models/2.tar.gz");
    assert!(target["notes"].to_string().contains("sagemaker:ListTags is not allowed"), "{target}");
    let (config, model) = live(&sandbox);
    for arn in [&config["EndpointConfigArn"], &model["ModelArn"]] {
        let tags = tags(&sandbox, arn);
        assert_eq!((value(&tags, "team"), value(&tags, "mlroll-endpoint")), (None, Some("fraud")), "{tags:?}");
    }
}

/// Stable's model gets its data so.
fn stable_of(sandbox: &Sandbox, container: Value) {
    let mut container = container;
    container["Image"] = json!("123456789012.dkr.ecr.us-east-1.amazonaws.com/fraud:1");
    let model = json!({ "ModelName": "stable", "PrimaryContainer": container, "EnableNetworkIsolation": true,
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/fraud" });
    assert!(aws(sandbox, "CreateModel", &model)["ModelArn"].is_string());
    let variant = |name: &str, model: &str, weight: i32| {
        json!({ "VariantName": name, "ModelName": model,
        "InstanceType": "ml.m5.large", "InitialInstanceCount": 1, "InitialVariantWeight": weight })
    };
    let config = json!({ "EndpointConfigName": "next", "ProductionVariants": [variant("a", "stable", 1), variant("b", "fraud-b", 0)] });
    assert!(aws(sandbox, "CreateEndpointConfig", &config)["EndpointConfigArn"].is_string());
    let update = json!({ "EndpointName": "fraud", "EndpointConfigName": "next" });
    assert!(aws(sandbox, "UpdateEndpoint", &update)["EndpointArn"].is_string());
    sandbox.ask("POST", "/_sandbox/clock", r#"{"advance": "20m"}"#);
}

#[test]
fn data_that_is_not_packed_stays_so() {
    let source = |uri: &str, kind: &str, packed: &str| json!({ "S3DataSource": { "S3Uri": uri, "S3DataType": kind, "CompressionType": packed } });
    let mut prefixed = source("s3://models/1/", "S3Prefix", "None");
    prefixed["S3DataSource"]["ModelAccessConfig"] = json!({ "AcceptEula": true });
    let object = source("s3://models/1.bin", "S3Object", "None");
    let url = "s3://models/1.tar.gz";
    for (stable, data, wanted, archive) in [
        (
            json!({ "ModelDataSource": prefixed }),
            "s3://models/2/",
            source("s3://models/2/", "S3Prefix", "None"),
            json!(null),
        ),
        (json!({ "ModelDataSource": prefixed }), "s3://models/2.tar.gz", json!(null), json!("s3://models/2.tar.gz")),
        (
            json!({ "ModelDataSource": object }),
            "s3://models/2.bin",
            source("s3://models/2.bin", "S3Object", "None"),
            json!(null),
        ),
        (json!({ "ModelDataUrl": url }), "s3://models/2/", source("s3://models/2/", "S3Prefix", "None"), json!(null)),
        (json!({ "ModelDataUrl": url }), "s3://models/2.tar.gz", json!(null), json!("s3://models/2.tar.gz")),
        (
            json!({ "ModelDataUrl": "s3://models/", "Mode": "MultiModel" }),
            "s3://models/2/",
            json!(null),
            json!("s3://models/2/"),
        ),
    ] {
        let sandbox = start("b = {}", "");
        let mut container = stable.clone();
        container["Environment"] = json!({ "THREADS": "4" });
        container["ContainerHostname"] = json!("fraud");
        stable_of(&sandbox, container);
        deploy(&sandbox, data);
        let (_, model) = live(&sandbox);
        let made = &model["PrimaryContainer"];
        assert_eq!((&made["ModelDataSource"], &made["ModelDataUrl"]), (&wanted, &archive), "{stable} {data}");
        assert_eq!((&made["Image"], &made["Mode"]), (&json!(IMAGE), &stable["Mode"]), "{made}");
        let kept = (&made["Environment"]["THREADS"], &made["ContainerHostname"], &model["EnableNetworkIsolation"]);
        assert_eq!(kept, (&json!("4"), &json!("fraud"), &json!(true)), "{model}");
    }
}
