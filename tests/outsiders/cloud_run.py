"""Drives Cloud Run and Cloud Monitoring on the sandbox with Google's own clients. Fails where they are not content.

The argument is the program `mlroll`, which must see what these clients write, and they what it writes.
"""
import json
import os
import subprocess
import sys
import urllib.request

from google.api_core import exceptions
from google.cloud import run_v2
from google.oauth2.credentials import Credentials
from google.protobuf import field_mask_pb2, json_format
from googleapiclient import discovery
from googleapiclient.errors import HttpError

SANDBOX = os.environ["MLROLL_SANDBOX_URL"]
MLROLL = sys.argv[1]
TARGET = "cloud-run:acme/europe-west3/fraud"
PARENT = "projects/acme/locations/europe-west3"
NAME = f"{PARENT}/services/fraud"
REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
CONDITION = run_v2.Condition.State

token = Credentials(token="any")
options = {"api_endpoint": SANDBOX}
services = run_v2.ServicesClient(credentials=token, transport="rest", client_options=options)
revisions = run_v2.RevisionsClient(credentials=token, transport="rest", client_options=options)


def sandbox(path, body):
    request = urllib.request.Request(f"{SANDBOX}/_sandbox/{path}", json.dumps(body).encode())
    return json.load(urllib.request.urlopen(request))


def raises(kind, status, call, *arguments, **named):
    """The client tells HTTP statuses apart, and leaves Google's own status to whoever asks."""
    try:
        call(*arguments, **named)
    except kind as error:
        said = error.response.json()["error"]
        assert type(error) is kind and said["status"] == status, f"{type(error)}, not {kind} and {status}: {said}"
        return error
    raise AssertionError(f"{call} {arguments} {named} raises no {kind}")


def entry(revision, percent=0, tag=""):
    return run_v2.TrafficTarget(type_=REVISION, revision=revision, percent=percent, tag=tag)


def update(traffic, etag="", mask="traffic", **fields):
    service = run_v2.Service(name=NAME, traffic=traffic, etag=etag, **fields)
    return services.update_service(service=service, update_mask=field_mask_pb2.FieldMask(paths=mask.split(",")))


def settled(operation):
    """The operation's result, without a wait in real time: its own polling would be one."""
    sandbox("clock", {"advance": "15s"})
    return operation.result(timeout=20)


def split(targets):
    shares = {}
    for one in targets:
        if one.percent:
            shares[one.revision] = shares.get(one.revision, 0) + one.percent
    return shares


def mlroll(*arguments):
    ran = subprocess.run([MLROLL, *arguments, "--target", TARGET, "--output", "json"], capture_output=True, text=True)
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def live():
    sandbox("clock", {"advance": "15s"})
    return services.get_service(name=NAME)


# Describe and list.
service = services.get_service(name=NAME)
assert service.name == NAME and service.generation == service.observed_generation == 3, service
assert split(service.traffic) == split(service.traffic_statuses) == {"fraud-00002-b": 100}, service
assert service.terminal_condition.state == CONDITION.CONDITION_SUCCEEDED and not service.reconciling, service
assert service.latest_ready_revision == f"{NAME}/revisions/fraud-00003-c" and service.uri.startswith("https://")
assert [one.name for one in services.list_services(parent=PARENT)] == [NAME]
listed = revisions.list_revisions(request=run_v2.ListRevisionsRequest(parent=NAME, page_size=2))
pages = [[one.name.rsplit("/", 1)[1] for one in page.revisions] for page in listed.pages]
assert pages == [["fraud-00003-c", "fraud-00002-b"], ["fraud-00001-a"]], pages
revision = revisions.get_revision(name=f"{NAME}/revisions/fraud-00001-a")
assert revision.conditions[0].state == CONDITION.CONDITION_SUCCEEDED and revision.containers[0].image, revision
assert revision.conditions[0].revision_reason == run_v2.Condition.RevisionReason.RETIRED, revision

# Traffic, tags and etags.
before = service.etag
operation = update([entry("fraud-00002-b", 90), entry("fraud-00003-c", 10), entry("fraud-00003-c", tag="canary")], before)
moving = services.get_service(name=NAME)
assert moving.reconciling and moving.observed_generation < moving.generation == 4, moving
assert split(moving.traffic) != split(moving.traffic_statuses) == {"fraud-00002-b": 100}, moving
done = settled(operation)
assert split(done.traffic) == split(done.traffic_statuses) == {"fraud-00002-b": 90, "fraud-00003-c": 10}, done
assert [one.uri for one in done.traffic_statuses if one.tag] == ["https://canary---fraud-acme.europe-west3.run.app"]
stale = raises(exceptions.Conflict, "ABORTED", update, [entry("fraud-00002-b", 100)], before)
assert stale.code == 409 and "current version" in stale.message, stale
assert services.get_service(name=NAME).etag == done.etag, "nothing was written"

# What Cloud Run refuses.
for traffic in [
    [entry("fraud-00002-b", 90)],
    [entry("fraud-00002-b", 100, "a"), entry("fraud-00003-c", 0, "a")],
    [run_v2.TrafficTarget(type_=LATEST, revision="fraud-00002-b", percent=100)],
    [run_v2.TrafficTarget(revision="fraud-00002-b", percent=100)],
]:
    raises(exceptions.BadRequest, "INVALID_ARGUMENT", update, traffic, done.etag)
raises(exceptions.BadRequest, "INVALID_ARGUMENT", update, [entry("fraud-00002-b", 100)], mask="traffic_statuses")
raises(exceptions.BadRequest, "INVALID_ARGUMENT", update, [], mask="annotations", annotations={"run.googleapis.com/x": "y"})
raises(exceptions.NotFound, "NOT_FOUND", services.get_service, name=f"{PARENT}/services/nobody")
raises(exceptions.NotFound, "NOT_FOUND", revisions.get_revision, name=f"{NAME}/revisions/fraud-00009-x")
raises(exceptions.BadRequest, "INVALID_ARGUMENT", lambda: list(services.list_services(parent="projects/acme/locations/-")))
# The whole service with the name of a revision that there is: the other 409.
whole = services.get_service(name=NAME)
whole.traffic = [entry("fraud-00002-b", 100)]
taken = raises(exceptions.Conflict, "ALREADY_EXISTS", services.update_service, service=whole)
assert taken.code == 409 and "with different configuration already exists" in taken.message, taken
try:
    urllib.request.urlopen(f"{SANDBOX}/v2/{NAME}")
    raise AssertionError("without a token")
except urllib.error.HTTPError as error:
    said = json.load(error)["error"]
    assert (error.code, said["status"]) == (401, "UNAUTHENTICATED"), said

# A rehearsal, an image without traffic, and a revision that nobody needs any more.
rehearsed = services.update_service(request=run_v2.UpdateServiceRequest(
    service=run_v2.Service(name=NAME, traffic=[entry("fraud-00001-a", 100)]), validate_only=True,
    update_mask=field_mask_pb2.FieldMask(paths=["traffic"]),
))
assert split(rehearsed.result(timeout=20).traffic) == {"fraud-00001-a": 100}
assert services.get_service(name=NAME).etag == done.etag
template = services.get_service(name=NAME).template
template.containers[0].image, template.revision = "europe-docker.pkg.dev/acme/models/fraud:4", "fraud-00004-d"
deployed = settled(update(
    [entry("fraud-00002-b", 100), entry("fraud-00004-d", tag="next")], done.etag, "template,traffic", template=template
))
assert deployed.latest_ready_revision.endswith("/fraud-00004-d") and split(deployed.traffic) == {"fraud-00002-b": 100}
assert settled(update([], deployed.etag, "template", template=template)).latest_created_revision.endswith("fraud-00004-d")
template.containers[0].image = "europe-docker.pkg.dev/acme/models/fraud:5"
raises(exceptions.Conflict, "ALREADY_EXISTS", update, [], "", "template", template=template)
raises(exceptions.BadRequest, "FAILED_PRECONDITION", revisions.delete_revision, name=f"{NAME}/revisions/fraud-00002-b")
revisions.delete_revision(name=f"{NAME}/revisions/fraud-00001-a")
raises(exceptions.NotFound, "NOT_FOUND", revisions.get_revision, name=f"{NAME}/revisions/fraud-00001-a")
assert split(settled(update([], mask="traffic")).traffic_statuses) == {"fraud-00004-d": 100}, "none means the latest"
settled(update([entry("fraud-00002-b", 100), entry("fraud-00003-c", tag="canary")]))

# What mlroll sends is a Service, and nothing else.
code, said = mlroll("canary", "--pct", "10", "--candidate", "fraud-00003-c", "--dry-run")
assert code == 0, said
(write,) = [call for call in said["calls"] if call["method"] != "GET"]
body = write["body"] if isinstance(write["body"], str) else json.dumps(write["body"])
parsed = run_v2.Service(json_format.Parse(body, run_v2.Service.pb(run_v2.Service()), ignore_unknown_fields=False))
assert split(parsed.traffic) == {"fraud-00002-b": 90, "fraud-00003-c": 10} and not parsed.template.containers, parsed
# Every path and parameter of it is in Google's own description of the API.
api = json.load(open(os.path.join(os.path.dirname(discovery.__file__), "discovery_cache/documents/run.v2.json")))
methods = api["resources"]["projects"]["resources"]["locations"]["resources"]["services"]["methods"]
address = urllib.parse.urlsplit(write["url"])
assert methods["patch"]["httpMethod"] == write["method"] and address.path == f"/v2/{NAME}", write
assert set(urllib.parse.parse_qs(address.query)) <= set(methods["patch"]["parameters"]), write

# mlroll shifts, and the client reads it; the client shifts, and mlroll reads it.
code, said = mlroll("canary", "--pct", "10", "--candidate", "fraud-00003-c", "--no-gates", "--no-wait")
assert code == 0, said
seen = live()
assert split(seen.traffic_statuses) == {"fraud-00002-b": 90, "fraud-00003-c": 10}, seen
assert [one.revision for one in seen.traffic if one.tag == "canary"] == ["fraud-00003-c"], "tags are kept"
assert "state=canary" in seen.annotations["mlroll.dev/rollout"], seen.annotations
settled(update([entry("fraud-00002-b", 55), entry("fraud-00003-c", 45)], seen.etag))
code, said = mlroll("status")
shares = {one["revision"]: one["percent"] for one in said["targets"][0]["split"]}
assert code == 0 and shares == {"fraud-00002-b": 55.0, "fraud-00003-c": 45.0}, said
# Somebody else's write between the two makes the client's fail.
sandbox("faults", {"api": "cloud-run", "operation": "UpdateService", "target": "fraud", "fault": "foreign_write"})
raises(exceptions.Conflict, "ABORTED", update, [entry("fraud-00002-b", 100)], live().etag)
code, said = mlroll("rollback", "--to", "fraud-00002-b", "--no-wait")
assert code == 0 and split(live().traffic_statuses) == {"fraud-00002-b": 100}, said

# Faults arrive as the exceptions that the client has for them; what never settles is not done.
for status, kind in [(429, exceptions.TooManyRequests), (403, exceptions.Forbidden), (500, exceptions.InternalServerError)]:
    sandbox("faults", {"api": "cloud-run", "operation": "UpdateService", "fault": "status", "status": status})
    found = None
    try:
        update([entry("fraud-00002-b", 100)])
    except kind as error:
        found = error
    assert found is not None and found.code == status, (status, found)
old = services.get_service(name=NAME)
settled(update([entry("fraud-00003-c", 100)], old.etag))
sandbox("faults", {"api": "cloud-run", "operation": "GetService", "fault": "stale"})
assert split(services.get_service(name=NAME).traffic) == {"fraud-00002-b": 100}
sandbox("faults", {"api": "cloud-run", "operation": "UpdateService", "fault": "settle_forever"})
endless = update([entry("fraud-00002-b", 100)])
assert live().reconciling and not endless.done()
assert split(settled(update([entry("fraud-00002-b", 50), entry("fraud-00003-c", 50)])).traffic_statuses) == {
    "fraud-00002-b": 50, "fraud-00003-c": 50
}, "a later change overtakes it"
# A revision that is not there is taken, and fails the operation.
try:
    settled(update([entry("fraud-00009-x", 100)]))
    raise AssertionError("a revision serves that is not there")
except exceptions.GoogleAPICallError as error:
    assert "'fraud-00009-x' does not exist or is deleted" in str(error), error
assert split(live().traffic_statuses) == {"fraud-00002-b": 50, "fraud-00003-c": 50}
settled(update([entry("fraud-00002-b", 50), entry("fraud-00003-c", 50)]))

# Cloud Monitoring.
document = json.load(
    open(os.path.join(os.path.dirname(discovery.__file__), "discovery_cache/documents/monitoring.v3.json"))
)
monitoring = discovery.build_from_document(document, credentials=token, client_options=options)
sandbox("clock", {"advance": "30m"})
now = json.load(urllib.request.urlopen(f"{SANDBOX}/_sandbox/clock"))["now"][:17] + "00Z"
FILTER = 'resource.type="cloud_run_revision" AND resource.labels.service_name="fraud" AND metric.type='
COUNT, LATENCIES = (f'{FILTER}"run.googleapis.com/{metric}"' for metric in ["request_count", "request_latencies"])


def minutes_ago(count):
    seconds = int(now[11:13]) * 3600 + int(now[14:16]) * 60 - count * 60
    assert seconds >= 0, "the scenario starts in the morning"
    return f"{now[:11]}{seconds // 3600:02}:{seconds // 60 % 60:02}:00Z"


def series(filter_, aligner="ALIGN_DELTA", reducer="REDUCE_SUM", by=(), end=10, **more):
    call = monitoring.projects().timeSeries().list(
        name="projects/acme", filter=filter_, interval_startTime=minutes_ago(end + 5), interval_endTime=minutes_ago(end),
        aggregation_alignmentPeriod="300s", aggregation_perSeriesAligner=aligner,
        aggregation_crossSeriesReducer=reducer, aggregation_groupByFields=list(by), **more,
    )
    return call.execute()


BY = ["resource.labels.revision_name", "metric.labels.response_code_class"]
found = series(COUNT, by=BY)
counts = {
    (one["resource"]["labels"]["revision_name"], one["metric"]["labels"]["response_code_class"]): one["points"]
    for one in found["timeSeries"]
}
assert set(counts) >= {("fraud-00002-b", "2xx"), ("fraud-00003-c", "2xx")}, counts
for (_, answered), points in counts.items():
    (point,) = points
    assert point["interval"] == {"startTime": minutes_ago(15), "endTime": minutes_ago(10)}, point
    assert isinstance(point["value"]["int64Value"], str), point
    if answered == "2xx":
        # Half of 50 a second for five minutes.
        assert 6_900 < int(point["value"]["int64Value"]) < 8_100, point
latencies = series(LATENCIES, by=BY[:1])["timeSeries"][0]
value = latencies["points"][0]["value"]["distributionValue"]
assert latencies["valueType"] == "DISTRIBUTION" and sum(map(int, value["bucketCounts"])) == int(value["count"]), value
p95 = series(LATENCIES, reducer="REDUCE_PERCENTILE_95", by=BY[:1])["timeSeries"][0]["points"][0]["value"]["doubleValue"]
assert 180 < p95 < 220, p95
assert "timeSeries" not in series(COUNT, end=0 - 60), "nothing is known of the future"
assert "timeSeries" not in series(COUNT + ' AND resource.labels.revision_name="nobody"')
# Pages.
first = monitoring.projects().timeSeries().list(
    name="projects/acme", filter=COUNT, interval_startTime=minutes_ago(15), interval_endTime=minutes_ago(10), pageSize=5
)
paged, request = [], first
while request is not None:
    answer = request.execute()
    assert len(answer["timeSeries"]) == 1 and len(answer["timeSeries"][0]["points"]) <= 5, answer
    paged += answer["timeSeries"]
    request = monitoring.projects().timeSeries().list_next(request, answer)
newest_first = [point["interval"]["endTime"] for point in paged[0]["points"]]
assert len(paged) > 2 and newest_first == sorted(newest_first, reverse=True), paged
for call in [
    lambda: series("metric.type==x"),
    lambda: series(COUNT, aligner="ALIGN_MEAN"),
    lambda: series(COUNT, reducer="REDUCE_MEDIAN"),
    lambda: series(COUNT, by=["resource.labels.zone"]),
    lambda: series(COUNT, orderBy="name"),
]:
    try:
        call()
        raise AssertionError("it is not refused")
    except HttpError as error:
        assert error.status_code == 400 and "INVALID_ARGUMENT" in error.content.decode(), error
    except TypeError as error:
        # Google's own client knows the values of an enumeration.
        assert "REDUCE_MEDIAN" in str(error), error
try:
    series(f'{FILTER}"run.googleapis.com/nothing"')
    raise AssertionError("there is no such metric")
except HttpError as error:
    assert error.status_code == 404, error

# PromQL over the same.
query = urllib.parse.urlencode({"query": (
    'sum by (revision_name)(increase(run_googleapis_com:request_count{monitored_resource="cloud_run_revision",'
    'service_name="fraud",response_code_class="2xx"}[5m]))'), "time": minutes_ago(10)})
url = f"{SANDBOX}/v1/projects/acme/location/global/prometheus/api/v1/query"
answer = json.load(urllib.request.urlopen(urllib.request.Request(f"{url}?{query}", headers={"Authorization": "Bearer x"})))
by_revision = {one["metric"]["revision_name"]: float(one["value"][1]) for one in answer["data"]["result"]}
assert all(6_900 < by_revision[name] < 8_100 for name in ["fraud-00002-b", "fraud-00003-c"]), answer
