//! What differs between the clouds.

/// A cloud's names for what all of them have.
#[derive(Debug)]
pub struct Cloud {
    /// The name of its API in faults and the request log.
    pub api: &'static str,
    /// A target, whose stable revision has everything.
    pub target: &'static str,
    /// A target that does not exist.
    pub missing_target: &'static str,
    /// The target as faults and the request log name it.
    pub about: &'static str,
    /// The operation that reads it.
    pub read: &'static str,
    /// The operation that changes it.
    pub write: &'static str,
    /// Its stable revision.
    pub stable: &'static str,
    /// A revision without traffic.
    pub candidate: &'static str,
    /// Another one.
    pub other: &'static str,
    /// A revision that cannot serve; in the world of [`Cloud::scenario`].
    pub failed: &'static str,
    /// A revision that does not exist.
    pub missing: &'static str,
    /// The status and code of a target that is busy.
    pub busy: (u16, &'static str),
    /// The status and code of too many requests.
    pub throttled: (u16, &'static str),
    /// The status and code of a caller who may not.
    pub forbidden: (u16, &'static str),
    /// How many of the sandbox's seconds pass in one of ours: more where a shift takes its time.
    pub speed: f64,
    /// The world; the target has its users in it.
    pub scenario: &'static str,
    /// Where its metrics are read.
    pub store: Store,
}

impl Cloud {
    /// The operations that read and write the marker, where it is kept apart from the split.
    pub fn marker_apart(&self) -> Option<(&'static str, &'static str)> {
        (self.api == SAGEMAKER.api).then_some(("ListTags", "AddTags"))
    }
}

/// A metric store.
#[derive(Clone, Copy, Debug)]
pub struct Store {
    /// The name of its API in faults and the request log.
    pub api: &'static str,
    /// The operation that queries it.
    pub query: &'static str,
    /// `metrics` of a service; `{url}` stands for the sandbox.
    pub config: &'static str,
    /// A query that it refuses.
    pub broken: &'static str,
}

pub const AZURE_ML: Cloud = Cloud {
    api: "azure-ml",
    target: "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud",
    missing_target: "azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/nobody",
    about: "fraud",
    read: "OnlineEndpoints_Get",
    write: "OnlineEndpoints_CreateOrUpdate",
    stable: "blue",
    candidate: "green",
    other: "red",
    failed: "broken",
    missing: "purple",
    busy: (409, "Conflict"),
    throttled: (429, "TooManyRequests"),
    forbidden: (403, "AuthorizationFailed"),
    speed: 20.0,
    scenario: r#"
        [azure_logs]
        delay = "3m"
        [targets."azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud"]
        requests_per_second = 100
        stable = "blue"
        [targets."azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud".revisions]
        red = {}
        blue.error_rate = 0.01
        blue.latency = { median = "80ms", p95 = "160ms" }
        blue.instances = { cpu = 0.4, memory = 0.7, gpu = 0.6, gpu_memory = 0.9 }
        green = { error_rate = 0.05, latency = { median = "80ms", p95 = "160ms" } }
        broken = { state = "Failed" }
    "#,
    store: AZURE_MONITOR_STORE,
};

const AZURE_MONITOR_STORE: Store = Store {
    api: "azure-monitor",
    query: "Metrics_List",
    config: "source = 'azure-monitor'",
    broken: "metricnames=RequestsPerHour&$filter=deployment eq '{{revision}}'",
};

/// Azure ML, measured by Azure Monitor.
pub const AZURE_MONITOR: Cloud = AZURE_ML;

/// Azure ML, measured by its traffic log in Log Analytics: asked by the endpoint, and by the workspace that it is in.
pub const AZURE_LOGS: Cloud = Cloud { store: AZURE_LOGS_STORE, ..AZURE_ML };
pub const AZURE_LOGS_WORKSPACE: Cloud = Cloud { store: AZURE_LOGS_WORKSPACE_STORE, ..AZURE_ML };

const AZURE_LOGS_STORE: Store = Store {
    api: "azure-logs",
    query: "Query_ResourceExecute",
    config: "source = 'azure-monitor'\nlogs = true\nsettle_delay = '3m'",
    broken: "metricnames=RequestsPerHour&$filter=deployment eq '{{revision}}'",
};

const AZURE_LOGS_WORKSPACE_STORE: Store = Store {
    query: "Query_Execute",
    config: "source = 'azure-monitor'\nlogs = '00000000-0000-0000-0000-00000000000A'\nsettle_delay = '3m'",
    ..AZURE_LOGS_STORE
};

pub const LAMBDA: Cloud = Cloud {
    api: "lambda",
    target: "lambda:us-east-1/fraud@prod",
    missing_target: "lambda:us-east-1/fraud@nobody",
    about: "fraud@prod",
    read: "GetAlias",
    write: "UpdateAlias",
    stable: "2",
    candidate: "3",
    other: "1",
    failed: "4",
    missing: "99",
    busy: (409, "ResourceConflictException"),
    throttled: (429, "TooManyRequestsException"),
    forbidden: (403, "AccessDeniedException"),
    speed: 1.0,
    scenario: r#"
        [targets."lambda:us-east-1/fraud@prod"]
        requests_per_second = 100
        stable = "2"
        [targets."lambda:us-east-1/fraud@prod".revisions]
        1 = {}
        2 = { error_rate = 0.01, latency = { median = "80ms", p95 = "160ms" } }
        3 = { error_rate = 0.05, latency = { median = "80ms", p95 = "160ms" } }
        4 = { state = "Failed" }
    "#,
    store: PROMETHEUS_STORE,
};

const PROMETHEUS_STORE: Store = Store {
    api: "prometheus",
    query: "query",
    config: r#"
        source = "prometheus"
        url = "{url}"
        requests = 'http_requests_total{service="fraud",version="{{revision}}"}'
        errors = 'http_requests_total{service="fraud",version="{{revision}}",code=~"5.."}'
        latency = 'http_request_duration_seconds_bucket{service="fraud",version="{{revision}}"}'
    "#,
    broken: "sum(",
};

pub const SAGEMAKER: Cloud = Cloud {
    api: "sagemaker",
    target: "sagemaker:us-east-1/fraud",
    missing_target: "sagemaker:us-east-1/nobody",
    about: "fraud",
    read: "DescribeEndpoint",
    write: "UpdateEndpointWeightsAndCapacities",
    stable: "a",
    candidate: "b",
    other: "c",
    failed: "d",
    missing: "z",
    busy: (400, "ValidationException"),
    throttled: (400, "ThrottlingException"),
    forbidden: (400, "AccessDeniedException"),
    speed: 1.0,
    scenario: r#"
        [sagemaker]
        update = "2s"
        [targets."sagemaker:us-east-1/fraud"]
        requests_per_second = 100
        stable = "a"
        [targets."sagemaker:us-east-1/fraud".revisions]
        a = { error_rate = 0.01, latency = { median = "80ms", p95 = "160ms" } }
        b = { error_rate = 0.05, latency = { median = "80ms", p95 = "160ms" } }
        c = {}
        d = { state = "Failed" }
    "#,
    store: CLOUDWATCH_STORE,
};

/// Lambda, measured by CloudWatch.
pub const CLOUDWATCH: Cloud = Cloud { store: CLOUDWATCH_STORE, ..LAMBDA };

const CLOUDWATCH_STORE: Store = Store {
    api: "cloudwatch",
    query: "GetMetricData",
    config: "source = 'cloudwatch'",
    broken: "AWS/Lambda Errors{FunctionName='fraud'",
};

/// Lambda, measured by Prometheus.
pub const PROMETHEUS: Cloud = LAMBDA;

pub const CLOUD_RUN: Cloud = Cloud {
    api: "cloud-run",
    target: "cloud-run:acme/europe-west3/fraud",
    missing_target: "cloud-run:acme/europe-west3/nobody",
    about: "fraud",
    read: "GetService",
    write: "UpdateService",
    stable: "fraud-00002-b",
    candidate: "fraud-00003-c",
    other: "fraud-00001-a",
    failed: "fraud-00004-d",
    missing: "fraud-00099-x",
    busy: (409, "ABORTED"),
    throttled: (429, "RESOURCE_EXHAUSTED"),
    forbidden: (403, "PERMISSION_DENIED"),
    speed: 1.0,
    scenario: r#"
        [cloud_monitoring.alerts]
        steady = {}
        open = { opens = "4m", closes = "5m" }
        disabled = { enabled = false }
        [targets."cloud-run:acme/europe-west3/fraud"]
        requests_per_second = 100
        stable = "fraud-00002-b"
        [targets."cloud-run:acme/europe-west3/fraud".revisions]
        fraud-00001-a = {}
        fraud-00002-b.error_rate = 0.01
        fraud-00002-b.latency = { median = "80ms", p95 = "160ms" }
        fraud-00002-b.instances = { startup = "4s", cpu = 0.4, memory = 0.7, gpu = 0.6, gpu_memory = 0.9, pending = 3 }
        fraud-00003-c = { error_rate = 0.05, latency = { median = "80ms", p95 = "160ms" } }
        fraud-00004-d = { state = "Failed" }
    "#,
    store: CLOUD_MONITORING_STORE,
};

const CLOUD_MONITORING_STORE: Store = Store {
    api: "cloud-monitoring",
    query: "ListTimeSeries",
    config: r#"source = "cloud-monitoring""#,
    broken: r#"metric.type="run.googleapis.com/request_count" AND resource.labels.revision_name=="{{revision}}" | ALIGN_DELTA | REDUCE_SUM"#,
};

/// Cloud Run, measured by Cloud Monitoring.
pub const CLOUD_MONITORING: Cloud = CLOUD_RUN;
