//! The statistical judge: from counts and values per look to a verdict (docs/judge.md).
//!
//! Pure: no clock, no I/O, no environment; the same input gives the same bits.
//!
//! - evidence: [`ledger`], [`counts`], [`limit`], [`counting`], [`sign`], [`student`], [`series`], [`shape`], [`drift`], [`mann_whitney`], [`spending`],
//!   [`planned`], [`alarms`]
//! - data: [`histogram`], [`design_effect`]
//! - decisions: [`combine`], [`starved`], [`final_look`], [`verdict`]
//! - for people: [`interval`], [`power`], [`forecast`]
//! - experiments: [`trial`], [`sample_ratio`]
//! - many rollouts at once, for simulations and backtests: [`batch`]; many bakes under steady traffic: [`steady`]
//! - Kayenta: [`kayenta`], [`kayenta_score`], [`wilcoxon`]
//! - what users write and read: [`gate`], [`evidence`], [`panel`], [`replay`]

pub mod alarms;
pub mod batch;
pub mod bounds;
pub mod combine;
pub mod counting;
pub mod counts;
pub mod design_effect;
pub mod drift;
pub mod evidence;
pub mod exact;
pub mod final_look;
pub mod forecast;
pub mod gate;
pub mod histogram;
pub mod interval;
pub mod kayenta;
pub mod kayenta_score;
pub mod ledger;
pub mod limit;
pub mod mann_whitney;
pub mod math;
pub mod panel;
pub mod planned;
pub mod power;
pub mod replay;
pub mod sample_ratio;
pub mod series;
pub mod shape;
pub mod sign;
pub mod spending;
pub mod starved;
pub mod steady;
pub mod student;
pub mod trial;
pub mod verdict;
pub mod wilcoxon;

mod ranks;
mod roots;

#[cfg(test)]
mod tests;
