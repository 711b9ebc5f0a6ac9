//! All endpoints, configs and models of all regions, and how they come to be.

use std::collections::BTreeMap;
use std::time::Duration;

use mlroll_backend::{SageMakerEndpoint, Target, Timestamp, TrafficSplit};
use serde_json::{Map, Value, json};

use super::input::is_name;
use super::state::{Endpoint, Mirror, Misfortune, Package, Resource, Scalable, Slot, Tags, Variant};
use crate::limit::Bucket;
use crate::scenario::{self, Scenario, Service, State};

/// The endpoints of Amazon SageMaker.
#[derive(Debug)]
pub struct SageMaker {
    pub(super) regions: BTreeMap<String, Region>,
    pub(super) settings: scenario::SageMaker,
    buckets: BTreeMap<String, Bucket>,
    limited: bool,
    requests: u64,
}

/// What there is in one region, by name.
#[derive(Debug, Default)]
pub(super) struct Region {
    pub(super) endpoints: BTreeMap<String, Slot>,
    pub(super) configs: BTreeMap<String, Resource>,
    pub(super) models: BTreeMap<String, Resource>,
    /// By group and version: `fraud/1`.
    pub(super) packages: BTreeMap<String, Package>,
    /// By resource id: `endpoint/fraud/variant/a`.
    pub(super) scalable: BTreeMap<String, Scalable>,
}

impl Region {
    /// An endpoint's name as it was created, whatever the case it is asked for by.
    pub(super) fn spelled(&self, name: &str) -> Option<String> {
        self.endpoints.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned()
    }
}

/// Variants of one endpoint config (SageMaker API model).
pub(super) const MOST_VARIANTS: usize = 10;

/// How often metrics may be published, in seconds (SageMaker API reference, `MetricsConfig`).
const FREQUENCIES: [i64; 7] = [10, 30, MINUTE, 120, 180, 240, 300];

/// How often they are where nothing else is said.
const MINUTE: i64 = 60;

/// Requests in a second: a guess, because AWS publishes none.
const PER_SECOND: f64 = 25.0;

/// Whether the SageMaker targets of a scenario make sense.
///
/// # Errors
/// A name is none that SageMaker would take, or there are too many variants.
pub(crate) fn check(scenario: &Scenario) -> Result<(), String> {
    if let Some([least, most]) = scenario.sagemaker.autoscaling
        && !(0..=most).contains(&least)
    {
        return Err(format!("sagemaker.autoscaling is [{least}, {most}]: the least comes first, and is not negative"));
    }
    if crate::cloudwatch::devices(&scenario.sagemaker.machine).is_none() {
        let machine = &scenario.sagemaker.machine;
        return Err(format!("sagemaker.machine is `{machine}`: the sandbox knows no such kind, but ml.m5.large"));
    }
    if let Some(every) = scenario.sagemaker.enhanced_metrics
        && !every.as_secs().try_into().is_ok_and(is_frequency)
    {
        return Err(format!("sagemaker.enhanced_metrics is {every:?}: allowed are {FREQUENCIES:?} seconds"));
    }
    for (target, service) in scenario.parsed_targets() {
        if !matches!(target, Target::SageMaker(_)) {
            continue;
        }
        if let Some(name) = service.revisions.keys().find(|name| !is_name(name) || name.len() > 63) {
            return Err(format!("{target}: revision `{name}` is no name of a variant, such as a"));
        }
        if service.revisions.len() > MOST_VARIANTS {
            return Err(format!("{target}: there are more than {MOST_VARIANTS} variants"));
        }
    }
    Ok(())
}

/// Whether metrics may be published every so many seconds.
pub(super) fn is_frequency(seconds: i64) -> bool {
    FREQUENCIES.contains(&seconds)
}

impl SageMaker {
    /// The endpoints of a scenario, as they have been for a while.
    #[must_use]
    pub fn of(scenario: &Scenario, now: Timestamp) -> Self {
        let settings = scenario.sagemaker.clone();
        let mut all = Self { regions: BTreeMap::new(), settings, buckets: BTreeMap::new(), limited: true, requests: 0 };
        for (target, service) in scenario.parsed_targets() {
            if let Target::SageMaker(SageMakerEndpoint { region, endpoint, .. }) = target {
                all.add(&region, &endpoint, service, now);
            }
        }
        all
    }

    fn add(&mut self, region: &str, name: &str, service: &Service, now: Timestamp) {
        let region = self.regions.entry(region.to_owned()).or_default();
        let resource = |body: Value| Resource { body: map(body), created: now, tags: Tags::new() };
        let mut summaries = Vec::new();
        let mut variants = Vec::new();
        for (variant, behaviour) in &service.revisions {
            let weight = if *variant == service.stable { 1.0 } else { 0.0 };
            let model = format!("{name}-{variant}");
            let role = format!("arn:aws:iam::{}:role/{name}", crate::lambda::ACCOUNT);
            let image = format!("{}.dkr.ecr.us-east-1.amazonaws.com/{name}:{variant}", crate::lambda::ACCOUNT);
            let body = json!({ "ModelName": model, "PrimaryContainer": { "Image": image }, "ExecutionRoleArn": role });
            region.models.insert(model.clone(), resource(body));
            summaries.push(json!({
                "VariantName": variant, "ModelName": model, "InitialInstanceCount": 1, "InstanceType": self.settings.machine,
                "InitialVariantWeight": weight,
            }));
            if let Some([least, most]) = self.settings.autoscaling {
                let scalable = Scalable { least, most, suspended: [false; 3], created: now };
                region.scalable.insert(format!("endpoint/{name}/variant/{variant}"), scalable);
            }
            // One that cannot serve has no instance that has come up.
            let instances = Some(i64::from(behaviour.state == State::Active));
            variants.push(Variant {
                name: variant.clone(),
                weight,
                desired_weight: weight,
                instances,
                desired_instances: Some(1),
            });
        }
        for (version, approval) in (1..).zip(["Approved", "PendingManualApproval", "Rejected"]) {
            let package = Package { approval: approval.to_owned(), life_cycle: None, created: now, modified: now };
            region.packages.insert(format!("{name}/{version}"), package);
        }
        let config = format!("{name}-1");
        let mut body = map(json!({ "EndpointConfigName": config, "ProductionVariants": summaries }));
        if let Some(every) = self.settings.enhanced_metrics {
            let metrics = json!({ "EnableEnhancedMetrics": true, "MetricPublishFrequencyInSeconds": every.as_secs() });
            body.insert("MetricsConfig".to_owned(), metrics);
        }
        region.configs.insert(config.clone(), resource(Value::Object(body)));
        let befalls = self.settings.incidents.iter().filter(|incident| incident.endpoint == name);
        let misfortune = |incident: &scenario::Incident| Misfortune {
            status: incident.status,
            at: now.plus(incident.after),
            last: incident.last,
        };
        let mut misfortunes: Vec<Misfortune> = befalls.map(misfortune).collect();
        misfortunes.sort_by_key(|misfortune| misfortune.at);
        let long_ago = Timestamp::from_unix_seconds(now.unix_seconds() - 26 * 3600).unwrap_or(now);
        let endpoint = Endpoint {
            config,
            created: long_ago,
            modified: long_ago,
            variants,
            shadows: Vec::new(),
            change: None,
            failure: None,
            broken: None,
            guardrails: None,
            tags: Tags::new(),
            misfortunes,
        };
        region.endpoints.insert(name.to_owned(), Slot { now: endpoint, before: None });
    }

    /// The number of a request, another each time.
    pub(super) const fn number(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// The id of a request, another each time.
    pub(super) fn request_id(&mut self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.number())
    }

    /// The kind of machine that a variant runs on; `None` when it is not there, or has none.
    pub(crate) fn machine(&self, region: &str, endpoint: &str, variant: &str) -> Option<&str> {
        let region = self.regions.get(region)?;
        let config = region.configs.get(&region.endpoints.get(endpoint)?.now.config)?;
        let all = ["ProductionVariants", "ShadowProductionVariants"]
            .into_iter()
            .filter_map(|of| config.body.get(of)?.as_array());
        let named = |one: &&Value| one.get("VariantName").and_then(Value::as_str) == Some(variant);
        all.flatten().find(named)?.get("InstanceType")?.as_str()
    }

    /// How often an endpoint publishes its invocations and what its machines use, in seconds: the former as often as the latter with
    /// enhanced metrics only.
    pub(crate) fn publishes(&self, region: &str, endpoint: &str) -> (i64, i64) {
        let metrics = || {
            let region = self.regions.get(region)?;
            region.configs.get(&region.endpoints.get(endpoint)?.now.config)?.body.get("MetricsConfig")
        };
        let Some(metrics) = metrics() else { return (MINUTE, MINUTE) };
        let every = metrics.get("MetricPublishFrequencyInSeconds").and_then(Value::as_i64).unwrap_or(MINUTE);
        let is_enhanced = metrics.get("EnableEnhancedMetrics").and_then(Value::as_bool).unwrap_or(false);
        (if is_enhanced { every } else { MINUTE }, every)
    }

    /// Lets any number of requests through.
    pub fn lift_rate_limit(&mut self) {
        self.limited = false;
    }

    /// Takes a request of the region's rate at a moment of real time; whether there was one left.
    pub(super) fn admits(&mut self, region: &str, uptime: Duration) -> bool {
        if !self.limited || !self.regions.contains_key(region) {
            return true;
        }
        self.buckets.entry(region.to_owned()).or_insert_with(|| Bucket::full(PER_SECOND, uptime)).take(uptime)
    }

    /// Carries out what is due, and tells where requests and their copies go from when on.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Vec<(Target, TrafficSplit, Timestamp, Mirror)> {
        let mut routed = Vec::new();
        for (name, region) in &mut self.regions {
            if region.endpoints.values().all(|slot| slot.now.change.is_none() && slot.now.misfortunes.is_empty()) {
                continue;
            }
            let configs = region.configs.keys().cloned().collect();
            let scalable = &mut region.scalable;
            region.endpoints.retain(|endpoint, slot| {
                let (splits, stays) = slot.now.settle(now, &configs);
                if !stays {
                    // Deleted endpoints are deregistered silently.
                    scalable.retain(|id, _| !id.starts_with(&format!("endpoint/{endpoint}/variant/")));
                }
                let target = target(name, endpoint);
                routed.extend(splits.into_iter().map(|(split, at, mirror)| (target.clone(), split, at, mirror)));
                stays
            });
        }
        routed
    }
}

/// The target that an endpoint is.
pub(super) fn target(region: &str, endpoint: &str) -> Target {
    Target::SageMaker(SageMakerEndpoint { region: region.to_owned(), endpoint: endpoint.to_owned(), owner: None })
}

pub(super) fn map(value: Value) -> Map<String, Value> {
    if let Value::Object(members) = value { members } else { Map::new() }
}
