//! `ListEndpoints`

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::error::Refusal;
use super::render::moment;

/// A page when none is asked for, and the most of it (SageMaker API model).
const PAGE: (i64, i64) = (10, 100);

impl Call<'_> {
    pub(super) fn list_endpoints(&mut self) -> Reply {
        let size = self.input.integer("MaxResults", 1, PAGE.1)?.unwrap_or(PAGE.0);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let order = self.input.text("SortOrder")?.unwrap_or("Descending").to_owned();
        let by = self.input.text("SortBy")?.unwrap_or("CreationTime").to_owned();
        let contains = self.input.text("NameContains")?.unwrap_or_default().to_owned();
        let status = self.input.text("StatusEquals")?.map(str::to_owned);
        let times = ["CreationTimeAfter", "CreationTimeBefore", "LastModifiedTimeAfter", "LastModifiedTimeBefore"];
        let mut limits = [None; 4];
        for (limit, member) in limits.iter_mut().zip(times) {
            *limit = self.input.number(member)?;
        }
        let [created_after, created_before, modified_after, modified_before] = limits;
        let start = match self.input.text("NextToken")? {
            None => 0,
            Some(token) => position(token).ok_or_else(|| Refusal::invalid("Invalid NextToken."))?,
        };
        let front = self.arn("endpoint", "");
        let mut found: Vec<_> = self.here().endpoints.iter().map(|(name, slot)| (name, &slot.now)).collect();
        let within = |at: mlroll_backend::Timestamp, after: Option<f64>, before: Option<f64>| {
            let at = moment(at).as_f64().unwrap_or_default();
            after.is_none_or(|after| at > after) && before.is_none_or(|before| at < before)
        };
        found.retain(|(name, endpoint)| {
            name.contains(&contains)
                && status.as_deref().is_none_or(|status| status == endpoint.status())
                && within(endpoint.created, created_after, created_before)
                && within(endpoint.modified, modified_after, modified_before)
        });
        match by.as_str() {
            "Name" => {}
            "Status" => found.sort_by_key(|(_, endpoint)| endpoint.status()),
            _ => found.sort_by_key(|(_, endpoint)| endpoint.created),
        }
        if order == "Descending" {
            found.reverse();
        }
        let more = found.len() > start.saturating_add(size);
        let summary = |(name, endpoint): (&String, &super::state::Endpoint)| {
            json!({ "EndpointName": name, "EndpointArn": format!("{front}{name}"), "EndpointStatus": endpoint.status(),
                "CreationTime": moment(endpoint.created), "LastModifiedTime": moment(endpoint.modified) })
        };
        let page: Value = found.into_iter().skip(start).take(size).map(summary).collect();
        let mut answer = json!({ "Endpoints": page });
        if let (true, Value::Object(answer)) = (more, &mut answer) {
            answer.insert("NextToken".to_owned(), json!(STANDARD.encode((start + size).to_string())));
        }
        Ok(answer)
    }
}

fn position(token: &str) -> Option<usize> {
    String::from_utf8(STANDARD.decode(token).ok()?).ok()?.parse().ok()
}
