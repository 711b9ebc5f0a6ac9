"""Times whole commands on a sandbox's Cloud Run, interleaved so that a busy moment hits all of them alike.

The arguments are `mlroll`, the address of its sandbox, how many rounds, a folder to work in, and gcloud if there is one.
"""
import json
import os
import statistics
import subprocess
import sys
import time

mlroll, url, rounds, work, *gcloud = sys.argv[1:]
rounds = int(rounds)
target = "cloud-run:acme/europe-west3/fraud"
name = "projects/acme/locations/europe-west3/services/fraud"
path = f"{url}/v2/{name}"
patch = f"{path}?updateMask=traffic"
token = os.path.join(work, "token")
open(token, "w").write("fake")
env = {
    "HOME": work,
    "PATH": os.environ["PATH"],
    "GOOGLE_OAUTH_ACCESS_TOKEN": "fake",
    "MLROLL_ENDPOINT_CLOUD_RUN": url,
    # gcloud puts the region before any host, so it comes by way of a proxy.
    "http_proxy": url,
    "no_proxy": "127.0.0.1",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://run.sandbox.invalid/",
    "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": token,
    "CLOUDSDK_CONFIG": work,
    "CLOUDSDK_CORE_PROJECT": "acme",
    "CLOUDSDK_RUN_REGION": "europe-west3",
    "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
    "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
    "CLOUDSDK_CORE_DISABLE_FILE_LOGGING": "1",
    "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
}
python = """
import sys
from google.cloud import run_v2
from google.oauth2.credentials import Credentials
from google.protobuf import field_mask_pb2
client = run_v2.ServicesClient(credentials=Credentials(token="fake"), transport="rest", client_options={"api_endpoint": sys.argv[1]})
service = client.get_service(name=sys.argv[2])
service = run_v2.Service(name=service.name, etag=service.etag, traffic=[run_v2.TrafficTarget(type_=2, revision="fraud-00002-b", percent=100)])
client.update_service(service=service, update_mask=field_mask_pb2.FieldMask(paths=["traffic"])).result()
"""


def run(command):
    started = time.perf_counter()
    done = subprocess.run(command, env=env, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    took = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{command} ended with {done.returncode}: {done.stdout.decode()}{done.stderr.decode()}")
    return took


def traffic(**shares):
    kind = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    return json.dumps({"traffic": [{"type": kind, "revision": f"fraud-0000{r[1]}-{r[0]}", "percent": p} for r, p in shares.items()]})


curl = ["curl", "-sf", "-H", "Authorization: Bearer fake"]
write = [*curl, "-X", "PATCH", "-H", "Content-Type: application/json", "-d"]
back, canary = traffic(b2=100), [*write, traffic(b2=90, c3=10), patch]


def split():
    shown = subprocess.run([*curl, path], env=env, capture_output=True, check=True).stdout
    return {one["revision"]: one["percent"] for one in json.loads(shown)["trafficStatuses"]}


contenders = {
    "mlroll rollback": [[mlroll, "rollback", "--target", target]],
    "curl GET + PATCH + GET": [[*curl, path], [*write, back, patch], [*curl, path]],
    "google-cloud-run for Python": [[sys.executable, "-c", python, url, name]],
}
if gcloud:
    update = ["run", "services", "update-traffic", "fraud", "--to-revisions=fraud-00002-b=100"]
    contenders["gcloud run update-traffic"] = [[gcloud[0], *update]]
times = {name: [] for name in contenders}
for round in range(rounds):
    for name, commands in contenders.items():
        if name.startswith("g") and round % 4:
            continue
        run(canary)
        assert split() == {"fraud-00002-b": 90, "fraud-00003-c": 10}, split()
        times[name].append(sum(run(command) for command in commands))
        assert split() == {"fraud-00002-b": 100}, f"{name}: {split()}"
median = {name: statistics.median(t) for name, t in times.items()}
print("Cloud Run")
for name, t in times.items():
    print(f"{name:30} median {median[name] * 1000:8.1f} ms   min {min(t) * 1000:8.1f}   n {len(t)}")
ours = median["mlroll rollback"]
print(f"against the curl triple: {ours / median['curl GET + PATCH + GET']:.2f} x (aim: at most 1.20)")
print(f"against Python:          {median['google-cloud-run for Python'] / ours:.0f} x faster")
if gcloud:
    print(f"against gcloud:          {median['gcloud run update-traffic'] / ours:.0f} x faster (aim: at least 15)")
else:
    print("against gcloud:          not measured, there is no gcloud on PATH")
