//! What the instances of a deployment use, while it has requests.

use std::collections::BTreeMap;

use mlroll_backend::Resource as Part;
use serde_json::Value;

use super::filter::Values;
use super::metric::INSTANCE;
use super::question::Question;
use super::series::{Group, Users, point, rendered};
use crate::scenario::Instances;

/// By how much less of the most each next instance uses; the last ones use half of it.
const LESS: f64 = 0.1;
/// What an instance uses on average in a minute, and at least, as shares of its most.
const MEAN: f64 = 0.9;
const LEAST: f64 = 0.8;

/// The most that instances use of something in a minute, in percent, by the series they are told in.
type Used = BTreeMap<Group, Vec<f64>>;

impl Users<'_> {
    /// The `timeseries` of what is used of a part.
    pub(super) fn used(&mut self, question: &Question, part: Part) -> Vec<Value> {
        let used = self.instances(question, part);
        let visible = self.visible();
        let mut points: BTreeMap<Group, Vec<Value>> = BTreeMap::new();
        if question.filter.is_none() {
            // Without a filter there is one series, also of nothing.
            points.entry(Vec::new()).or_default();
        }
        points.extend(used.keys().map(|group| (group.clone(), Vec::new())));
        let mut at = question.from;
        while at < question.until {
            let end = at.saturating_add(question.interval).min(question.until);
            let busy = self.is_busy(at, end.min(visible));
            for (group, points) in &mut points {
                let most = used.get(group).filter(|_| busy).map_or(&[][..], Vec::as_slice);
                let values =
                    question.aggregations.iter().filter_map(|name| Some((name.to_ascii_lowercase(), of(name, most)?)));
                points.push(point(at, values));
            }
            at = end;
        }
        let shown = points.into_iter().map(|(group, points)| rendered(group, points));
        shown.take(if question.filter.is_some() { question.top } else { 1 }).collect()
    }

    /// What each instance that is asked about uses at most.
    fn instances(&self, question: &Question, part: Part) -> Used {
        let behaviour = self.target.as_ref().zip(self.revisions.first());
        let behaviour = behaviour.and_then(|(target, revision)| self.traffic.behaviour(target, revision)?.instances);
        let Some(fullest) = behaviour.and_then(|instances| of_fullest(&instances, part)) else { return Used::new() };
        let mut used = Used::new();
        for n in 0..self.instances {
            let name = format!("instance-{n}");
            let mut named = question.filter.iter().flatten();
            let meant = named.all(|(dimension, values)| *dimension == INSTANCE && Values::has(values, &name));
            if meant {
                let split = question.filter.iter().flatten().map(|(dimension, _)| (*dimension, name.clone()));
                let most = 100.0 * fullest * (1.0 - LESS * n as f64).max(0.5);
                used.entry(split.collect()).or_default().push(most);
            }
        }
        used
    }

    /// Whether there were requests.
    fn is_busy(&mut self, from: i64, until: i64) -> bool {
        let Some((target, revision)) = self.target.as_ref().zip(self.revisions.first()) else { return false };
        from < until && self.traffic.between(target, revision, from, until).requests > 0
    }
}

/// The share that the fullest instance uses; `None` where it has nothing of it.
fn of_fullest(instances: &Instances, part: Part) -> Option<f64> {
    match part {
        Part::Cpu => Some(instances.cpu),
        Part::Gpu => Some(instances.gpu).filter(|_| instances.gpu > 0.0),
        Part::GpuMemory => Some(instances.gpu_memory).filter(|_| instances.gpu > 0.0),
        Part::Memory => Some(instances.memory),
    }
}

/// An aggregation of what instances use, each of which uses less than its most at times.
fn of(aggregation: &str, most: &[f64]) -> Option<f64> {
    let largest = most.iter().copied().reduce(f64::max)?;
    Some(match aggregation {
        "Maximum" => largest,
        "Minimum" => most.iter().copied().fold(largest, f64::min) * LEAST,
        _ => most.iter().sum::<f64>() / most.len() as f64 * MEAN,
    })
}
