"""Runs a composite action's steps as a GitHub runner does: inputs with their defaults, expressions in `env` and
`working-directory`, the script in a file given to bash, outputs from GITHUB_OUTPUT.

    runner.py ACTION.YML INPUTS.JSON        prints {"exit_code": .., "outputs": {..}, "summary": ".."}

Only what action.yml may use is known; anything else ends with an error, so that nothing is passed over in silence.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

import yaml

EXPRESSION = re.compile(r"\$\{\{\s*([^}]*?)\s*\}\}")


def evaluate(text, scope):
    def value(match):
        path = match.group(1)
        if path not in scope:
            raise SystemExit(f"the expression {path!r} is not known here")
        return scope[path]

    return EXPRESSION.sub(value, str(text))


def outputs_of(path):
    """GITHUB_OUTPUT: `name=value` lines, and `name<<MARK` up to a line that is MARK."""
    found, lines = {}, iter(open(path, encoding="utf-8").read().splitlines())
    for line in lines:
        name, mark = re.match(r"([^=<]+)(?:<<(.*))?", line).groups()
        if mark is None:
            found[name] = line.split("=", 1)[1]
        else:
            body = []
            for inner in lines:
                if inner == mark:
                    break
                body.append(inner)
            else:
                raise SystemExit(f"the output {name} does not end")
            found[name] = "\n".join(body)
    return found


def main(action_path, inputs_text):
    action = yaml.safe_load(open(action_path, encoding="utf-8"))
    given = json.loads(inputs_text)
    scope = {}
    for name, spec in action["inputs"].items():
        unknown = set(spec) - {"description", "required", "default"}
        if unknown or not spec.get("description"):
            raise SystemExit(f"input {name}: {unknown or 'no description'}")
        if spec.get("required") and name not in given:
            raise SystemExit(f"input {name} is required")
        scope[f"inputs.{name}"] = given.pop(name, spec.get("default", ""))
    if given:
        raise SystemExit(f"no such inputs: {sorted(given)}")
    if action["runs"]["using"] != "composite":
        raise SystemExit("not a composite action")
    exit_code, summary = 0, ""
    for step in action["runs"]["steps"]:
        unknown = set(step) - {"id", "name", "shell", "working-directory", "env", "run"}
        if unknown or step["shell"] != "bash":
            raise SystemExit(f"a step with {unknown or step['shell']}")
        with tempfile.TemporaryDirectory() as folder:
            script, output = os.path.join(folder, "step.sh"), os.path.join(folder, "output")
            page = os.path.join(folder, "summary")
            open(script, "w", encoding="utf-8").write(evaluate(step["run"], scope))
            for file in (output, page):
                open(file, "w", encoding="utf-8").close()
            env = dict(os.environ, CI="true", GITHUB_ACTIONS="true", GITHUB_OUTPUT=output, GITHUB_STEP_SUMMARY=page)
            env.update({name: evaluate(value, scope) for name, value in step.get("env", {}).items()})
            # As the runner calls it for `shell: bash`.
            command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", script]
            where = evaluate(step.get("working-directory", "."), scope)
            child = subprocess.Popen(command, env=env, cwd=where, stdout=sys.stderr)
            open("step.pid", "w", encoding="utf-8").write(str(child.pid))
            exit_code = child.wait()
            for name, value in outputs_of(output).items():
                scope[f"steps.{step['id']}.outputs.{name}"] = value
            summary += open(page, encoding="utf-8").read()
        if exit_code != 0:
            break
    outputs = {}
    for name, spec in action["outputs"].items():
        (path,) = EXPRESSION.findall(spec["value"])
        outputs[name] = scope.get(path, "")
    print(json.dumps({"exit_code": exit_code, "outputs": outputs, "summary": summary}))


if __name__ == "__main__":
    main(*sys.argv[1:])
