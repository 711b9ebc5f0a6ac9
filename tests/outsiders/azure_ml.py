"""Drives Azure ML on the sandbox with Azure's own management client, and mlroll beside it: each reads what the other wrote."""
import json
import os
import subprocess
import sys
import time
import urllib.request

from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceNotFoundError,
)
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.mgmt.machinelearningservices import MachineLearningServicesMgmtClient, models

SANDBOX = os.environ["MLROLL_SANDBOX_URL"]
MLROLL = sys.argv[1]
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
TARGET = f"azure-ml:{SUBSCRIPTION}/ml/prod/fraud"
WITHIN = ("ml", "prod")


class Static:
    def get_token(self, *scopes, **_):
        return AccessToken("sandbox", int(time.time()) + 3600)


class OverHttp(BearerTokenCredentialPolicy):
    """As the client's own, but for a server that is on loopback."""

    def on_request(self, request):
        request.context.options["enforce_https"] = False
        super().on_request(request)


def client_with(policy):
    return MachineLearningServicesMgmtClient(
        Static(), SUBSCRIPTION, base_url=SANDBOX, authentication_policy=policy, polling_interval=0.1, retry_total=0
    )


client = client_with(OverHttp(Static(), "https://management.azure.com/.default"))
endpoints, deployments = client.online_endpoints, client.online_deployments


def sandbox(path, body=None, method=None):
    data = json.dumps(body).encode() if body is not None else None
    return json.load(urllib.request.urlopen(urllib.request.Request(f"{SANDBOX}/_sandbox/{path}", data, method=method)))


def raises(kind, status, call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except kind as error:
        assert error.status_code == status, f"{kind}: {error.status_code}, not {status}"
        assert error.error.code and error.error.message, error
        return error
    raise AssertionError(f"{call.__name__} {arguments} raises no {kind}")


def mlroll(*arguments):
    ran = subprocess.run([MLROLL, *arguments, "--target", TARGET, "--output", "json"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def done(poller):
    """Waits for an operation: the sandbox's time stands still, so it has not ended by now, and has after half an hour."""
    for _ in range(100):
        if poller.status() != "InProgress":  # What it says before it has asked.
            break
        time.sleep(0.05)
    assert not poller.done() and poller.status() == "Updating", poller.status()
    sandbox("clock", {"advance": "30m"})
    return poller.result()


# Describe and list.
endpoint = endpoints.get(*WITHIN, "FRAUD")
assert (endpoint.name, endpoint.properties.traffic) == ("fraud", {"blue": 100}), endpoint
assert endpoint.properties.provisioning_state == "Succeeded" and endpoint.system_data.created_at.year >= 2026
assert [e.name for e in endpoints.list(*WITHIN)] == ["fraud"]
assert [d.name for d in deployments.list(*WITHIN, "fraud")] == ["blue", "green"]
green = deployments.get(*WITHIN, "fraud", "Green")
assert green.sku.capacity == 2 and green.properties.scale_settings.scale_type == "Default", green
assert endpoints.list_keys(*WITHIN, "fraud").primary_key
assert deployments.get_logs(*WITHIN, "fraud", "green", models.DeploymentLogsRequest()).content
assert [s.sku.name for s in deployments.list_skus(*WITHIN, "fraud", "green")] == ["Default"]

# What it writes, mlroll reads, and keeps: tags, identity, private access.
identity = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u"
endpoint.tags = {"team": "fraud"}
endpoint.identity = models.ManagedServiceIdentity(
    type="UserAssigned", user_assigned_identities={identity: models.UserAssignedIdentity()}
)
endpoint.properties.public_network_access = "Disabled"
endpoint.properties.description = "prod"
endpoint.properties.traffic = {"blue": 80, "green": 20}
poller = endpoints.begin_create_or_update(*WITHIN, "fraud", endpoint)
assert endpoints.get(*WITHIN, "fraud").properties.traffic == {"blue": 100}, "old traffic until it is over"
busy = raises(ResourceExistsError, 409, endpoints.begin_create_or_update, *WITHIN, "fraud", endpoint)
assert "Updating provisioning state" in busy.error.message, busy
written = done(poller)
assert written.properties.traffic == {"blue": 80, "green": 20}, written
shown = mlroll("status")["targets"][0]
shares = {share["revision"]: share["percent"] for share in shown["split"]}
assert shares == {"blue": 80.0, "green": 20.0}, shown

# What mlroll writes, it reads.
mlroll("rollback", "--to", "blue", "--no-wait")
sandbox("clock", {"advance": "1m"})
after = endpoints.get(*WITHIN, "fraud")
assert after.properties.traffic == {"blue": 100}, after.properties.traffic
assert after.tags["team"] == "fraud" and after.tags["mlroll-rollout"].startswith("[mlroll v1 state=rolled_back"), after
assert list(after.identity.user_assigned_identities) == [identity], after.identity
kept = (after.properties.public_network_access, after.properties.description, after.properties.auth_mode)
assert kept == ("Disabled", "prod", "Key"), kept

# What is left out of a PUT is lost, and what makes no sense is refused.
tagged = endpoints.begin_update(*WITHIN, "fraud", models.PartialMinimalTrackedResourceWithIdentity(tags={"a": "b"}))
assert tagged.result().tags == {"a": "b"}
for traffic in [{"blue": 90}, {"blue": 90, "purple": 10}, {"blue": 101}]:
    endpoint.properties.traffic = traffic
    raises(HttpResponseError, 400, endpoints.begin_create_or_update, *WITHIN, "fraud", endpoint)
raises(HttpResponseError, 400, deployments.begin_delete, *WITHIN, "fraud", "blue")
raises(ResourceNotFoundError, 404, endpoints.get, *WITHIN, "nobody")
raises(ResourceNotFoundError, 404, deployments.get, *WITHIN, "fraud", "nobody")
raises(ResourceNotFoundError, 404, endpoints.get, "ml", "nowhere", "fraud")


class Nobody(OverHttp):
    def on_request(self, request):
        super().on_request(request)
        del request.http_request.headers["Authorization"]


stranger = client_with(Nobody(Static(), "https://management.azure.com/.default"))
raises(ClientAuthenticationError, 401, stranger.online_endpoints.get, *WITHIN, "fraud")

# A deployment comes, gets more instances, and goes.
new = models.OnlineDeployment(
    location="eastus",
    sku=models.Sku(name="Default", capacity=1),
    properties=models.ManagedOnlineDeployment(model=green.properties.model, instance_type="Standard_DS3_v2"),
)
assert done(deployments.begin_create_or_update(*WITHIN, "fraud", "red", new)).properties.provisioning_state == "Succeeded"
patch = models.PartialMinimalTrackedResourceWithSku(sku=models.PartialSku(capacity=3))
done(deployments.begin_update(*WITHIN, "fraud", "red", patch))
assert deployments.get(*WITHIN, "fraud", "red").sku.capacity == 3
done(deployments.begin_delete(*WITHIN, "fraud", "red"))
raises(ResourceNotFoundError, 404, deployments.get, *WITHIN, "fraud", "red")

# Operations that end badly, and other faults, arrive as the exceptions that it has for them.
endpoint.properties.traffic = {"green": 100}
write = {"api": "azure-ml", "operation": "OnlineEndpoints_CreateOrUpdate"}
for fault, state in [("settle_failed", "Failed"), ("settle_canceled", "Canceled")]:
    sandbox("faults", {**write, "fault": fault})
    poller = endpoints.begin_create_or_update(*WITHIN, "fraud", endpoint)
    try:
        done(poller)
        raise AssertionError(f"{fault} raises nothing")
    except HttpResponseError as error:
        assert state in str(error) or "higher priority" in str(error) or "no more instances" in str(error), error
    assert endpoints.get(*WITHIN, "fraud").properties.provisioning_state == state
    assert endpoints.get(*WITHIN, "fraud").properties.traffic == {"blue": 100}
for status, kind in [(429, HttpResponseError), (500, HttpResponseError), (409, ResourceExistsError)]:
    fault = {"api": "azure-ml", "operation": "OnlineEndpoints_Get", "fault": "status", "status": status, "times": 9}
    sandbox("faults", fault)
    raises(kind, status, endpoints.get, *WITHIN, "fraud")
    sandbox("faults", method="DELETE")
