"""Drives Lambda on the sandbox with boto3, as its own users would. Fails where boto3 or its model is not content."""
import io
import json
import os
import urllib.request
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

SANDBOX = os.environ["MLROLL_SANDBOX_URL"]
client = boto3.client("lambda", config=Config(retries={"max_attempts": 1}))
errors = client.exceptions
PROD = dict(FunctionName="fraud", Name="prod")


def sandbox(path, body):
    request = urllib.request.Request(f"{SANDBOX}/_sandbox/{path}", json.dumps(body).encode())
    return json.load(urllib.request.urlopen(request))


def raises(kind, call, status, **arguments):
    try:
        call(**arguments)
    except kind as error:
        found = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert found == status, f"{kind}: {found}, not {status}"
        assert error.response["Error"]["Message"], kind
        return error.response
    raise AssertionError(f"{call.__name__} {arguments} raises no {kind}")


def code(text):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.py", text)
    return buffer.getvalue()


# Describe.
alias = client.get_alias(**PROD)
assert alias["FunctionVersion"] == "2" and alias["Description"] == "" and "RoutingConfig" not in alias, alias
assert client.get_alias(FunctionName=alias["AliasArn"].rsplit(":", 1)[0], Name="prod")["Name"] == "prod"
function = client.get_function(FunctionName="fraud")
assert function["Configuration"]["State"] == "Active" and function["Code"]["RepositoryType"] == "S3", function
settings = client.get_function_configuration(FunctionName="fraud", Qualifier="prod")
assert settings["Version"] == "2" and settings["LastUpdateStatus"] == "Successful", settings
client.get_waiter("function_active_v2").wait(FunctionName="fraud")
assert client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 1000

# List, by pages.
for number in range(7):
    client.create_alias(FunctionName="fraud", Name=f"alias-{number}", FunctionVersion="1")
pages = list(client.get_paginator("list_aliases").paginate(FunctionName="fraud", PaginationConfig={"PageSize": 3}))
assert [len(page["Aliases"]) for page in pages] == [3, 3, 2], pages
assert [a["Name"] for page in pages for a in page["Aliases"]] == [f"alias-{n}" for n in range(7)] + ["prod"]
versions = client.get_paginator("list_versions_by_function").paginate(
    FunctionName="fraud", PaginationConfig={"PageSize": 1}
)
assert [v["Version"] for page in versions for v in page["Versions"]] == ["$LATEST", "1", "2", "3"]
names = [f["FunctionName"] for page in client.get_paginator("list_functions").paginate() for f in page["Functions"]]
assert names == ["fraud"] + [f"fraud-{n:04}" for n in range(1, 61)], names
assert client.list_aliases(FunctionName="fraud", FunctionVersion="2")["Aliases"] == [
    {key: alias[key] for key in alias if key != "ResponseMetadata"}
]

# Weights and revisions.
canary = client.update_alias(
    **PROD, RoutingConfig={"AdditionalVersionWeights": {"3": 0.1}}, RevisionId=alias["RevisionId"]
)
assert canary["RoutingConfig"] == {"AdditionalVersionWeights": {"3": 0.1}}, canary
assert canary["RevisionId"] != alias["RevisionId"]
raises(errors.PreconditionFailedException, client.update_alias, 412, **PROD, RevisionId=alias["RevisionId"])
for weights in [{"1": 0.1, "3": 0.1}, {"2": 0.1}]:
    raises(
        errors.InvalidParameterValueException, client.update_alias, 400, **PROD,
        RoutingConfig={"AdditionalVersionWeights": weights},
    )
raises(errors.ResourceNotFoundException, client.update_alias, 404, **PROD, FunctionVersion="99")
refused = raises(
    ClientError, client.update_alias, 400, **PROD, RoutingConfig={"AdditionalVersionWeights": {"3": 1.5}}
)
assert refused["Error"]["Code"] == "ValidationException", refused
raises(errors.ResourceNotFoundException, client.get_alias, 404, FunctionName="fraud", Name="nope")
raises(errors.ResourceNotFoundException, client.get_function, 404, FunctionName="nope")
raises(errors.ResourceConflictException, client.create_alias, 409, **PROD, FunctionVersion="1")
raises(errors.ResourceConflictException, client.delete_function, 409, FunctionName="fraud", Qualifier="3")

# Invoke.
executed = set()
for _ in range(200):
    answer = client.invoke(FunctionName="fraud", Qualifier="prod", Payload=b"{}")
    assert answer["StatusCode"] == 200
    payload = json.load(answer["Payload"])
    assert "FunctionError" in answer or payload == {"version": answer["ExecutedVersion"]}, answer
    executed.add(answer["ExecutedVersion"])
assert executed == {"2", "3"}, executed
raises(errors.InvalidRequestContentException, client.invoke, 400, FunctionName="fraud", Payload=b"{")
assert client.invoke(FunctionName="fraud", InvocationType="Event")["StatusCode"] == 202

# Deploy.
updated = client.update_function_code(FunctionName="fraud", ZipFile=code("4"))
assert updated["LastUpdateStatus"] == "InProgress", updated
raises(errors.ResourceConflictException, client.publish_version, 409, FunctionName="fraud")
sandbox("clock", {"advance": "10s"})
client.get_waiter("function_updated_v2").wait(FunctionName="fraud")
raises(errors.PreconditionFailedException, client.publish_version, 412, FunctionName="fraud", RevisionId="x")
raises(errors.InvalidParameterValueException, client.publish_version, 400, FunctionName="fraud", CodeSha256="x")
published = client.publish_version(FunctionName="fraud", CodeSha256=updated["CodeSha256"], Description="four")
assert (published["Version"], published["State"]) == ("4", "Pending"), published
sandbox("clock", {"advance": "10s"})
client.get_waiter("published_version_active").wait(FunctionName="fraud", Qualifier="4")
assert client.publish_version(FunctionName="fraud")["Version"] == "4"
client.delete_function(FunctionName="fraud", Qualifier="4")

# Provisioned concurrency.
provisioned = dict(FunctionName="fraud", Qualifier="prod")
raises(
    errors.ProvisionedConcurrencyConfigNotFoundException, client.get_provisioned_concurrency_config, 404, **provisioned
)
raises(
    errors.InvalidParameterValueException, client.put_provisioned_concurrency_config, 400, **provisioned,
    ProvisionedConcurrentExecutions=1,
)
client.update_alias(**PROD, RoutingConfig={"AdditionalVersionWeights": {}})
accepted = client.put_provisioned_concurrency_config(**provisioned, ProvisionedConcurrentExecutions=5)
assert accepted["Status"] == "IN_PROGRESS", accepted
raises(
    errors.ResourceConflictException, client.put_provisioned_concurrency_config, 409, FunctionName="fraud",
    Qualifier="2", ProvisionedConcurrentExecutions=1,
)
sandbox("clock", {"advance": "3m"})
assert client.get_provisioned_concurrency_config(**provisioned)["Status"] == "READY"
moving = client.update_alias(**PROD, FunctionVersion="3")
assert moving["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 1.0}}, moving
sandbox("clock", {"advance": "7m"})
assert "RoutingConfig" not in client.get_alias(**PROD)
pages = client.get_paginator("list_provisioned_concurrency_configs").paginate(FunctionName="fraud")
assert [c["Status"] for page in pages for c in page["ProvisionedConcurrencyConfigs"]] == ["READY"]
client.delete_provisioned_concurrency_config(**provisioned)
client.put_function_concurrency(FunctionName="fraud", ReservedConcurrentExecutions=7)
assert client.get_function_concurrency(FunctionName="fraud")["ReservedConcurrentExecutions"] == 7
client.delete_function_concurrency(FunctionName="fraud")

# Faults arrive as the exceptions that boto3 has for them.
for status, kind in [
    (429, errors.TooManyRequestsException), (500, errors.ServiceException), (409, errors.ResourceConflictException),
]:
    sandbox("faults", {"api": "lambda", "operation": "GetAlias", "fault": "status", "status": status, "times": 9})
    raises(kind, client.get_alias, status, **PROD)
    urllib.request.urlopen(urllib.request.Request(f"{SANDBOX}/_sandbox/faults", method="DELETE"))
for number in range(7):
    client.delete_alias(FunctionName="fraud", Name=f"alias-{number}")
assert [a["Name"] for a in client.list_aliases(FunctionName="fraud")["Aliases"]] == ["prod"]
