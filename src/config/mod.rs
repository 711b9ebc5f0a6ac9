//! What comes from outside the command line: `mlroll.toml` and the environment.

pub mod env;
mod file;
mod gate_key;
mod recover;
mod select;
mod values;
mod watching;

pub use file::{Config, ConfigError, Logs, Metrics, Preset, Service, Source, Stage, load, load_if_present};
pub use recover::{Fault, Recovered, recover_targets};
pub use select::{ForRollback, Selected, Unreadable, select, select_for_rollback};
pub use values::{OnCapacity, OnFail, OnInconclusive, Share, Span, Steps, parse_duration};
pub use watching::Watching;

/// The file looked for when none is named.
pub const DEFAULT_FILE: &str = "mlroll.toml";
