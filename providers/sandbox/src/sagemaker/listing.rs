//! `ListEndpoints`, `ListEndpointConfigs`, `ListModels`

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlroll_backend::Timestamp;
use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::error::Refusal;
use super::input::Input;
use super::render::moment;
use super::state::Resource;

/// A page when none is asked for, and the most of it (SageMaker API model).
const PAGE: (i64, i64) = (10, 100);

/// What is asked for of a list.
struct Listing {
    start: usize,
    size: usize,
    ascends: bool,
    /// `CreationTime` where nothing is said, as `ListEndpoints` and its like have it (SageMaker API model).
    by: String,
    contains: String,
    created: [Option<f64>; 2],
}

impl Listing {
    fn of(input: &Input) -> Result<Self, Refusal> {
        let size = input.integer("MaxResults", 1, PAGE.1)?.unwrap_or(PAGE.0);
        let start = match input.text("NextToken")? {
            None => 0,
            Some(token) => position(token).ok_or_else(|| Refusal::invalid("Invalid NextToken."))?,
        };
        Ok(Self {
            start,
            size: usize::try_from(size).unwrap_or(usize::MAX),
            ascends: input.text("SortOrder")? == Some("Ascending"),
            by: input.text("SortBy")?.unwrap_or("CreationTime").to_owned(),
            contains: input.text("NameContains")?.unwrap_or_default().to_owned(),
            created: [input.number("CreationTimeAfter")?, input.number("CreationTimeBefore")?],
        })
    }

    fn keeps(&self, name: &str, created: Timestamp) -> bool {
        name.contains(&self.contains) && within(created, self.created)
    }

    /// The page of `found`, which is in ascending order, under the name that the answer has for it.
    fn page<T>(&self, mut found: Vec<T>, member: &str, summary: impl Fn(T) -> Value) -> Value {
        if !self.ascends {
            found.reverse();
        }
        let next = self.start.saturating_add(self.size);
        let more = found.len() > next;
        let page: Value = found.into_iter().skip(self.start).take(self.size).map(summary).collect();
        let mut answer = serde_json::Map::from_iter([(member.to_owned(), page)]);
        if more {
            answer.insert("NextToken".to_owned(), json!(STANDARD.encode(next.to_string())));
        }
        Value::Object(answer)
    }
}

impl Call<'_> {
    pub(super) fn list_endpoints(&mut self) -> Reply {
        let listing = Listing::of(&self.input)?;
        let status = self.input.text("StatusEquals")?.map(str::to_owned);
        let modified = [self.input.number("LastModifiedTimeAfter")?, self.input.number("LastModifiedTimeBefore")?];
        let front = self.arn("endpoint", "");
        let mut found: Vec<_> = self.here().endpoints.iter().map(|(name, slot)| (name, &slot.now)).collect();
        found.retain(|(name, endpoint)| {
            listing.keeps(name, endpoint.created)
                && status.as_deref().is_none_or(|status| status == endpoint.status())
                && within(endpoint.modified, modified)
        });
        match listing.by.as_str() {
            "Name" => {}
            "Status" => found.sort_by_key(|(_, endpoint)| endpoint.status()),
            _ => found.sort_by_key(|(_, endpoint)| endpoint.created),
        }
        Ok(listing.page(found, "Endpoints", |(name, endpoint)| {
            json!({ "EndpointName": name, "EndpointArn": format!("{front}{}", name.to_ascii_lowercase()), "EndpointStatus": endpoint.status(),
                "CreationTime": moment(endpoint.created), "LastModifiedTime": moment(endpoint.modified) })
        }))
    }

    pub(super) fn list_configs(&mut self) -> Reply {
        let listing = Listing::of(&self.input)?;
        let front = self.arn("endpoint-config", "");
        Ok(resources(
            &listing,
            &self.here().configs,
            ["EndpointConfigs", "EndpointConfigName", "EndpointConfigArn"],
            &front,
        ))
    }

    pub(super) fn list_models(&mut self) -> Reply {
        let listing = Listing::of(&self.input)?;
        let front = self.arn("model", "");
        Ok(resources(&listing, &self.here().models, ["Models", "ModelName", "ModelArn"], &front))
    }
}

/// What is made once, and what the answer calls the list, a name and an ARN.
fn resources(listing: &Listing, all: &BTreeMap<String, Resource>, called: [&str; 3], front: &str) -> Value {
    let mut found: Vec<_> = all.iter().filter(|(name, resource)| listing.keeps(name, resource.created)).collect();
    if listing.by != "Name" {
        found.sort_by_key(|(_, resource)| resource.created);
    }
    let [list, named, arn] = called;
    listing.page(found, list, |(name, resource)| {
        json!({ named: name, arn: format!("{front}{name}"), "CreationTime": moment(resource.created) })
    })
}

/// Whether it lies after the first and before the second of two limits.
fn within(at: Timestamp, [after, before]: [Option<f64>; 2]) -> bool {
    let at = moment(at).as_f64().unwrap_or_default();
    after.is_none_or(|after| at > after) && before.is_none_or(|before| at < before)
}

fn position(token: &str) -> Option<usize> {
    String::from_utf8(STANDARD.decode(token).ok()?).ok()?.parse().ok()
}
