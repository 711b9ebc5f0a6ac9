//! Provisioned concurrency.

use std::collections::BTreeMap;

use mlroll_backend::{Effect, Result};

use super::{Calls, reason};
use crate::error::classify;
use crate::pages::Pages;

/// Provisioned concurrency of a version or an alias.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::lambda) struct Provisioned {
    /// How many environments are wanted.
    pub(in crate::lambda) requested: u32,
    /// How many there are.
    pub(in crate::lambda) allocated: u32,
    /// Whether they are there.
    pub(in crate::lambda) ready: bool,
    /// Why they cannot be.
    pub(in crate::lambda) failure: Option<String>,
}

impl Calls<'_> {
    /// `ListProvisionedConcurrencyConfigs`, all pages: by alias or version.
    pub(in crate::lambda) async fn list_provisioned(&self) -> Result<BTreeMap<String, Provisioned>> {
        let operation = "ListProvisionedConcurrencyConfigs";
        let mut all = BTreeMap::new();
        let mut pages = Pages::of(operation);
        loop {
            let page = self
                .client
                .list_provisioned_concurrency_configs()
                .function_name(self.function())
                .set_marker(pages.token())
                .customize()
                .interceptor(self.tagged(operation, Effect::Read))
                .send()
                .await
                .map_err(|e| classify(operation, e))?;
            for one in page.provisioned_concurrency_configs.unwrap_or_default() {
                let arn = one.function_arn.unwrap_or_default();
                let qualifier = arn.rsplit(':').next().unwrap_or_default().to_owned();
                let status = one.status.map(|status| status.as_str().to_owned()).unwrap_or_default();
                let provisioned = read(
                    [one.requested_provisioned_concurrent_executions, one.allocated_provisioned_concurrent_executions],
                    &status,
                    one.status_reason,
                );
                all.insert(qualifier, provisioned);
            }
            if !pages.turn(page.next_marker)? {
                return Ok(all);
            }
        }
    }

    /// `ListAliases`, all pages: the first alias that sends somebody to `version`.
    pub(in crate::lambda) async fn user_of(&self, version: &str) -> Result<Option<String>> {
        let operation = "ListAliases";
        let mut pages = Pages::of(operation);
        loop {
            let page = self
                .client
                .list_aliases()
                .function_name(self.function())
                .set_marker(pages.token())
                .customize()
                .interceptor(self.tagged(operation, Effect::Read))
                .send()
                .await
                .map_err(|e| classify(operation, e))?;
            let user = page.aliases.unwrap_or_default().into_iter().find(|alias| {
                let weights =
                    alias.routing_config.as_ref().and_then(|routing| routing.additional_version_weights.as_ref());
                alias.function_version.as_deref() == Some(version)
                    || weights.is_some_and(|all| all.contains_key(version))
            });
            if user.is_some() {
                return Ok(user.map(|alias| alias.name.unwrap_or_default()));
            }
            if !pages.turn(page.next_marker)? {
                return Ok(None);
            }
        }
    }

    /// `GetFunctionConcurrency`: what the function may use at a time; `None` where it shares the account's.
    pub(in crate::lambda) async fn reserved(&self) -> Result<Option<u32>> {
        let operation = "GetFunctionConcurrency";
        let answer = self
            .client
            .get_function_concurrency()
            .function_name(self.function())
            .customize()
            .interceptor(self.tagged(operation, Effect::Read))
            .send()
            .await
            .map_err(|e| classify(operation, e))?;
        Ok(answer.reserved_concurrent_executions.and_then(|reserved| u32::try_from(reserved).ok()))
    }

    /// `GetProvisionedConcurrencyConfig`; `None` when there is none.
    pub(in crate::lambda) async fn get_provisioned(&self, qualifier: &str) -> Result<Option<Provisioned>> {
        let operation = "GetProvisionedConcurrencyConfig";
        let answer = self
            .client
            .get_provisioned_concurrency_config()
            .function_name(self.function())
            .qualifier(qualifier)
            .customize()
            .interceptor(self.tagged(operation, Effect::Read))
            .send()
            .await;
        match answer {
            Ok(one) => {
                let status = one.status.map(|status| status.as_str().to_owned()).unwrap_or_default();
                Ok(Some(read(
                    [one.requested_provisioned_concurrent_executions, one.allocated_provisioned_concurrent_executions],
                    &status,
                    one.status_reason,
                )))
            }
            Err(e)
                if e.as_service_error().is_some_and(|e| e.is_provisioned_concurrency_config_not_found_exception()) =>
            {
                Ok(None)
            }
            Err(e) => Err(classify(operation, e).with("qualifier", qualifier)),
        }
    }

    /// `PutProvisionedConcurrencyConfig`
    pub(in crate::lambda) async fn put_provisioned(&self, qualifier: &str, wanted: u32) -> Result<()> {
        let operation = "PutProvisionedConcurrencyConfig";
        self.client
            .put_provisioned_concurrency_config()
            .function_name(self.function())
            .qualifier(qualifier)
            .provisioned_concurrent_executions(i32::try_from(wanted).unwrap_or(i32::MAX))
            .customize()
            .interceptor(self.tagged(operation, Effect::Write))
            .send()
            .await
            .map(drop)
            .map_err(|e| classify(operation, e).with("qualifier", qualifier))
    }

    /// `DeleteProvisionedConcurrencyConfig`; also when there is none.
    pub(in crate::lambda) async fn delete_provisioned(&self, qualifier: &str) -> Result<()> {
        let operation = "DeleteProvisionedConcurrencyConfig";
        self.client
            .delete_provisioned_concurrency_config()
            .function_name(self.function())
            .qualifier(qualifier)
            .customize()
            .interceptor(self.tagged(operation, Effect::Write))
            .send()
            .await
            .map(drop)
            .map_err(|e| classify(operation, e).with("qualifier", qualifier))
    }
}

fn read(counts: [Option<i32>; 2], status: &str, why: Option<String>) -> Provisioned {
    let [requested, allocated] = counts.map(|count| count.and_then(|n| u32::try_from(n).ok()).unwrap_or_default());
    Provisioned {
        requested,
        allocated,
        ready: status == "READY",
        failure: (status == "FAILED").then(|| reason(None, why)),
    }
}
