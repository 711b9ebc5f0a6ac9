//! What the account may use in a region, and what functions reserve of it.

use http::StatusCode;
use serde_json::json;

use super::call::{Call, Reply};
use super::error::Refusal;
use super::rules;
use super::state::Function;

/// Lambda's quota of executions at a time, in a region.
const CONCURRENCY: u32 = 1000;
/// What has to be left for functions that reserve nothing.
const LEAST_UNRESERVED: u32 = 100;

impl Call<'_> {
    pub(super) fn get_account_settings(&self) -> Reply {
        let functions = self.functions();
        let functions = || functions.into_iter().flat_map(|region| region.functions.values());
        let size = |function: &Function| -> u64 {
            let versions = function.versions.values().chain([&function.latest]);
            versions.map(|version| version.settings.code_size).fold(0, u64::saturating_add)
        };
        let body = json!({
            "AccountLimit": {
                "TotalCodeSize": 80_530_636_800_u64,
                "CodeSizeUnzipped": 262_144_000,
                "CodeSizeZipped": 52_428_800,
                "ConcurrentExecutions": CONCURRENCY,
                "UnreservedConcurrentExecutions": CONCURRENCY.saturating_sub(used(self, None)),
            },
            "AccountUsage": {
                "TotalCodeSize": functions().map(|slot| size(&slot.now)).fold(0, u64::saturating_add),
                "FunctionCount": functions().count(),
            },
        });
        Reply::of(StatusCode::OK, body)
    }

    pub(super) fn get_concurrency(&self) -> Result<Reply, Refusal> {
        let body = match self.find()?.reserved {
            Some(reserved) => json!({ "ReservedConcurrentExecutions": reserved }),
            None => json!({}),
        };
        Ok(Reply::of(StatusCode::OK, body))
    }

    pub(super) fn put_concurrency(&mut self) -> Result<Reply, Refusal> {
        const MEMBER: &str = "reservedConcurrentExecutions";
        let wanted = self.body()?.integer("ReservedConcurrentExecutions")?;
        let wanted = wanted.ok_or_else(|| Refusal::validation(&[rules::missing(MEMBER)]))?;
        let reserved = u32::try_from(wanted).map_err(|_| {
            let constraint = "Member must have value greater than or equal to 0";
            Refusal::validation(&[rules::violation(&wanted.to_string(), MEMBER, constraint)])
        })?;
        let provisioned = provisioned(self.find()?);
        if provisioned > reserved {
            return Err(Refusal::invalid(format!(
                "ReservedConcurrentExecutions  {reserved} should not be lower than function's total provisioned \
                 concurrency [{provisioned}]."
            )));
        }
        check_unreserved(self, used(self, Some(&self.route.function)), reserved)?;
        self.find_mut()?.reserved = Some(reserved);
        self.get_concurrency()
    }

    pub(super) fn delete_concurrency(&mut self) -> Result<Reply, Refusal> {
        self.find_mut()?.reserved = None;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

/// Refuses what would leave the other functions too little.
pub(super) fn check_unreserved(call: &Call<'_>, used: u32, wanted: u32) -> Result<(), Refusal> {
    // What a function has reserved for itself it may use.
    let own = call.find()?.reserved.is_some_and(|reserved| wanted <= reserved);
    if own || used.saturating_add(wanted) <= CONCURRENCY - LEAST_UNRESERVED {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its \
         minimum value of [{LEAST_UNRESERVED}]."
    )))
}

/// What is used without the provisioned concurrency of one version or alias of the request's function.
pub(super) fn without(call: &Call<'_>, qualifier: &str) -> u32 {
    let own = call.find().ok().filter(|function| function.reserved.is_none());
    let own = own.and_then(|function| function.provisioned.get(qualifier)).map_or(0, |own| own.requested);
    used(call, None).saturating_sub(own)
}

/// What the functions of the region, but for one, keep from the others.
fn used(call: &Call<'_>, but: Option<&str>) -> u32 {
    let functions = call.functions().into_iter().flat_map(|region| &region.functions);
    let others = functions.filter(|(name, _)| Some(name.as_str()) != but);
    others.map(|(_, slot)| slot.now.reserved.unwrap_or(provisioned(&slot.now))).fold(0, u32::saturating_add)
}

fn provisioned(function: &Function) -> u32 {
    function.provisioned.values().map(|provisioned| provisioned.requested).fold(0, u32::saturating_add)
}
