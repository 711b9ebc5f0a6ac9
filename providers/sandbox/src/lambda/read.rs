//! What there is: functions and versions.

use http::StatusCode;
use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::error::Refusal;
use super::paging::Page;
use super::render;
use super::state::{LATEST, Version};

impl Call<'_> {
    /// The version that the request's qualifier names, with its number and the ARN it is asked for by.
    fn asked_for(&self) -> Result<(String, &str, &Version), Refusal> {
        let function = self.find()?;
        let Some(qualifier) = self.route.qualifier.as_deref() else {
            return Ok((self.arn(), LATEST, &function.latest));
        };
        let (number, version) = function.qualified(qualifier).ok_or_else(|| self.no_version(qualifier))?;
        Ok((format!("{}:{qualifier}", self.arn()), number, version))
    }

    pub(super) fn get_configuration(&self) -> Result<Reply, Refusal> {
        let (arn, number, version) = self.asked_for()?;
        let body = render::configuration(&arn, &self.route.function, number, version);
        Ok(Reply::of(StatusCode::OK, body))
    }

    pub(super) fn get_function(&self) -> Result<Reply, Refusal> {
        let (arn, number, version) = self.asked_for()?;
        let configuration = render::configuration(&arn, &self.route.function, number, version);
        // Nobody can fetch it: the sandbox keeps no code.
        let location = format!("https://sandbox.invalid/{}/{number}", self.route.function);
        let code = match &version.settings.image {
            Some(image) => json!({ "RepositoryType": "ECR", "ImageUri": image, "ResolvedImageUri": image }),
            None => json!({ "RepositoryType": "S3", "Location": location }),
        };
        let mut body = json!({ "Configuration": configuration, "Code": code });
        if let (Some(reserved), Value::Object(body)) = (self.find()?.reserved, &mut body) {
            body.insert("Concurrency".to_owned(), json!({ "ReservedConcurrentExecutions": reserved }));
        }
        Ok(Reply::of(StatusCode::OK, body))
    }

    pub(super) fn list_versions(&self) -> Result<Reply, Refusal> {
        let page = Page::of(self.route, 10_000)?;
        let versions = render::versions(&self.arn(), &self.route.function, self.find()?);
        let (versions, next) = page.cut(versions, |number| number.parse().ok(), u64::to_string)?;
        Ok(Reply::of(StatusCode::OK, json!({ "Versions": versions, "NextMarker": next })))
    }

    /// `$LATEST` of each function; with `FunctionVersion=ALL` all versions come first by name.
    pub(super) fn list_functions(&self) -> Result<Reply, Refusal> {
        let page = Page::of(self.route, 10_000)?;
        let all = self.route.query("FunctionVersion") == Some("ALL");
        let functions = self.functions().into_iter().flat_map(|region| &region.functions);
        let mut entries = Vec::new();
        for (name, slot) in functions {
            let arn = format!("{}{name}", self.arn());
            if all {
                let versions = render::versions(&arn, name, &slot.now);
                entries.extend(versions.into_iter().map(|(number, entry)| ((name.clone(), number), entry)));
            } else {
                let entry = Value::Object(render::version(&arn, name, LATEST, &slot.now.latest));
                entries.push(((name.clone(), 0), entry));
            }
        }
        let read = |text: &str| {
            let (name, number) = text.split_once(':')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        let (functions, next) = page.cut(entries, read, |(name, number)| format!("{name}:{number}"))?;
        Ok(Reply::of(StatusCode::OK, json!({ "Functions": functions, "NextMarker": next })))
    }
}
