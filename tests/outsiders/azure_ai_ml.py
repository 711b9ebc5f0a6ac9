"""azure-ai-ml, which pipelines roll out with, and mlroll on one sandbox: each reads what the other wrote, and goes on from there."""
import json
import os
import subprocess
import sys
import time
import urllib.request

SANDBOX = os.environ["MLROLL_SANDBOX_URL"]
MLROLL = sys.argv[1]
os.environ["AZUREML_DEV_URL_MFE"] = SANDBOX  # In place of Azure Resource Manager.

from azure.ai.ml import MLClient
from azure.ai.ml.constants._common import LROConfigurations
from azure.ai.ml.entities import (
    IdentityConfiguration, ManagedIdentityConfiguration, ManagedOnlineDeployment, ManagedOnlineEndpoint,
)
from azure.core.credentials import AccessToken
from azure.core.exceptions import ResourceExistsError
from azure.core.pipeline.policies import _authentication

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml/providers"
WORKSPACE = f"{GROUP}/Microsoft.MachineLearningServices/workspaces/prod"
IDENTITY = f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/u"
TARGET = f"azure-ml:{SUBSCRIPTION}/ml/prod/fraud"
MARKER = "mlroll-rollout"

# What it asks of a server in its own ways: https, and patience.
_authentication._enforce_https = lambda request: request.context.options.pop("enforce_https", None)
LROConfigurations.POLL_INTERVAL = 0.1


class Static:
    def get_token(self, *scopes, **_):
        return AccessToken("sandbox", int(time.time()) + 3600)


client = MLClient(Static(), SUBSCRIPTION, "ml", "prod", enable_telemetry=False, polling_interval=0.1)
endpoints, deployments = client.online_endpoints, client.online_deployments


def clock(**change):
    body = json.dumps(change).encode()
    urllib.request.urlopen(urllib.request.Request(f"{SANDBOX}/_sandbox/clock", body)).close()


def mlroll(*arguments, code=0):
    command = [MLROLL, *arguments, "--target", TARGET, "--output", "json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == code, f"{ran.returncode}, not {code}: {ran.stdout}{ran.stderr}"
    return json.loads(ran.stdout)


def split():
    """The endpoint as mlroll reads it: shares, and who has copies."""
    seen = mlroll("status")["targets"][0]
    return {share["revision"]: (share["role"], share["percent"]) for share in seen["split"] or []}, seen.get("shadow")


def written(endpoint):
    """What azure-ai-ml makes of the endpoint when it waits for the end."""
    return endpoints.begin_create_or_update(endpoint).result()


def is_as_it_was(endpoint):
    """Everything but traffic is what azure-ai-ml wrote first."""
    assert endpoint.tags["team"] == "fraud" and endpoint.tags["cost center"] == "\u00e9-42", endpoint.tags
    assert endpoint.identity.type == "user_assigned", endpoint.identity.type
    assert [i.resource_id for i in endpoint.identity.user_assigned_identities] == [IDENTITY]
    kept = (endpoint.public_network_access, endpoint.description, endpoint.auth_mode, endpoint.location)
    assert kept == ("Disabled", "of prod", "key", "eastus"), kept
    assert endpoint.properties["own"] == "1", endpoint.properties
    assert endpoint.provisioning_state == "Succeeded", endpoint.provisioning_state


# An endpoint as people have it, written by azure-ai-ml: tags, an identity, private access, a mirror.
endpoint = endpoints.get("fraud")
assert (endpoint.traffic, endpoint.tags) == ({"blue": 100, "green": 0}, {}), endpoint.traffic
endpoint.tags = {"team": "fraud", "cost center": "\u00e9-42"}
identity = ManagedIdentityConfiguration(resource_id=IDENTITY)
endpoint.identity = IdentityConfiguration(type="user_assigned", user_assigned_identities=[identity])
endpoint.public_network_access, endpoint.description, endpoint.properties["own"] = "Disabled", "of prod", "1"
endpoint.traffic, endpoint.mirror_traffic = {"blue": 100}, {"green": 10}
is_as_it_was(written(endpoint))
shares, shadow = split()
assert shares == {"blue": ("stable", 100.0)}, shares
assert (shadow["revision"], shadow["percent"]) == ("green", 10.0), shadow

# A canary of mlroll, from copies to users, as azure-ai-ml reads it.
assert mlroll("canary", "--pct", "10", "--candidate", "green")["outcome"] == "shifted"
endpoint = endpoints.get("fraud")
is_as_it_was(endpoint)
assert (endpoint.traffic, endpoint.mirror_traffic) == ({"blue": 90, "green": 10}, {}), endpoint.mirror_traffic
assert endpoint.tags[MARKER].startswith("[mlroll v1 state=canary stable=blue candidate=green at="), endpoint.tags
assert [one.traffic for one in endpoints.list()] == [{"blue": 90, "green": 10}]

# It goes on by itself, and mlroll reads that: the marker still names who is stable.
endpoint.traffic = {"blue": 75, "green": 25}
is_as_it_was(written(endpoint))
shares, shadow = split()
assert (shares, shadow) == ({"blue": ("stable", 75.0), "green": ("candidate", 25.0)}, None), (shares, shadow)
# So does the way back.
assert mlroll("rollback")["outcome"] == "rolled_back"
endpoint = endpoints.get("fraud")
is_as_it_was(endpoint)
assert endpoint.traffic == {"blue": 100, "green": 0}, endpoint.traffic
assert endpoint.tags[MARKER].startswith("[mlroll v1 state=rolled_back stable=blue bad=green at="), endpoint.tags
clock(advance="2m")  # Until then mlroll writes again: there is no guard.
assert mlroll("rollback")["outcome"] == "unchanged"

# Mirrored traffic by mlroll.
assert mlroll("shadow", "--pct", "20", "--candidate", "green", "--no-gates")["outcome"] == "shifted"
endpoint = endpoints.get("fraud")
assert (endpoint.traffic, endpoint.mirror_traffic) == ({"blue": 100}, {"green": 20}), endpoint.mirror_traffic
mlroll("shadow", "--off")
assert endpoints.get("fraud").mirror_traffic == {}

# A deployment of azure-ai-ml is mlroll's candidate, and promoted.
red = ManagedOnlineDeployment(
    name="red",
    endpoint_name="fraud",
    model=f"{WORKSPACE}/models/fraud/versions/8",
    environment=f"{WORKSPACE}/environments/serve/versions/3",
    environment_variables={"THREADS": "2"},
    instance_type="Standard_DS3_v2",
    instance_count=3,
)
made = deployments.begin_create_or_update(red).result()
assert (made.provisioning_state, made.instance_count) == ("Succeeded", 3), made
assert mlroll("canary", "--pct", "50", "--candidate", "red")["outcome"] == "shifted"
assert mlroll("promote", "--force")["outcome"] == "promoted"
assert endpoints.get("fraud").traffic == {"red": 100, "blue": 0, "green": 0}

# One of mlroll, made after it, is the same but for what was named.
model = f"{WORKSPACE}/models/fraud/versions/9"
made = mlroll("deploy", "--model", model, "--name", "gold")["targets"][0]
assert (made["revision"], made["made"]) == ("gold", True), made
assert [one.name for one in deployments.list("fraud")] == ["blue", "gold", "green", "red"]
gold, red = deployments.get("gold", "fraud"), deployments.get("red", "fraud")
assert gold.model.endswith("/models/fraud/versions/9") and red.model.endswith("/versions/8"), (gold.model, red.model)
for name in ["environment", "environment_variables", "instance_type", "instance_count", "provisioning_state"]:
    assert getattr(gold, name) == getattr(red, name), name
assert endpoints.get("fraud").traffic == {"red": 100, "blue": 0, "green": 0, "gold": 0}

# The pipeline that PUTs the endpoint anew and forgets its traffic: nobody is served, and mlroll says so and mends it.
forgotten = written(ManagedOnlineEndpoint(name="fraud", auth_mode="key"))
assert (forgotten.traffic, forgotten.tags, forgotten.identity.type) == ({}, {}, "system_assigned"), forgotten.traffic
assert split() == ({}, None)
assert mlroll("rollback", code=6)["targets"][0]["error"]["kind"] == "not_found"
assert mlroll("rollback", "--to", "red")["outcome"] == "rolled_back"
assert endpoints.get("fraud").traffic == {"red": 100, "blue": 0, "green": 0, "gold": 0}

# While mlroll's change is under way azure-ai-ml is refused; while its own is, mlroll waits for the end, and decides then.
clock(speed=0.001)
assert mlroll("rollback", "--to", "blue", "--no-wait")["settled"] is False
endpoint = endpoints.get("fraud")
assert endpoint.traffic == {"red": 100, "blue": 0, "green": 0, "gold": 0}, "old traffic until it is over"
endpoint.traffic = {"red": 60, "blue": 40}
try:
    endpoints.begin_create_or_update(endpoint)
    raise AssertionError("an endpoint that is busy takes a PUT")
except ResourceExistsError as error:
    assert error.status_code == 409, error
clock(speed=20)
while endpoints.get("fraud").provisioning_state != "Succeeded":
    time.sleep(0.1)
poller = endpoints.begin_create_or_update(endpoint)
assert mlroll("rollback", "--to", "blue")["outcome"] == "rolled_back"
assert poller.result().traffic in ({"red": 60, "blue": 40}, {"blue": 100}), "whichever was the last"
assert endpoints.get("fraud").traffic == {"blue": 100, "green": 0, "red": 0, "gold": 0}
