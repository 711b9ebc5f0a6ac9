"""Drives Lambda on the sandbox with the aws CLI: a canary, its refusals, and the way back."""
import json
import os
import pathlib
import subprocess
import sys

AWS = pathlib.Path(sys.executable).parent / "aws"


def aws(*arguments):
    command = [sys.executable, AWS, "lambda", *arguments, "--output", "json"]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "AWS_MAX_ATTEMPTS": "1"})


def good(*arguments):
    ran = aws(*arguments)
    assert ran.returncode == 0, (arguments, ran.stderr)
    return json.loads(ran.stdout) if ran.stdout.strip() else None


def refused(code, *arguments):
    ran = aws(*arguments)
    assert ran.returncode != 0 and f"({code})" in ran.stderr, (arguments, ran)


PROD = ("--function-name", "fraud", "--name", "prod")
alias = good("get-alias", *PROD)
assert alias["FunctionVersion"] == "2" and "RoutingConfig" not in alias, alias
canary = good("update-alias", *PROD, "--routing-config", "AdditionalVersionWeights={3=0.1}")
assert canary["RoutingConfig"] == {"AdditionalVersionWeights": {"3": 0.1}}, canary
refused("PreconditionFailedException", "update-alias", *PROD, "--revision-id", alias["RevisionId"])
refused("InvalidParameterValueException", "update-alias", *PROD, "--routing-config", "AdditionalVersionWeights={2=0.1}")
refused("ResourceNotFoundException", "get-alias", "--function-name", "fraud", "--name", "nope")
# The documents' own promote.
promoted = good("update-alias", *PROD, "--function-version", "3", "--routing-config", "AdditionalVersionWeights={}")
assert promoted["FunctionVersion"] == "3" and "RoutingConfig" not in promoted, promoted
listed = good("list-versions-by-function", "--function-name", "fraud", "--page-size", "2")
assert [v["Version"] for v in listed["Versions"]] == ["$LATEST", "1", "2", "3"], listed
answer = good("invoke", "--function-name", "fraud:prod", "/dev/null")
assert answer["ExecutedVersion"] == "3", answer
