"""Makes the same random legal calls on moto and on the sandbox, and compares what a client sees after each.

Left out is where moto is known to be wrong: provisioned concurrency, revision ids, refusals, filters and pages of lists,
states, and an empty routing configuration, which it echoes.
"""
import io
import json
import os
import random
import sys
import urllib.request
import zipfile

import boto3

SANDBOX = os.environ["MLROLL_SANDBOX_URL"]
moto_url, seed = sys.argv[1], sys.argv[2]
chance = random.Random(seed)
urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST"))
here = os.path.dirname(os.path.abspath(__file__))
seeding = os.path.join(here, "..", "cli", "moto_seed.py")
os.spawnv(os.P_WAIT, sys.executable, [sys.executable, seeding, moto_url])
moto = boto3.client("lambda", endpoint_url=moto_url)
own = boto3.client("lambda")
both = [moto, own]
written = []
for client in both:
    client.update_alias(FunctionName="fraud", Name="prod", Description="owned by ml")


def settle():
    body = json.dumps({"advance": "10s"}).encode()
    urllib.request.urlopen(f"{SANDBOX}/_sandbox/clock", body)


def code(text):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("model.py"), text)
    return buffer.getvalue()


def alias_of(answer):
    weights = answer.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return answer["Name"], answer["FunctionVersion"], answer["Description"], weights, answer["AliasArn"]


def version_of(answer):
    version = answer["Version"]
    # The first ones were made with other code on either side.
    hashed = answer["CodeSha256"] if version == "$LATEST" and written or version.isdigit() and int(version) > 3 else None
    return version, answer["Description"], hashed, answer["Timeout"], answer["MemorySize"]


def state(client):
    aliases = client.list_aliases(FunctionName="fraud")["Aliases"]
    versions = client.list_versions_by_function(FunctionName="fraud")["Versions"]
    return {
        "aliases": sorted((alias_of(alias) for alias in aliases), key=lambda alias: alias[0]),
        "each": [alias_of(client.get_alias(FunctionName="fraud", Name=alias["Name"])) for alias in aliases],
        "versions": sorted(version_of(version) for version in versions),
        "reserved": client.get_function_concurrency(FunctionName="fraud").get("ReservedConcurrentExecutions"),
    }


def same(name, show, **arguments):
    answers = [getattr(client, name)(FunctionName="fraud", **arguments) for client in both]
    settle()
    seen = [show(answer) for answer in answers]
    assert seen[0] == seen[1], f"{name} {arguments}: moto {seen[0]}, sandbox {seen[1]}"


def nothing(_answer):
    """An answer without content; its status is one more thing that moto has wrong (201)."""


def split(numbers):
    primary, other = chance.sample(numbers, 2)
    weight = round(chance.choice([0.0, 0.0001, 0.05, 0.5, 1.0, chance.random()]), 4)
    weights = chance.choice([{}, {other: weight}])
    return dict(FunctionVersion=primary, RoutingConfig={"AdditionalVersionWeights": weights})


def step(n, now):
    numbers = [version[0] for version in now["versions"] if version[0].isdigit()]
    names = [alias[0] for alias in now["aliases"]]
    kind = chance.choice(
        ["create", "update", "update", "update", "describe", "delete", "code", "publish", "settings", "reserve"]
    )
    if kind == "create":
        same("create_alias", alias_of, Name=f"alias-{n}", Description=f"made {n}", **split(numbers))
    elif kind == "update":
        same("update_alias", alias_of, Name=chance.choice(names), **split(numbers))
    elif kind == "describe":
        same("update_alias", alias_of, Name=chance.choice(names), Description=f"said {n}")
    elif kind == "delete" and len(names) > 1:
        same("delete_alias", nothing, Name=chance.choice(names))
    elif kind == "code":
        written.append(n)
        same("update_function_code", version_of, ZipFile=code(str(n)), Publish=chance.choice([True, False]))
    elif kind == "publish" and written:
        same("publish_version", version_of)
    elif kind == "settings":
        # Moto makes no version for settings alone: new code comes with them.
        same("update_function_configuration", version_of, Timeout=chance.randint(1, 900), MemorySize=128 + n)
        written.append(n)
        same("update_function_code", version_of, ZipFile=code(str(n)), Publish=True)
    elif kind == "reserve":
        count = chance.randint(0, 900)
        same("put_function_concurrency", lambda a: a["ReservedConcurrentExecutions"], ReservedConcurrentExecutions=count)


def compare(when):
    seen = [state(client) for client in both]
    assert seen[0] == seen[1], f"after {when} of seed {seed}: moto {seen[0]}, sandbox {seen[1]}"
    return seen[1]


now = compare("nothing")
for n in range(40):
    step(n, now)
    now = compare(f"step {n}")
# At the end, because moto gives the numbers of deleted versions away again, and deletes those that serve.
serving = {alias[1] for alias in now["aliases"]} | {version for alias in now["aliases"] for version in alias[3]}
for version in [version[0] for version in now["versions"] if version[0].isdigit()]:
    if version not in serving:
        same("delete_function", nothing, Qualifier=version)
        compare(f"deleting {version}")
