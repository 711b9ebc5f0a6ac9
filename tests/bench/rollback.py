"""Times whole commands, interleaved so that a busy moment hits all of them alike: on Lambda, and on SageMaker."""
import json
import os
import statistics
import subprocess
import sys
import time

mlroll, aws, moto, sandbox, rounds, work = sys.argv[1:]
rounds = int(rounds)
SECRET = "test"


def environment(url):
    return {
        "HOME": work,
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
    }


def run(command, url):
    started = time.perf_counter()
    done = subprocess.run(command, env=environment(url), cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    took = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{command} ended with {done.returncode}: {done.stdout.decode()}{done.stderr.decode()}")
    return took


class Lambda:
    """The alias of a function, on moto."""

    name, url, target = "Lambda", moto, "lambda:us-east-1/fraud@prod"
    path = f"{moto}/2015-03-31/functions/fraud/aliases/prod"
    auth = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"

    def curl(self, *arguments):
        return ["curl", "-sS", "--fail-with-body", "-H", self.auth, "-H", "Content-Type: application/json", *arguments, self.path]

    def canary(self):
        weights = {"FunctionVersion": "2", "RoutingConfig": {"AdditionalVersionWeights": {"3": 0.1}}}
        run(self.curl("-X", "PUT", "-d", json.dumps(weights)), self.url)

    def contenders(self):
        back = json.dumps({"FunctionVersion": "2", "RoutingConfig": {"AdditionalVersionWeights": {}}})
        cli = [aws, "--endpoint-url", self.url, "lambda"]
        alias = ["--function-name", "fraud", "--name", "prod"]
        weights = ["--function-version", "2", "--routing-config", "AdditionalVersionWeights={}"]
        return {
            "mlroll rollback": [[mlroll, "rollback", "--target", self.target]],
            "curl pair": [self.curl(), self.curl("-X", "PUT", "-d", back)],
            "aws pair": [[*cli, "get-alias", *alias], [*cli, "update-alias", *alias, *weights]],
        }


class SageMaker:
    """The weights of an endpoint, on the sandbox: moto forgets an endpoint's instances with its weights.

    The curl pair and the aws pair read the endpoint and write the weights. mlroll reads and writes the tag besides, and looks whether
    the weights are live.
    """

    name, url, target = "SageMaker", sandbox, "sagemaker:us-east-1/fraud"

    def curl(self, operation, body):
        signed = ["--aws-sigv4", "aws:amz:us-east-1:sagemaker", "--user", f"test:{SECRET}"]
        headers = ["-H", "Content-Type: application/x-amz-json-1.1", "-H", f"X-Amz-Target: SageMaker.{operation}"]
        return ["curl", "-sS", "--fail-with-body", *signed, *headers, "-d", json.dumps(body), f"{self.url}/"]

    def shift(self, **weights):
        desired = [dict(VariantName=name, DesiredWeight=weight) for name, weight in weights.items()]
        body = dict(EndpointName="fraud", DesiredWeightsAndCapacities=desired)
        return self.curl("UpdateEndpointWeightsAndCapacities", body)

    def canary(self):
        # So that the sandbox, as SageMaker, does not find it too much.
        time.sleep(1)
        arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/fraud"
        note = f"mlroll v1 state=canary stable=a candidate=b at={int(time.time())}"
        run(self.curl("AddTags", dict(ResourceArn=arn, Tags=[dict(Key="mlroll-rollout", Value=note)])), self.url)
        run(self.shift(a=90, b=10), self.url)

    def contenders(self):
        cli = [aws, "--endpoint-url", self.url, "sagemaker"]
        endpoint = ["--endpoint-name", "fraud"]
        weights = ["VariantName=a,DesiredWeight=100", "VariantName=b,DesiredWeight=0"]
        update = [*cli, "update-endpoint-weights-and-capacities", *endpoint, "--desired-weights-and-capacities", *weights]
        return {
            "mlroll rollback": [[mlroll, "rollback", "--target", self.target]],
            "curl pair": [self.curl("DescribeEndpoint", dict(EndpointName="fraud")), self.shift(a=100, b=0)],
            "aws pair": [[*cli, "describe-endpoint", *endpoint], update],
        }


def race(service):
    times = {name: [] for name in service.contenders()}
    for round in range(rounds):
        for name, commands in service.contenders().items():
            if name.startswith("aws") and round % 4:
                continue
            service.canary()
            times[name].append(sum(run(command, service.url) for command in commands))
    median = {name: statistics.median(took) for name, took in times.items()}
    for name, took in times.items():
        print(f"{service.name:10} {name:18} median {median[name] * 1000:8.1f} ms   min {min(took) * 1000:8.1f}   n {len(took)}")
    ours = median["mlroll rollback"]
    print(f"{service.name:10} against the curl pair: {ours / median['curl pair']:.2f} x (aim: at most 0.75)")
    print(f"{service.name:10} against the aws pair:  {median['aws pair'] / ours:.0f} x faster (aim: at least 50)")


for service in [Lambda(), SageMaker()]:
    race(service)
help_times = [run([mlroll, "--help"], moto) for _ in range(rounds)]
floor = [run(["/bin/true"], moto) for _ in range(rounds)]
print(f"mlroll --help median {statistics.median(help_times) * 1000:.1f} ms   (spawning /bin/true: {statistics.median(floor) * 1000:.1f} ms)")
Lambda().canary()
measure = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
peak = subprocess.run(
    [sys.executable, "-c", measure, mlroll, "rollback", "--target", Lambda.target],
    env=environment(moto), cwd=work, capture_output=True, check=True,
)
print(f"peak memory: {int(peak.stdout) / 1024:.1f} MB (aim: under 25)")
