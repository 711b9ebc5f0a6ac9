//! Metrics of online endpoints from Azure Monitor.
//!
//! - **Asks** `GET {endpoint}/providers/Microsoft.Insights/metrics`, per minute, one request for all deployments, status
//!   codes and windows: `RequestsPerMinute` split by `deployment` and `statusCode`, always with `top`, because without it
//!   ten series are all that is answered.
//! - **`error_rate`** counts 408 (the model was too slow), 424 (the model failed: what a client sees of any answer of the
//!   container that is not 200) and 5xx. Other 4xx are the caller's: requests, and no failures. 429 is want of capacity,
//!   not of quality: it is told apart, and neither a failure nor a request that is judged.
//! - **`requests`** is the sum over all status codes but 429. Azure lists only the average of `RequestsPerMinute`; its minutes are
//!   added up. Where several frontends report, that is too little rather than too much: evidence is never made up.
//! - **`latency`** is unsupported, unless the traffic log is read: Azure keeps averages of per-minute percentiles, from which no share of slow requests can
//!   be told. They are for gates with a query of their own, judged as series:
//!   `metricnames=RequestLatency_P95&$filter=deployment eq '{{revision}}'`.
//! - **Headroom** is 1 less the `Maximum` of `CpuUtilizationPercentage`, `CpuMemoryUtilizationPercentage`,
//!   `GpuUtilizationPercentage` or `GpuMemoryUtilizationPercentage`, over all instances of a deployment, on the deployment's own
//!   resource (Azure's list of metrics); a window with a minute that lacks a value is no data.
//! - **No data** is: no series, points without a value, nothing but zeros, an `errorCode` that is not `Success`, as many series
//!   as were asked for at most, and what failed.
//! - **Permissions**: `Microsoft.Insights/metrics/read` on the endpoint.
//! - **Settles** after two minutes: the newest minute that is whole is one to three minutes old.
//! - **Gaps**: windows are whole minutes. Late revisions of a minute are not read again.
//!
//! With a [`TrafficLog`], `error_rate`, `requests` and `latency` come from Log Analytics instead:
//!
//! - **Asks** `POST {logs}/v1{endpoint}/query`, or `/v1/workspaces/{id}/query`, with one query for all deployments, counts and
//!   windows: rows of `AmlOnlineEndpointTrafficLog`, which has one for each request, summarised by bins of time and
//!   deployment. So counts are exact, also those above the limits of latency gates (`TotalDurationMs`, whole milliseconds; where
//!   a client goes away, until then), and no percentile is averaged.
//! - **`error_rate`** and **`requests`** mean the same as of metrics. No latency is that of a request that was turned away (429).
//! - **No data** is: an answer without any row (with what to type where there is no diagnostic setting), `error` beside
//!   `tables`, requests without a response code (of `error_rate`) or without a duration (of `latency`), and what failed. A
//!   deployment without rows where others have some had no requests.
//! - **Tokens** are of the logs API's own scope and go to its host only; that of Resource Manager never goes there.
//! - **Permissions**: `Microsoft.Insights/logs/AmlOnlineEndpointTrafficLog/read` on the endpoint, or with a workspace
//!   `Microsoft.OperationalInsights/workspaces/query/read` and `.../query/AmlOnlineEndpointTrafficLog/read` on it.
//! - **Settles** after ten minutes: resource logs are "usually available within 3 to 10 minutes end-to-end" (Azure Monitor, log
//!   data ingestion time).
//! - **Gaps**: a row that comes later is not counted; one that is delivered twice is counted twice.

#[cfg(test)]
mod log_tests;
mod metric;
mod rows;
mod source;
#[cfg(test)]
mod tests;
mod traffic_log;
mod wire;

pub use source::Monitor;
pub use traffic_log::TrafficLog;
