"""Stands between mlroll and the sandbox, and holds every request to AWS against botocore's own model of the service.

The parameters are read back from path, query, headers and body as the service's protocol says, and validated by botocore; what
botocore leaves to the server (patterns, enumerations, upper bounds) is looked at besides.
"""
import base64
import http.server
import io
import json
import os
import re
import socketserver
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

import boto3
import botocore.session
from botocore.parsers import create_parser
from botocore.validate import ParamValidator

MLROLL = sys.argv[1]
WORK = sys.argv[2]
SESSION = botocore.session.get_session()
MODELS = {
    name: SESSION.get_service_model(name)
    for name in ["application-autoscaling", "cloudwatch", "lambda", "sagemaker", "sagemaker-runtime", "sts"]
}
BY_TARGET = {
    f"{model.metadata['targetPrefix']}.{name}": (service, model.operation_model(name))
    for service, model in MODELS.items() if model.metadata["protocol"] == "json"
    for name in model.operation_names
}
CBOR = create_parser("smithy-rpc-v2-cbor")


def by_path(services):
    """Operations of REST services by method and path, those with the fewest parameters in the path first."""
    found = []
    for service in services:
        for name in MODELS[service].operation_names:
            operation = MODELS[service].operation_model(name)
            path, _, query = operation.http["requestUri"].partition("?")
            pattern = re.sub(r"\{(\w+)\+?\}", lambda m: f"(?P<{m[1]}>[^/]+)", re.sub(r"([.\-])", r"\\\1", path))
            fixed = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
            order = (path.count("{"), -len(fixed))
            found.append((order, operation.http["method"], re.compile(pattern + "/?$"), fixed, service, operation))
    return sorted(found, key=lambda one: one[0])


BY_PATH = by_path(["lambda", "sagemaker-runtime"])
# Classes of characters that Python's expressions have no names for, as far as what is sent goes.
CLASSES = {"L": "a-zA-Z", "N": "0-9", "Z": " ", "S": "$+<=>^`|~", "P": "!-/:-@", "ASCII": "\\x00-\\x7f", "IsL": "a-zA-Z"}
problems, seen, bodies = [], {}, []


def natural(value, shape):
    """A value as sent, as botocore takes it from a caller."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        return {
            names.get(name, name): natural(one, shape.members[names[name]]) if name in names else one
            for name, one in value.items()
        }
    if kind == "list" and isinstance(value, list):
        return [natural(one, shape.member) for one in value]
    if kind == "map" and isinstance(value, dict):
        return {name: natural(one, shape.value) for name, one in value.items()}
    if kind == "blob" and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    return value


def strict(value, shape, where):
    """What botocore does not look at: patterns, enumerations, the most."""
    kind, limits = shape.type_name, shape.metadata
    if kind == "structure":
        for name, one in value.items():
            if name in shape.members:
                strict(one, shape.members[name], f"{where}.{name}")
    elif kind == "list":
        for n, one in enumerate(value):
            strict(one, shape.member, f"{where}[{n}]")
    elif kind == "map":
        for name, one in value.items():
            strict(name, shape.key, f"{where} key")
            strict(one, shape.value, f"{where}.{name}")
    size = len(value) if kind in ("string", "list", "map", "blob") else value
    if "max" in limits and kind not in ("timestamp", "boolean") and size > limits["max"]:
        problems.append(f"{where}: {size} is more than {limits['max']}")
    if kind == "string":
        if shape.enum and value not in shape.enum:
            problems.append(f"{where}: {value} is none of {shape.enum}")
        pattern = limits.get("pattern")
        if pattern and not re.fullmatch(pythonic(pattern), value):
            problems.append(f"{where}: {value} does not match {pattern}")


def pythonic(pattern):
    """Characters beyond 16 bits are pairs in Java."""
    pattern = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", "\U00010000-\U0010FFFF")

    def named(match):
        before = pattern[: match.start()]
        inside = before.count("[") > before.count("]")
        return CLASSES[match[1]] if inside else f"[{CLASSES[match[1]]}]"

    return re.sub(r"\\p\{(\w+)\}", named, pattern)


def scalar(text, shape):
    if shape.type_name in ("integer", "long"):
        return int(text)
    return {"true": True, "false": False}[text] if shape.type_name == "boolean" else text


def rest(operation, path, query, headers, body):
    """The parameters of a REST operation."""
    shape, parameters = operation.input_shape, {}
    for name, member in shape.members.items():
        at, called = member.serialization.get("location"), member.serialization.get("name", name)
        if at == "uri" and called in path:
            parameters[name] = scalar(urllib.parse.unquote(path[called]), member)
        elif at == "querystring" and called in query:
            parameters[name] = scalar(query.pop(called), member)
        elif at == "header" and headers.get(called.lower()) is not None:
            parameters[name] = scalar(headers[called.lower()], member)
    for name in query:
        problems.append(f"{operation.name}: nobody knows the query parameter {name}")
    payload = shape.serialization.get("payload")
    if payload:
        parameters[payload] = body
    elif body:
        parameters.update(natural(json.loads(body), shape))
    return parameters


def formed(body):
    """Service, operation and parameters of a form, as the query protocol has them; lists and structures in it are not sent."""
    form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
    model = MODELS["sts"]
    operation = model.operation_model(form.pop("Action"))
    version = form.pop("Version", None)
    if version != model.api_version:
        problems.append(f"sts {operation.name}: version {version} is not {model.api_version}")
    members = operation.input_shape.members
    return "sts", operation, {
        name: scalar(text, members[name]) if name in members else text for name, text in form.items()
    }


def parsed(method, target, headers, body):
    """Service, operation and parameters of a request; None for what is not AWS'."""
    path, _, query = target.partition("?")
    if "/operation/" in path:
        front, name = re.fullmatch(r"/service/(\w+)/operation/(\w+)", path).groups()
        model = MODELS["cloudwatch"]
        assert front == model.metadata["targetPrefix"], path
        operation = model.operation_model(name)
        sent = CBOR.parse_data_item(CBOR.get_peekable_stream_from_bytes(body))
        return "cloudwatch", operation, natural(sent, operation.input_shape)
    if headers.get("x-amz-target"):
        service, operation = BY_TARGET[headers["x-amz-target"]]
        return service, operation, natural(json.loads(body), operation.input_shape)
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return formed(body)
    if re.match(r"/20\d\d-\d\d-\d\d/|/endpoints/", path):
        queried = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        for _, wanted, pattern, fixed, service, operation in BY_PATH:
            match = pattern.match(path)
            if wanted == method and match and fixed.items() <= queried.items():
                rest_of_it = {name: value for name, value in queried.items() if name not in fixed}
                return service, operation, rest(operation, match.groupdict(), rest_of_it, headers, body)
        problems.append(f"no operation is {method} {path}")
    return None


def check(method, target, headers, body):
    found = parsed(method, target, headers, body)
    if found is None:
        return
    service, operation, parameters = found
    where = f"{service} {operation.name}"
    signed = re.search(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request", headers.get("authorization", ""))
    signing = MODELS[service].metadata.get("signingName") or MODELS[service].metadata["endpointPrefix"]
    if operation.auth_type == "none":
        if "authorization" in headers:
            problems.append(f"{where}: who has nothing but a token signs nothing: {headers['authorization']}")
    elif not signed or signed[2] not in (signing, "monitoring"):
        problems.append(f"{where}: it is not signed for {signing}: {headers.get('authorization')}")
    seen[where] = seen.get(where, 0) + 1
    bodies.append((where, parameters))
    report = ParamValidator().validate(parameters, operation.input_shape)
    if report.has_errors():
        problems.append(f"{where}: {report.generate_report()}")
    else:
        strict(parameters, operation.input_shape, where)


# What the sandbox has not: a job's token, and keys for it.
OWN = {
    "/token": json.dumps({"value": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"}).encode(),
    "/": b"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAJOB</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
<SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>""",
}


class Between(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if "chunked" in self.headers.get("transfer-encoding", ""):
            problems.append(f"{self.path}: the body comes in chunks")
        try:
            check(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        except Exception as error:  # what cannot be read is a finding, too
            problems.append(f"{self.command} {self.path}: {error!r}")
        own = OWN.get(self.path.partition("?")[0]) if body.startswith(b"Action=") or self.path.startswith("/token") else None
        if own is not None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(own)))
            self.end_headers()
            self.wfile.write(own)
            return
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length", "connection")}
        request = urllib.request.Request(BEHIND + self.path, body or None, headers, method=self.command)
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "connection", "date", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


# The sandbox, in time that passes, and the recorder before it. Whenever a run looks, some alarm has changed since it began.
CHANGING = [f"after-{minutes}m" for minutes in range(2, 400, 2)]
scenario = os.path.join(WORK, "world.toml")
with open(scenario, "w") as file:
    file.write('cloudwatch.alarms.slow = { state = "OK" }\n')
    for name in CHANGING:
        after = name.removeprefix("after-")
        file.write(f'cloudwatch.alarms.{name} = {{ state = "OK", then = {{ after = "{after}", state = "ALARM" }} }}\n')
    file.write("""
seed = 7
[sagemaker]
update = "10s"
deploy = "30s"
autoscaling = [2, 8]
[targets."lambda:us-east-1/fraud@prod"]
requests_per_second = 100
stable = "2"
[targets."lambda:us-east-1/fraud@prod".revisions]
1 = {}
2 = {}
3 = {}
[targets."sagemaker:us-east-1/fraud"]
requests_per_second = 100
stable = "a"
[targets."sagemaker:us-east-1/fraud".revisions]
a = {}
""")
server = subprocess.Popen(
    [MLROLL, "sandbox", "--listen", "127.0.0.1:0", "--speed", "600", "--scenario", scenario],
    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=WORK, env={},
)
assert "serving on" in server.stderr.readline()
exports = {}
while "AZURE_ACCESS_TOKEN" not in exports:
    name, _, value = server.stdout.readline().removeprefix("export ").strip().partition("=")
    exports[name] = value
BEHIND = exports["MLROLL_SANDBOX_URL"]
recorder = Server(("127.0.0.1", 0), Between)
threading.Thread(target=recorder.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{recorder.server_address[1]}"
for name, value in exports.items():
    if name.startswith("AWS_ENDPOINT_URL"):
        exports[name] = URL
ENV = {"PATH": os.environ["PATH"], "HOME": WORK, **exports}


# A job that has a role and no keys.
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
JOB = {
    **{name: value for name, value in ENV.items() if name not in KEYS},
    "AWS_ENDPOINT_URL_STS": URL,
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/deploys/mlroll",
    "ACTIONS_ID_TOKEN_REQUEST_URL": f"{URL}/token?api-version=2.0",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of this job",
    "GITHUB_RUN_ID": "17",
}


def mlroll(*arguments, code=0, env=ENV):
    ran = subprocess.run([MLROLL, *arguments, "--output", "json"], capture_output=True, text=True, env=env, cwd=WORK)
    assert ran.returncode == code, f"{arguments} ends with {ran.returncode}: {ran.stdout}{ran.stderr}"
    return json.loads(ran.stdout)


def file(target, slowest="1s"):
    stage = 'model_stage = { stage = "Production", status = "Approved" }' if target.startswith("sagemaker") else ""
    with open(os.path.join(WORK, "mlroll.toml"), "w") as config:
        config.write(f"""
[services.fraud]
target = "{target}"
steps = ["10%", "100%"]
bake = "4m"
min_bake = "4m"
on_inconclusive = "rollback"
{stage}
[services.fraud.metrics]
source = "cloudwatch"
[[services.fraud.gates]]
metric = "error_rate"
max = "20%"
[[services.fraud.gates]]
metric = "latency"
quantile = 0.5
max = "{slowest}"
[[services.fraud.gates]]
alarms = ["slow"]
[[services.fraud.gates]]
name = "p95"
query = 'AWS/Lambda Duration{{FunctionName="fraud", Resource="fraud:prod"}} p95'
max = 100000
advisory = true
[[services.fraud.gates]]
name = "changing"
alarms = {json.dumps(CHANGING[:20])}
advisory = true
""")


def asked(*operations):
    for operation in operations:
        assert seen.get(operation), f"{operation} was not asked for: {sorted(seen)}, {problems}"
    assert not problems, "\n".join(problems)


try:
    boto = dict(endpoint_url=BEHIND, region_name="us-east-1", aws_access_key_id="AKID", aws_secret_access_key="s")
    with open(os.path.join(WORK, "event.json"), "w") as event:
        event.write('{"instances": [[1]]}')
    with zipfile.ZipFile(os.path.join(WORK, "fraud.zip"), "w") as archive:
        archive.writestr("model.py", "def handler(event, context): return 1")

    LAMBDA = "lambda:us-east-1/fraud@prod"
    on_lambda = ["--target", LAMBDA]
    file(LAMBDA)
    mlroll("status", *on_lambda)
    mlroll("status", *on_lambda, env=JOB)
    mlroll("status", *on_lambda, env={**JOB, "AWS_ROLE_SESSION_NAME": "nightly@fraud"})
    asked("sts AssumeRoleWithWebIdentity")
    sessions = [p["RoleSessionName"] for where, p in bodies if where == "sts AssumeRoleWithWebIdentity"]
    assert sessions == ["mlroll-17", "nightly@fraud"], sessions
    made = mlroll("deploy", "--zip", "fraud.zip", "--smoke", "event.json", *on_lambda)["targets"][0]["revision"]
    boto3.client("lambda", **boto).put_provisioned_concurrency_config(
        FunctionName="fraud", Qualifier="2", ProvisionedConcurrentExecutions=2
    )
    done = mlroll("rollout", "--candidate", made)
    assert done["outcome"] == "promoted", done
    mlroll("deploy", "--from-stable", "--min-instances", "1", *on_lambda)
    mlroll("deploy", "--s3", "s3://artifacts/fraud.zip", *on_lambda)
    mlroll("deploy", "--image", "123456789012.dkr.ecr.us-east-1.amazonaws.com/fraud:4", *on_lambda)
    mlroll("rollback", *on_lambda)
    mlroll("canary", "--pct", "10", "--candidate", "3", "--no-gates", *on_lambda)
    mlroll("promote", "--force", *on_lambda)
    asked(*(f"lambda {name}" for name in [
        "GetAlias", "UpdateAlias", "GetFunctionConfiguration", "UpdateFunctionCode", "PublishVersion", "Invoke",
        "ListVersionsByFunction", "ListProvisionedConcurrencyConfigs", "PutProvisionedConcurrencyConfig",
        "DeleteProvisionedConcurrencyConfig",
    ]))

    SAGEMAKER = "sagemaker:us-east-1/fraud"
    on_sagemaker = ["--target", SAGEMAKER]
    package = "arn:aws:sagemaker:us-east-1:123456789012:model-package/fraud/1"
    # Another function's duration is no metric of an endpoint's, and is asked for all the same.
    file(SAGEMAKER)
    mlroll("status", *on_sagemaker)
    mlroll("deploy", "--model-package", package, "--instances", "2", "--smoke", "event.json", *on_sagemaker)
    # Who may not change weights takes the note back that was left before.
    denied = {"api": "sagemaker", "operation": "UpdateEndpointWeightsAndCapacities", "fault": "status", "status": 400,
              "code": "AccessDeniedException", "times": 1}
    urllib.request.urlopen(urllib.request.Request(f"{BEHIND}/_sandbox/faults", json.dumps(denied).encode())).read()
    mlroll("canary", "--pct", "10", "--no-gates", "--leave-capacity", *on_sagemaker, code=5)
    asked("sagemaker DeleteTags")
    weights = [dict(VariantName="a", DesiredInstanceCount=4)]
    client = boto3.client("sagemaker", **boto)
    client.update_endpoint_weights_and_capacities(EndpointName="fraud", DesiredWeightsAndCapacities=weights)
    file(SAGEMAKER, slowest="1ms")
    done = mlroll("rollout", "--candidate", "b", code=1)
    assert done["outcome"] == "rolled_back", done
    file(SAGEMAKER)
    done = mlroll("rollout", "--candidate", "b", "--again")
    assert done["outcome"] == "promoted", done
    mlroll("rollback", *on_sagemaker)
    data = ["--model-data", "s3://models/fraud/2.tar.gz", "--image", "x.example/fraud:2"]
    mlroll("deploy", *data, "--instances", "3", *on_sagemaker)
    mlroll("deploy", "--model", "fraud-a", *on_sagemaker)
    hours = urllib.request.Request(f"{BEHIND}/_sandbox/clock", json.dumps({"advance": "2h"}).encode())
    urllib.request.urlopen(hours).read()
    done = mlroll("deploy", "--model-data", "s3://models/fraud/3.tar.gz", *data[2:], "--prune", *on_sagemaker)
    pruned = done["targets"][0]["pruned"]
    assert {one["kind"] for one in pruned["deleted"]} == {"endpoint config", "model"}, pruned
    mlroll("canary", "--pct", "10", "--no-gates", *on_sagemaker)
    mlroll("promote", "--force", *on_sagemaker)
    mlroll("rollback", *on_sagemaker)
    # What autoscaling holds stays in production, says SageMaker.
    boto3.client("application-autoscaling", **boto).deregister_scalable_target(
        ServiceNamespace="sagemaker", ResourceId="endpoint/fraud/variant/b",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
    )
    mlroll("shadow", "--pct", "20", "--no-gates", *on_sagemaker)
    mlroll("shadow", "--off", *on_sagemaker)
    shadows = [p for where, p in bodies if where == "sagemaker CreateEndpointConfig" and "ShadowProductionVariants" in p]
    assert shadows, "no config had a shadow variant"
    asked(*(f"sagemaker {name}" for name in [
        "DescribeEndpoint", "DescribeEndpointConfig", "DescribeModel", "DescribeModelPackage", "ListTags", "AddTags",
        "CreateModel", "CreateEndpointConfig", "UpdateModelPackage", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities",
        "ListEndpoints", "ListEndpointConfigs", "ListModels", "DeleteEndpointConfig", "DeleteModel",
    ]), *(f"application-autoscaling {name}" for name in [
        "DescribeScalableTargets", "RegisterScalableTarget", "DeregisterScalableTarget",
    ]), "cloudwatch GetMetricData", "cloudwatch DescribeAlarms", "cloudwatch DescribeAlarmHistory", "sagemaker-runtime InvokeEndpoint")
    steps = [p for where, p in bodies if where == "sagemaker UpdateEndpointWeightsAndCapacities"]
    for step in steps:
        kinds = {key for one in step["DesiredWeightsAndCapacities"] for key in one} - {"VariantName"}
        assert len(kinds) == 1, f"weights and counts are never in one call: {step}"
finally:
    server.kill()
    server.wait()
# A validator that finds nothing anywhere would be content with anything.
check("POST", "/", {"x-amz-target": "SageMaker.DescribeEndpoint", "authorization": "Credential=k/20261121/us-east-1/sagemaker/aws4_request"}, b'{"EndpointNam": "-"}')
assert len(problems) == 1 and "EndpointNam" in problems[0], problems
form = {"content-type": "application/x-www-form-urlencoded"}
for wrong, why in [
    (b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/r&WebIdentityToken=abcd", "RoleSessionName"),
    (b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/r&RoleSessionName=a+b&WebIdentityToken=abcd", "a b"),
    (b"Action=AssumeRoleWithWebIdentity&Version=2011&RoleArn=arn:aws:iam::123456789012:role/r&RoleSessionName=job&WebIdentityToken=abcd", "version"),
]:
    problems.clear()
    check("POST", "/", form, wrong)
    assert len(problems) == 1 and why in problems[0], problems
