"""Drives CloudWatch on the sandbox with the aws CLI: sums, percentiles, what is absent, alarms and refusals."""
import datetime
import json
import os
import pathlib
import subprocess
import sys
import urllib.request

AWS = pathlib.Path(sys.executable).parent / "aws"
URL = os.environ["MLROLL_SANDBOX_URL"]


def aws(*arguments):
    command = [sys.executable, AWS, "cloudwatch", *arguments, "--output", "json"]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "AWS_MAX_ATTEMPTS": "1"})


def good(*arguments):
    ran = aws(*arguments)
    assert ran.returncode == 0, (arguments, ran.stderr)
    return json.loads(ran.stdout)


def refused(code, *arguments):
    ran = aws(*arguments)
    assert ran.returncode != 0 and f"({code})" in ran.stderr, (arguments, ran)


clock = json.load(urllib.request.urlopen(f"{URL}/_sandbox/clock"))
now = datetime.datetime.fromisoformat(clock["now"].replace("Z", "+00:00")).replace(second=0, microsecond=0)
WINDOW = ("--start-time", (now - datetime.timedelta(minutes=15)).isoformat(),
          "--end-time", (now - datetime.timedelta(minutes=5)).isoformat())


def query(identity, metric, statistic, version="2", period=60):
    dimensions = {"FunctionName": "fraud", "Resource": "fraud:prod", "ExecutedVersion": version}
    listed = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    metric = {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": listed}
    return {"Id": identity, "MetricStat": {"Metric": metric, "Period": period, "Stat": statistic}}


def data(*queries):
    answer = good("get-metric-data", "--metric-data-queries", json.dumps(queries), *WINDOW)
    assert all(result["StatusCode"] == "Complete" for result in answer["MetricDataResults"]), answer
    return {result["Id"]: result["Values"] for result in answer["MetricDataResults"]}


found = data(query("all", "Invocations", "Sum"), query("bad", "Errors", "Sum"), query("p95", "Duration", "p95"),
             query("n", "Duration", "SampleCount"), query("idle", "Invocations", "Sum", version="3"))
assert len(found["all"]) == 10 and all(2_000 < n < 4_000 for n in found["all"]), found
assert found["n"] == found["all"] and sum(found["bad"]) < 0.01 * sum(found["all"]), found
assert all(150 < p95 < 250 for p95 in found["p95"]), found
assert found["idle"] == [], "nobody asked version 3: no points, and no zeros"

metrics = good("list-metrics", "--namespace", "AWS/Lambda", "--metric-name", "Errors")["Metrics"]
assert any({"Name": "ExecutedVersion", "Value": "2"} in metric["Dimensions"] for metric in metrics), metrics
assert good("describe-alarms", "--alarm-names", "nobody")["MetricAlarms"] == []
refused("ValidationError", "get-metric-data", "--metric-data-queries", json.dumps([query("Capital", "Errors", "Sum")]),
        *WINDOW)
refused("ValidationError", "get-metric-data", "--metric-data-queries",
        json.dumps([query("a", "Errors", "Sum", period=45)]), *WINDOW)
