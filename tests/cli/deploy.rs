//! `deploy` before any provider is asked: what may be named together, and who says no.

use crate::world::{FRAUD, World};

fn refused(arguments: &[&str], message: &str) {
    let world = World::new();
    world.run(&[&["deploy", "--target", FRAUD], arguments].concat()).expect(2).says(message);
    assert!(world.server.requests().is_empty(), "{arguments:?}");
}

#[test]
fn one_thing_is_deployed_and_it_must_be_named() {
    refused(&[], "nothing is named to deploy");
    refused(&["--image", " "], "names nothing");
    refused(&["--image", "a", "--s3", "s3://b/k"], "cannot be used with");
    refused(&["--model-data", "s3://b/k"], "--image");
    refused(&["--from-stable"], "differs in nothing");
    refused(&["--zip", "no-such.zip"], "no-such.zip cannot be read");
    refused(&["--image", "a", "--smoke", "no-such.json"], "no-such.json cannot be read");
    for url in ["https://b/k", "s3://b", "s3:///k", "s3://b/", "s3://b/k?versionId="] {
        refused(&["--s3", url], "is not s3://BUCKET/KEY");
    }
}

#[test]
fn what_a_provider_cannot_make_is_refused_with_what_it_can() {
    let world = World::new();
    world.run(&["deploy", "--target", FRAUD, "--model", "m"]).expect(2).says("`--model` means nothing to lambda");
    world.run(&["deploy", "--target", FRAUD, "--model-package", "arn"]).expect(2).says("--model-package");
    world.write("request.json", "{}");
    let smoke = ["--s3", "s3://b/k", "--smoke", "request.json", "--smoke-path", "/v1"];
    let ran = world.run(&[&["deploy", "--target", FRAUD][..], &smoke].concat()).expect(2);
    ran.says("`--smoke-path` means nothing to lambda");
    let ran = world.run(&["deploy", "--target", FRAUD, "--s3", "s3://b/k", "--prune"]).expect(2);
    ran.says("`--prune` means nothing to lambda").says("allowed for sagemaker");
    assert!(world.server.requests().is_empty());
}
