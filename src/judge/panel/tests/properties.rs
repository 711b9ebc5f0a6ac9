//! Gates of every kind judged together: stored at any moment, and in any order.

use super::*;

/// What a gate reads.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reads {
    Alarms,
    Counts,
    /// Counts or histograms by parts of the traffic.
    Parts,
    Histograms,
    Values,
}

/// A gate of each kind of evidence that there is.
const EVERY: [(&str, Reads); 20] = [
    (ERRORS, Reads::Counts),
    (LIMIT, Reads::Counts),
    (r#"{"metric": "error_rate", "fail": {"ratio": 1.0}, "pass": {"ratio": 1.5}, "final_look": true}"#, Reads::Counts),
    (r#"{"metric": "error_rate", "fail": {"ratio": 1.2}, "pass": {"ratio": 1.5}, "two_sided": true}"#, Reads::Counts),
    (r#"{"name": "limit", "metric": "error_rate", "max": "2%", "advisory": true}"#, Reads::Counts),
    (CONVERSION, Reads::Counts),
    (BY_REGION, Reads::Parts),
    (
        r#"{"metric": "latency", "quantile": 0.95, "max": "300ms", "max_increase": {"ratio": 1.5}, "strata": "region"}"#,
        Reads::Parts,
    ),
    (SLOW, Reads::Histograms),
    (r#"{"metric": "latency", "judge": "shape"}"#, Reads::Histograms),
    (r#"{"name": "p90", "metric": "latency", "quantile": 0.9, "judge": "sign"}"#, Reads::Histograms),
    (r#"{"name": "psi", "scores": "s", "max_psi": 0.1}"#, Reads::Histograms),
    (
        r#"{"name": "both", "scores": "s", "max_increase": {"ratio": 1.2, "abs": "1%"}, "advisory": true}"#,
        Reads::Histograms,
    ),
    (CARBON, Reads::Values),
    (MEMORY, Reads::Values),
    (r#"{"name": "sign", "query": "q", "judge": "sign"}"#, Reads::Values),
    (r#"{"name": "t", "query": "q", "judge": "t"}"#, Reads::Values),
    (r#"{"name": "ranks", "query": "q", "judge": "mann_whitney"}"#, Reads::Values),
    (r#"{"name": "kayenta", "query": "q", "judge": "kayenta", "advisory": true}"#, Reads::Values),
    (ALARMS, Reads::Alarms),
];

/// Of one look: the requests of both, and how each gate's evidence comes about.
type Look = ((f64, f64), Vec<(f64, f64)>);

const PARTS: [&str; 3] = ["", "eu", "us"];

/// What a gate that reads so is told, where these shares of the requests are bad; parts are called by `names`.
fn told((json, reads): (&str, Reads), (candidate, stable): (f64, f64), bad: (f64, f64), names: [&str; 3]) -> Evidence {
    let histogram = |n: f64, bad: f64| {
        let buckets = vec![(0.1, n * (1.0 - bad) / 2.0), (0.3, n * (1.0 - bad)), (1.0, n * (1.0 - bad / 2.0))];
        Sample::Histogram(Histogram::new([buckets, vec![(f64::INFINITY, n)]].concat()).unwrap())
    };
    let counted = |n: f64, bad: f64| Sample::counts(n, n * bad);
    let of_latency = json.contains("latency");
    let parts = |n: f64, bad: f64| {
        let of = |(name, share): (&str, f64)| {
            let (n, bad) = (n * share, (bad * (0.5 + share)).min(1.0));
            (name.to_owned(), if of_latency { histogram(n, bad) } else { counted(n, bad) })
        };
        Sample::Strata(names.into_iter().zip([0.5, 0.375, 0.125]).map(of).collect())
    };
    let side = |n: f64, bad: f64| match reads {
        Reads::Alarms => Sample::value(f64::from(u8::from(bad > 0.995))),
        Reads::Counts => counted(n, bad),
        Reads::Histograms => histogram(n, bad),
        Reads::Parts => parts(n, bad),
        Reads::Values => Sample::value(bad),
    };
    Evidence { candidate: side(candidate, bad.0), stable: side(stable, bad.1) }
}

/// Steps of ten looks, so that planned looks are taken.
const SHORT: Risk = Risk { alpha: 0.01, beta: 0.05, horizon: 20, step_looks: 10, steps: 2 };

fn panel_of(gates: &[usize]) -> Panel {
    let effect = Some(DesignEffect::NONE);
    let prelude = |at: usize| Prelude { effect, in_blocks: at % 2 == 1, ..Prelude::default() };
    let gates = gates.iter().map(|at| (gate(EVERY[*at].0), prelude(*at))).collect();
    let mut panel = Panel::guarding(gates, SHORT).unwrap();
    panel.begin(0.1);
    panel
}

/// Some of the gates, in any order.
fn some_gates() -> impl Strategy<Value = Vec<usize>> {
    prop::sample::subsequence((0..EVERY.len()).collect::<Vec<_>>(), 1..7).prop_shuffle()
}

/// Looks for six gates; in some nobody comes.
fn looks() -> impl Strategy<Value = Vec<Look>> {
    let requests = prop_oneof![8 => (1.0..5e3, 1.0..5e4), 1 => Just((0.0, 0.0)), 1 => Just((0.0, 900.0))];
    let share = || prop_oneof![4 => 0.0..0.05f64, 1 => 0.0..=1.0f64, 1 => Just(0.0)];
    prop::collection::vec((requests, prop::collection::vec((share(), share()), 6)), 1..40)
}

fn evidence_of(gates: &[usize], (requests, bad): &Look, names: [&str; 3]) -> Vec<Evidence> {
    gates.iter().zip(bad).map(|(at, bad)| told(EVERY[*at], *requests, *bad, names)).collect()
}

/// Findings with each gate's numbers bit for bit, by gate.
fn by_gate(gates: &[usize], panel: &Panel) -> std::collections::BTreeMap<usize, String> {
    gates.iter().copied().zip(panel.findings().iter().map(|finding| format!("{finding:?}"))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any gates, any step, any window lost, stored after any look and read again.
    #[test]
    fn any_panel_that_was_stored_rules_as_the_one_that_was_not(
        gates in some_gates(), looks in looks(), at in any::<prop::sample::Index>(), step in any::<prop::sample::Index>(),
        other in prop::collection::vec(prop::option::weighted(0.05, evidence()), 240),
    ) {
        let (at, step) = (at.index(looks.len()), step.index(looks.len()));
        let mut whole = panel_of(&gates);
        let mut stored = whole.clone();
        let mut other = other.into_iter();
        for (n, look) in looks.iter().enumerate() {
            if n == step {
                whole.begin(0.5);
                stored.begin(0.5);
            }
            if n == at {
                let text = serde_json::to_string(&stored).unwrap();
                stored = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(serde_json::to_string(&stored).unwrap(), text);
            }
            let told = evidence_of(&gates, look, PARTS).into_iter();
            let told: Vec<Evidence> = told.map(|told| other.next().flatten().unwrap_or(told)).collect();
            let ruling = whole.look(&told);
            prop_assert_eq!(ruling, stored.look(&told));
            prop_assert_eq!(whole.deciding(ruling), stored.deciding(ruling));
        }
        prop_assert_eq!(&whole, &stored);
        prop_assert_eq!(by_gate(&gates, &whole), by_gate(&gates, &stored));
        for finding in whole.findings() {
            prop_assert!(!finding.ln_e_fail.is_nan() && !finding.ln_e_pass.is_nan());
        }
    }

    /// In which order gates stand in the file decides nothing.
    #[test]
    fn the_order_of_gates_is_irrelevant(
        gates in some_gates(), turned in any::<prop::sample::Index>(), mirrored in any::<bool>(), looks in looks(),
    ) {
        let turned = turned.index(gates.len());
        let order = |of: &mut Vec<usize>| {
            of.rotate_left(turned);
            if mirrored { of.reverse() }
        };
        let (mut places, mut other) = ((0..gates.len()).collect::<Vec<_>>(), gates.clone());
        order(&mut places);
        order(&mut other);
        let (mut ours, mut theirs) = (panel_of(&gates), panel_of(&other));
        for look in &looks {
            let evidence = evidence_of(&gates, look, PARTS);
            let turned: Vec<Evidence> = places.iter().map(|at| evidence[*at].clone()).collect();
            prop_assert_eq!(ours.look(&evidence), theirs.look(&turned));
        }
        prop_assert_eq!(by_gate(&gates, &ours), by_gate(&other, &theirs));
    }

    /// Nor do the names of the parts of the traffic, which are looked at in their order.
    #[test]
    fn the_order_of_parts_is_irrelevant(looks in looks(), names in Just(PARTS.to_vec()).prop_shuffle()) {
        let gates: Vec<usize> = (0..EVERY.len()).filter(|at| EVERY[*at].1 == Reads::Parts).collect();
        let names = [names[0], names[1], names[2]];
        let (mut ours, mut theirs) = (panel_of(&gates), panel_of(&gates));
        for look in &looks {
            ours.look(&evidence_of(&gates, look, PARTS));
            theirs.look(&evidence_of(&gates, look, names));
        }
        for (ours, theirs) in ours.findings().into_iter().zip(theirs.findings()) {
            for (ours, theirs) in [(ours.ln_e_fail, theirs.ln_e_fail), (ours.ln_e_pass, theirs.ln_e_pass)] {
                prop_assert!((ours - theirs).abs() <= 1e-9 * ours.abs().max(1.0), "{} {}", ours, theirs);
            }
            prop_assert_eq!(ours.looks, theirs.looks);
        }
    }
}
