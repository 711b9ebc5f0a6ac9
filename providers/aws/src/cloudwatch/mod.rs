//! Metrics from Amazon CloudWatch.
//!
//! - **Asks** `GetMetricData`: every series of every query and subject of a region over all windows in one request (500
//!   series; more are split), one point a window, because a window is one period. Each series is asked for once, whoever
//!   needs it, also where several sources are asked at the same moment. Pages are followed.
//! - **Sums, never ratios**: metric math takes a missing point for zero and drops a division by zero, so numerator and
//!   denominator are fetched and divided here.
//! - **Lambda** by `FunctionName`, `Resource` = `function:alias` and `ExecutedVersion`; failed requests are `Errors`
//!   (throttled ones happen before a version is chosen and are in neither number), latency is `Duration`.
//! - **SageMaker** by `EndpointName` and `VariantName`; failed requests are those answered with 5xx and those the model did
//!   not answer at all (`InvocationModelErrors` less `Invocation4XXErrors`), latency is `ModelLatency`, in microseconds.
//! - **Latency** by trimmed counts, `TC(:300)` and `TC(300:)`, at the thresholds of the gates: exact shares of slow requests,
//!   as a [`Histogram`](mlroll_backend::Histogram) with a bucket for each threshold. CloudWatch has no buckets of its own.
//! - **Headroom** of SageMaker variants: 1 less the highest `CPUUtilization`, `MemoryUtilization`, `GPUUtilization` or
//!   `GPUMemoryUtilization` of any instance, divided by its processors or accelerators, which its kind tells.
//! - **Alarms** by name, of metrics, of logs and composite: `DescribeAlarms`, and `DescribeAlarmHistory` for those that changed
//!   since the window began. One that does not exist is an error, one that does not know is no data.
//! - **Enhanced metrics** of SageMaker endpoints are published every 10 s or more, and windows may be as short.
//! - **Any other metric** by an [expression](Expression): `Namespace Metric{Dimension="value"} Statistic`.
//! - **No data** is: no point, `PartialData` to the end, `InternalError`, `Forbidden`, a point off the grid, numbers that do
//!   not fit each other, and what failed. Requests without a point for their failures failed not once.
//! - **Permissions**: `cloudwatch:GetMetricData` on `*` (metrics have no resources); for alarms `cloudwatch:DescribeAlarms` and
//!   `cloudwatch:DescribeAlarmHistory`; for headroom and for looks shorter than a minute `sagemaker:DescribeEndpoint` and
//!   `sagemaker:DescribeEndpointConfig`.
//! - **Settles** two minutes after a window's end. Lambda counts a request in the minute it began in, when it ends: for a
//!   function it is its timeout and two minutes, where `lambda:GetFunctionConfiguration` tells the timeout.
//! - **Gaps**: other windows of AWS' own metrics are whole minutes. A metric published as statistic sets or
//!   with negative values has no percentiles and no trimmed counts.
//! - **Versions without weights**: whether `ExecutedVersion` is told while an alias has no weights is not known. Where the alias has
//!   requests and no version has, and the caller says that a version had all of them, the alias' own series are taken for it, which
//!   is one request more when that is first found; where nobody says so, there is no data.
//!
//! What goes where: `source` (the trait), `asking` (from questions to samples), `question` (which series answer a query), `answer` (what they say), `series` (what one is,
//! and what was read of it), `alarms`, `machines`, `expression` (queries of the user's own), `batch` (windows and series in requests), `wire`.

mod alarms;
mod answer;
mod asking;
mod batch;
mod expression;
mod machines;
mod question;
mod series;
mod source;
mod spelling;
#[cfg(test)]
mod tests;
mod wire;

pub use expression::{Expression, InvalidExpression};
pub use source::{CloudWatch, Settings};
