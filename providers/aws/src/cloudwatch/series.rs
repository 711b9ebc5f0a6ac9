//! One series of CloudWatch, and what was read of it.

use std::collections::BTreeMap;

use mlroll_backend::{Finite, Target, Why, Window};

use super::alarms::Alarm;

/// A metric, its dimensions and one statistic of it: what CloudWatch answers with one point a period, and bills.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    /// Where it is kept.
    pub(super) place: Place,
    pub(super) namespace: String,
    pub(super) metric: String,
    /// Matched exactly: fewer dimensions are another series.
    pub(super) dimensions: Vec<(String, String)>,
    /// Such as `Sum`, `p95`, `TC(300:)`.
    pub(super) statistic: String,
}

/// The region and, where the target names it, the account that a series is kept in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) region: String,
    pub(super) account: Option<String>,
}

impl Place {
    /// Where the metrics of a target are; `None` when CloudWatch does not have them.
    pub(super) fn of(target: &Target) -> Option<Self> {
        let (region, owner) = match target {
            Target::Lambda(alias) => (&alias.region, &alias.owner),
            Target::SageMaker(endpoint) => (&endpoint.region, &endpoint.owner),
            Target::AzureMl(_) | Target::CloudRun(_) => return None,
        };
        Some(Self { region: region.clone(), account: owner.as_ref().map(|owner| owner.account.clone()) })
    }
}

/// What was read of a series: points by the start of their period, in Unix seconds, or why there are none.
pub(super) type Reading = Result<BTreeMap<i64, f64>, Why>;

/// All that was read.
#[derive(Debug, Default)]
pub(super) struct Readings {
    series: BTreeMap<Series, Vec<(Window, Window, Reading)>>,
    /// By region and name.
    alarms: BTreeMap<(String, String), Result<Alarm, Why>>,
}

impl Readings {
    /// Adds what was read of a series between the first and the last of some adjoining windows.
    pub(super) fn add(&mut self, series: Series, first: Window, last: Window, reading: Reading) {
        self.series.entry(series).or_default().push((first, last, reading));
    }

    /// Adds what was read of an alarm.
    pub(super) fn add_alarm(&mut self, region: &str, name: &str, read: Result<Alarm, Why>) {
        self.alarms.insert((region.to_owned(), name.to_owned()), read);
    }

    /// An alarm of a region.
    pub(super) fn alarm(&self, region: &str, name: &str) -> Result<&Alarm, Why> {
        match self.alarms.get(&(region.to_owned(), name.to_owned())) {
            Some(Ok(alarm)) => Ok(alarm),
            Some(Err(why)) => Err(why.clone()),
            None => Err(Why::Partial { warning: format!("alarm {name} was not answered") }),
        }
    }

    /// The point of a window; `None` when the store has none.
    pub(super) fn at(&self, series: &Series, window: Window) -> Result<Option<f64>, Why> {
        let covers = |first: Window, last: Window| {
            first.length() == window.length() && first.start() <= window.start() && window.end() <= last.end()
        };
        let read = self.series.get(series).into_iter().flatten().find(|(first, last, _)| covers(*first, *last));
        let Some((_, _, reading)) = read else {
            return Err(Why::Partial { warning: format!("{} was not answered", series.metric) });
        };
        match reading.as_ref().map_err(Clone::clone)?.get(&window.start().unix_seconds()) {
            None => Ok(None),
            Some(value) => match Finite::new(*value) {
                Some(value) => Ok(Some(value.get())),
                None if value.is_nan() => Err(Why::NotANumber),
                None => Err(Why::Infinite),
            },
        }
    }
}
