"""Every setting that botocore's model knows of an endpoint config and of a model is in the copy that a deployment makes, or named as lost."""
import json
import os
import subprocess
import sys
import tempfile

import boto3
import botocore.session
from botocore.config import Config

MLROLL = sys.argv[1]
MODEL = botocore.session.get_session().get_service_model("sagemaker")
# The SDK of this mlroll does not know these, so they are lost and the user is told. One that is known by now fails here, too.
LOST = {"CrossRegionTrafficConfig"}
sm = boto3.client("sagemaker", config=Config(parameter_validation=False))
work = tempfile.mkdtemp()


def sample(shape, depth=0):
    """Something of a shape, with all its members; of a union the first."""
    kind = shape.type_name
    if kind == "structure":
        members = list(shape.members.items())
        if getattr(shape, "is_tagged_union", False):
            members = members[:1]
        assert depth < 12, shape.name
        return {name: sample(member, depth + 1) for name, member in members}
    if kind == "list":
        return [sample(shape.member, depth + 1)]
    if kind == "map":
        return {"key": sample(shape.value, depth + 1)}
    if kind == "string":
        return shape.enum[0] if getattr(shape, "enum", None) else "text"
    return {"boolean": True, "integer": 7, "long": 7, "float": 1.5, "double": 1.5}[kind]


def settings(operation, described, without):
    """What can be asked for when it is made, and is told of what there is."""
    asked = MODEL.operation_model(operation).input_shape.members
    told = MODEL.operation_model(described).output_shape.members
    untold = set(asked) - set(told) - {"Tags"}
    assert not untold, f"{described} does not tell {untold}: a copy cannot have it"
    return {name: sample(shape) for name, shape in asked.items() if name in told and name not in without}


def deploy(endpoint, *arguments):
    target = f"sagemaker:us-east-1/{endpoint}"
    command = [MLROLL, "deploy", *arguments, "--target", target, "--output", "json"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=work)
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}"
    name = sm.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    return sm.describe_endpoint_config(EndpointConfigName=name), json.loads(ran.stdout)["targets"][0]["notes"]


# One that is asynchronous, serverless, or has a shadow variant takes no second model at all.
config = settings(
    "CreateEndpointConfig", "DescribeEndpointConfig",
    {"AsyncInferenceConfig", "EndpointConfigName", "ProductionVariants", "ShadowProductionVariants"},
)
config["MetricsConfig"]["MetricPublishFrequencyInSeconds"] = 60
shape = MODEL.operation_model("CreateEndpointConfig").input_shape.members["ProductionVariants"].member
variant = sample(shape)
del variant["ServerlessConfig"]
variant |= {"VariantName": "a", "ModelName": "whole", "InitialInstanceCount": 1, "InitialVariantWeight": 1.0, "InstanceType": "ml.m5.large"}
model = settings("CreateModel", "DescribeModel", {"Containers", "ModelName", "PrimaryContainer"})
container = sample(MODEL.operation_model("CreateModel").input_shape.members["PrimaryContainer"])
# An archive, of no package; the mode of many models has data of its own.
for other in ["InferenceSpecificationName", "ModelDataSource", "ModelPackageName"]:
    del container[other]
container["Mode"] = "SingleModel"
sm.create_model(ModelName="whole", PrimaryContainer=container, **model)
sm.create_endpoint_config(EndpointConfigName="whole-1", ProductionVariants=[variant], **config)
sm.create_endpoint(EndpointName="whole", EndpointConfigName="whole-1")
sm.get_waiter("endpoint_in_service").wait(EndpointName="whole", WaiterConfig={"Delay": 1, "MaxAttempts": 60})

copy, notes = deploy("whole", "--model-data", "s3://models/2.tar.gz", "--image", "x.example/fraud:2")
assert copy["EndpointConfigName"] != "whole-1", copy
lost = {name for name, value in config.items() if copy.get(name) != value}
assert lost == LOST & set(config), f"lost of the endpoint config: {lost}"
told = [note for note in notes if "does not know" in note]
assert len(told) == (1 if lost else 0) and all(name in told[0] for name in lost), notes
a, b = copy["ProductionVariants"]
assert a == variant, {name: (variant[name], a.get(name)) for name in variant if a.get(name) != variant[name]}
changed = {name for name in variant if b.get(name) != variant[name]}
assert changed == {"VariantName", "ModelName", "InitialVariantWeight"}, changed
made = sm.describe_model(ModelName=b["ModelName"])
lost = {name for name, value in model.items() if made.get(name) != value}
assert not lost, f"lost of the model: {lost}"
changed = {name for name in container if made["PrimaryContainer"].get(name) != container[name]}
assert changed == {"Image", "ModelDataUrl"}, changed
assert os.listdir(work) == [], os.listdir(work)
