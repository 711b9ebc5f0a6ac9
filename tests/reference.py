#!/usr/bin/env python3
"""An independent reference of docs/judge.md, straight from its formulas.

    reference.py golden                    print the golden vectors of the Rust tests (fixed seed)
    reference.py check [--count N] [--seed S] -- CMD...
                                           run `CMD FILE` on N random replay files and compare

Standard library only; slow and plain on purpose: exact integers and fractions where the Rust code uses logarithms,
enumeration where it counts, sums where it updates. Agreement: |got - want| <= 1e-9 max(1, |want|), Kayenta 1e-3.
"""

import argparse
import itertools
import json
import math
import random
import subprocess
import sys
import tempfile
from bisect import bisect_left
from fractions import Fraction
from statistics import NormalDist, median

GRID = [math.exp(0.01 * 2 ** ((j - 1) / 2)) for j in range(1, 18)]


def log_sum(terms):
    terms = [t for t in terms if t != -math.inf]
    if not terms:
        return -math.inf
    top = max(terms)
    return top + math.log(math.fsum(math.exp(t - top) for t in terms))


# 3.1


def ledger(increments, up, horizon, limit=None):
    """ln E after each look; increments[k](g) is l of look k; horizon None: all is bet at the first look."""
    points = [(g if up else 1 / g, j) for j, g in enumerate(GRID, 1)]
    if limit is not None:
        points = [(g, j) for g, j in points if g * limit < 1]
    if not points:
        return [0.0 for _ in increments]
    total = sum(j for _, j in points)
    spread = horizon is not None and horizon > 1
    omega = lambda k: (0.5 if k == 1 else 0.5 / (horizon - 1) if k <= horizon else 0.0) if spread else float(k == 1)
    # Unrolled: a bet made at look k has grown by the increments from k on.
    result, bets = [], []
    for k, l in enumerate(increments, 1):
        bets.append(omega(k))
        terms = []
        for g, j in points:
            grown = 0.0
            for i in range(k, 0, -1):
                grown += increments[i - 1](g)
                if bets[i - 1] > 0:
                    terms.append(math.log(j / total) + math.log(bets[i - 1]) + grown)
        cash = 1 - math.fsum(bets)
        if cash > 1e-12:
            terms.append(math.log(cash))
        result.append(log_sum(terms))
    return result


# 3.2, 3.3


def against_stable(look, ratio, slack, effect):
    x_c, n_c, x_b, n_b = look
    if n_c == 0 or n_b == 0:
        return lambda g: 0.0
    s = ratio * n_c / n_b
    return lambda g: (
        x_c * math.log(g) - (x_c + x_b) * math.log((1 + g * s) / (1 + s)) - slack * n_c * (g - 1) / (1 + g * s)
    ) / effect


def against_limit(look, tau, effect):
    x, n = look[:2]
    return lambda g: (x * math.log(g) + (n - x) * (math.log(1 - g * tau) - math.log(1 - tau))) / effect


# 3.5


def sign(d):
    n, x = sum(v != 0 for v in d), sum(v > 0 for v in d)
    e = Fraction(sum(math.comb(n + 1, i) for i in range(x + 1)), (n + 1) * math.comb(n, x))
    return math.log(e.numerator) - math.log(e.denominator)


def t_test(d):
    n, mean = len(d), math.fsum(d) / max(len(d), 1)
    squares = math.fsum((v - mean) ** 2 for v in d)
    if n < 2 or squares < 1e-20:
        return 0.0
    u = n * mean**2 / squares
    return 0.5 * math.log(1 / (n + 1)) + n / 2 * (math.log(1 + u) - math.log(1 + u / (n + 1)))


def ranks(values):
    ordered = sorted(values)
    low = {v: ordered.index(v) for v in set(values)}
    return [low[v] + (ordered.count(v) + 1) / 2 for v in values]


def rank_u(x, y):
    return sum(ranks(x + y)[: len(x)]) - len(x) * (len(x) + 1) / 2


def deviation(x, y):
    n, m, pooled = len(x), len(y), x + y
    ties = sum(pooled.count(v) ** 3 - pooled.count(v) for v in set(pooled))
    return math.sqrt(max(0, n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))))


def p_greater(x, y):
    pooled, n = ranks(x + y), len(x)
    if len(pooled) <= 24 and math.comb(len(pooled), n) <= 200_000:
        seen = sum(pooled[:n])
        sums = [sum(choice) for choice in itertools.combinations(pooled, n)]
        return sum(s >= seen for s in sums) / len(sums)
    if len(pooled) <= 24:
        return None
    sd = deviation(x, y)
    z = (rank_u(x, y) - len(x) * len(y) / 2 - 0.5) / sd if sd else -math.inf
    return math.erfc(z / math.sqrt(2)) / 2


def spent(alpha, index, planned):
    normal = NormalDist()
    f = lambda t: math.erfc(-normal.inv_cdf(alpha / 2) / math.sqrt(2 * t)) if t > 0 else 0.0
    return f(index / planned) - f((index - 1) / planned) if index <= planned else 0.0


def mean(values):
    return math.fsum(values) / len(values)


# 3.6


def ln_beta(a, b):
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def bisect(turned, low, high):
    for _ in range(300):
        middle = (low + high) / 2
        low, high = (low, middle) if turned(middle) else (middle, high)
    return (low + high) / 2


def rate_interval(x, n, tau, alpha):
    a, b = 0.5, (1 - tau) / (2 * tau)
    head = ln_beta(a + x, b + n - x) - ln_beta(a, b)
    out = lambda p: head - (x * math.log(p) if x else 0) - ((n - x) * math.log1p(-p) if n > x else 0) >= -math.log(alpha)
    centre = x / n if n else 0.5
    return {
        "lower": bisect(lambda p: not out(p), 1e-300, centre) if x else 0.0,
        "upper": bisect(out, centre, 1 - 1e-16) if n > x else 1.0,
    }


def ratio_interval(looks, alpha, effect):
    def evidence(up, ratio):
        terms = []
        for j, g in enumerate(GRID, 1):
            g = g if up else 1 / g
            terms.append(math.log(j / 153) + sum(against_stable(look, ratio, 0, effect)(g) for look in looks))
        return log_sum(terms)

    need = math.log(2 / alpha)
    lower = lambda r: evidence(True, math.exp(r)) < need
    upper = lambda r: evidence(False, math.exp(r)) >= need
    return {
        "lower": 0.0 if lower(-25) else math.exp(bisect(lower, -25, 25)),
        "upper": math.exp(bisect(upper, -25, 25)) if upper(25) else None,
    }


# 3.7


def design_effect(history):
    windows = [(n, x) for n, x in history if n > 0]
    if len(windows) < 20:
        return 2.0
    p = sum(x for _, x in windows) / sum(n for n, _ in windows)
    if p in (0, 1):
        return 1.0
    steps = [
        (x1 / n1 - x0 / n0) ** 2 / (p * (1 - p) * (1 / n1 + 1 / n0)) for (n0, x0), (n1, x1) in itertools.pairwise(windows)
    ]
    phi, se = math.fsum(steps) / len(steps), math.sqrt(3 / len(steps))
    return phi * (1 + se) if phi > 1 + 2 * se else 1.0


# 3.9


def final_p(looks, ratio, up):
    dist, seen = [1.0], 0
    for x_c, n_c, x_b, n_b in looks:
        if n_c == 0 or n_b == 0:
            continue
        n, p = x_c + x_b, ratio * n_c / (ratio * n_c + n_b)
        seen += x_c
        pmf = [
            math.exp(math.log(math.comb(n, i)) + i * math.log(p) + (n - i) * math.log1p(-p)) for i in range(n + 1)
        ]
        more = [0.0] * (len(dist) + n)
        for k, share in enumerate(dist):
            for i, q in enumerate(pmf):
                more[k + i] += share * q
        dist = more
    return min(1.0, math.fsum(dist[seen:] if up else dist[: seen + 1]))


# 2: Kayenta, the shift at which the standardized rank sum crosses a quantile, found on the list of differences.


def crossing(x, y, quantile, corrected):
    def above(d):
        moved = [v - d for v in x]
        sd = deviation(moved, y)
        dz = rank_u(moved, y) - len(x) * len(y) / 2
        return (dz - math.copysign(0.5 * corrected, dz) * (dz != 0)) / sd - quantile

    jumps = sorted({a - b for a in x for b in y})
    if above(jumps[0]) <= 0:
        return jumps[0], jumps[0]
    if above(jumps[-1]) >= 0:
        return jumps[-1], jumps[-1]
    inner = [(a + b) / 2 for a, b in itertools.pairwise(jumps)]
    # It falls with d. A plateau at exactly 0 has many roots; any of them is one.
    positive = bisect_left(inner, True, key=lambda d: above(d) <= 0)
    not_negative = bisect_left(inner, True, key=lambda d: above(d) < 0)
    return jumps[positive], jumps[not_negative]


def kayenta(x, y, better):
    z = -NormalDist().inv_cdf(0.01)
    lower, upper, estimate = crossing(x, y, z, 1), crossing(x, y, -z, 1), crossing(x, y, 0, 0)
    ratio = mean(x) / mean(y)
    word = None
    if estimate[0] == estimate[1]:
        word = "Pass"
        if better == "lower" and lower[0] > 0.25 * abs(estimate[0]) and ratio >= 1:
            word = "High"
        if better == "higher" and upper[0] < -0.25 * abs(estimate[0]) and ratio <= 1:
            word = "Low"
    return {"classification": word, "lower": lower, "upper": upper, "estimate": estimate} | shown(x, y)


def shown(x, y):
    """What every planned look carries."""
    p, hl = p_greater(x, y), median(a - b for a in x for b in y)
    entry = {"cles": rank_u(x, y) / (len(x) * len(y)), "hodges_lehmann": hl, "mean_ratio": mean(x) / mean(y)}
    return entry | ({"p": p} if p is not None else {})


# Replay files


def replay(document):
    gate, looks = document["gate"], document["looks"]
    alpha, beta = document.get("alpha", 0.01), document.get("beta", 0.05)
    judge = gate.get("judge")
    if judge in ("sign", "t"):
        return replay_series(gate, looks, alpha, beta)
    if judge == "mann_whitney":
        return replay_ranks(gate, looks, alpha, beta, document.get("horizon"))
    if judge == "kayenta":
        return {"looks": [kayenta(l["candidate"], l["stable"], gate.get("better", "lower")) for l in looks]}
    if judge == "shape":
        return replay_shape(document, gate, looks, alpha, beta)
    return replay_counts(document, gate, looks, alpha, beta)


def course(result, fails, passes):
    first = lambda flags: next((k for k, flag in enumerate(flags, 1) if flag), None)
    fail, ok = first(fails), first(passes)
    for k, look in enumerate(result["looks"], 1):
        look["verdict"] = "fail" if fail and k >= fail else "pass" if passes[k - 1] else "inconclusive"
    verdict = "inconclusive" if not fail and not ok else "fail" if not ok or (fail and fail <= ok) else "pass"
    return result | {"first_fail": fail, "first_pass": ok, "verdict": verdict}


def share(written):
    """A share as a number, or as text such as "1.5%"."""
    if isinstance(written, str):
        return float(Fraction(written[:-1]) / 100) if written.endswith("%") else float(written)
    return written


def above(side, threshold):
    """Requests above the threshold: at least, at most, of how many."""
    buckets = [(math.inf if le == "+Inf" else le, count) for le, count in side["buckets"]]
    total = buckets[-1][1]
    at_least = total - min(count for le, count in buckets if le >= threshold)
    at_most = total - max([count for le, count in buckets if le <= threshold], default=0)
    return at_least, at_most, total


def quantile(side, q):
    """histogram_quantile of Prometheus."""
    buckets = [(math.inf if le == "+Inf" else le, count) for le, count in side["buckets"]]
    total = buckets[-1][1]
    if total == 0:
        return None
    rank, start, below = q * total, 0.0, 0.0
    for number, (le, count) in enumerate(buckets):
        if count >= rank:
            if le == math.inf:
                return buckets[-2][0]
            if number == 0 and le <= 0:
                return le
            return start + (le - start) * (rank - below) / (count - below)
        start, below = le, count


def summed(increments):
    return lambda g: math.fsum(l(g) for l in increments)


def replay_shape(document, gate, looks, alpha, beta):
    effect, horizon = document.get("design_effect", 1.0), document.get("horizon")
    f, p, fails, passes = gate["fail"], gate["pass"], [], []
    for bound, _ in looks[0]["candidate"]["buckets"][:-1]:
        sides = [(above(l["candidate"], bound), above(l["stable"], bound)) for l in looks]
        rows = [(c[0], c[2], b[0], b[2]) for c, b in sides]
        fails.append(ledger([against_stable(r, f["ratio"], f["abs"], effect) for r in rows], True, horizon))
        passes.append(ledger([against_stable(r, p["ratio"], p["abs"], effect) for r in rows], False, None))
    fail = [log_sum(es) - math.log(len(es)) for es in zip(*fails)]
    ok = [min(es) for es in zip(*passes)]
    result = {"looks": [{"ln_e_fail": f, "ln_e_pass": p} for f, p in zip(fail, ok)], "design_effect": effect}
    return course(result, [e >= -math.log(alpha) for e in fail], [e >= -math.log(beta) for e in ok])


def replay_counts(document, gate, looks, alpha, beta):
    effect = design_effect([(w["requests"], w["events"]) for w in document["history"]]) if "history" in document else 1.0
    effect = document.get("design_effect", effect)
    lower, horizon = gate.get("better", "lower") == "lower", document.get("horizon")
    tau, extra = None, [{} for _ in looks]
    if gate["metric"] == "latency":
        tau = 1 - gate["quantile"]
        threshold = float(Fraction(gate["max"][:-2]) / 1000)
        nothing = {"buckets": [["+Inf", 0]]}
        sides = [(above(l["candidate"], threshold), above(l.get("stable", nothing), threshold)) for l in looks]
        # FAIL reads what is surely slow of the candidate and possibly slow of stable; PASS the opposite.
        fail_rows = [[(c[0], c[2], b[1], b[2])] for c, b in sides]
        pass_rows = [[(c[1], c[2], b[0], b[2])] for c, b in sides]
        extra = [{"quantile": quantile(l["candidate"], gate["quantile"])} for l in looks]
    else:
        side = lambda s: (s["events"], s["requests"])
        row = lambda l: side(l["candidate"]) + side(l.get("stable", {"events": 0, "requests": 0}))
        fail_rows = pass_rows = [[row(s) for s in l["strata"]] if "strata" in l else [row(l)] for l in looks]
        tau = share(gate.get("max", gate.get("min")))
        if "min" in gate:
            lower = False
        if gate["metric"] == "availability":
            tau, lower = 1 - tau, True
    fails, passes = [], []
    if tau is not None:
        fails.append(ledger([summed([against_limit(r, tau, effect) for r in l]) for l in fail_rows], lower, horizon, tau))
        passes.append(ledger([summed([against_limit(r, tau, effect) for r in l]) for l in pass_rows], not lower, None, tau))
    if "fail" in gate:
        f, p = gate["fail"], gate["pass"]
        against = lambda looks, b: [summed([against_stable(r, b["ratio"], share(b["abs"]), effect) for r in l]) for l in looks]
        fails.append(ledger(against(fail_rows, f), lower, horizon))
        passes.append(ledger(against(pass_rows, p), not lower, None))
    rows = [r for l in fail_rows for r in l]
    fail = [log_sum(es) - math.log(len(es)) for es in zip(*fails)]
    ok = [min(es) for es in zip(*passes)]
    exact = document.get("final_look") and effect == 1 and "fail" in gate and share(gate["fail"]["abs"]) == 0
    if exact:
        alpha /= 2
    failed, passed = [e >= -math.log(alpha) for e in fail], [e >= -math.log(beta) for e in ok]
    numbers = [{"ln_e_fail": f, "ln_e_pass": p} | more for f, p, more in zip(fail, ok, extra)]
    result = {"looks": numbers, "design_effect": effect}
    if exact:
        result["final_p"] = final_p(rows, gate["fail"]["ratio"], lower)
        if horizon is None or len(looks) >= horizon:
            failed[-1] |= result["final_p"] <= alpha / len(fails)
    if document.get("final_look"):
        alpha *= 2 if exact else 1
    if tau is not None:
        other = [r for l in pass_rows for r in l]
        interval = lambda rows: rate_interval(sum(r[0] for r in rows), sum(r[1] for r in rows), tau, alpha)
        result["interval"] = {"lower": interval(rows)["lower"], "upper": interval(other)["upper"]}
    else:
        result["interval"] = ratio_interval(rows, alpha, effect)
    return course(result, failed, passed)


def replay_series(gate, looks, alpha, beta):
    plain, test = gate.get("difference") == "plain", t_test if gate["judge"] == "t" else sign
    tolerances = gate.get("tolerance", 0), gate.get("pass_tolerance", 0.1)

    def differences(tolerance):
        for look in looks:
            c, b = look["candidate"], look["stable"]
            if gate.get("better") == "higher":
                c, b = b, c
            yield c - b - tolerance if plain else math.log(c) - math.log(b) - math.log(1 + tolerance)

    fail, ok = list(differences(tolerances[0])), [-d for d in differences(tolerances[1])]
    result, flags = {"looks": []}, ([], [])
    for k in range(1, len(looks) + 1):
        evidence = test(fail[:k]), test(ok[:k])
        result["looks"].append(dict(zip(("ln_e_fail", "ln_e_pass"), evidence)))
        for flag, e, level, d in zip(flags, evidence, (alpha, beta), (fail[:k], ok[:k])):
            if gate["judge"] == "t":
                flag.append(e >= -math.log(2 * level) and mean(d) > 0)
            else:
                flag.append(e >= -math.log(level))
    return course(result, *flags)


def replay_ranks(gate, looks, alpha, beta, horizon):
    planned, result, fails = horizon or len(looks), {"looks": []}, []
    for k, look in enumerate(looks, 1):
        x, y = look["candidate"], look["stable"]
        entry = shown(x, y)
        p, ratio = entry.get("p"), entry["mean_ratio"]
        result["looks"].append(entry | {"ln_e_fail": None, "ln_e_pass": None, "alpha": spent(alpha, k, planned)})
        enough = min(len(x), len(y)) >= 8 and ratio >= 1 + gate.get("tolerance", 0)
        fails.append(enough and p is not None and p <= spent(alpha, k, planned))
    first = next((k for k, flag in enumerate(fails, 1) if flag), None)
    complete = all("p" in look for look in result["looks"])
    return result | ({"first_fail": first} if complete else {})


# Random files


def poisson(rng, mean_):
    if mean_ > 50:
        return max(0, round(rng.gauss(mean_, math.sqrt(mean_))))
    limit, k, product = math.exp(-mean_), 0, rng.random()
    while product > limit:
        k, product = k + 1, product * rng.random()
    return k


def random_counts(rng, looks, base, worse):
    out = []
    for _ in range(looks):
        n_c, n_b = rng.choice([0, 3, 30, 300, rng.randint(1, 2000)]), rng.choice([0, 27, 270, 2700, rng.randint(1, 20000)])
        x_c, x_b = min(n_c, poisson(rng, n_c * base * worse)), min(n_b, poisson(rng, n_b * base))
        out.append({"candidate": {"requests": n_c, "events": x_c}, "stable": {"requests": n_b, "events": x_b}})
    return out


def random_document(rng, kind):
    looks = rng.randint(1, 12)
    document = {"alpha": rng.choice([0.01, 0.05, 0.001]), "beta": rng.choice([0.05, 0.1])}
    base, worse = rng.choice([0.002, 0.01, 0.05, 0.3]), rng.choice([0.5, 1, 1, 1.5, 3])
    if kind in ("ratio", "both", "limit", "final"):
        gate = {"metric": "error_rate"}
        if kind in ("limit", "both"):
            gate["max"] = rng.choice([0.001, 0.01, 0.05, 0.2, 0.9])
        if kind != "limit":
            gate["fail"] = {"ratio": rng.uniform(0.7, 1.5), "abs": 0 if kind == "final" else rng.choice([0, 0, 0.001, 0.02])}
            gate["pass"] = {"ratio": rng.uniform(0.9, 2.5), "abs": rng.choice([0, 0.001, 0.02])}
        if rng.random() < 0.3:
            gate["better"] = "higher"
        base = min(base, 0.01) if kind == "final" else base
        document |= {"looks": random_counts(rng, looks, base, worse), "horizon": rng.choice([None, 1, 2, 5, 12, 120])}
        if kind == "final":
            document["final_look"] = True
        elif rng.random() < 0.3:
            document["design_effect"] = rng.choice([1, 1.5, 4])
        elif rng.random() < 0.5:
            windows, cluster = rng.choice([5, 20, 40, 60]), rng.choice([1, 1, 3])
            document["history"] = [
                {"requests": 3000, "events": cluster * poisson(rng, 3000 * base / cluster)} for _ in range(windows)
            ]
    elif kind in ("strata", "text"):
        boundary = lambda: {"ratio": rng.uniform(0.7, 2), "abs": rng.choice([0, "0.1%", "0.002"])}
        gate = {"metric": "error_rate", "fail": boundary(), "pass": boundary()}
        document |= {"looks": random_counts(rng, looks, base, worse), "horizon": rng.choice([None, 10])}
        if kind == "strata":
            document["looks"] = [{"strata": random_counts(rng, rng.randint(1, 4), base, worse)} for _ in range(looks)]
        else:
            gate["metric"], limit, written = rng.choice(
                [("error_rate", "max", "1%"), ("error_rate", "min", "2.5%"), ("availability", "min", "99.5%")]
            )
            gate[limit] = written
    elif kind in ("latency", "shape"):
        bounds = [0.1, 0.3, 1.0, "+Inf"]
        gate = {"metric": "latency", "quantile": rng.choice([0.5, 0.9, 0.95, 0.99])}
        gate |= {"max": rng.choice(["50ms", "100ms", "200ms", "300ms", "300ms", "1000ms", "2500ms"])}
        if kind == "shape":
            gate = {"metric": "latency", "judge": "shape"}
        if kind == "shape" or rng.random() < 0.5:
            gate["fail"] = {"ratio": rng.uniform(0.9, 1.5), "abs": rng.choice([0, 0.01])}
            gate["pass"] = {"ratio": rng.uniform(1, 2.5), "abs": rng.choice([0, 0.01])}
        document |= {"looks": [], "horizon": rng.choice([None, 10])}
        for _ in range(looks):
            side = lambda: [poisson(rng, rng.choice([0, 5, 100])) for _ in range(4)]
            buckets = lambda: {"buckets": list(map(list, zip(bounds, itertools.accumulate(side()))))}
            document["looks"].append({"candidate": buckets(), "stable": buckets()})
    elif kind in ("sign", "t"):
        looks = rng.randint(1, 60)
        gate = {"metric": "latency", "judge": kind, "tolerance": rng.choice([0, 0.05])}
        gate |= {"better": rng.choice(["lower", "higher"]), "difference": rng.choice(["log", "plain"])}
        shift = rng.choice([0.7, 1, 1, 1.3])
        document["looks"] = [
            {"candidate": shift * math.exp(rng.gauss(0, 0.2)), "stable": rng.choice([1.0, math.exp(rng.gauss(0, 0.2))])}
            for _ in range(looks)
        ]
    else:
        gate = {"metric": "latency", "judge": kind}
        if kind == "kayenta":
            gate["better"] = rng.choice(["lower", "higher"])
        elif rng.random() < 0.5:
            document["horizon"] = rng.choice([1, 3, 6])
        shift, document["looks"] = rng.choice([1, 1, 1.1, 1.5]), []
        for _ in range(rng.randint(1, 4)):
            n, m = rng.choice([(8, 8), (4, 9), (9, 3), (13, 12), (30, 25), (rng.randint(3, 40), rng.randint(3, 40))])
            digits = rng.choice([1, 6])
            draw = lambda count, scale: [round(scale * math.exp(rng.gauss(1, 0.3)), digits) for _ in range(count)]
            document["looks"].append({"candidate": draw(n, shift), "stable": draw(m, 1)})
    return document | {"gate": gate}


KINDS = [
    "ratio", "both", "limit", "final", "latency", "sign", "t", "mann_whitney", "kayenta", "shape", "strata", "text",
]


def compare(got, want, place=""):
    """The first place where `got` is not what `want` asks for, or None."""
    if isinstance(want, dict):
        return next((bad for key in want if (bad := compare(got.get(key, "nothing"), want[key], f"{place}.{key}"))), None)
    if isinstance(want, list):
        if len(got) != len(want):
            return f"{place}: {len(got)} elements, not {len(want)}"
        return next((bad for i, (g, w) in enumerate(zip(got, want)) if (bad := compare(g, w, f"{place}[{i}]"))), None)
    if isinstance(want, tuple):
        return None if want[0] - 1e-3 <= got <= want[1] + 1e-3 else f"{place}: {got}, not in {want}"
    if isinstance(want, (int, float)) and isinstance(got, (int, float)) and not isinstance(want, bool):
        return None if abs(got - want) <= 1e-9 * max(1, abs(want)) else f"{place}: {got}, not {want}"
    if want is None and place.endswith("classification"):
        return None
    return None if got == want else f"{place}: {got!r}, not {want!r}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["golden", "check"])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    args, command = parser.parse_args(words[:cut]), words[cut + 1 :]
    rng = random.Random(args.seed)
    if args.verb == "golden":
        documents = [random_document(rng, kind) for kind in KINDS for _ in range(4)]
        print("[")
        for i, document in enumerate(documents):
            line = json.dumps({"document": document, "want": replay(document)}, separators=(",", ":"))
            print(line + ("," if i + 1 < len(documents) else ""))
        print("]")
        return 0
    bad = 0
    for number in range(args.count):
        document = random_document(rng, KINDS[number % len(KINDS)])
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(document, file)
            file.flush()
            run = subprocess.run([*command, file.name], capture_output=True, text=True, check=False)
        why = run.stderr.strip() if run.returncode else compare(json.loads(run.stdout), replay(document))
        if why:
            bad += 1
            print(f"{number}: {why}\n  {json.dumps(document)}", file=sys.stderr)
    print(f"{args.count - bad} of {args.count} agree")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
