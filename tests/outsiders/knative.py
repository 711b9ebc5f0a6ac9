"""What v1 of Cloud Run's API writes, v2 and mlroll read, and the other way round: by Google's own clients.

Google's client for Python always runs, on v1's discovery document; gcloud besides, where there is one. The arguments are
the program `mlroll` and, if there is one, gcloud.
"""
import json
import os
import subprocess
import sys
import tempfile
import urllib.request

from google.cloud import run_v2
from google.oauth2.credentials import Credentials
from googleapiclient import discovery
from googleapiclient.errors import HttpError

SANDBOX = os.environ["MLROLL_SANDBOX_URL"]
MLROLL, GCLOUD = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
TARGET = "cloud-run:acme/europe-west3/fraud"
V1 = "namespaces/acme/services/fraud"
V2 = "projects/acme/locations/europe-west3/services/fraud"

token = Credentials(token="any")
options = {"api_endpoint": SANDBOX}
services = run_v2.ServicesClient(credentials=token, transport="rest", client_options=options)
document = json.load(open(os.path.join(os.path.dirname(discovery.__file__), "discovery_cache/documents/run.v1.json")))
v1 = discovery.build_from_document(document, credentials=token, client_options=options)
knative = v1.namespaces().services()


def sandbox(path, body):
    request = urllib.request.Request(f"{SANDBOX}/_sandbox/{path}", json.dumps(body).encode())
    return json.load(urllib.request.urlopen(request))


def settled():
    sandbox("clock", {"advance": "15s"})


def shares(traffic):
    return {one["revisionName"]: one["percent"] for one in traffic if one.get("percent")}


def by_v1():
    settled()
    service = knative.get(name=V1).execute()
    return shares(service["status"]["traffic"])


def by_v2():
    settled()
    service = services.get_service(name=V2)
    return {one.revision: one.percent for one in service.traffic_statuses if one.percent}


def mlroll(verb, *arguments):
    # Time hardly passes here: it is moved instead of waited for.
    more = [] if verb == "status" else ["--no-wait"]
    command = [MLROLL, verb, *arguments, *more, "--target", TARGET, "--output", "json"]
    ran = subprocess.run(command, capture_output=True, text=True)
    settled()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def by_mlroll():
    settled()
    split = mlroll("status")["targets"][0]["split"]
    return {one["revision"]: int(one["percent"]) for one in split}


def everywhere(expected):
    assert by_v1() == by_v2() == by_mlroll() == expected, (by_v1(), by_v2(), by_mlroll(), expected)


def refused(code, status, call):
    try:
        call.execute()
    except HttpError as error:
        said = json.loads(error.content)["error"]
        assert (error.status_code, said["status"]) == (code, status), said
        return said["message"]
    raise AssertionError("it is not refused")


# As it is, in the words of both.
service = knative.get(name=V1).execute()
assert service["metadata"]["labels"]["cloud.googleapis.com/location"] == "europe-west3", service["metadata"]
ready = {one["type"]: one["status"] for one in service["status"]["conditions"]}
assert ready == {"Ready": "True", "ConfigurationsReady": "True", "RoutesReady": "True"}, ready
assert f'"{service["metadata"]["resourceVersion"]}"' == services.get_service(name=V2).etag
assert service["spec"]["template"]["spec"]["timeoutSeconds"] == 300, service["spec"]
selector = "serving.knative.dev/service = fraud"
listed = v1.namespaces().revisions().list(parent="namespaces/acme", labelSelector=selector).execute()
assert [one["metadata"]["name"] for one in listed["items"]] == ["fraud-00003-c", "fraud-00002-b", "fraud-00001-a"]
for found in [
    v1.projects().locations().services().list(parent="projects/acme/locations/-").execute(),
    v1.projects().locations().services().list(parent="projects/acme/locations/europe-west3").execute(),
    knative.list(parent="namespaces/acme").execute(),
]:
    assert [(one["metadata"]["name"], one["status"]["url"]) for one in found["items"]] == [("fraud", service["status"]["url"])], found
assert not v1.projects().locations().services().list(parent="projects/acme/locations/us-central1").execute().get("items")
everywhere({"fraud-00002-b": 100})

# v1 shifts, and the others read it; a template that is sent back as it was makes no revision.
service["spec"]["traffic"] = [
    {"revisionName": "fraud-00002-b", "percent": 80}, {"revisionName": "fraud-00003-c", "percent": 20},
    {"revisionName": "fraud-00003-c", "tag": "canary"},
]
moving = knative.replaceService(name=V1, body=service).execute()
assert {one["type"]: one["status"] for one in moving["status"]["conditions"]}["Ready"] == "Unknown", moving["status"]
waited = f"projects/acme/locations/europe-west3/operations/{moving['metadata']['annotations']['run.googleapis.com/operation-id']}"
wait = v1.projects().locations().operations().wait(name=waited, body={"timeout": "30s"})
assert not wait.execute().get("done")
settled()
done = wait.execute()
assert done["done"] and shares(done["response"]["status"]["traffic"]) == {"fraud-00002-b": 80, "fraud-00003-c": 20}, done
everywhere({"fraud-00002-b": 80, "fraud-00003-c": 20})
assert len(v1.namespaces().revisions().list(parent="namespaces/acme", labelSelector=selector).execute()["items"]) == 3
stale = refused(409, "ABORTED", knative.replaceService(name=V1, body=service))
assert "current version" in stale, stale

# mlroll shifts, its note is an annotation of v1 too, and v1's next write leaves it there.
mlroll("rollback", "--to", "fraud-00002-b")
mlroll("canary", "--pct", "10", "--candidate", "fraud-00003-c", "--no-gates", "--again")
everywhere({"fraud-00002-b": 90, "fraud-00003-c": 10})
service = knative.get(name=V1).execute()
assert "state=canary" in service["metadata"]["annotations"]["mlroll.dev/rollout"], service["metadata"]
assert [one["url"] for one in service["status"]["traffic"] if one.get("tag")] == [
    "https://canary---fraud-acme.europe-west3.run.app"
]
service["metadata"]["annotations"]["team"] = "ml"
knative.replaceService(name=V1, body=service).execute()
settled()
assert services.get_service(name=V2).annotations["team"] == "ml"
assert mlroll("rollback")["outcome"] == "rolled_back"
everywhere({"fraud-00002-b": 100})

# What the sandbox does not know it does not drop.
service = knative.get(name=V1).execute()
for change in [
    lambda one: one["spec"]["template"]["spec"].update(volumes=[{"name": "v"}]),
    lambda one: one["spec"]["traffic"][0].update(percent=90),
    lambda one: one["spec"]["traffic"].append({"tag": "x"}),
    lambda one: one["metadata"].update(name="other"),
    lambda one: one["spec"]["template"]["metadata"]["annotations"].update({"run.googleapis.com/x": "y"}),
]:
    strange = json.loads(json.dumps(service))
    strange["spec"]["template"]["metadata"].setdefault("annotations", {})
    change(strange)
    refused(400, "INVALID_ARGUMENT", knative.replaceService(name=V1, body=strange))
refused(404, "NOT_FOUND", knative.get(name=V1.replace("fraud", "nobody")))
refused(501, "UNIMPLEMENTED", knative.create(parent="namespaces/acme", body=service))

if GCLOUD is None:
    print("gcloud: not there")
    sys.exit()


# The same by gcloud. It puts the region before any endpoint's host, so its requests come by way of a proxy.
folder = tempfile.mkdtemp()
token_file = os.path.join(folder, "token")
open(token_file, "w").write("fake")
ENV = {
    "PATH": f"{os.path.dirname(GCLOUD)}:/usr/bin:/bin", "HOME": folder, "CLOUDSDK_CONFIG": folder, "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": token_file,
    "http_proxy": SANDBOX, "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://run.sandbox.invalid/",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICEUSAGE": "http://serviceusage.sandbox.invalid/",
    "CLOUDSDK_CORE_PROJECT": "acme", "CLOUDSDK_RUN_REGION": "europe-west3", "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
    "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1", "CLOUDSDK_CORE_DISABLE_FILE_LOGGING": "1",
    "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
}


def gcloud(*arguments, code=0):
    command = [GCLOUD, "run", *arguments, "--format=json"]
    ran = subprocess.run(command, env=ENV, capture_output=True, text=True)
    assert ran.returncode == code, f"{arguments} ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
    return json.loads(ran.stdout) if code == 0 and ran.stdout.strip() else ran.stderr


# Here time passes, and a change is live before gcloud asks twice.
sandbox("clock", {"speed": 30})
described = gcloud("services", "describe", "fraud")
assert shares(described["status"]["traffic"]) == {"fraud-00002-b": 100}, described["status"]
assert [one["metadata"]["name"] for one in gcloud("services", "list")] == ["fraud"]
names = [one["metadata"]["name"] for one in gcloud("revisions", "list", "--service=fraud")]
assert sorted(names) == ["fraud-00001-a", "fraud-00002-b", "fraud-00003-c"], names
gcloud("services", "update-traffic", "fraud", "--to-revisions=fraud-00002-b=70,fraud-00003-c=30")
everywhere({"fraud-00002-b": 70, "fraud-00003-c": 30})
mlroll("rollback", "--to", "fraud-00002-b")
mlroll("canary", "--pct", "5", "--candidate", "fraud-00003-c", "--no-gates", "--again")
described = gcloud("services", "describe", "fraud")
assert shares(described["status"]["traffic"]) == {"fraud-00002-b": 95, "fraud-00003-c": 5}, described["status"]
mlroll("rollback")
gcloud(
    "deploy", "fraud", "--image=europe-docker.pkg.dev/acme/models/fraud:4", "--no-traffic", "--tag=next",
    "--min-instances=1", "--revision-suffix=gcloud",
)
everywhere({"fraud-00002-b": 100})
made = run_v2.RevisionsClient(credentials=token, transport="rest", client_options=options).get_revision(
    name=f"{V2}/revisions/fraud-gcloud"
)
assert made.containers[0].image.endswith("fraud:4") and made.conditions[0].state == run_v2.Condition.State.CONDITION_SUCCEEDED
mlroll("canary", "--pct", "10", "--candidate", "fraud-gcloud", "--no-gates")
everywhere({"fraud-00002-b": 90, "fraud-gcloud": 10})
described = gcloud("services", "describe", "fraud")
assert [one["tag"] for one in described["status"]["traffic"] if one.get("tag")] == ["canary", "next"], described["status"]
mlroll("rollback")
# What Cloud Run refuses, gcloud tells.
assert "nobody" in gcloud("services", "describe", "nobody", code=1)
said = gcloud("services", "update-traffic", "fraud", "--to-revisions=fraud-00009-x=100", code=1)
assert "fraud-00009-x" in said, said
sandbox("faults", {"api": "cloud-run", "operation": "v1.ReplaceService", "fault": "settle_failed"})
said = gcloud("services", "update-traffic", "fraud", "--to-revisions=fraud-00003-c=100", code=1)
assert "Quota exceeded" in said, said
assert by_v2() == {"fraud-00002-b": 100}, by_v2()
mlroll("rollback", "--to", "fraud-00002-b")
everywhere({"fraud-00002-b": 100})
