//! Several metrics, one decision (docs/judge.md section 3.8).

use super::math::log_sum_exp;

/// The FAIL evidence of one critical metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Critical {
    /// Its weight `v_m >= 0`; the weights are normalized to 1.
    pub weight: f64,
    /// `ln E` of its FAIL e-process.
    pub ln_e: f64,
}

/// The combined FAIL evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Combined {
    /// `ln` of the weighted mean of E. FAIL when it reaches `ln(1 / alpha)`.
    pub ln_e: f64,
    /// Index of the metric with the largest `v_m E_m`, the first one on a tie.
    pub cause: usize,
}

/// `E_bar = sum v_m E_m`: valid under any dependence between the metrics. `None` without a metric of positive weight.
///
/// Two-sided evidence (t tests) and p-values (rank tests) do not enter; each decides at `alpha v_m`.
#[must_use]
pub fn combine(metrics: &[Critical]) -> Option<Combined> {
    let total: f64 = metrics.iter().map(|m| m.weight.max(0.0)).sum();
    let terms = || {
        let positive = metrics.iter().enumerate().filter(|(_, m)| m.weight > 0.0);
        positive.map(move |(index, m)| (index, (m.weight / total).ln() + m.ln_e))
    };
    // Sorted, so that the order of the metrics changes no bit.
    let mut values: Vec<f64> = terms().map(|(_, term)| term).collect();
    values.sort_by(f64::total_cmp);
    let ln_e = log_sum_exp(values.iter().copied());
    let cause = terms().reduce(|best, next| if next.1 > best.1 { next } else { best })?.0;
    Some(Combined { ln_e, cause })
}

/// `ln` of the plain mean of E; 0 for none.
#[must_use]
pub fn ln_mean(ln_es: &[f64]) -> f64 {
    let metrics: Vec<Critical> = ln_es.iter().map(|ln_e| Critical { weight: 1.0, ln_e: *ln_e }).collect();
    combine(&metrics).map_or(0.0, |combined| combined.ln_e)
}

/// e-BH: the indices of the advisory metrics that changed, strongest first. The k largest with `E_(k) >= M / (alpha k)`.
#[must_use]
pub fn changed(ln_es: &[f64], alpha: f64) -> Vec<usize> {
    let mut order: Vec<(usize, f64)> = ln_es.iter().copied().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let needed = |k: usize| (ln_es.len() as f64 / (alpha * k as f64)).ln();
    let found = order.iter().zip(1..).filter(|((_, ln_e), k)| *ln_e >= needed(*k)).map(|(_, k)| k).last();
    order.into_iter().take(found.unwrap_or(0)).map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_mean_names_its_cause() {
        let metrics = [(0.0, 99.0), (1.0, 2.0), (3.0, 1.0)].map(|(weight, ln_e)| Critical { weight, ln_e });
        let combined = combine(&metrics).unwrap();
        assert!((combined.ln_e - (0.25 * 2f64.exp() + 0.75 * 1f64.exp()).ln()).abs() < 1e-12);
        assert_eq!(combined.cause, 2);
        assert_eq!(combine(&[]), None);
        assert_eq!(combine(&[Critical { weight: 0.0, ln_e: 1.0 }]), None);
    }

    #[test]
    fn e_bh_lists_the_strongest() {
        // M = 4, alpha = 0.05: 80, 40, 26.7, 20 are needed.
        let ln_es = [25f64.ln(), 90f64.ln(), 10f64.ln(), 27f64.ln()];
        assert_eq!(changed(&ln_es, 0.05), [1]);
        assert_eq!(changed(&[30f64.ln(), 90f64.ln(), 10f64.ln(), 27f64.ln()], 0.05), [1, 0, 3]);
        assert!(changed(&[], 0.05).is_empty());
    }

    proptest! {
        #[test]
        fn the_order_of_metrics_is_irrelevant(
            ln_es in proptest::collection::vec((0.1f64..5.0, -30f64..30.0), 1..8), turn in 0usize..8,
        ) {
            let metrics: Vec<Critical> =
                ln_es.into_iter().map(|(weight, ln_e)| Critical { weight: weight.round() + 1.0, ln_e }).collect();
            let mut turned = metrics.clone();
            turned.rotate_left(turn % metrics.len());
            let (one, other) = (combine(&metrics).unwrap(), combine(&turned).unwrap());
            prop_assert_eq!(one.ln_e.to_bits(), other.ln_e.to_bits());
        }

        #[test]
        fn never_worse_than_bonferroni(ln_es in proptest::collection::vec(-30f64..30.0, 1..8)) {
            let largest = ln_es.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(ln_mean(&ln_es) >= largest - (ln_es.len() as f64).ln() - 1e-12);
        }
    }
}
