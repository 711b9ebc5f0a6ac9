//! Provisioned concurrency of versions and aliases.

use http::StatusCode;
use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::error::Refusal;
use super::paging::Page;
use super::state::{ALLOCATE, Function, LATEST, Provisioned};
use super::{account, render, rules};

impl Call<'_> {
    fn qualifier(&self) -> Result<String, Refusal> {
        let qualifier = self.route.qualifier.as_deref().filter(|qualifier| !qualifier.is_empty());
        let qualifier = qualifier.ok_or_else(|| Refusal::validation(&[rules::missing("qualifier")]))?;
        Ok(qualifier.to_owned())
    }

    pub(super) fn put_provisioned(&mut self) -> Result<Reply, Refusal> {
        const MEMBER: &str = "provisionedConcurrentExecutions";
        let qualifier = self.qualifier()?;
        let wanted = self.body()?.integer("ProvisionedConcurrentExecutions")?;
        let wanted = wanted.ok_or_else(|| Refusal::validation(&[rules::missing(MEMBER)]))?;
        let requested = u32::try_from(wanted).ok().filter(|wanted| *wanted > 0).ok_or_else(|| {
            let constraint = "Member must have value greater than or equal to 1";
            Refusal::validation(&[rules::violation(&wanted.to_string(), MEMBER, constraint)])
        })?;
        if qualifier == LATEST {
            let message = "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";
            return Err(Refusal::invalid(message));
        }
        let function = self.find()?;
        match function.aliases.get(&qualifier) {
            Some(alias) if alias.version == LATEST => {
                let message = "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";
                return Err(Refusal::invalid(message));
            }
            Some(alias) if !alias.shown_weights().is_empty() => {
                return Err(Refusal::invalid("Alias with weights can not be used with Provisioned Concurrency"));
            }
            Some(alias) if function.provisioned.contains_key(&alias.version) => {
                return Err(Refusal::conflict(
                    "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
                ));
            }
            Some(_) => {}
            None if function.version(&qualifier).is_none() => return Err(self.no_such(&qualifier)),
            None if has_provisioned_alias(function, &qualifier) => {
                return Err(Refusal::conflict("Version is pointed by a Provisioned Concurrency alias"));
            }
            None => {}
        }
        if function.reserved.is_some_and(|reserved| requested > reserved) {
            return Err(Refusal::invalid(
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for \
                 function",
            ));
        }
        account::check_unreserved(self, account::without(self, &qualifier), requested)?;
        let (modified, until) = (self.now, Some(self.after(ALLOCATE)));
        let provisioned = Provisioned { requested, modified, until, failed: false };
        let body = render::provisioned(&provisioned);
        self.find_mut()?.provisioned.insert(qualifier, provisioned);
        Ok(Reply::of(StatusCode::ACCEPTED, Value::Object(body)))
    }

    pub(super) fn get_provisioned(&self) -> Result<Reply, Refusal> {
        let qualifier = self.qualifier()?;
        let function = self.find()?;
        if function.qualified(&qualifier).is_none() {
            return Err(self.no_such(&qualifier));
        }
        let provisioned = function.provisioned.get(&qualifier).ok_or_else(|| {
            let message = "No Provisioned Concurrency Config found for this function";
            Refusal::new(StatusCode::NOT_FOUND, "ProvisionedConcurrencyConfigNotFoundException", message)
        })?;
        Ok(Reply::of(StatusCode::OK, Value::Object(render::provisioned(provisioned))))
    }

    pub(super) fn list_provisioned(&self) -> Result<Reply, Refusal> {
        let page = Page::of(self.route, 50)?;
        let arn = self.arn();
        let entries = self.find()?.provisioned.iter().map(|(qualifier, provisioned)| {
            let mut entry = render::provisioned(provisioned);
            entry.insert("FunctionArn".to_owned(), json!(format!("{arn}:{qualifier}")));
            (qualifier.clone(), Value::Object(entry))
        });
        let (entries, next) = page.cut(entries.collect(), |name| Some(name.to_owned()), String::clone)?;
        Ok(Reply::of(StatusCode::OK, json!({ "ProvisionedConcurrencyConfigs": entries, "NextMarker": next })))
    }

    /// Answers 204 whether there was any or not.
    pub(super) fn delete_provisioned(&mut self) -> Result<Reply, Refusal> {
        let qualifier = self.qualifier()?;
        if self.find()?.qualified(&qualifier).is_none() {
            return Err(self.no_such(&qualifier));
        }
        let function = self.find_mut()?;
        function.provisioned.remove(&qualifier);
        // A move that waited for it waits no longer.
        let moving = function.aliases.get_mut(&qualifier).is_some_and(|alias| alias.transient.take().is_some());
        if moving {
            self.reroute(&qualifier);
        }
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    fn no_such(&self, qualifier: &str) -> Refusal {
        if qualifier.bytes().all(|b| b.is_ascii_digit()) {
            self.no_version(qualifier)
        } else {
            Refusal::not_found(format!("Cannot find alias arn: {}:{qualifier}", self.arn()))
        }
    }
}

fn has_provisioned_alias(function: &Function, version: &str) -> bool {
    function.aliases.iter().any(|(name, alias)| alias.version == version && function.provisioned.contains_key(name))
}
