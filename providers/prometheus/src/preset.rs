//! The metrics of well-known model servers and meshes.
//!
//! Names and labels are those that each project documents or prints; docs/metrics-prometheus.md says where.

use std::str::FromStr;

use crate::LatencyUnit;

/// Selectors that come with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Apps with `prometheus-fastapi-instrumentator`.
    FastApi,
    /// Istio's standard metrics, as the receiving proxy counts.
    Istio,
    /// Knative's queue proxy up to 1.18.
    Knative,
    /// KServe's Python model servers: no errors; on Knative its metrics have them.
    KServe,
    /// The executor of Seldon Core 1.
    Seldon,
    /// TorchServe in `prometheus` mode: no latency, for it has no histogram.
    TorchServe,
    /// NVIDIA Triton: no latency, for its durations are counters without buckets.
    Triton,
    /// vLLM's OpenAI-compatible server.
    Vllm,
}

/// A metric's name and its matchers besides that of the revision.
type Series = (&'static str, &'static str);

impl Preset {
    /// All presets, by name.
    pub const ALL: [Self; 8] = [
        Self::FastApi,
        Self::Istio,
        Self::Knative,
        Self::KServe,
        Self::Seldon,
        Self::TorchServe,
        Self::Triton,
        Self::Vllm,
    ];

    /// The name in `mlroll.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FastApi => "fastapi",
            Self::Istio => "istio",
            Self::KServe => "kserve",
            Self::Knative => "knative",
            Self::Seldon => "seldon",
            Self::TorchServe => "torchserve",
            Self::Triton => "triton",
            Self::Vllm => "vllm",
        }
    }

    /// The label with the revision: the project's own where it has one, else one that the scrape configuration must add.
    pub(crate) const fn revision_label(self) -> &'static str {
        match self {
            Self::Istio => "destination_version",
            Self::Knative => "revision_name",
            Self::Seldon => "predictor_name",
            Self::FastApi | Self::KServe | Self::TorchServe | Self::Triton | Self::Vllm => "version",
        }
    }

    pub(crate) const fn requests(self) -> &'static [Series] {
        match self {
            Self::FastApi => &[("http_requests_total", "handler!=\"/metrics\"")],
            Self::Istio => &[("istio_requests_total", "reporter=\"destination\"")],
            Self::KServe => &[("request_predict_seconds_count", "")],
            Self::Knative => &[("revision_request_count", "")],
            Self::Seldon => &[("seldon_api_executor_server_requests_seconds_count", "")],
            Self::TorchServe => &[("ts_inference_requests_total", "")],
            // Two metrics and not one pattern: `increase` drops names, and would find the same labels twice.
            Self::Triton => &[("nv_inference_request_success", ""), ("nv_inference_request_failure", "")],
            Self::Vllm => &[("http_requests_total", "handler=~\"/v1/.*\"")],
        }
    }

    pub(crate) const fn errors(self) -> &'static [Series] {
        match self {
            // Status codes are grouped ("5xx") unless an app says otherwise ("503").
            Self::FastApi => &[("http_requests_total", "handler!=\"/metrics\",status=~\"5..\"")],
            Self::Istio => &[("istio_requests_total", "reporter=\"destination\",response_code=~\"5..\"")],
            Self::KServe => &[],
            Self::Knative => &[("revision_request_count", "response_code_class=\"5xx\"")],
            Self::Seldon => &[("seldon_api_executor_server_requests_seconds_count", "code=~\"5..\"")],
            Self::TorchServe => &[("Requests5XX", "")],
            Self::Triton => &[("nv_inference_request_failure", "")],
            Self::Vllm => &[("http_requests_total", "handler=~\"/v1/.*\",status=~\"5..\"")],
        }
    }

    pub(crate) const fn latency(self) -> Option<(Series, LatencyUnit)> {
        let seconds = LatencyUnit::Seconds;
        match self {
            Self::FastApi => Some((("http_request_duration_seconds_bucket", "handler!=\"/metrics\""), seconds)),
            Self::Istio => {
                let series = ("istio_request_duration_milliseconds_bucket", "reporter=\"destination\"");
                Some((series, LatencyUnit::Milliseconds))
            }
            Self::KServe => Some((("request_predict_seconds_bucket", ""), seconds)),
            Self::Knative => Some((("revision_request_latencies_bucket", ""), LatencyUnit::Milliseconds)),
            Self::Seldon => Some((("seldon_api_executor_server_requests_seconds_bucket", ""), seconds)),
            Self::TorchServe | Self::Triton => None,
            Self::Vllm => Some((("vllm:e2e_request_latency_seconds_bucket", ""), seconds)),
        }
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|preset| preset.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|preset| preset.name()).collect();
            format!("`{name}` is not a preset; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use crate::settings::Selectors;

    #[test]
    fn all_have_names_and_selectors_that_parse() {
        for preset in Preset::ALL {
            assert_eq!(preset.name().parse(), Ok(preset));
            let settings = Settings { preset: Some(preset), ..Settings::default() };
            let selectors = Selectors::of(&settings).unwrap();
            assert!(!selectors.requests.is_empty());
            assert_eq!(selectors.latency.is_some(), preset.latency().is_some());
        }
        assert!(Preset::ALL.is_sorted_by_key(|preset| preset.name()));
        assert!("prometheus".parse::<Preset>().unwrap_err().contains("fastapi, istio"));
    }
}
