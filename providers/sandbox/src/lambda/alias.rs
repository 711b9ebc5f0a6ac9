//! Aliases.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::json;

use super::call::{Call, Reply};
use super::error::Refusal;
use super::paging::Page;
use super::state::{Alias, MOVE, Transient, Until};
use super::{render, rules};

impl Call<'_> {
    fn alias_name(&self) -> &str {
        self.route.qualifier.as_deref().unwrap_or_default()
    }

    pub(super) fn get_alias(&self) -> Result<Reply, Refusal> {
        let (arn, name) = (self.arn(), self.alias_name());
        let alias = self.find()?.aliases.get(name);
        let alias = alias.ok_or_else(|| Refusal::not_found(format!("Cannot find alias arn: {arn}:{name}")))?;
        Ok(Reply::of(StatusCode::OK, render::alias(&arn, name, alias)))
    }

    pub(super) fn list_aliases(&self) -> Result<Reply, Refusal> {
        let page = Page::of(self.route, 10_000)?;
        let (arn, version) = (self.arn(), self.route.query("FunctionVersion"));
        let aliases = self.find()?.aliases.iter().filter(|(_, alias)| {
            version.is_none_or(|version| alias.version == version || alias.weights.contains_key(version))
        });
        let aliases = aliases.map(|(name, alias)| (name.clone(), render::alias(&arn, name, alias)));
        let (aliases, next) = page.cut(aliases.collect(), |name| Some(name.to_owned()), String::clone)?;
        Ok(Reply::of(StatusCode::OK, json!({ "Aliases": aliases, "NextMarker": next })))
    }

    pub(super) fn create_alias(&mut self) -> Result<Reply, Refusal> {
        let body = self.body()?;
        let (name, version) = (body.text("Name")?, body.text("FunctionVersion")?);
        let (description, weights) = (body.text("Description")?, body.weights()?);
        let mut violations = Vec::new();
        match name {
            Some(name) => rules::check_alias_name(name, &mut violations),
            None => violations.push(rules::missing("name")),
        }
        if version.is_none() {
            violations.push(rules::missing("functionVersion"));
        }
        rules::check_alias(version, description, weights.as_ref(), &mut violations);
        let (Some(name), Some(version), true) = (name, version, violations.is_empty()) else {
            return Err(Refusal::validation(&violations));
        };
        let (arn, weights) = (self.arn(), weights.unwrap_or_default());
        let function = self.find()?;
        if function.aliases.contains_key(name) {
            return Err(Refusal::conflict(format!("Alias already exists: {arn}:{name}")));
        }
        rules::check_routing(function, &arn, version, &weights)?;
        let alias = Alias {
            version: version.to_owned(),
            weights,
            description: description.unwrap_or_default().to_owned(),
            revision_id: self.lambda().mint.next(),
            transient: None,
        };
        let answer = render::alias(&arn, name, &alias);
        self.find_mut()?.aliases.insert(name.to_owned(), alias);
        self.reroute(name);
        Ok(Reply::of(StatusCode::CREATED, answer))
    }

    pub(super) fn update_alias(&mut self) -> Result<Reply, Refusal> {
        let body = self.body()?;
        let (version, description) = (body.text("FunctionVersion")?, body.text("Description")?);
        let (weights, expected) = (body.weights()?, body.text("RevisionId")?);
        let mut violations = Vec::new();
        rules::check_alias(version, description, weights.as_ref(), &mut violations);
        if !violations.is_empty() {
            return Err(Refusal::validation(&violations));
        }
        let (arn, name) = (self.arn(), self.alias_name().to_owned());
        let function = self.find()?;
        let missing = || Refusal::not_found(format!("Alias not found: {arn}:{name}"));
        let old = function.aliases.get(&name).ok_or_else(missing)?.clone();
        if expected.is_some_and(|expected| expected != old.revision_id) {
            return Err(Refusal::precondition());
        }
        let mut alias = old.clone();
        alias.version = version.unwrap_or(&old.version).to_owned();
        alias.description = description.unwrap_or(&old.description).to_owned();
        alias.weights = weights.unwrap_or(alias.weights);
        rules::check_routing(function, &arn, &alias.version, &alias.weights)?;
        self.move_provisioned(&name, &old, &mut alias)?;
        alias.revision_id = self.lambda().mint.next();
        let answer = render::alias(&arn, &name, &alias);
        self.find_mut()?.aliases.insert(name.clone(), alias);
        self.reroute(&name);
        Ok(Reply::of(StatusCode::OK, answer))
    }

    /// What becomes of provisioned concurrency when its alias changes: on a plain move to another version AWS keeps the
    /// users at the old one, by a weight of its own, until the new one is ready.
    ///
    /// With nothing provisioned there is nothing to wait for. Then a fault keeps a move from its end all the same, and the
    /// end of a canary too: the weight is on the version that was to lose its share, and users get what they got.
    fn move_provisioned(&mut self, name: &str, old: &Alias, alias: &mut Alias) -> Result<(), Refusal> {
        if !alias.weights.is_empty() {
            alias.transient = None;
            return Ok(());
        }
        let moved = alias.version != old.version;
        let (primary, weights) = old.serving();
        let shown = if moved { Some(primary) } else { weights.keys().next().map(String::as_str) };
        let waits = self.is_endless() || (moved && self.find()?.provisioned.contains_key(name));
        let Some(shown) = shown.filter(|shown| waits && *shown != alias.version) else {
            if moved {
                alias.transient = None;
                self.set_provisioned_until(name, None)?;
            }
            return Ok(());
        };
        let weights = if moved { BTreeMap::new() } else { weights.clone() };
        let until = self.after(MOVE);
        alias.transient = Some(Transient { old: shown.to_owned(), serving: (primary.to_owned(), weights), until });
        self.set_provisioned_until(name, Some(until))
    }

    fn set_provisioned_until(&mut self, alias: &str, until: Option<Until>) -> Result<(), Refusal> {
        if let Some(provisioned) = self.find_mut()?.provisioned.get_mut(alias) {
            provisioned.until = until;
        }
        Ok(())
    }

    /// Answers 204 whether there is such an alias or not.
    pub(super) fn delete_alias(&mut self) -> Result<Reply, Refusal> {
        let name = self.alias_name().to_owned();
        let function = self.find_mut()?;
        function.aliases.remove(&name);
        function.provisioned.remove(&name);
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    /// The aliases that send requests to a version, as primary or additional.
    pub(super) fn aliases_of(&self, version: &str) -> Result<Vec<&str>, Refusal> {
        let aliases: &BTreeMap<String, Alias> = &self.find()?.aliases;
        let of = aliases.iter().filter(|(_, a)| a.version == version || a.shown_weights().contains_key(version));
        Ok(of.map(|(name, _)| name.as_str()).collect())
    }
}
