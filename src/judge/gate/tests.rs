#![expect(clippy::unreachable, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::judge::counts::Boundary;
use crate::judge::series::Difference;

fn gate(json: &str) -> Gate {
    serde_json::from_str(json).unwrap()
}

fn refusal(json: &str) -> String {
    serde_json::from_str::<Gate>(json).unwrap_err().to_string()
}

fn count(json: &str) -> CountRule {
    let Rule::Count(rule) = gate(json).rule().clone() else { unreachable!("{json}") };
    rule
}

fn boundaries(fail: (f64, f64), pass: (f64, f64)) -> Option<Boundaries> {
    let boundary = |(ratio, abs)| Boundary { ratio, abs };
    Some(Boundaries { fail: boundary(fail), pass: boundary(pass) })
}

#[test]
fn max_increase_sets_both_boundaries_and_each_may_have_its_own() {
    let both = r#"{"metric":"error_rate","max":"1%","max_increase":{"ratio":1.5,"abs":"0.1%"}}"#;
    assert_eq!(count(both).boundaries, boundaries((1.5, 0.001), (1.5, 0.001)));
    assert_eq!(count(both).limit.unwrap().share(), 0.01);
    let own = r#"{"metric":"error_rate","max_increase":{"ratio":1.5,"abs":"0.1%"},"fail":{"ratio":1.0,"abs":0}}"#;
    assert_eq!(count(own).boundaries, boundaries((1.0, 0.0), (1.5, 0.001)));
    assert_eq!(count(own).limit, None);
}

#[test]
fn the_boundary_that_is_not_given_has_a_default() {
    let fail = r#"{"metric":"error_rate","fail":{"ratio":1.2}}"#;
    assert_eq!(count(fail).boundaries, boundaries((1.2, 0.0), (1.5, 0.001)));
    let pass = r#"{"metric":"error_rate","pass":{"ratio":2,"abs":0.005}}"#;
    assert_eq!(count(pass).boundaries, boundaries((1.0, 0.0), (2.0, 0.005)));
    assert_eq!(count(r#"{"metric":"error_rate"}"#).boundaries, boundaries((1.0, 0.0), (1.5, 0.001)));
    assert_eq!(count(r#"{"metric":"error_rate","max":0.01}"#).boundaries, None);
    let higher = count(r#"{"name":"conversion","better":"higher","fail":{"ratio":0.98}}"#);
    assert_eq!(higher.boundaries, boundaries((0.98, 0.0), (1.0 / 1.5, 0.0)));
}

#[test]
fn latency_and_series_have_their_own_keys() {
    let latency = gate(r#"{"metric":"latency","quantile":0.95,"max":"300ms"}"#);
    assert!(matches!(latency.rule(), Rule::Latency(LatencyRule { threshold: Some(0.3), quantile: 0.95, .. })));
    let carbon = gate(r#"{"name":"carbon","query":"q","unit":"g","max":12.0,"advisory":true}"#);
    assert!(matches!(carbon.rule(), Rule::Series(SeriesRule { max: Some(12.0), statistic: SeriesStatistic::T, .. })));
    assert!(carbon.is_advisory() && carbon.name() == "carbon" && carbon.unit() == Some("g"));
    let sign = gate(r#"{"metric":"latency","judge":"sign","tolerance":"5%","difference":"log"}"#);
    let Rule::Series(rule) = sign.rule() else { unreachable!() };
    assert_eq!((rule.tolerance, rule.pass_tolerance, rule.difference), (0.05, 0.1, Difference::Log));
}

#[test]
fn refuses_what_makes_no_sense_and_says_what_is_allowed() {
    for (json, hint) in [
        (r"{}", "metric"),
        (r#"{"metric":"error_rate","maximum":1}"#, "unknown field"),
        (r#"{"metric":"error_rate","max":"101%"}"#, "between 0 and 1"),
        (r#"{"metric":"error_rate","max":0}"#, "between 0 and 1"),
        (r#"{"metric":"error_rate","max":true}"#, "a number, or text"),
        (r#"{"metric":"error_rate","max":"300ms"}"#, "a share"),
        (r#"{"metric":"error_rate","fail":{"ratio":0}}"#, "ratio"),
        (r#"{"metric":"error_rate","fail":{"ratio":1,"abs":"200%"}}"#, "abs"),
        (r#"{"metric":"error_rate","fail":{"rato":1}}"#, "unknown field"),
        (r#"{"metric":"error_rate","quantile":0.9}"#, "latency"),
        (r#"{"metric":"error_rate","tolerance":0.1}"#, "judge"),
        (r#"{"metric":"error_rate","better":"bigger"}"#, "lower"),
        (r#"{"metric":"latency","max":"300ms"}"#, "quantile"),
        (r#"{"metric":"latency","quantile":95,"max":"300ms"}"#, "between 0 and 1"),
        (r#"{"metric":"latency","quantile":0.95,"max":300}"#, "unit"),
        (r#"{"metric":"latency","quantile":0.95}"#, "max"),
        (r#"{"metric":"latency","quantile":0.95,"max":"0ms"}"#, "above 0"),
        (r#"{"metric":"latency","judge":"z"}"#, "mann_whitney"),
        (r#"{"metric":"latency","judge":"t","fail":{"ratio":1}}"#, "tolerance"),
        (r#"{"metric":"latency","judge":"t","tolerance":-0.1}"#, "from 0"),
        (r#"{"metric":"latency","judge":"kayenta","max":1}"#, "stable"),
        (r#"{"metric":"latency","judge":"t","max":1,"tolerance":0.1}"#, "stable"),
        (r#"{"metric":"requests"}"#, "judge"),
        (r#"{"metric":"error_rate","kayenta":{}}"#, "judge = \"kayenta\""),
        (r#"{"name":"x","query":"q","judge":"t","kayenta":{}}"#, "judge = \"kayenta\""),
        (r#"{"name":"x","query":"q","judge":"kayenta","kayenta":{"strategy":"keep"}}"#, "unknown field"),
        (r#"{"name":"x","query":"q","judge":"kayenta","kayenta":{"direction":"up"}}"#, "increase"),
        (r#"{"name":"x","query":"q","judge":"kayenta","kayenta":{"group":" "}}"#, "`group` is empty"),
        (r#"{"name":"x","query":"q","judge":"kayenta","better":"lower","kayenta":{"direction":"either"}}"#, "`better`"),
        (r#"{"name":"x","query":"q","judge":"kayenta","tolerance":0.1,"kayenta":{"effect_size":{}}}"#, "`tolerance`"),
        (
            r#"{"name":"x","query":"q","judge":"kayenta","kayenta":{"effect_size":{"measure":"cles","allowed_increase":2}}}"#,
            "from 0 to 1",
        ),
        (
            r#"{"name":"x","query":"q","judge":"kayenta","kayenta":{"effect_size":{"critical_increase":2}}}"#,
            "critical = true",
        ),
    ] {
        let message = refusal(json);
        assert!(message.contains(hint), "{json}: {message}");
    }
}

#[test]
fn scores_are_compared_as_whole_histograms() {
    let psi = gate(r#"{"name":"score","scores":"s{v=\"{{revision}}\"}","max_psi":0.2}"#);
    assert_eq!((psi.rule(), psi.tells_requests()), (&Rule::Drift(0.2), false));
    let shape = gate(r#"{"name":"score","scores":"s","max_increase":{"ratio":1.2,"abs":"1%"}}"#);
    let boundary = Boundary { ratio: 1.2, abs: 0.01 };
    let both = Boundaries { fail: boundary, pass: boundary };
    assert_eq!(shape.rule(), &Rule::Shape(ShapeRule { boundaries: both, both_tails: true }));
    for (json, hint) in [
        (r#"{"name":"score","scores":"s"}"#, "max_psi = 0.2"),
        (r#"{"name":"score","scores":"s","judge":"shape"}"#, "max_psi = 0.2"),
        (r#"{"name":"score","scores":" ","max_psi":0.2}"#, "empty"),
        (r#"{"scores":"s","max_psi":0.2}"#, "`name`"),
        (r#"{"name":"score","scores":"s","max_psi":0}"#, "from 1e-6"),
        (r#"{"name":"score","scores":"s","max_psi":1e999}"#, "number out of range"),
        (r#"{"name":"score","scores":"s","max_psi":0.2,"fail":{"ratio":2}}"#, "give it alone"),
        (r#"{"name":"score","scores":"s","max_psi":0.2,"judge":"shape"}"#, "give it alone"),
        (r#"{"name":"score","scores":"s","max_psi":0.2,"judge":"t"}"#, "`judge` does not go"),
        (r#"{"name":"score","scores":"s","max_psi":0.2,"max":1}"#, "`max` does not go"),
        (r#"{"metric":"latency","scores":"s","max_psi":0.2}"#, "name"),
        (r#"{"name":"score","query":"q","max_psi":0.2}"#, "`scores`"),
        (r#"{"name":"score","requests":"a","events":"b","scores":"s"}"#, "`scores` does not go"),
        (r#"{"alarms":["a"],"scores":"s"}"#, "`scores` says nothing"),
        (r#"{"alarms":["a"],"max_psi":0.1}"#, "`max_psi` says nothing"),
    ] {
        let message = refusal(json);
        assert!(message.contains(hint), "{json}: {message}");
    }
}

#[test]
fn strata_are_of_counts_that_are_compared() {
    assert_eq!(gate(r#"{"metric":"error_rate","strata":"region"}"#).strata(), Some("region"));
    let latency =
        r#"{"metric":"latency","quantile":0.95,"max":"300ms","max_increase":{"ratio":1.5},"strata":"region"}"#;
    assert_eq!(gate(latency).strata(), Some("region"));
    for (json, hint) in [
        (r#"{"metric":"error_rate","strata":" "}"#, "empty"),
        (r#"{"metric":"error_rate","max":"1%","strata":"region"}"#, "compared with stable"),
        (r#"{"name":"q","query":"q","judge":"t","strata":"region"}"#, "no `judge`"),
        (r#"{"metric":"latency","judge":"shape","strata":"region"}"#, "no `judge`"),
        (r#"{"name":"score","scores":"s","max_psi":0.2,"strata":"region"}"#, "`strata` does not go"),
        (r#"{"alarms":["a"],"strata":"region"}"#, "`strata` says nothing"),
    ] {
        let message = refusal(json);
        assert!(message.contains(hint), "{json}: {message}");
    }
}

#[test]
fn a_gate_is_written_as_it_was_read() {
    let json = r#"{"metric":"error_rate","max":"1%","fail":{"ratio":1.0,"abs":0.0},"better":"lower","advisory":false}"#;
    assert_eq!(serde_json::to_string(&gate(json)).unwrap(), json);
}

#[test]
fn warns_of_a_gap_between_the_boundaries() {
    let gap = gate(r#"{"metric":"error_rate","fail":{"ratio":2},"pass":{"ratio":1}}"#);
    assert_eq!(gap.warnings().len(), 1);
    assert!(gate(r#"{"metric":"error_rate","max_increase":{"ratio":2}}"#).warnings().is_empty());
}

#[test]
fn a_minimum_is_a_limit_of_what_is_better_higher() {
    let count = |json: &str| match serde_json::from_str::<Gate>(json).unwrap().rule() {
        Rule::Count(rule) => {
            (rule.better, rule.limit.map(|limit| (limit.share() * 1e9).round() / 1e9), rule.boundaries)
        }
        Rule::Alarms | Rule::Drift(_) | Rule::Latency(_) | Rule::Samples(_) | Rule::Series(_) | Rule::Shape(_) => {
            unreachable!("{json}")
        }
    };
    assert_eq!(count(r#"{"metric": "error_rate", "min": "2%"}"#), (Better::Higher, Some(0.02), None));
    assert_eq!(count(r#"{"metric": "availability", "min": "99.9%"}"#), (Better::Lower, Some(0.001), None));
    assert!(count(r#"{"metric": "availability"}"#).2.is_some());
}

#[test]
fn refuses_keys_that_contradict_each_other() {
    for (json, want) in [
        (r#"{"metric": "error_rate", "min": "1%", "max": "2%"}"#, "min: give `max`"),
        (r#"{"metric": "error_rate", "min": "1%", "better": "lower"}"#, "min: what is better lower"),
        (r#"{"metric": "availability", "max": "1%"}"#, "availability is better higher"),
        (r#"{"metric": "availability", "min": "100%"}"#, "min: a limit on a rate"),
        (r#"{"metric": "latency", "quantile": 0.9, "max": "1s", "min": "1s"}"#, "min: a latency gate"),
        (r#"{"metric": "error_rate", "judge": "shape"}"#, "judge: shape compares histograms"),
        (r#"{"metric": "latency", "judge": "shape", "max": "1s"}"#, "judge: shape compares all"),
        (r#"{"metric": "error_rate", "max": "1%", "alpha": "0%"}"#, "alpha: an error level"),
        (r#"{"metric": "error_rate", "max": "1%", "alpha": 0.1, "advisory": true}"#, "alpha: an advisory gate"),
        (r#"{"metric": "error_rate", "max": "1%", "final_look": true}"#, "final_look: the exact test"),
        (r#"{"metric": "error_rate", "fail": {"abs": 0.01}, "final_look": true}"#, "final_look: the exact test"),
    ] {
        let refused = serde_json::from_str::<Gate>(json).unwrap_err().to_string();
        assert!(refused.starts_with(want), "{json}: {refused}");
    }
}

#[test]
fn what_instances_lack_is_judged_by_signs_against_a_limit() {
    let rule = |json: &str| {
        let gate = gate(json);
        let Rule::Series(rule) = gate.rule() else { unreachable!("{json}") };
        *rule
    };
    for (json, better, difference, limit) in [
        (r#"{"metric":"memory_headroom","min":"20%"}"#, Better::Higher, Difference::Plain, 0.2),
        (r#"{"metric":"gpu_memory_headroom","min":0.1,"better":"higher"}"#, Better::Higher, Difference::Plain, 0.1),
        (r#"{"metric":"instance_startup","max":"90s"}"#, Better::Lower, Difference::Log, 90.0),
        (r#"{"metric":"pending_requests","max":0.5}"#, Better::Lower, Difference::Plain, 0.5),
    ] {
        let rule = rule(json);
        assert_eq!(
            (rule.statistic, rule.better, rule.difference),
            (SeriesStatistic::Sign, better, difference),
            "{json}"
        );
        assert_eq!(rule.max, Some(limit), "{json}");
        assert!(gate(json).is_valued());
    }
    // Against stable, by a judge.
    let against = rule(r#"{"metric":"gpu_headroom","judge":"t","tolerance":"5%","pass_tolerance":"20%"}"#);
    assert_eq!((against.better, against.max), (Better::Higher, None));
    assert_eq!((against.tolerance, against.pass_tolerance), (0.05, 0.2));
    let ranks = gate(r#"{"metric":"cpu_headroom","judge":"mann_whitney"}"#);
    assert!(matches!(ranks.rule(), Rule::Samples(SampleRule { better: Better::Higher, .. })));
    assert_eq!(gate(r#"{"metric":"instance_startup","max":"2m"}"#).unit(), Some("s"));
    for (json, want) in [
        (r#"{"metric":"memory_headroom"}"#, "metric: memory_headroom is one number per window: give it a limit, `min`"),
        (r#"{"metric":"memory_headroom","max":"20%"}"#, "max: memory_headroom is better higher: it takes `min`"),
        (r#"{"metric":"memory_headroom","min":"120%"}"#, "min: a limit of memory_headroom is a share between 0 and 1"),
        (r#"{"metric":"memory_headroom","min":1}"#, "min: a limit of memory_headroom is a share between 0 and 1"),
        (r#"{"metric":"memory_headroom","min":"20%","better":"lower"}"#, "better: memory_headroom is the other way"),
        (r#"{"metric":"instance_startup","max":30}"#, "max: a duration is text with a unit"),
        (r#"{"metric":"instance_startup","min":"3s"}"#, "min: instance_startup is better lower: it takes `max`"),
        (r#"{"metric":"pending_requests","max":0}"#, "max: a limit of pending_requests is a number above 0"),
        (r#"{"metric":"pending_requests","max":"10s"}"#, "max: a limit of pending_requests is a number, as 10"),
        (r#"{"metric":"pending_requests","max":5,"max_increase":{"ratio":2}}"#, "`max_increase` is for counts"),
        (r#"{"metric":"pending_requests","max":5,"quantile":0.9}"#, "`quantile` belongs"),
        (r#"{"metric":"pending_requests","max":5,"two_sided":true}"#, "two_sided: "),
        (r#"{"metric":"pending_requests","max":5,"final_look":true}"#, "final_look: "),
        (r#"{"metric":"gpu_headroom","judge":"shape"}"#, "judge: shape compares histograms"),
    ] {
        let refused = refusal(json);
        assert!(refused.starts_with(want), "{json}: {refused}");
    }
}

#[test]
fn alarms_are_named_and_take_nothing_else() {
    let alarms = gate(r#"{"alarms":["too slow","errors"]}"#);
    assert_eq!((alarms.name(), alarms.rule(), alarms.metric()), ("alarms", &Rule::Alarms, None));
    assert_eq!(alarms.alarms().unwrap(), ["too slow", "errors"]);
    assert!(!alarms.spends_alpha() && !alarms.is_advisory() && alarms.warnings().is_empty());
    let written = r#"{"name":"pager","alarms":["a"],"advisory":true}"#;
    assert_eq!(serde_json::to_string(&gate(written)).unwrap(), written);
    assert_eq!(gate(written).name(), "pager");
    for (json, want) in [
        (r#"{"alarms":[]}"#, "alarms: the list is empty"),
        (r#"{"alarms":["a"," "]}"#, "alarms: ` ` is no name"),
        (r#"{"alarms":["a\nb"]}"#, "alarms: `a\\nb` is no name"),
        (r#"{"alarms":["a","a"]}"#, "alarms: `a` is named twice"),
        (r#"{"alarms":"a"}"#, "invalid type: string"),
        (r#"{"alarms":["a"],"metric":"error_rate"}"#, "`metric` says nothing about alarms"),
        (r#"{"alarms":["a"],"max":1}"#, "`max` says nothing about alarms"),
        (r#"{"alarms":["a"],"alpha":"1%"}"#, "`alpha` says nothing about alarms"),
        (r#"{"alarms":["a"],"two_sided":true}"#, "`two_sided` says nothing about alarms"),
    ] {
        let refused = refusal(json);
        assert!(refused.starts_with(want), "{json}: {refused}");
    }
}

#[test]
fn a_share_of_ones_own_is_counted_by_two_queries() {
    let json = r#"{"name":"conversion","requests":"v{}","events":"o{}","better":"higher","fail":{"ratio":0.95}}"#;
    let conversion = count(json);
    assert_eq!((conversion.better, conversion.boundaries), (Better::Higher, boundaries((0.95, 0.0), (1.0 / 1.5, 0.0))));
    assert_eq!((gate(json).ratio(), gate(json).name()), (Some(("v{}", "o{}")), "conversion"));
    for (json, want) in [
        (r#"{"name":"c","requests":"v"}"#, "requests: `events` is missing"),
        (r#"{"name":"c","events":"v"}"#, "events: `requests` is missing"),
        (r#"{"name":"c","requests":" ","events":"v"}"#, "requests: it is empty"),
        (r#"{"name":"c","requests":"v","events":"v "}"#, "events: the same as `requests`"),
        (r#"{"metric":"error_rate","requests":"v","events":"o"}"#, "requests: counts of your own need a `name`"),
        (r#"{"name":"c","metric":"error_rate","requests":"v","events":"o"}"#, "`metric` does not go with"),
        (r#"{"name":"c","query":"q","requests":"v","events":"o"}"#, "`query` does not go with"),
        (r#"{"name":"c","judge":"t","requests":"v","events":"o"}"#, "`judge` does not go with"),
        (r#"{"alarms":["a"],"requests":"v","events":"o"}"#, "`requests` says nothing about alarms"),
    ] {
        let refused = refusal(json);
        assert!(refused.starts_with(want), "{json}: {refused}");
    }
}
