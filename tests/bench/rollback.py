"""Times whole commands, interleaved so that a busy moment hits all of them alike."""
import json
import os
import resource
import statistics
import subprocess
import sys
import time

mlroll, aws, url, rounds, work = sys.argv[1:]
rounds = int(rounds)
target = "lambda:us-east-1/fraud@prod"
path = f"{url}/2015-03-31/functions/fraud/aliases/prod"
env = {
    "HOME": work,
    "PATH": os.environ["PATH"],
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": url,
}
cli = [aws, "--endpoint-url", url, "lambda"]
alias = ["--function-name", "fraud", "--name", "prod"]
back = json.dumps({"FunctionVersion": "2", "RoutingConfig": {"AdditionalVersionWeights": {}}})
kind = "Content-Type: application/json"
auth = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"


def run(command):
    started = time.perf_counter()
    done = subprocess.run(command, env=env, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    took = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{command} ended with {done.returncode}: {done.stderr.decode()}")
    return took


def canary():
    run(["curl", "-sf", "-X", "PUT", "-H", auth, "-H", kind, "-d", json.dumps({"FunctionVersion": "2", "RoutingConfig": {"AdditionalVersionWeights": {"3": 0.1}}}), path])


contenders = {
    "mlroll rollback": [[mlroll, "rollback", "--target", target]],
    "curl GET + curl PUT": [["curl", "-sf", "-H", auth, path], ["curl", "-sf", "-X", "PUT", "-H", auth, "-H", kind, "-d", back, path]],
    "aws get-alias + update-alias": [
        [*cli, "get-alias", *alias],
        [*cli, "update-alias", *alias, "--function-version", "2", "--routing-config", "AdditionalVersionWeights={}"],
    ],
}
times = {name: [] for name in contenders}
for round in range(rounds):
    for name, commands in contenders.items():
        if name.startswith("aws") and round % 4:
            continue
        canary()
        times[name].append(sum(run(command) for command in commands))
help_times = [run([mlroll, "--help"]) for _ in range(rounds)]
floor = [run(["/bin/true"]) for _ in range(rounds)]

canary()
peak = subprocess.run(
    [sys.executable, "-c", "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)", mlroll, "rollback", "--target", target],
    env=env, cwd=work, capture_output=True, check=True,
)
median = {name: statistics.median(t) for name, t in times.items()}
for name, t in times.items():
    print(f"{name:30} median {median[name] * 1000:8.1f} ms   min {min(t) * 1000:8.1f}   n {len(t)}")
print(f"{'mlroll --help':30} median {statistics.median(help_times) * 1000:8.1f} ms   (spawning /bin/true: {statistics.median(floor) * 1000:.1f} ms)")
ours = median["mlroll rollback"]
print(f"against the curl pair: {ours / median['curl GET + curl PUT']:.2f} x (aim: at most 0.75)")
print(f"against the aws pair:  {median['aws get-alias + update-alias'] / ours:.0f} x faster (aim: at least 50)")
print(f"peak memory: {int(peak.stdout) / 1024:.1f} MB (aim: under 25)")
