//! Metrics of Cloud Run revisions from Google Cloud Monitoring.
//!
//! - **Asks** `timeSeries.list`, one request for each metric and window, both revisions in it: counts of
//!   `run.googleapis.com/request_count` by response class, and the buckets of `run.googleapis.com/request_latencies`. The
//!   window is one alignment period: with several, Cloud Monitoring interpolates over those without data.
//! - **Instances**: the mean of `container/startup_latencies`, the most of `pending_queue/pending_requests`, and what the 99th
//!   percentile of `container/.../utilizations` leaves of CPU, memory, GPU and its memory.
//! - **Alarms** are alert policies by their display names, `alertPolicies.list` and `alerts.list`: two requests for a project,
//!   whatever the windows. A policy that is not there or disabled is an error. An alert counts in each window that it was open
//!   in, also one that was opened before the rollout.
//! - **Custom queries** are PromQL, or a filter: `metric.type="..." AND ... | ALIGN_MEAN | REDUCE_SUM`. `{{revision}}` must
//!   stand in them, and `{{window}}` may.
//! - **No data** is: empty, `executionErrors`, `unreachable`, `warnings`, NaN, infinite, several series where one number was
//!   asked for, buckets that do not add up, and what failed.
//! - **Permissions**: `monitoring.timeSeries.list` (roles/monitoring.viewer); for alarms `monitoring.alertPolicies.list` and
//!   `monitoring.alerts.list` (roles/monitoring.alertViewer). Nothing is written.
//! - **Settles** after 240 s: data is sampled each 60 s and seen up to 180 s later (Google's list of metrics).
//! - **Gaps**: windows are whole minutes. Requests that never reach a container (no instance is free, or they are not
//!   authorised) are not counted, and the time a container takes to start is in no latency: a revision that cannot scale looks
//!   healthy, and starved.

mod alerts;
mod distribution;
mod metric;
mod source;
mod text;
mod wire;

pub use source::CloudMonitoring;
