//! Built-in metrics that are one number per window (docs/configuration.md, "Gates").

use super::quantity::Quantity;
use super::rule::Better;
use crate::judge::series::Difference;

/// A built-in metric that is one number per window, and what its limits mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Valued {
    pub(super) name: &'static str,
    pub(super) better: Better,
    pub(super) difference: Difference,
    pub(super) unit: Unit,
}

/// How its limits are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A plain number.
    Number,
    /// A duration with a unit; the number is in seconds.
    Seconds,
    /// A share of what there is.
    Share,
}

/// What may be 0 is not compared by ratio.
const ALL: [Valued; 6] = [
    headroom("cpu_headroom"),
    headroom("gpu_headroom"),
    headroom("gpu_memory_headroom"),
    headroom("memory_headroom"),
    Valued { name: "instance_startup", better: Better::Lower, difference: Difference::Log, unit: Unit::Seconds },
    Valued { name: "pending_requests", better: Better::Lower, difference: Difference::Plain, unit: Unit::Number },
];

/// The smallest unused share.
const fn headroom(name: &'static str) -> Valued {
    Valued { name, better: Better::Higher, difference: Difference::Plain, unit: Unit::Share }
}

impl Valued {
    pub(super) fn named(metric: &str) -> Option<Self> {
        ALL.into_iter().find(|valued| valued.name == metric)
    }

    /// The key of its absolute limit.
    pub(super) const fn limit_key(self) -> &'static str {
        match self.better {
            Better::Higher => "min",
            Better::Lower => "max",
        }
    }

    /// The limit that is written, above 0, and of a share below 1.
    pub(super) fn limit(self, written: &Quantity) -> Result<f64, String> {
        let (key, name) = (self.limit_key(), self.name);
        let limit = match (self.unit, written) {
            (Unit::Number, Quantity::Number(number)) => Ok(*number),
            (Unit::Number, Quantity::Text(_)) => Err(format!("a limit of {name} is a number, as 10, not {written}")),
            (Unit::Seconds, _) => written.seconds(),
            (Unit::Share, _) => written.share(),
        };
        let limit = limit.map_err(|why| format!("{key}: {why}"))?;
        let (most, allowed) = match self.unit {
            Unit::Number => (1e100, "a number above 0; 0.5 allows none at all"),
            Unit::Seconds => (1e100, "above 0"),
            Unit::Share => (1.0 - f64::EPSILON, "a share between 0 and 1, both excluded"),
        };
        if limit > 0.0 && limit <= most {
            Ok(limit)
        } else {
            Err(format!("{key}: a limit of {name} is {allowed}, not {written}"))
        }
    }
}
