"""Times whole commands, interleaved so that a busy moment hits all of them alike, and checks what each came to."""
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request

mlroll, work, slow, instant, slow_rounds, instant_rounds = sys.argv[1:]
endpoint = "subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml/providers/Microsoft.MachineLearningServices/workspaces/prod/onlineEndpoints/fraud"
target = "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud"
sdk = [sys.executable, os.path.join(os.path.dirname(__file__), "azure_sdk.py")]


def traffic(url):
    request = urllib.request.Request(f"{url}/{endpoint}?api-version=2024-10-01", headers={"Authorization": "Bearer sandbox"})
    with urllib.request.urlopen(request) as answer:
        found = json.load(answer)["properties"]
    assert found["provisioningState"] == "Succeeded", found
    return {name: percent for name, percent in found["traffic"].items() if percent}


def timed(url, command, wanted):
    """Real time, as users have it: the sandbox's own clock is not told. What is live in the end is what was asked for."""
    env = {"HOME": work, "PATH": os.environ["PATH"], "MLROLL_ENDPOINT_AZURE": url, "AZURE_ACCESS_TOKEN": "sandbox"}
    started = time.perf_counter()
    done = subprocess.run(command, env=env, cwd=work, capture_output=True, text=True)
    took = time.perf_counter() - started
    if done.returncode != 0 or traffic(url) != wanted:
        sys.exit(f"{command} ended with {done.returncode}, {traffic(url)}: {done.stderr}")
    return took


def measure(url, rounds):
    """Seconds by contender."""
    canary = [mlroll, "canary", "--pct", "10", "--candidate", "green", "--again", "--target", target]
    rollback = [mlroll, "rollback", "--target", target]
    times = {"mlroll canary": [], "mlroll rollback": [], "azure-ai-ml": []}
    for _ in range(rounds):
        times["mlroll canary"].append(timed(url, canary, {"blue": 90, "green": 10}))
        times["mlroll rollback"].append(timed(url, rollback, {"blue": 100}))
        split = {"blue": 80, "green": 20}
        times["azure-ai-ml"].append(timed(url, [*sdk, url, json.dumps(split)], split))
        timed(url, [mlroll, "rollback", "--to", "blue", "--target", target], {"blue": 100})
    return times


def tell(times):
    for name, t in times.items():
        print(f"  {name:16} median {statistics.median(t):7.3f} s   min {min(t):7.3f}   max {max(t):7.3f}   n {len(t)}")
    return {name: statistics.median(t) for name, t in times.items()}


print("an operation of 20 s:")
median = tell(measure(slow, int(slow_rounds)))
for name in ["mlroll canary", "mlroll rollback"]:
    print(f"  {name}: {median[name]:.2f} s (aim: at most 21.5), {median[name] / median['azure-ai-ml'] - 1:+.0%} beside azure-ai-ml")
print("an operation of no time:")
median = tell(measure(instant, int(instant_rounds)))
for name in ["mlroll canary", "mlroll rollback"]:
    print(f"  {name}: {median['azure-ai-ml'] / median[name]:.0f} x faster than azure-ai-ml (aim: at least 40)")
