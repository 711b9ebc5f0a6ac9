"""Every request that mlroll makes to Google Cloud is one that Google itself describes.

They are recorded on their way to the sandbox while mlroll does all it can do to a service. Bodies are parsed strictly into
google-cloud-run's own messages; paths and parameters are looked up in the discovery documents that ship with
google-api-python-client. The argument is the program `mlroll`.
"""
import datetime
import http.client
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request

from google.cloud import run_v2
from google.protobuf import field_mask_pb2, json_format
from googleapiclient import discovery

SANDBOX = os.environ["MLROLL_SANDBOX_URL"]
MLROLL = sys.argv[1]
TARGET = "cloud-run:acme/europe-west3/fraud"
NAME = "projects/acme/locations/europe-west3/services/fraud"
IMAGE = "europe-docker.pkg.dev/acme/models/fraud@sha256:0123"
SERVICE = run_v2.Service.pb(run_v2.Service())


# Google's own descriptions.
def document(name):
    return json.load(open(os.path.join(os.path.dirname(discovery.__file__), f"discovery_cache/documents/{name}.json")))


def methods(document):
    def walk(resource):
        yield from resource.get("methods", {}).values()
        for below in resource.get("resources", {}).values():
            yield from walk(below)

    return [(document, method) for method in walk(document)]


APIS = {
    "cloud-run": methods(document("run.v2")),
    "monitoring": methods(document("monitoring.v3")) + methods(document("monitoring.v1")),
}
# The document declares POST with a JSON body; the reference, and Prometheus itself, GET with the same fields:
# https://cloud.google.com/monitoring/api/ref_v3/rest/v1/projects.location.prometheus.api.v1/query
PROMQL = "monitoring.projects.location.prometheus.api.v1.query"


def template(path):
    """An address with its variables, `{x}` of one segment and `{+x}` of any, as an expression."""
    parts = re.split(r"\{(\+?)(\w+)\}", path)
    expression = re.escape(parts[0])
    for plus, name, rest in zip(parts[1::3], parts[2::3], parts[3::3]):
        expression += f"(?P<{name}>{'.+' if plus else '[^/]+'})" + re.escape(rest)
    return expression


def value(declared, name, text):
    """Fails unless the text is a value of the declared parameter."""
    kind, form = declared.get("type"), declared.get("format")
    if "enum" in declared:
        assert text in declared["enum"], f"{name}={text} is none of {declared['enum']}"
    elif kind == "boolean":
        assert text in ("true", "false"), f"{name}={text}"
    elif kind == "integer":
        assert str(int(text)) == text, f"{name}={text}"
    elif form == "google-datetime":
        assert text.endswith("Z"), f"{name}={text}"
        datetime.datetime.fromisoformat(text)
    elif form == "google-duration":
        assert re.fullmatch(r"\d+(\.\d{1,9})?s", text), f"{name}={text}"
    elif form == "google-fieldmask":
        mask = field_mask_pb2.FieldMask()
        mask.FromJsonString(text)
        assert mask.IsValidForDescriptor(SERVICE.DESCRIPTOR), f"{name}={text}"


def check(request):
    """The method that a request is of; fails unless it is one as Google describes it."""
    path = urllib.parse.unquote(request["path"]).lstrip("/")
    found = [
        (api, method) for api, method in APIS[request["api"]]
        if re.fullmatch(template(method["flatPath"]), path)
        and (method["httpMethod"] == request["method"] or method["id"] == PROMQL)
    ]
    assert len(found) == 1, f"{len(found)} methods are {request['method']} {path}"
    ((api, method),) = found
    parameters = method["parameters"]
    for name, text in re.fullmatch(template(method["path"]), path).groupdict().items():
        declared = parameters[name]
        assert declared["location"] == "path" and re.search(declared.get("pattern", ""), text), f"{name}={text}"
    given = urllib.parse.parse_qsl(request["query"], keep_blank_values=True, strict_parsing=bool(request["query"]))
    if method["id"] == PROMQL:
        fields = api["schemas"][method["request"]["$ref"]]["properties"]
        assert request["method"] == "GET" and not request["body"], request
        assert {"query", "time"} <= {name for name, _ in given} <= set(fields), given
        return method["id"]
    known = {name: one for name, one in parameters.items() if one["location"] == "query"} | api["parameters"]
    for name, text in given:
        assert name in known, f"{method['id']} has no parameter {name}"
        value(known[name], name, text)
        once = [other for other, _ in given].count(name) == 1
        assert once or known[name].get("repeated"), f"{name} is given more than once"
    if "request" not in method:
        assert not request["body"], f"{method['id']} has no body"
        return method["id"]
    assert method["request"]["$ref"] == "GoogleCloudRunV2Service", method["id"]
    assert request["type"] == "application/json", request["type"]
    sent = json.loads(request["body"])
    parsed = json_format.Parse(request["body"], run_v2.Service.pb(run_v2.Service()), ignore_unknown_fields=False)
    # What is outside of the mask is not looked at, so it should not be there; and nothing is left to a default.
    assert set(sent) == set(dict(given)["updateMask"].split(",")) | {"etag"} and parsed.etag, sent
    # Read back it is what was sent: no zero, no alias, no number that was rounded.
    assert json_format.MessageToDict(parsed) == sent, (json_format.MessageToDict(parsed), sent)
    return method["id"]


# The recorder, between mlroll and the sandbox.
recorded = []
refusal = []


def ask(method, path, body, headers):
    """What the sandbox answers."""
    sandbox = http.client.HTTPConnection(urllib.parse.urlsplit(SANDBOX).netloc)
    sandbox.request(method, path, body or None, headers)
    answered = sandbox.getresponse()
    status, answer = answered.status, answered.read()
    sandbox.close()
    return status, answer


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers["Host"].endswith(".run.app"):
            # To the user's own service.
            return self.answer(*ask(self.command, self.path, body, {"Host": self.headers["Host"]}))
        address = urllib.parse.urlsplit(self.path)
        _, api, path = address.path.split("/", 2)
        recorded.append({
            "api": api, "method": self.command, "path": f"/{path}", "query": address.query, "body": body.decode(),
            "type": self.headers.get("Content-Type"),
        })
        if refusal and self.command == "PATCH":
            return self.answer(400, json.dumps({"error": refusal.pop()}).encode())
        token = {"Authorization": self.headers["Authorization"]}
        self.answer(*ask(self.command, f"/{path}?{address.query}", body, token))

    def answer(self, status, answer):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = serve

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"
folder = tempfile.TemporaryDirectory()
ENV = os.environ | {
    "HOME": folder.name, "MLROLL_ENDPOINT_CLOUD_RUN": f"{base}/cloud-run",
    "MLROLL_ENDPOINT_CLOUD_MONITORING": f"{base}/monitoring",
}
open(os.path.join(folder.name, "mlroll.toml"), "w").write(f'''
[services.fraud]
target = "{TARGET}"
steps = ["10%", "50%", "100%"]
min_bake = "2m"
bake = "1h"
warm_up = "0s"
look = "60s"

[services.fraud.metrics]
source = "cloud-monitoring"

[[services.fraud.gates]]
metric = "error_rate"
max_increase = {{ ratio = 2.0, abs = "2%" }}

[[services.fraud.gates]]
metric = "latency"
quantile = 0.95
max = "900ms"

[[services.fraud.gates]]
metric = "instance_startup"
max = "10m"
advisory = true

[[services.fraud.gates]]
metric = "pending_requests"
max = 1000
advisory = true

[[services.fraud.gates]]
metric = "gpu_headroom"
min = "1%"
advisory = true

[[services.fraud.gates]]
metric = "memory_headroom"
min = "1%"
advisory = true

[[services.fraud.gates]]
alarms = ["too slow"]

[[services.fraud.gates]]
name = "requests"
advisory = true
query = 'sum(increase(run_googleapis_com:request_count{{revision_name="{{{{revision}}}}"}}[5m]))'
max = 1000000

[[services.fraud.gates]]
name = "count"
advisory = true
query = 'metric.type="run.googleapis.com/request_count" AND resource.labels.revision_name="{{{{revision}}}}" | ALIGN_DELTA | REDUCE_SUM'
max = 1000000
''')


def mlroll(code, *arguments, service=("--target", TARGET)):
    ran = subprocess.run(
        [MLROLL, *arguments, *service, "--output", "json"], capture_output=True, text=True, env=ENV, cwd=folder.name
    )
    assert ran.returncode == code, f"{arguments} ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
    return json.loads(ran.stdout)


def sandbox(path, body, method="POST"):
    request = urllib.request.Request(
        f"{SANDBOX}/{path}", json.dumps(body).encode(), {"Authorization": "Bearer any"}, method=method
    )
    return json.load(urllib.request.urlopen(request))


def settled():
    sandbox("_sandbox/clock", {"advance": "1m"})


# All that mlroll does.
mlroll(0, "status")
mlroll(0, "deploy", "--image", IMAGE, "--min-instances", "2", "--dry-run")
# Where the new revision is not to be seen yet, its operation is asked.
sandbox("_sandbox/faults", {"api": "cloud-run", "operation": "GetRevision", "skip": 3, "fault": "stale"})
deployed = mlroll(0, "deploy", "--image", IMAGE, "--min-instances", "2")["targets"][0]["revision"]
mlroll(0, "deploy", "--from-stable", "--min-instances", "0", "--name", "fraud-copy")
latest = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100, "tag": "live"}
sandbox(f"v2/{NAME}?updateMask=traffic", {"traffic": [latest]}, "PATCH")
settled()
mlroll(0, "deploy", "--image", f"{IMAGE}4")
# Asked by its tag, which it gets by a write of its own.
sandbox(f"v2/{NAME}?updateMask=invokerIamDisabled", {"invokerIamDisabled": True}, "PATCH")
settled()
open(os.path.join(folder.name, "request.json"), "w").write("{}")
asked = mlroll(0, "deploy", "--image", f"{IMAGE}5", "--smoke", "request.json")["targets"][0]["smoke"]
assert asked["ok"], asked
mlroll(0, "rollback", "--to", "fraud-00002-b")
mlroll(0, "canary", "--pct", "10", "--candidate", deployed, "--no-gates")
mlroll(0, "promote", "--force")
mlroll(0, "rollback", "--dry-run")
mlroll(0, "rollback")
mlroll(0, "canary", "--pct", "1", "--no-gates")
refusal.append({"code": 400, "status": "INVALID_ARGUMENT", "message": "annotations: they are not to be changed"})
mlroll(0, "rollback")
settled()
mlroll(0, "plan", "--candidate", "fraud-00003-c", service=("fraud",))
ended = mlroll(0, "rollout", "--candidate", "fraud-00003-c", service=("fraud",))
assert ended["outcome"] == "promoted", ended
mlroll(0, "rollback", service=("fraud",))
mlroll(0, "canary", "--pct", "10", "--candidate", "fraud-00003-c", "--no-gates", "--again", service=("fraud",))
sandbox("_sandbox/clock", {"advance": "2h"})
mlroll(0, "gate", "check", service=("fraud",))

# Each of them is Google's.
seen = {}
for request in recorded:
    try:
        seen.setdefault(check(request), []).append(request)
    except Exception as error:
        raise AssertionError(f"{request}: {error}") from error
run, monitored = "run.projects.locations.", "monitoring.projects."
assert set(seen) == {
    f"{run}services.get", f"{run}services.patch", f"{run}services.revisions.get", f"{run}services.revisions.list",
    f"{run}operations.get", f"{monitored}timeSeries.list", f"{monitored}alertPolicies.list", f"{monitored}alerts.list",
    PROMQL,
}, sorted(seen)
queries = {urllib.parse.unquote(request["query"]) for request in seen[f"{run}services.patch"]}
assert queries == {
    "updateMask=traffic,annotations", "updateMask=traffic", "updateMask=template", "updateMask=template,traffic",
    "updateMask=template&validateOnly=true",
}, queries
bodies = [json.loads(request["body"]) for request in seen[f"{run}services.patch"]]
assert any(share.get("tag") == "mlroll" and "percent" not in share for body in bodies for share in body.get("traffic", []))
counts = {body["template"].get("scaling", {}).get("minInstanceCount", 0) for body in bodies if "template" in body}
assert counts == {0, 2}, counts

# And what is not would have been found.
good = next(one for one in seen[f"{run}services.patch"] if "annotations" in one["query"])
listing = seen[f"{monitored}timeSeries.list"][0]


def with_traffic(**fields):
    body = json.loads(good["body"])
    body["traffic"][0] |= fields
    return {**good, "body": json.dumps(body)}


for bad in [
    with_traffic(percent=12.5), with_traffic(revisionName="fraud-00002-b"), with_traffic(type="REVISION"),
    with_traffic(tag=""), with_traffic(percent="10"),
    {**good, "query": "updateMask=traffic"}, {**good, "query": "updateMask=traffic,annotation"},
    {**good, "query": good["query"] + "&dryRun=true"}, {**good, "query": good["query"] + "&validateOnly=yes"},
    {**good, "query": good["query"] + "&" + good["query"]}, {**good, "method": "PUT"}, {**good, "type": None},
    {**good, "path": good["path"] + "/traffic"}, {**good, "path": good["path"].replace("/locations/", "/regions/")},
    {**listing, "query": listing["query"].replace("ALIGN_", "ALIGNED_")},
    {**listing, "query": listing["query"].replace("startTime", "start")},
    {**listing, "query": re.sub(r"alignmentPeriod=\d+s", "alignmentPeriod=1m", listing["query"])},
    {**listing, "body": "{}"},
]:
    try:
        check(bad)
    except (AssertionError, ValueError, json_format.ParseError):
        continue
    raise AssertionError(f"it passes for Google's: {bad}")
