//! All functions of all regions, and how they come to be.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlroll_backend::{Target, Timestamp};
use serde_json::Map;
use sha2::{Digest as _, Sha256};

use super::state::{Alias, Function, Routed, Settings, Slot, Until, Version, target};
use crate::limit::Bucket;
use crate::scenario::{Scenario, Service, State};

/// The functions of AWS Lambda.
#[derive(Debug)]
pub struct Lambda {
    pub(super) regions: BTreeMap<String, Region>,
    limited: bool,
    pub(super) mint: Mint,
    chance: u64,
}

/// The functions of one region.
#[derive(Debug, Default)]
pub(super) struct Region {
    pub(super) functions: BTreeMap<String, Slot>,
    bucket: Option<Bucket>,
}

/// Whether the Lambda targets of a scenario make sense.
///
/// # Errors
/// A revision is not the number of a version, or the stable one is not among them.
pub(crate) fn check(scenario: &Scenario) -> Result<(), String> {
    for (target, service) in scenario.parsed_targets() {
        if !matches!(target, Target::Lambda(_)) {
            continue;
        }
        for name in service.revisions.keys() {
            if name.parse::<u64>().map_or(true, |number| number == 0 || number.to_string() != *name) {
                return Err(format!("{target}: revision `{name}` is not the number of a version, such as 1"));
            }
        }
        if !service.revisions.contains_key(&service.stable) {
            return Err(format!("{target}: stable is `{}`, which is not among its revisions", service.stable));
        }
    }
    Ok(())
}

impl Lambda {
    /// The functions of a scenario, as they have been for a while. What makes no sense is left out.
    #[must_use]
    pub fn of(scenario: &Scenario, now: Timestamp) -> Self {
        let mut lambda = Self { regions: BTreeMap::new(), limited: true, mint: Mint::default(), chance: scenario.seed };
        for (target, service) in scenario.parsed_targets() {
            if let Target::Lambda(alias) = target {
                lambda.add(&alias.region, &alias.function, &alias.alias, service, now);
            }
        }
        lambda
    }

    fn add(&mut self, region: &str, name: &str, alias: &str, service: &Service, now: Timestamp) {
        let numbers: Vec<u64> = service.revisions.keys().filter_map(|number| number.parse().ok()).collect();
        let latest = self.version(name, numbers.iter().max().copied().unwrap_or(0), now);
        let mut versions = BTreeMap::new();
        for number in numbers {
            let behaviour = service.revisions.get(&number.to_string());
            let failed = behaviour.is_some_and(|behaviour| behaviour.state == State::Failed);
            versions.insert(number, Version { failed, ..self.version(name, number, now) });
        }
        let alias_state = Alias {
            version: service.stable.clone(),
            weights: BTreeMap::new(),
            description: String::new(),
            revision_id: self.mint.next(),
            transient: None,
        };
        let functions = &mut self.regions.entry(region.to_owned()).or_default().functions;
        let slot = functions.entry(name.to_owned()).or_insert_with(|| Slot {
            now: Function {
                latest,
                versions: BTreeMap::new(),
                next_version: 1,
                aliases: BTreeMap::new(),
                provisioned: BTreeMap::new(),
                reserved: None,
            },
            before: None,
        });
        let function = &mut slot.now;
        function.versions.append(&mut versions);
        function.next_version = function.versions.keys().max().map_or(1, |newest| newest + 1);
        if let Some(newest) = function.versions.values().next_back() {
            function.latest.settings = newest.settings.clone();
        }
        function.aliases.insert(alias.to_owned(), alias_state);
    }

    fn version(&mut self, function: &str, number: u64, now: Timestamp) -> Version {
        let settings = Settings {
            role: format!("arn:aws:iam::{ACCOUNT}:role/{function}"),
            handler: "model.handler".to_owned(),
            runtime: "python3.13".to_owned(),
            timeout: 3,
            memory: 128,
            environment: Map::new(),
            dead_letter: None,
            image: None,
            code_sha256: sha256(format!("{function} {number}").as_bytes()),
            code_size: 1024,
        };
        Version {
            settings,
            description: String::new(),
            modified: now,
            revision_id: self.mint.next(),
            pending: None,
            template: String::new(),
            failed: false,
            update_failed: false,
            updating: None,
        }
    }

    /// Lets any number of requests through.
    pub fn lift_rate_limit(&mut self) {
        self.limited = false;
    }

    /// Takes a request of the region's quota at a moment of real time; whether there was one left.
    pub(super) fn admits(&mut self, region: &str, uptime: std::time::Duration) -> bool {
        if !self.limited {
            return true;
        }
        let Some(region) = self.regions.get_mut(region) else { return true };
        region.bucket.get_or_insert_with(|| Bucket::full(PER_SECOND, uptime)).take(uptime)
    }

    /// A number from 0 to below 1 by chance, the same ones for the same seed.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
    pub(super) fn draw(&mut self) -> f64 {
        self.chance = self.chance.wrapping_add(GOLDEN);
        (mixed(self.chance) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Carries out what is due, and tells where requests go from when on.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Vec<Routed> {
        let Self { regions, mint, .. } = self;
        let mut routed = Vec::new();
        for (region, functions) in regions {
            for (name, slot) in &mut functions.functions {
                settle(&mut slot.now, now, mint);
                for (alias_name, alias) in &mut slot.now.aliases {
                    let over = alias.transient.as_ref().and_then(|transient| transient.until.reached(now));
                    let Some(at) = over else { continue };
                    alias.transient = None;
                    if let Some(split) = alias.split() {
                        routed.push(Routed { target: target(region, name, alias_name), split, at });
                    }
                }
            }
        }
        routed
    }
}

/// Ends the states of versions and provisioned concurrency that are over.
fn settle(function: &mut Function, now: Timestamp, mint: &mut Mint) {
    let over = |until: &mut Option<Until>| until.take_if(|until| until.reached(now).is_some()).is_some();
    for version in function.versions.values_mut().chain([&mut function.latest]) {
        version.failed |= badly(version.pending, now);
        version.update_failed |= badly(version.updating, now);
        // Either alone is enough, and both must be asked.
        if over(&mut version.pending) | over(&mut version.updating) {
            // A change of state gives a fresh revision id, as a change by a client does: what was answered to the
            // update is stale by then.
            version.revision_id = mint.next();
        }
    }
    for provisioned in function.provisioned.values_mut() {
        provisioned.failed |= badly(provisioned.until, now);
        over(&mut provisioned.until);
    }
}

/// Whether it has turned out by now that it cannot be done.
fn badly(until: Option<Until>, now: Timestamp) -> bool {
    matches!(until, Some(Until::Badly(at)) if at <= now)
}

/// Makes revision ids.
#[derive(Debug, Default)]
pub(super) struct Mint(u64);

impl Mint {
    /// One that was never used before.
    pub(super) fn next(&mut self) -> String {
        self.0 += 1;
        // Spread over the digits, so that nothing can order or guess them.
        let spread = mixed(self.0.wrapping_mul(GOLDEN));
        let (high, middle) = (spread >> 32, spread >> 16 & 0xffff);
        format!("{high:08x}-{middle:04x}-4{:03x}-8{:03x}-{:012x}", spread >> 4 & 0xfff, high & 0xfff, self.0)
    }
}

/// Lambda's quota for "the remainder of the control plane API requests", which cannot be raised.
const PER_SECOND: f64 = 15.0;

/// The account that owns everything.
pub(crate) const ACCOUNT: &str = "123456789012";

/// The hash of code, as Lambda writes it.
pub(super) fn sha256(code: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(code))
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of SplitMix64 (Steele, Lea, Flood 2014).
const fn mixed(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
