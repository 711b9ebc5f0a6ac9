//! Windows and series in as few requests as CloudWatch allows.

use std::collections::{BTreeMap, BTreeSet};

use mlroll_backend::Window;

use super::series::{Place, Series};

/// Series in one `GetMetricData` (CloudWatch API model).
const MOST_SERIES: usize = 500;

/// Points in one answer; more come in pages, which are no cheaper than requests (CloudWatch API model).
const MOST_POINTS: usize = 100_800;

/// One `GetMetricData`, but for its pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) region: String,
    pub(super) first: Window,
    pub(super) last: Window,
    pub(super) series: Vec<Series>,
}

/// What to send so that every series is read over every window, each once.
pub(super) fn batches(series: BTreeSet<Series>, windows: &[Window]) -> Vec<Batch> {
    let mut by_region: BTreeMap<String, Vec<Series>> = BTreeMap::new();
    for series in series {
        let Place { region, .. } = &series.place;
        by_region.entry(region.clone()).or_default().push(series);
    }
    let runs = runs(windows);
    let mut batches = Vec::new();
    for (region, series) in &by_region {
        for (first, last) in &runs {
            let points = last.end().since(first.start()).as_secs() / first.length().as_secs().max(1);
            let points = usize::try_from(points).unwrap_or(usize::MAX);
            let most = (MOST_POINTS / points.max(1)).clamp(1, MOST_SERIES);
            batches.extend(series.chunks(most).map(|series| Batch {
                region: region.clone(),
                first: *first,
                last: *last,
                series: series.to_vec(),
            }));
        }
    }
    batches
}

/// Windows of one length that adjoin: the first and the last of each such row.
fn runs(windows: &[Window]) -> Vec<(Window, Window)> {
    let mut sorted = windows.to_vec();
    sorted.sort_by_key(|window| (window.length(), window.start()));
    sorted.dedup();
    let mut runs: Vec<(Window, Window)> = Vec::new();
    for window in sorted {
        match runs.last_mut() {
            Some((_, last)) if last.length() == window.length() && last.end() == window.start() => *last = window,
            Some(_) | None => runs.push((window, window)),
        }
    }
    runs
}
