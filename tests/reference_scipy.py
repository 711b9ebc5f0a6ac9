#!/usr/bin/env python3
"""Mann-Whitney of `gate replay` against scipy, ties and exact p-values included.

    reference_scipy.py [--count N] [--seed S] -- CMD...    run `CMD FILE` on a file of N random planned looks and compare

Up to 24 values p is exact: scipy's own where nothing is tied, else the share of all permutations. Above, it is the normal
approximation with tie and continuity correction. Agreement: |got - want| <= 1e-9 max(1, |want|).
"""

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile

import numpy
from scipy import stats

EXACT_UP_TO = 24
MOST_PERMUTATIONS = 50_000


def sizes(rng):
    """Sizes of two samples: small ones with few enough permutations, and large ones."""
    while True:
        most = rng.choice([11, 11, 40])
        n, m = rng.randint(2, most), rng.randint(2, most)
        if n + m > EXACT_UP_TO or math.comb(n + m, n) <= MOST_PERMUTATIONS:
            return n, m


def wanted(x, y):
    test = lambda method: stats.mannwhitneyu(x, y, alternative="greater", method=method)
    tied = len(set(x + y)) < len(x) + len(y)
    if len(x) + len(y) > EXACT_UP_TO:
        # One value in all of it: there is no variance, and nothing is greater.
        p = test("asymptotic").pvalue if len(set(x + y)) > 1 else 1.0
    elif tied:
        u = lambda a, b, axis: stats.mannwhitneyu(a, b, axis=axis, method="asymptotic").statistic
        with numpy.errstate(all="ignore"):
            p = stats.permutation_test((x, y), u, alternative="greater", n_resamples=numpy.inf, vectorized=True).pvalue
    else:
        p = test("exact").pvalue
    u = stats.mannwhitneyu(x, y, method="asymptotic").statistic
    shift = float(numpy.median(numpy.subtract.outer(numpy.array(x), numpy.array(y))))
    return {"p": float(p), "cles": float(u) / (len(x) * len(y)), "hodges_lehmann": shift}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    args, command = parser.parse_args(words[:cut]), words[cut + 1 :]
    rng = random.Random(args.seed)
    looks = []
    for _ in range(args.count):
        digits, shift = rng.choice([0, 1, 9]), rng.choice([0, 0, 0.3, 1])
        draw = lambda count, by: [round(10 + by + rng.gauss(0, 1), digits) for _ in range(count)]
        n, m = sizes(rng)
        looks.append({"candidate": draw(n, shift), "stable": draw(m, 0)})
    document = {"gate": {"metric": "latency", "judge": "mann_whitney"}, "looks": looks}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(document, file)
        file.flush()
        run = subprocess.run([*command, file.name], capture_output=True, text=True, check=True)
    got, bad, kinds = json.loads(run.stdout)["looks"], 0, {"exact": 0, "ties": 0, "normal": 0}
    for number, look in enumerate(looks):
        x, y = look["candidate"], look["stable"]
        tied = len(set(x + y)) < len(x) + len(y)
        kinds["normal" if len(x) + len(y) > EXACT_UP_TO else "ties" if tied else "exact"] += 1
        for key, want in wanted(x, y).items():
            if abs(got[number][key] - want) > 1e-9 * max(1, abs(want)):
                bad += 1
                print(f"{number} {key}: {got[number][key]}, not {want}: {look}", file=sys.stderr)
    print(f"{args.count} looks, {bad} numbers differ: {kinds}")
    return 1 if bad or not all(kinds.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
