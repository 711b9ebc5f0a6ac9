//! Metrics of online endpoints from Azure Monitor.
//!
//! - **Asks** `GET {endpoint}/providers/Microsoft.Insights/metrics`, per minute, one request for all deployments, status
//!   codes and windows: `RequestsPerMinute` split by `deployment` and `statusCode`, always with `top`, because without it
//!   ten series are all that is answered.
//! - **`error_rate`** counts 408 (the model was too slow), 424 (the model failed: what a client sees of any answer of the
//!   container that is not 200) and 5xx. Other 4xx are the caller's, and 429 is want of capacity, not of quality: both are
//!   requests and no failures.
//! - **`requests`** is the sum over all status codes. Azure lists only the average of `RequestsPerMinute`; its minutes are
//!   added up. Where several frontends report, that is too little rather than too much: evidence is never made up.
//! - **`latency`** is unsupported: Azure keeps averages of per-minute percentiles, from which no share of slow requests can
//!   be told. They are for gates with a query of their own, judged as series:
//!   `metricnames=RequestLatency_P95&$filter=deployment eq '{{revision}}'`.
//! - **Headroom** is 1 less the `Maximum` of `CpuUtilizationPercentage`, `CpuMemoryUtilizationPercentage`,
//!   `GpuUtilizationPercentage` or `GpuMemoryUtilizationPercentage`, over all instances of a deployment, on the deployment's own
//!   resource (Azure's list of metrics); a window with a minute that lacks a value is no data.
//! - **No data** is: no series, points without a value, nothing but zeros, an `errorCode` that is not `Success`, as many series
//!   as were asked for at most, and what failed.
//! - **Permissions**: `Microsoft.Insights/metrics/read` on the endpoint.
//! - **Settles** after two minutes: the newest minute that is whole is one to three minutes old.
//! - **Gaps**: windows are whole minutes. Late revisions of a minute are not read again. No Log Analytics.

mod metric;
mod source;
#[cfg(test)]
mod tests;
mod wire;

pub use source::Monitor;
