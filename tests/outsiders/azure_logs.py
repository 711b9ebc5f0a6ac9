"""azure-monitor-query, Microsoft's own client of Log Analytics, on the sandbox: what it reads is what mlroll judges by."""
import base64
import datetime
import json
import os
import subprocess
import sys
import time
import urllib.request

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import _authentication
from azure.monitor.query import LogsQueryClient, LogsQueryStatus

SANDBOX = os.environ["MLROLL_SANDBOX_URL"]
MLROLL, FOLDER = sys.argv[1:]
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
ENDPOINT = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml/providers/Microsoft.MachineLearningServices/workspaces/prod"
    "/onlineEndpoints/fraud"
)
TARGET = f"azure-ml:{SUBSCRIPTION}/ml/prod/fraud"
WORKSPACE = "00000000-0000-0000-0000-00000000000a"

# What it asks of a server in its own way: https.
_authentication._enforce_https = lambda request: request.context.options.pop("enforce_https", None)


class Entra:
    """Gives tokens for whatever is asked for, which say so."""

    def __init__(self):
        self.scopes = []

    def get_token(self, *scopes, **_):
        self.scopes += scopes
        part = lambda claims: base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        audience = scopes[0].removesuffix("/.default")
        return AccessToken(f"{part({})}.{part({'aud': audience})}.x", int(time.time()) + 3600)


def client(entra, audience):
    return LogsQueryClient(entra, endpoint=f"{SANDBOX}/v1", audience=audience, retry_total=0)


def sandbox(path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    return json.load(urllib.request.urlopen(urllib.request.Request(f"{SANDBOX}/_sandbox/{path}", data)))


def mlroll(*arguments, code=0):
    ran = subprocess.run([MLROLL, *arguments, "--output", "json"], capture_output=True, text=True, timeout=60)
    assert ran.returncode == code, f"{ran.returncode}, not {code}: {ran.stdout}{ran.stderr}"
    return json.loads(ran.stdout)


def refused(status, code, call):
    try:
        call()
    except HttpResponseError as error:
        assert (error.status_code, error.error.code) == (status, code), error
        return error
    raise AssertionError(f"it is not refused with {status} {code}")


entra = Entra()
logs = client(entra, "https://api.loganalytics.io")

# A canary, and what mlroll says of it forty minutes later, by looks of a minute that end ten minutes ago.
mlroll("canary", "--pct", "20", "--no-gates", "--no-wait", "--target", TARGET)
sandbox("clock", {"advance": "40m"})
os.chdir(FOLDER)
with open("mlroll.toml", "w") as file:
    file.write(f'''
[services.fraud]
target = "{TARGET}"
bake = "20m"
[services.fraud.metrics]
source = "azure-monitor"
logs = true
[[services.fraud.gates]]
metric = "error_rate"
max = "5%"
[[services.fraud.gates]]
metric = "latency"
quantile = 0.95
max = "300ms"
''')
checked = mlroll("gate", "check", "fraud")
judged = {finding["gate"]: finding["reason"] for finding in checked["findings"]}
looks = checked["findings"][0]["looks"]
now = datetime.datetime.fromisoformat(sandbox("clock")["now"].replace("Z", "+00:00"))
end = now.replace(second=0, microsecond=0) - datetime.timedelta(minutes=10)
span = (end - datetime.timedelta(minutes=looks), end)

query = """AmlOnlineEndpointTrafficLog
| where EndpointName =~ 'fraud' and DeploymentName in~ ('blue', 'green')
| extend Code = toint(ResponseCode)
| summarize Requests = count(), Failed = countif(Code == 408 or Code == 424 or (Code >= 500 and Code <= 599)),
    Slow = countif(TotalDurationMs > 300) by Start = bin(TimeGenerated, 60s), Deployment = tolower(DeploymentName)
| order by Start asc"""
answer = logs.query_resource(ENDPOINT, query, timespan=span)
assert answer.status == LogsQueryStatus.SUCCESS, answer
[table] = answer.tables
assert table.columns == ["Start", "Deployment", "Requests", "Failed", "Slow"], table.columns
assert table.columns_types == ["datetime", "string", "long", "long", "long"], table.columns_types
assert all(isinstance(row["Start"], datetime.datetime) and span[0] <= row["Start"] < span[1] for row in table.rows)
assert entra.scopes == ["https://api.loganalytics.io/.default"], entra.scopes

# mlroll has judged the same minutes, and counted the same requests.
minutes = {row["Start"] for row in table.rows}
assert len(minutes) == looks > 10, (looks, minutes)
for name, shown in [("Failed", "error_rate"), ("Slow", "latency")]:
    for deployment, role in [("green", "candidate"), ("blue", "stable")]:
        rows = [row for row in table.rows if row["Deployment"] == deployment]
        events, requests = sum(row[name] for row in rows), sum(row["Requests"] for row in rows)
        assert f"({events} of {requests})" in judged[shown], (deployment, name, events, requests, judged)

# By the workspace: the same.
beside = logs.query_workspace(WORKSPACE, query, timespan=span)
assert [list(row) for row in beside.tables[0].rows] == [list(row) for row in table.rows]

# What Azure refuses.
refused(404, "WorkspaceNotFoundError", lambda: logs.query_workspace(SUBSCRIPTION, query, timespan=span))
refused(404, "ResourceNotFoundError", lambda: logs.query_resource(ENDPOINT + "s", query, timespan=span))
error = refused(400, "BadArgumentError", lambda: logs.query_resource(ENDPOINT, "Wishes | summarize count()", timespan=span))
assert "Failed to resolve table or column expression named 'Wishes'" in str(error.error.innererror), error.error.innererror
foreign = client(Entra(), "https://management.azure.com")
refused(403, "InvalidAuthenticationTokenAudience", lambda: foreign.query_resource(ENDPOINT, query, timespan=span))

# Names that try to get out of their quotes find nobody.
hostile = query.replace("'fraud'", "'x\\' or 1 == 1 //'")
assert logs.query_resource(ENDPOINT, hostile, timespan=span).tables[0].rows == []
print("azure-monitor-query is content")
