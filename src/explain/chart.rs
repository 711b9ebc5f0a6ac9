//! How far a test was, look by look, in one line of characters.

/// From nothing to decided.
const LEVELS: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The most looks that get a character of their own.
const WIDTH: usize = 60;

/// One character a look, from `·` (nothing, or evidence for the opposite) to `█` (decided); of many looks several share one,
/// which shows the last of them. `parts` lie between 0 and 1.
pub(crate) fn chart(parts: &[f64]) -> String {
    let share = parts.len().div_ceil(WIDTH).max(1);
    parts.chunks(share).filter_map(|chunk| chunk.last()).map(|part| level(*part)).collect()
}

fn level(part: f64) -> char {
    let top = LEVELS.len() - 1;
    let part = if part.is_nan() { 0.0 } else { part };
    // Only what is decided is full.
    let level =
        if part >= 1.0 { top } else { (part.clamp(0.0, 1.0) * top as f64).ceil().min(top as f64 - 1.0) as usize };
    LEVELS.get(level).copied().unwrap_or('·')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_decided_is_full() {
        assert_eq!(chart(&[-1.0, 0.0, 0.01, 0.5, 0.9999, 1.0, f64::NAN]), "··▁▄▇█·");
    }

    #[test]
    fn many_looks_share_a_line_and_the_last_one_shows() {
        let mut parts = vec![0.0; 500];
        parts.push(1.0);
        let chart = chart(&parts);
        assert!(chart.chars().count() <= WIDTH && chart.ends_with('█'), "{chart}");
        assert_eq!(super::chart(&[]), "");
    }
}
