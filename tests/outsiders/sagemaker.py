"""Drives SageMaker on the sandbox with boto3, as its own users would, and reads back what the program under test wrote."""
import json
import os
import subprocess
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

SANDBOX = os.environ["MLROLL_SANDBOX_URL"]
MLROLL = sys.argv[1]
client = boto3.client("sagemaker", config=Config(retries={"total_max_attempts": 1}))
FRAUD = dict(EndpointName="fraud")


def sandbox(path, body):
    request = urllib.request.Request(f"{SANDBOX}/_sandbox/{path}", json.dumps(body).encode())
    return json.load(urllib.request.urlopen(request))


def later(by="61s"):
    sandbox("clock", {"advance": by})


def refused(call, text, code="ValidationException", status=400, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response
        assert found["Error"]["Code"] == code, found
        assert found["ResponseMetadata"]["HTTPStatusCode"] == status, found
        assert text in found["Error"]["Message"], found
        return
    raise AssertionError(f"{call.__name__} {arguments} is not refused")


def shift(**weights):
    desired = [dict(VariantName=name, DesiredWeight=weight) for name, weight in weights.items()]
    return client.update_endpoint_weights_and_capacities(**FRAUD, DesiredWeightsAndCapacities=desired)


def weights(kind="CurrentWeight"):
    return {v["VariantName"]: v[kind] for v in client.describe_endpoint(**FRAUD)["ProductionVariants"]}


def status():
    return client.describe_endpoint(**FRAUD)["EndpointStatus"]


# Describe.
endpoint = client.describe_endpoint(**FRAUD)
ARN = endpoint["EndpointArn"]
assert ARN == "arn:aws:sagemaker:us-east-1:123456789012:endpoint/fraud", ARN
assert endpoint["EndpointStatus"] == "InService" and weights() == {"a": 1.0, "b": 0.0}, endpoint
config = client.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
models = [variant["ModelName"] for variant in config["ProductionVariants"]]
assert models == ["fraud-a", "fraud-b"], config
assert client.describe_model(ModelName=models[0])["PrimaryContainer"]["Image"].endswith("fraud:a")
client.get_waiter("endpoint_in_service").wait(**FRAUD)

# Weights are live when the endpoint is in service again, and until then nothing else is taken.
assert shift(a=0.9, b=0.1)["EndpointArn"] == ARN
assert status() == "Updating" and weights() == {"a": 1.0, "b": 0.0}
busy = f'Cannot update in-progress endpoint "{ARN}".'
refused(shift, busy, a=1)
refused(client.update_endpoint, busy, **FRAUD, EndpointConfigName=endpoint["EndpointConfigName"])
refused(client.delete_endpoint, busy, **FRAUD)
later()
assert status() == "InService" and weights() == {"a": 0.9, "b": 0.1}, weights()
assert client.describe_endpoint(**FRAUD)["LastModifiedTime"] > endpoint["LastModifiedTime"]
shift(b=0.5)
later()
assert weights() == {"a": 0.9, "b": 0.5}, "what is not named stays"

# Errors.
refused(client.describe_endpoint, 'Could not find endpoint "', EndpointName="nobody")
refused(client.describe_endpoint_config, 'Could not find endpoint configuration "', EndpointConfigName="nobody")
refused(client.describe_model, 'Could not find model "', ModelName="nobody")
refused(client.update_endpoint, "Could not find endpoint configuration", **FRAUD, EndpointConfigName="nobody")
refused(shift, "is/are not present within endpoint configuration", c=1)
refused(shift, "weight", a=0, b=0)
refused(client.create_model, "Cannot create already existing model", ModelName="fraud-a", PrimaryContainer={})
for status_, code in [(400, "ThrottlingException"), (400, "AccessDeniedException"), (503, "ServiceUnavailable")]:
    fault = {"api": "sagemaker", "operation": "DescribeEndpoint", "fault": "status", "status": status_, "code": code}
    sandbox("faults", fault)
    refused(client.describe_endpoint, "", code, status_, **FRAUD)

# Tags; their values hold no brackets.
tag = lambda key, value: client.add_tags(ResourceArn=ARN, Tags=[dict(Key=key, Value=value)])
tag("team", "fraud detection")
refused(tag, "at 'tags.1.member.value' failed to satisfy constraint", key="note", value="[mlroll v1]")
assert client.list_tags(ResourceArn=ARN)["Tags"] == [dict(Key="team", Value="fraud detection")]
client.delete_tags(ResourceArn=ARN, TagKeys=["team"])
assert client.list_tags(ResourceArn=ARN)["Tags"] == []
refused(client.list_tags, "Could not find endpoint", ResourceArn=ARN + "-2")

# A new model in the idle slot: weights and counts are kept by name, or are as the config says.
client.create_model(ModelName="fraud-c", PrimaryContainer={"Image": "i"}, ExecutionRoleArn="arn:aws:iam::123456789012:role/r")
variant = lambda name, model: dict(
    VariantName=name, ModelName=model, InitialInstanceCount=2, InstanceType="ml.m5.large", InitialVariantWeight=3
)
make = client.create_endpoint_config
refused(make, "Could not find model", EndpointConfigName="next", ProductionVariants=[variant("a", "nobody")])
refused(make, "not unique", EndpointConfigName="next", ProductionVariants=[variant("a", "fraud-a")] * 2)
make(EndpointConfigName="next", ProductionVariants=[variant("a", "fraud-a"), variant("b", "fraud-c")])
refused(make, "already existing endpoint configuration", EndpointConfigName="next", ProductionVariants=[variant("a", "fraud-a")])
for excluded, expected, instances in [([], {"a": 0.9, "b": 0.5}, 1), (["DesiredInstanceCount"], {"a": 0.9, "b": 0.5}, 2)]:
    client.update_endpoint(
        **FRAUD, EndpointConfigName="next", RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[dict(VariantPropertyType=kind) for kind in excluded],
    )
    pending = client.describe_endpoint(**FRAUD)
    assert pending["EndpointStatus"] == "Updating", pending
    assert pending["PendingDeploymentSummary"]["EndpointConfigName"] == "next", pending
    later("301s")
    after = client.describe_endpoint(**FRAUD)
    assert after["EndpointConfigName"] == "next" and weights() == expected, after
    assert [v["CurrentInstanceCount"] for v in after["ProductionVariants"]] == [instances] * 2, after
client.update_endpoint(**FRAUD, EndpointConfigName="next")
later("301s")
assert weights() == {"a": 3.0, "b": 3.0}, "without RetainAllVariantProperties they are the config's"

# List, by pages.
for number in range(12):
    client.create_endpoint(EndpointName=f"other-{number:02}", EndpointConfigName="next")
assert len(client.list_endpoints()["Endpoints"]) == 10
pages = list(client.get_paginator("list_endpoints").paginate(PaginationConfig={"PageSize": 5}, SortBy="Name", SortOrder="Ascending"))
assert [len(page["Endpoints"]) for page in pages] == [5, 5, 3], pages
names = [e["EndpointName"] for page in pages for e in page["Endpoints"]]
assert names == ["fraud"] + [f"other-{n:02}" for n in range(12)], names
found = client.list_endpoints(StatusEquals="Creating", NameContains="1")["Endpoints"]
assert sorted(e["EndpointName"] for e in found) == ["other-01", "other-10", "other-11"], found
later("301s")
assert not client.list_endpoints(StatusEquals="Creating")["Endpoints"]
client.delete_endpoint(EndpointName="other-00")
later()
refused(client.describe_endpoint, "Could not find endpoint", EndpointName="other-00")

# Endpoint configs and models, by pages; what an endpoint has can be deleted, and then it cannot be changed.
label = [dict(Key="mlroll-endpoint", Value="fraud")]
for number in range(12):
    make(EndpointConfigName=f"old-{number:02}", ProductionVariants=[variant("a", "fraud-a")], Tags=label)
    later("1s")
first = client.list_endpoint_configs(NameContains="old-")
assert [c["EndpointConfigName"] for c in first["EndpointConfigs"]] == [f"old-{n:02}" for n in range(11, 1, -1)], first
rest = client.list_endpoint_configs(NameContains="old-", NextToken=first["NextToken"])
assert [c["EndpointConfigName"] for c in rest["EndpointConfigs"]] == ["old-01", "old-00"] and "NextToken" not in rest, rest
before = first["EndpointConfigs"][0]["CreationTime"]
found = client.list_endpoint_configs(NameContains="old-", CreationTimeBefore=before, SortBy="Name", SortOrder="Ascending", MaxResults=100)
assert [c["EndpointConfigName"] for c in found["EndpointConfigs"]] == [f"old-{n:02}" for n in range(11)], found
old = found["EndpointConfigs"][0]["EndpointConfigArn"]
assert client.list_tags(ResourceArn=old)["Tags"] == label
models = [m["ModelName"] for m in client.list_models(NameContains="fraud-", SortBy="Name", SortOrder="Ascending")["Models"]]
assert models == ["fraud-a", "fraud-b", "fraud-c"], models
gone = 'Could not find endpoint configuration "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/old-00".'
client.create_endpoint(EndpointName="bereft", EndpointConfigName="old-00")
later("301s")
client.delete_endpoint_config(EndpointConfigName="old-00")
refused(client.delete_endpoint_config, gone, EndpointConfigName="old-00")
refused(client.describe_endpoint_config, gone, EndpointConfigName="old-00")
bereft = client.describe_endpoint(EndpointName="bereft")
assert (bereft["EndpointStatus"], bereft["EndpointConfigName"]) == ("InService", "old-00"), bereft
heavier = [dict(VariantName="a", DesiredWeight=2)]
refused(client.update_endpoint_weights_and_capacities, gone, EndpointName="bereft", DesiredWeightsAndCapacities=heavier)
client.update_endpoint(EndpointName="bereft", EndpointConfigName="old-01")
later("301s")
bereft = client.describe_endpoint(EndpointName="bereft")
assert bereft["EndpointConfigName"] == "old-00" and "old-00" in bereft["FailureReason"], bereft
client.create_model(ModelName="spare", PrimaryContainer={"Image": "i"}, ExecutionRoleArn="arn:aws:iam::123456789012:role/r")
client.delete_model(ModelName="spare")
refused(client.delete_model, "Could not find model", ModelName="spare")
for number in range(1, 12):
    client.delete_endpoint_config(EndpointConfigName=f"old-{number:02}")
client.delete_endpoint(EndpointName="bereft")
later("301s")

# What mlroll writes is there for everybody.
shift(a=1, b=0)
later()


def mlroll(*arguments):
    command = [MLROLL, *arguments, "--no-wait", "--target", "sagemaker:us-east-1/fraud", "--output", "json"]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    later()
    return json.loads(ran.stdout)


def note():
    return {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=ARN)["Tags"]}["mlroll-rollout"]


mlroll("canary", "--pct", "10", "--no-gates")
assert weights() == {"a": 90.0, "b": 10.0}, weights()
assert note().startswith("mlroll v1 state=canary stable=a candidate=b at="), note()
mlroll("rollback")
assert weights() == {"a": 100.0, "b": 0.0}, weights()
assert note().startswith("mlroll v1 state=rolled_back stable=a bad=b at="), note()

# Copies of requests: the idle slot is a shadow variant for a while, and comes back without a weight.
def shadows():
    return {v["VariantName"]: v["CurrentWeight"] for v in client.describe_endpoint(**FRAUD).get("ShadowProductionVariants", [])}


both = [variant("a", "fraud-a"), variant("b", "fraud-c")]
refused(
    make, "Only one production variant", EndpointConfigName="two", ProductionVariants=both,
    ShadowProductionVariants=[variant("s", "fraud-c")],
)
# A variant that autoscaling holds is not let go.
scaling = boto3.client("application-autoscaling")
held = dict(ServiceNamespace="sagemaker", ScalableDimension="sagemaker:variant:DesiredInstanceCount", ResourceId="endpoint/fraud/variant/b")
if scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[held["ResourceId"]])["ScalableTargets"]:
    scaling.deregister_scalable_target(**held)
mlroll("shadow", "--pct", "20", "--candidate", "b")
later("301s")
assert (weights(), shadows()) == ({"a": 100.0}, {"b": 20.0}), client.describe_endpoint(**FRAUD)
beside = client.describe_endpoint_config(EndpointConfigName=client.describe_endpoint(**FRAUD)["EndpointConfigName"])
assert [v["ModelName"] for v in beside["ShadowProductionVariants"]] == ["fraud-c"], beside
assert [v["ModelName"] for v in beside["ProductionVariants"]] == ["fraud-a"], beside
refused(shift, "is/are not present within endpoint configuration", b=1)
mlroll("shadow", "--off")
later("301s")
assert (weights(), shadows()) == ({"a": 100.0, "b": 0.0}, {}), client.describe_endpoint(**FRAUD)
