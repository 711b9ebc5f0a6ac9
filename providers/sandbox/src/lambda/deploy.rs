//! New code, new settings, new versions, and their end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use super::body::Body;
use super::call::{Call, Reply};
use super::error::Refusal;
use super::state::{LATEST, PUBLISH, Settings, UPDATE, Version};
use super::store::sha256;
use super::{render, rules};

impl Call<'_> {
    /// Refuses a change while another one is under way, and one that was made for an older state.
    fn may_change(&self, expected: Option<&str>) -> Result<(), Refusal> {
        let latest = &self.find()?.latest;
        if latest.updating.is_some() {
            let message = format!(
                "The operation cannot be performed at this time. An update is in progress for resource: {}",
                self.arn()
            );
            return Err(Refusal::conflict(message));
        }
        match expected {
            Some(expected) if expected != latest.revision_id => Err(Refusal::precondition()),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn update_code(&mut self) -> Result<Reply, Refusal> {
        let body = self.body()?;
        self.find()?;
        let (sha256, size, image) = code(&body)?;
        let (publish, dry_run) = (body.flag("Publish")?, body.flag("DryRun")?);
        self.may_change(body.text("RevisionId")?)?;
        let settings = Settings { code_sha256: sha256, code_size: size, image, ..self.find()?.latest.settings.clone() };
        let (arn, name) = (self.arn(), self.route.function.clone());
        if dry_run {
            let preview = Version { settings, ..self.find()?.latest.clone() };
            return Ok(Reply::of(StatusCode::OK, render::configuration(&arn, &name, LATEST, &preview)));
        }
        self.update(settings, None)?;
        if !publish {
            let latest = &self.find()?.latest;
            return Ok(Reply::of(StatusCode::OK, render::configuration(&arn, &name, LATEST, latest)));
        }
        let number = self.publish(None)?;
        self.published(StatusCode::OK, number)
    }

    pub(super) fn update_configuration(&mut self) -> Result<Reply, Refusal> {
        let body = self.body()?;
        let mut violations = Vec::new();
        let description = body.text("Description")?;
        rules::check_description(description, &mut violations);
        let mut number = |member: &str, shown: &str, least: i64, most: i64| -> Result<Option<u32>, Refusal> {
            let Some(value) = body.integer(member)? else { return Ok(None) };
            let bound = match value {
                _ if value < least => format!("greater than or equal to {least}"),
                _ if value > most => format!("less than or equal to {most}"),
                _ => return Ok(u32::try_from(value).ok()),
            };
            let constraint = format!("Member must have value {bound}");
            violations.push(rules::violation(&value.to_string(), shown, &constraint));
            Ok(None)
        };
        let timeout = number("Timeout", "timeout", 1, 900)?;
        let memory = number("MemorySize", "memorySize", 128, 10_240)?;
        if !violations.is_empty() {
            return Err(Refusal::validation(&violations));
        }
        let old = self.find()?.latest.settings.clone();
        let text = |member: &str, old: String| Ok(body.text(member)?.map_or(old, str::to_owned));
        let environment = match body.object("Environment")? {
            Some(environment) => environment.object("Variables")?.map(Body::texts).transpose()?.unwrap_or_default(),
            None => old.environment,
        };
        let dead_letter = match body.object("DeadLetterConfig")? {
            Some(queue) => queue.text("TargetArn")?.filter(|arn| !arn.is_empty()).map(str::to_owned),
            None => old.dead_letter,
        };
        let settings = Settings {
            role: text("Role", old.role)?,
            handler: text("Handler", old.handler)?,
            runtime: text("Runtime", old.runtime)?,
            timeout: timeout.unwrap_or(old.timeout),
            memory: memory.unwrap_or(old.memory),
            environment,
            dead_letter,
            code_sha256: old.code_sha256,
            code_size: old.code_size,
            image: old.image,
        };
        self.may_change(body.text("RevisionId")?)?;
        self.update(settings, description)?;
        let body = render::configuration(&self.arn(), &self.route.function, LATEST, &self.find()?.latest);
        Ok(Reply::of(StatusCode::OK, body))
    }

    fn update(&mut self, settings: Settings, description: Option<&str>) -> Result<(), Refusal> {
        let (modified, updating) = (self.now, Some(self.after(UPDATE)));
        let revision_id = self.lambda().mint.next();
        let old = &self.find()?.latest;
        let description = description.unwrap_or(&old.description).to_owned();
        let pending = old.pending;
        let latest = Version {
            settings,
            template: description.clone(),
            description,
            modified,
            revision_id,
            pending,
            failed: false,
            update_failed: false,
            updating,
        };
        self.find_mut()?.latest = latest;
        Ok(())
    }

    pub(super) fn publish_version(&mut self) -> Result<Reply, Refusal> {
        let body = self.body()?;
        let description = body.text("Description")?;
        let mut violations = Vec::new();
        rules::check_description(description, &mut violations);
        if !violations.is_empty() {
            return Err(Refusal::validation(&violations));
        }
        self.may_change(body.text("RevisionId")?)?;
        let current = &self.find()?.latest.settings.code_sha256;
        if let Some(wanted) = body.text("CodeSha256")?.filter(|wanted| wanted != current) {
            return Err(Refusal::invalid(format!(
                "CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({current}). Please try again \
                 with the CodeSHA256 in $LATEST."
            )));
        }
        let number = self.publish(description)?;
        self.published(StatusCode::CREATED, number)
    }

    /// Freezes `$LATEST`; without a change since the last version there is no new one, and its number is returned.
    fn publish(&mut self, description: Option<&str>) -> Result<u64, Refusal> {
        let function = self.find()?;
        if let Some((number, newest)) = function.versions.iter().next_back()
            && newest.settings == function.latest.settings
            && newest.template == function.latest.description
        {
            return Ok(*number);
        }
        let number = function.next_version;
        let description = description.unwrap_or(&function.latest.description).to_owned();
        let (settings, template) = (function.latest.settings.clone(), function.latest.description.clone());
        let (modified, pending) = (self.now, Some(self.after(PUBLISH)));
        let revision_id = self.lambda().mint.next();
        let version = Version {
            settings,
            description,
            modified,
            revision_id,
            pending,
            template,
            failed: false,
            update_failed: false,
            updating: None,
        };
        let function = self.find_mut()?;
        function.versions.insert(number, version);
        function.next_version += 1;
        Ok(number)
    }

    fn published(&self, status: StatusCode, number: u64) -> Result<Reply, Refusal> {
        let qualifier = number.to_string();
        let version = self.find()?.versions.get(&number).ok_or_else(|| self.no_version(&qualifier))?;
        let arn = format!("{}:{qualifier}", self.arn());
        Ok(Reply::of(status, render::configuration(&arn, &self.route.function, &qualifier, version)))
    }

    /// Deletes a version that no alias names, or all of the function.
    pub(super) fn delete_function(&mut self) -> Result<Reply, Refusal> {
        self.find()?;
        let Some(qualifier) = self.route.qualifier.clone() else {
            if let Some(region) = self.world.lambda.regions.get_mut(&self.region) {
                region.functions.remove(&self.route.function);
            }
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        };
        if qualifier == LATEST {
            let message = "$LATEST version cannot be deleted without deleting the function.";
            return Err(Refusal::invalid(message));
        }
        let Ok(number) = qualifier.parse::<u64>() else {
            return Err(Refusal::invalid("Deletion of aliases is not currently supported."));
        };
        let aliases = self.aliases_of(&qualifier)?;
        if !aliases.is_empty() {
            return Err(Refusal::conflict(format!(
                "Unable to delete version because the following aliases reference it: [{}]",
                aliases.join(", ")
            )));
        }
        let missing = self.no_version(&qualifier);
        let function = self.find_mut()?;
        function.versions.remove(&number).ok_or(missing)?;
        function.provisioned.remove(&qualifier);
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

/// The hash and the size of new code, and the image that it is. What lies in S3 or a registry is known by its address only.
fn code(body: &Body) -> Result<(String, u64, Option<String>), Refusal> {
    let size = |code: &[u8]| u64::try_from(code.len()).unwrap_or(u64::MAX);
    if let Some(zip) = body.text("ZipFile")? {
        let zip = STANDARD.decode(zip).map_err(|error| Refusal::serialization(format!("ZipFile: {error}")))?;
        // Both a full archive and an empty one begin with the maker's initials.
        if !zip.starts_with(b"PK") {
            let message = "Could not unzip uploaded file. Please check your file, then try to upload again.";
            return Err(Refusal::invalid(message));
        }
        return Ok((sha256(&zip), size(&zip), None));
    }
    if let (Some(bucket), Some(key)) = (body.text("S3Bucket")?, body.text("S3Key")?) {
        let address = format!("s3://{bucket}/{key}?{}", body.text("S3ObjectVersion")?.unwrap_or_default());
        return Ok((sha256(address.as_bytes()), 1024, None));
    }
    match body.text("ImageUri")? {
        Some(image) => Ok((sha256(image.as_bytes()), 0, Some(image.to_owned()))),
        None => Err(Refusal::invalid("Please provide a source for function code.")),
    }
}
