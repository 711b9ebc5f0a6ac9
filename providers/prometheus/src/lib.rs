//! Metrics for `mlroll` from anything that speaks Prometheus' query API: Prometheus, Thanos, Mimir, VictoriaMetrics.
//!
//! - **Asks** instant queries, `POST /api/v1/query` at each window's end, one request for each query, subject and window:
//!   counts by `sum(increase(SELECTOR[window]))`, classic histograms by `sum by (le) (increase(SELECTOR[window]))`. The
//!   parts of one metric travel in one query, so that they are about the same moment. Ten windows in a row and more are steps of
//!   one `query_range`, up to 1,440 of them, but for queries that a person wrote. Where that fails or warns, it is asked for in
//!   halves, down to instant queries, so that an error stays with its window.
//! - **Selectors** are the user's, or a [`Preset`]'s. `{{revision}}` is escaped for the matcher it stands in and allowed
//!   nowhere else, so that no name can break out of one; selectors without it are refused, since they could not tell
//!   revisions apart.
//! - **No data** is: empty, NaN, infinite, several series, `warnings`, a newest sample older than half a window, and what
//!   failed. An error series that does not exist is zero errors only when requests were counted.
//! - **Permissions**: reading `/api/v1/query`, and `/api/v1/query_range` where there is one; nothing else is called and nothing
//!   is written.
//! - **Settles** after [`Settings::settle_delay`], or a minute: two scrapes of 30 s.
//! - **Granularity**: windows are at least four scrapes long, as `increase` extrapolates; how often the store scrapes is
//!   told, or measured.
//! - **Gaps**: A counter's first value is not
//!   seen by it, so what fails before the first scrape of a new error series is not counted. A custom query that looks at
//!   an instant and not at its window may answer with a sample up to five minutes old. Native histograms are refused.
//!   Redirects are not followed and proxies not used. No SigV4, no OAuth.
//!
//! What goes where: `settings` (what it is told), `template` and `preset` (selectors), `wire` (queries and answers),
//! `range` (many windows by one request), `transport` (what happens to every request), `error` (what a failed one means),
//! `source` (the trait).

mod error;
mod preset;
mod range;
mod settings;
mod source;
mod template;
mod transport;
mod wire;

pub use preset::Preset;
pub use settings::{Auth, LatencyUnit, Limits, Secret, Settings};
pub use source::Prometheus;
