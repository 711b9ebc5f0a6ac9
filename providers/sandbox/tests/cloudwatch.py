"""Drives the sandbox's CloudWatch with boto3: argv is the URL, the protocol, and the moment at which it began."""

import datetime
import json
import sys

import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

url, protocol, began = sys.argv[1], sys.argv[2], int(sys.argv[3])

load = botocore.loaders.Loader.load_service_model


def load_with_protocol(self, *args, **kwargs):
    model = load(self, *args, **kwargs)
    if "metadata" in model and model["metadata"].get("serviceId") == "CloudWatch":
        model["metadata"]["protocol"] = protocol
        model["metadata"]["protocols"] = [protocol]
    return model


botocore.loaders.Loader.load_service_model = load_with_protocol


def client(region):
    return botocore.session.get_session().create_client(
        "cloudwatch", region_name=region, endpoint_url=url, aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret", config=Config(retries={"max_attempts": 0}))


cloudwatch = client("us-east-1")


def at(second):
    return datetime.datetime.fromtimestamp(began + second, datetime.timezone.utc)


def dimensions(**names):
    return [{"Name": name, "Value": value} for name, value in names.items()]


VERSION = {"FunctionName": "fraud", "Resource": "fraud:prod"}


def query(id, name, stat, version="3", period=60, unit=None, namespace="AWS/Lambda", dims=None):
    if dims is None:
        dims = dict(VERSION, ExecutedVersion=version)
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions(**dims)}
    stat = {"Metric": metric, "Period": period, "Stat": stat}
    if unit:
        stat["Unit"] = unit
    return {"Id": id, "MetricStat": stat}


def ask(queries, start=0, end=600, client=cloudwatch, **more):
    return client.get_metric_data(MetricDataQueries=queries, StartTime=at(start), EndTime=at(end), **more)


def series(answer):
    return {result["Id"]: {int(t.timestamp()) - began: v for t, v in zip(result["Timestamps"], result["Values"])}
            for result in answer["MetricDataResults"]}


def refused(code, act, text=""):
    try:
        act()
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        assert text in error.response["Error"]["Message"], error.response
        assert error.response["ResponseMetadata"]["RequestId"], error.response
        return
    raise AssertionError(f"{code} was expected")


answer = ask([
    query("requests", "Invocations", "Sum"), query("count", "Invocations", "SampleCount"),
    query("errors", "Errors", "Sum"), query("rate", "Errors", "Average"),
    query("p50", "Duration", "p50"), query("p95", "Duration", "p95", unit="Milliseconds"),
    query("tail", "Duration", "p99.9"), query("mean", "Duration", "Average"), query("tm", "Duration", "tm99"),
    query("least", "Duration", "Minimum"), query("most", "Duration", "Maximum"),
    query("stable", "Invocations", "Sum", "2"), query("five", "Invocations", "Sum", "2", 300),
    query("alias", "Invocations", "Sum", dims=VERSION),
    query("function", "Invocations", "Sum", dims={"FunctionName": "fraud"}),
    query("unit", "Duration", "p95", unit="Seconds"), query("nobody", "Invocations", "Sum", "1"),
    query("subset", "Invocations", "Sum", dims={"Resource": "fraud:prod"}), query("none", "Invocations", "Sum", dims={}),
    query("elsewhere", "Invocations", "Sum", namespace="AWS/SageMaker"),
    query("throttles", "Throttles", "Sum", dims=VERSION),
    query("micro", "ModelLatency", "p50", namespace="AWS/SageMaker", dims={"EndpointName": "fraud", "VariantName": "a"}),
    {"Id": "share", "Expression": "100 * errors / requests", "Label": "percent"},
])
assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
assert all(result["StatusCode"] == "Complete" for result in answer["MetricDataResults"]), answer
newest_first = answer["MetricDataResults"][0]["Timestamps"]
assert newest_first == sorted(newest_first, reverse=True), newest_first
found = series(answer)
for empty in ["unit", "nobody", "subset", "none", "elsewhere"]:
    assert found[empty] == {}, empty

# The points of the last minutes grow: a minute's delay.
assert ask([query("a", "Invocations", "Sum", "2")], 540, 900)["MetricDataResults"][0]["Values"] == []

# Pages.
paged = cloudwatch.get_paginator("get_metric_data").paginate(
    MetricDataQueries=[query("a", "Invocations", "Sum", "2"), query("b", "Errors", "Sum", "2")],
    StartTime=at(0), EndTime=at(540), ScanBy="TimestampAscending", MaxDatapoints=4)
pages = list(paged)
assert [sum(len(r["Values"]) for r in page["MetricDataResults"]) for page in pages] == [4, 4, 4, 4, 2], pages
assert pages[0]["MetricDataResults"][0]["StatusCode"] == "PartialData", pages[0]
assert pages[-1]["MetricDataResults"][-1]["StatusCode"] == "Complete", pages[-1]
together = {"a": {}, "b": {}}
for page in pages:
    for id, points in series(page).items():
        together[id].update(points)
assert together["a"] == {t: v for t, v in found["stable"].items() if t < 540}
a = query("a", "Invocations", "Sum")
refused("InvalidNextToken", lambda: ask([a], NextToken="x"))
refused("InvalidNextToken", lambda: ask([a], NextToken=pages[0]["NextToken"]))

# What AWS refuses.
refused("ValidationError", lambda: ask([query("A", "Invocations", "Sum")]), "not matching the expected pattern")
refused("ValidationError", lambda: ask([a, a]), "not unique")
refused("ValidationError", lambda: ask([query("a", "Invocations", "Sum", period=45)]), "Period")
refused("ValidationError", lambda: ask([query("a", "Invocations", "p101")]), "not a valid statistic")
refused("ValidationError", lambda: ask([query(f"a{n}", "Invocations", "Sum") for n in range(501)]), "500")
refused("ValidationError", lambda: ask([a], 60, 60), "must not equal")
refused("ValidationError", lambda: ask([a], 60, 0), "must be greater")
refused("ValidationError", lambda: ask([dict(a, ReturnData=False)]), "ReturnData")
refused("ValidationError", lambda: ask([{"Id": "a"}]))
refused("ValidationError", lambda: ask([{"Id": "a", "Expression": "SEARCH('{AWS/Lambda}', 'Sum', 60)"}]), "'a'")
refused("ValidationError", lambda: ask([a, {"Id": "b", "Expression": "a / c"}]), "Error in expression 'b'")
refused("ValidationError", lambda: ask([a], MaxDatapoints=100801))

# Alarms.
alarms = cloudwatch.describe_alarms(AlarmNames=["slow", "misspelt", "all"])
assert [alarm["AlarmName"] for alarm in alarms["MetricAlarms"]] == ["slow"] and not alarms["CompositeAlarms"], alarms
assert alarms["MetricAlarms"][0]["StateValue"] == "ALARM"
assert alarms["MetricAlarms"][0]["StateUpdatedTimestamp"] == at(300)
both = cloudwatch.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
assert [alarm["AlarmName"] for alarm in both["CompositeAlarms"]] == ["all"], both
assert [alarm["AlarmName"] for alarm in cloudwatch.describe_alarms(StateValue="OK")["MetricAlarms"]] == ["quiet"]
refused("ValidationError", lambda: cloudwatch.describe_alarms(AlarmTypes=["Alarm"]))
first = cloudwatch.describe_alarms(MaxRecords=1)
rest = cloudwatch.describe_alarms(MaxRecords=1, NextToken=first["NextToken"])
assert [first["MetricAlarms"][0]["AlarmName"], rest["MetricAlarms"][0]["AlarmName"]] == ["quiet", "slow"]
assert "NextToken" not in rest

# The rest.
names = {metric["MetricName"] for metric in cloudwatch.list_metrics(
    Namespace="AWS/Lambda", Dimensions=[{"Name": "ExecutedVersion"}])["Metrics"]}
assert names == {"Invocations", "Errors", "Duration", "ConcurrentExecutions"}, names
assert client("eu-west-1").list_metrics()["Metrics"] == []
assert ask([a], client=client("eu-west-1"))["MetricDataResults"][0]["Values"] == []
statistics = cloudwatch.get_metric_statistics(
    Namespace="AWS/Lambda", MetricName="Duration", Dimensions=dimensions(**VERSION, ExecutedVersion="3"),
    StartTime=at(0), EndTime=at(600), Period=60, Statistics=["Average", "Maximum"], ExtendedStatistics=["p95"])
assert {int(p["Timestamp"].timestamp()) - began: p["ExtendedStatistics"]["p95"] for p in statistics["Datapoints"]} == found["p95"]
assert statistics["Datapoints"][0]["Unit"] == "Milliseconds"
refused("InvalidParameterCombination", lambda: cloudwatch.get_metric_statistics(
    Namespace="N", MetricName="M", StartTime=at(0), EndTime=at(600), Period=60))
cloudwatch.put_metric_data(Namespace=f"Shop/{protocol}", MetricData=[
    {"MetricName": "score", "Dimensions": dimensions(Version="3"), "Timestamp": at(61), "Values": [1.0, 3.0], "Counts": [1, 3]}])
own = ask([query("own", "score", "p50", namespace=f"Shop/{protocol}", dims={"Version": "3"}),
           query("sum", "score", "Sum", namespace=f"Shop/{protocol}", dims={"Version": "3"})])
assert series(own) == {"own": {60: 3.0}, "sum": {60: 10.0}}, own
refused("InvalidParameterValue", lambda: cloudwatch.put_metric_data(
    Namespace="AWS/Lambda", MetricData=[{"MetricName": "Errors", "Value": 1.0}]))

print(json.dumps(found))
