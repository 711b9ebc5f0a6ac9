//! Tags of endpoints, configs and models.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::error::Refusal;
use super::input::Input;
use super::state::Tags;

/// Tags that one thing may have (SageMaker API model).
const MOST: usize = 50;

/// What keys and values may hold; no brackets among it (SageMaker API model).
const PATTERN: &str = r"Member must satisfy regular expression pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$";

/// The tags of a request.
pub(super) fn read(input: &Input) -> Result<Tags, Refusal> {
    let mut tags = Tags::new();
    for (n, tag) in input.list("Tags")?.iter().enumerate() {
        let tag = Input::object(tag, "Tags")?;
        let (key, value) = (tag.required("Key")?, tag.required("Value")?);
        for (member, text, most) in [("key", key, 128), ("value", value, 256)] {
            let member = format!("tags.{}.member.{member}", n + 1);
            if text.chars().count() > most {
                let constraint = format!("Member must have length less than or equal to {most}");
                return Err(Refusal::violation(text, &member, &constraint));
            }
            if !text.chars().all(is_allowed) {
                return Err(Refusal::violation(text, &member, PATTERN));
            }
        }
        if key.is_empty() {
            let member = format!("tags.{}.member.key", n + 1);
            return Err(Refusal::violation(key, &member, "Member must have length greater than or equal to 1"));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    Ok(tags)
}

/// Letters, numbers and separators of any script, and a few signs.
fn is_allowed(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

impl Call<'_> {
    /// The tags of what the request names by its ARN; a write keeps how its endpoint was for readers who are behind.
    fn tags(&mut self, writes: bool) -> Result<&mut Tags, Refusal> {
        let arn = self.input.required("ResourceArn")?.to_owned();
        let front = self.arn("", "");
        let front = front.trim_end_matches('/');
        let Some((kind, name)) = arn.strip_prefix(front).and_then(|rest| rest.split_once('/')) else {
            return Err(Refusal::invalid(format!("Invalid ARN \"{arn}\" for this account and region.")));
        };
        let here = self.here();
        let (what, found) = match kind {
            "endpoint" => {
                let name = here.spelled(name).unwrap_or_default();
                let slot = here.endpoints.get_mut(&name).map(|slot| {
                    if writes {
                        slot.before = Some(Box::new(slot.now.clone()));
                    }
                    &mut slot.now.tags
                });
                ("endpoint", slot)
            }
            "endpoint-config" => ("endpoint configuration", here.configs.get_mut(name).map(|config| &mut config.tags)),
            "model" => ("model", here.models.get_mut(name).map(|model| &mut model.tags)),
            other => return Err(Refusal::invalid(format!("Resources of type \"{other}\" are not in this sandbox."))),
        };
        found.ok_or_else(|| Refusal::no_such(what, &arn))
    }

    pub(super) fn list_tags(&mut self) -> Reply {
        self.input.integer("MaxResults", 50, i64::from(i32::MAX))?;
        let tag = |(key, value): (&String, &String)| json!({ "Key": key, "Value": value });
        // There are never more than fit on a page.
        Ok(json!({ "Tags": self.tags(false)?.iter().map(tag).collect::<Value>() }))
    }

    pub(super) fn add_tags(&mut self) -> Reply {
        let added = read(&self.input)?;
        let answer = self.input.member("Tags").cloned().unwrap_or_default();
        let tags = self.tags(true)?;
        let new = added.keys().filter(|key| !tags.contains_key(*key)).count();
        if tags.len() + new > MOST {
            return Err(Refusal::invalid(format!("A resource can have at most {MOST} tags.")));
        }
        tags.extend(added);
        Ok(json!({ "Tags": answer }))
    }

    pub(super) fn delete_tags(&mut self) -> Reply {
        let keys = self.input.list("TagKeys")?.to_vec();
        let tags = self.tags(true)?;
        for key in keys.iter().filter_map(Value::as_str) {
            tags.remove(key);
        }
        Ok(json!({}))
    }
}
