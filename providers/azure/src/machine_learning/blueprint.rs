//! The text of a deployment, and a copy of it under another name.

use mlroll_backend::{Artifact, AzureMlEndpoint, Error, ErrorKind, Release, Result, RevisionId};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::fields::{self, Fields, READ_ONLY};
use super::wire::{Deployment, PUT_DEPLOYMENT, read_deployment, workspace};
use crate::error::{printable, unexpected};

/// What a PUT of a deployment must not contain besides.
const READ_ONLY_PROPERTIES: [&str; 1] = ["provisioningState"];

/// What Azure and its SDK keep in the inner bag of properties: about the one deployment, never about a copy. Entries can be
/// added to the bag and not taken away.
const OF_ONE_ALONE: [&str; 4] = ["AzureAsyncOperationUri", "createdAt", "createdBy", "lastModifiedAt"];

/// How long a name may be.
const LONGEST_NAME: usize = 32;

/// A deployment as it was read.
#[derive(Clone, Debug)]
pub(super) struct Blueprint {
    /// The answer as it came.
    pub(super) text: String,
    pub(super) deployment: Deployment,
    content: Content,
    /// Where Azure tells about the last operation.
    pub(super) operation: Option<String>,
}

/// What makes two deployments alike, whatever case Azure answers in.
#[derive(Clone, Debug, Default, PartialEq)]
struct Content {
    model: String,
    environment: String,
    instance_type: String,
}

/// What the copy has of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    model: Option<String>,
    environment: Option<String>,
    instance_type: Option<String>,
    instances: Option<u32>,
}

/// A deployment that is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The body of its PUT.
    pub(super) body: String,
    content: Content,
    instances: Option<u32>,
    /// How many of which machine, for people.
    pub(super) machines: String,
}

#[derive(Deserialize)]
struct Shown {
    sku: Option<ShownSku>,
    #[serde(default)]
    properties: ShownProperties,
}

#[derive(Deserialize)]
struct ShownSku {
    capacity: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ShownProperties {
    model: Option<String>,
    environment_id: Option<String>,
    instance_type: Option<String>,
    properties: Option<std::collections::BTreeMap<String, Value>>,
}

impl Changes {
    /// What a release asks for.
    ///
    /// # Errors
    /// `Unsupported` for what no deployment has; `Invalid` for a model or environment that is none.
    pub(super) fn of(release: &Release, endpoint: &AzureMlEndpoint) -> Result<Self> {
        let model = match &release.artifact {
            Artifact::Model(name) => Some(asset("model", name, endpoint)?),
            Artifact::Stable => None,
            other @ (Artifact::Image(_)
            | Artifact::ModelData { .. }
            | Artifact::ModelPackage(_)
            | Artifact::S3 { .. }
            | Artifact::Zip(_)) => {
                let message = format!("an Azure ML deployment is not made by `{}`", other.kind().flag());
                return Err(Error::new(ErrorKind::Unsupported, PUT_DEPLOYMENT, message));
            }
        };
        let settings = &release.settings;
        if settings.min_instances.is_some() {
            let message = "an Azure ML deployment keeps all its instances ready: `--instances` says how many";
            return Err(Error::new(ErrorKind::Unsupported, PUT_DEPLOYMENT, message));
        }
        let environment = settings.environment.as_deref();
        let environment = environment.map(|name| asset("environment", name, endpoint)).transpose()?;
        let (instance_type, instances) = (settings.instance_type.clone(), settings.instances);
        Ok(Self { model, environment, instance_type, instances })
    }
}

impl Blueprint {
    /// Reads an answer about a deployment.
    pub(super) fn parse(operation: &'static str, body: &[u8]) -> Result<Self> {
        let nonsense = || unexpected(operation, "it is not a deployment");
        let text = std::str::from_utf8(body).map_err(|_| nonsense())?;
        let deployment = read_deployment(operation, serde_json::from_str(text).map_err(|_| nonsense())?)?;
        let shown: Shown = serde_json::from_str(text).map_err(|_| nonsense())?;
        let bag = shown.properties.properties.unwrap_or_default();
        let at = bag.get("AzureAsyncOperationUri").and_then(Value::as_str).map(str::to_owned);
        let content = Content {
            model: shown.properties.model.unwrap_or_default(),
            environment: shown.properties.environment_id.unwrap_or_default(),
            instance_type: shown.properties.instance_type.unwrap_or_default(),
        };
        Ok(Self { text: text.to_owned(), deployment, content, operation: at })
    }

    /// The body of the PUT that makes a copy with these changes. All else goes over as it is, also what this program has
    /// never heard of.
    pub(super) fn copy(&self, changes: &Changes) -> Result<Wanted> {
        let failed =
            |e: serde_json::Error| unexpected(PUT_DEPLOYMENT, format!("it cannot be copied (column {})", e.column()));
        let mut copy: Fields = serde_json::from_str(&self.text).map_err(failed)?;
        copy.drop(&READ_ONLY);
        let mut properties = copy.object("properties").map_err(failed)?;
        properties.drop(&READ_ONLY_PROPERTIES);
        let Changes { model, environment, instance_type, instances } = changes;
        for (name, value) in [("model", model), ("environmentId", environment), ("instanceType", instance_type)] {
            if let Some(value) = value {
                properties.set(name, value).map_err(failed)?;
            }
        }
        if properties.has_object("properties") {
            let mut bag = properties.object("properties").map_err(failed)?;
            let own = bag.names().into_iter().filter(|name| name.to_ascii_lowercase().starts_with("azureml."));
            let own: Vec<String> = own.collect();
            bag.drop(&own.iter().map(String::as_str).chain(OF_ONE_ALONE).collect::<Vec<_>>());
            properties.set("properties", &bag).map_err(failed)?;
        }
        copy.set("properties", &properties).map_err(failed)?;
        fields::forget_principals(&mut copy).map_err(failed)?;
        if let Some(instances) = instances {
            let mut sku = if copy.has_object("sku") { copy.object("sku").map_err(failed)? } else { Fields::default() };
            if !sku.names().iter().any(|name| name == "name") {
                sku.set("name", &"Default").map_err(failed)?;
            }
            sku.set("capacity", instances).map_err(failed)?;
            copy.set("sku", &sku).map_err(failed)?;
        }
        let body = serde_json::to_string(&copy).map_err(failed)?;
        let shown: Shown = serde_json::from_str(&body).map_err(failed)?;
        let content = Content {
            model: model.clone().unwrap_or_else(|| self.content.model.clone()),
            environment: environment.clone().unwrap_or_else(|| self.content.environment.clone()),
            instance_type: instance_type.clone().unwrap_or_else(|| self.content.instance_type.clone()),
        };
        let machine = if content.instance_type.is_empty() { "instances" } else { &content.instance_type };
        let count = shown.sku.and_then(|sku| sku.capacity);
        let machines =
            count.map_or_else(|| printable(machine, 80), |count| format!("{count} x {}", printable(machine, 80)));
        Ok(Wanted { body, content, instances: *instances, machines })
    }

    /// What of `wanted` this deployment is not; `None` when it is what is wanted.
    pub(super) fn differs(&self, wanted: &Wanted) -> Option<String> {
        let Content { model, environment, instance_type } = &wanted.content;
        let capacity = |count: u64| format!("{count} instances");
        let (has, wants) = (self.deployment.capacity, wanted.instances.map(u64::from));
        let counts = has.zip(wants).filter(|(has, wants)| has != wants).map(|(has, _)| capacity(has));
        let named = |what: &str, has: &str, wants: &str| {
            let alike = short(has) == short(wants) || has.is_empty();
            (!alike).then(|| format!("{what} {}", printable(has, 200)))
        };
        named("model", &self.content.model, model)
            .or_else(|| named("environment", &self.content.environment, environment))
            .or_else(|| named("instance type", &self.content.instance_type, instance_type))
            .or(counts)
    }
}

impl Wanted {
    /// A name that follows from what is in it: asked again, it is the same. How many instances stable happens to have is
    /// not in it, nor are tags.
    pub(super) fn name(&self) -> Result<RevisionId> {
        let mut value: Value = serde_json::from_str(&self.body).map_err(|_| unexpected(PUT_DEPLOYMENT, "no text"))?;
        if let Some(resource) = value.as_object_mut() {
            resource.remove("tags");
            resource.insert("sku".to_owned(), json!(self.instances));
            if let Some(properties) = resource.get_mut("properties").and_then(Value::as_object_mut) {
                properties.remove("properties");
            }
        }
        let digest = Sha256::digest(value.to_string().as_bytes());
        let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let room = LONGEST_NAME - digest.len() - 1;
        let mut stem = String::new();
        for c in words(&self.content.model).chars() {
            match c.is_ascii_alphanumeric() {
                true => stem.push(c.to_ascii_lowercase()),
                false if !stem.ends_with('-') => stem.push('-'),
                false => {}
            }
        }
        let stem = stem.trim_matches('-');
        let stem =
            if stem.starts_with(|c: char| c.is_ascii_alphabetic()) { stem.to_owned() } else { format!("m{stem}") };
        let stem: String = stem.chars().take(room).collect();
        format!("{}-{digest}", stem.trim_end_matches('-')).parse().map_err(|e| unexpected(PUT_DEPLOYMENT, e))
    }
}

/// A name that Azure takes (docs: 3 to 32 characters, a letter first).
pub(super) fn checked(name: &RevisionId) -> Result<RevisionId> {
    let text = name.as_str();
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let last = text.bytes().next_back().is_some_and(|b| b.is_ascii_alphanumeric());
    let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !text.contains("--");
    if first && last && inner && (3..=LONGEST_NAME).contains(&text.len()) {
        return super::document::revision(text).map_err(|e| unexpected(PUT_DEPLOYMENT, e));
    }
    let message = format!(
        "`{name}` is no name of a deployment: 3 to {LONGEST_NAME} letters, digits and single dashes, a letter first, no dash last"
    );
    Err(Error::new(ErrorKind::Invalid, PUT_DEPLOYMENT, message))
}

/// The id of a model or an environment: as it is, or made of `azureml:NAME:VERSION` or `NAME:VERSION` in this workspace.
fn asset(kind: &'static str, text: &str, endpoint: &AzureMlEndpoint) -> Result<String> {
    if text.starts_with("azureml://") || text.starts_with("/subscriptions/") {
        return Ok(text.to_owned());
    }
    let plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && !part.starts_with('.')
    };
    let short = text.strip_prefix("azureml:").unwrap_or(text);
    match short.split_once(':') {
        Some((name, version)) if plain(name) && plain(version) => {
            Ok(format!("/{}/{kind}s/{name}/versions/{version}", workspace(endpoint).join("/")))
        }
        Some(_) | None => {
            let message = format!(
                "`{}` names no {kind}: azureml:NAME:VERSION, its ARM id, or azureml://registries/REGISTRY/{kind}s/NAME/versions/VERSION",
                text.escape_debug()
            );
            Err(Error::new(ErrorKind::Invalid, PUT_DEPLOYMENT, message))
        }
    }
}

/// An id by its name and version: Azure may answer with another form of it, and in another case.
fn short(id: &str) -> String {
    let parts: Vec<&str> = id.split('/').collect();
    let end = match parts.as_slice() {
        [.., name, versions, version] if versions.eq_ignore_ascii_case("versions") => format!("{name}/{version}"),
        _ => id.to_owned(),
    };
    end.to_ascii_lowercase()
}

/// Name and version of a model, for a name.
fn words(id: &str) -> String {
    short(id).chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use mlroll_backend::Settings;
    use proptest::prelude::*;

    use super::*;

    fn endpoint() -> AzureMlEndpoint {
        let text = |text: &str| text.to_owned();
        AzureMlEndpoint {
            subscription: text("s"),
            resource_group: text("g"),
            workspace: text("w"),
            endpoint: text("fraud"),
        }
    }

    fn release(model: Option<&str>, settings: Settings) -> Release {
        let artifact = model.map_or(Artifact::Stable, |model| Artifact::Model(model.to_owned()));
        Release { artifact, settings, name: None, may_discard_previous: false, anew: false }
    }

    const BLUE: &str = r#"{"id":"/x","name":"blue","type":"t","location":"eastus","kind":"Managed","tags":{"team":"fraud"},
        "identity":{"type":"SystemAssigned","principalId":"p","tenantId":"t"},"sku":{"name":"Default","capacity":2,"future":[1.0]},
        "systemData":{"createdAt":"2026-11-20T08:00:00Z"},"novelty":{"x":1e5},
        "properties":{"endpointComputeType":"Managed","provisioningState":"Succeeded","instanceType":"Standard_DS3_v2",
            "model":"/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/models/Fraud_Net/versions/3",
            "environmentId":"azureml://registries/azureml/environments/sklearn/versions/9","later":  null,
            "properties":{"AzureAsyncOperationUri":"https://x","azureml.onlinedeploymentid":"1","createdBy":"me","mine":"kept"}}}"#;

    fn blue() -> Blueprint {
        Blueprint::parse("Op", BLUE.as_bytes()).unwrap()
    }

    #[test]
    fn a_copy_is_all_of_stable_but_what_is_named_or_azures_own() {
        let settings =
            Settings { instances: Some(4), instance_type: Some("Standard_F8s_v2".to_owned()), ..Settings::default() };
        let changes = Changes::of(&release(Some("azureml:Fraud_Net:4"), settings), &endpoint()).unwrap();
        let copy = blue().copy(&changes).unwrap();
        assert_eq!(
            copy.body.replace(char::is_whitespace, ""),
            r#"{"location":"eastus","kind":"Managed","tags":{"team":"fraud"},"identity":{"type":"SystemAssigned"},
            "sku":{"name":"Default","capacity":4,"future":[1.0]},"novelty":{"x":1e5},
            "properties":{"endpointComputeType":"Managed","instanceType":"Standard_F8s_v2",
            "model":"/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/models/Fraud_Net/versions/4",
            "environmentId":"azureml://registries/azureml/environments/sklearn/versions/9","later":null,"properties":{"mine":"kept"}}}"#
                .replace(char::is_whitespace, "")
        );
        assert_eq!(copy.machines, "4 x Standard_F8s_v2");
    }

    #[test]
    fn a_name_follows_from_the_content_and_is_one_that_azure_takes() {
        let named = |model: Option<&str>, settings: Settings, from: &Blueprint| {
            from.copy(&Changes::of(&release(model, settings), &endpoint()).unwrap()).unwrap().name().unwrap()
        };
        let four = named(Some("azureml:Fraud_Net:4"), Settings::default(), &blue());
        assert!(four.as_str().starts_with("fraud-net-4-"), "{four}");
        assert_eq!(checked(&four).unwrap(), four);
        // Autoscaling and tags make no other revision.
        let scaled = BLUE.replace("\"capacity\":2", "\"capacity\":7").replace("\"team\"", "\"squad\"");
        let scaled = Blueprint::parse("Op", scaled.as_bytes()).unwrap();
        assert_eq!(named(Some("Fraud_Net:4"), Settings::default(), &scaled), four);
        let wide = Settings { instances: Some(9), ..Settings::default() };
        let distinct = [
            four,
            named(Some("azureml:Fraud_Net:5"), Settings::default(), &blue()),
            named(Some("azureml:Fraud_Net:4"), wide.clone(), &blue()),
            named(None, wide, &blue()),
            named(Some("azureml:_1:2"), Settings::default(), &blue()),
            named(Some(&format!("{}:1", "Long_Name.".repeat(9))), Settings::default(), &blue()),
        ];
        for (n, name) in distinct.iter().enumerate() {
            assert_eq!(&checked(name).unwrap(), name);
            assert!(!distinct[..n].contains(name), "{name}");
        }
    }

    #[test]
    fn what_is_there_is_compared_whatever_form_azure_answers_in() {
        let changes = Changes::of(&release(Some("Fraud_Net:4"), Settings::default()), &endpoint()).unwrap();
        let wanted = blue().copy(&changes).unwrap();
        assert!(blue().differs(&wanted).unwrap().contains("versions/3"));
        let there =
            BLUE.replace("Fraud_Net/versions/3", "fraud_net/Versions/4").replace("\"capacity\":2", "\"capacity\":5");
        assert_eq!(Blueprint::parse("Op", there.as_bytes()).unwrap().differs(&wanted), None);
        let two = Settings { instances: Some(2), ..Settings::default() };
        let wanted = blue().copy(&Changes::of(&release(None, two), &endpoint()).unwrap()).unwrap();
        assert_eq!(blue().differs(&wanted), None);
        assert!(Blueprint::parse("Op", there.as_bytes()).unwrap().differs(&wanted).is_some());
    }

    #[test]
    fn what_no_deployment_is_made_of_is_refused() {
        for model in ["", "fraud", "fraud@latest", "azureml:fraud", "a/b:1", "a:..", "..:1", "s3://x/y", "fraud:1:2"] {
            let error = Changes::of(&release(Some(model), Settings::default()), &endpoint()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{model}");
        }
        let min = Settings { min_instances: Some(1), ..Settings::default() };
        assert_eq!(Changes::of(&release(None, min), &endpoint()).unwrap_err().kind(), ErrorKind::Unsupported);
        for name in ["ab", "1ab", "ab-", "a--b", "a_b", "a.b", &"a".repeat(33)] {
            assert!(checked(&name.parse().unwrap()).is_err(), "{name}");
        }
        assert_eq!(checked(&"Green".parse().unwrap()).unwrap().as_str(), "green");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*", model in ".{0,60}", inner in "[\\[\\]{}\",:a-z0-9 ]{0,40}") {
            let _ = Blueprint::parse("Op", text.as_bytes());
            let _ = Changes::of(&release(Some(&model), Settings::default()), &endpoint());
            let text = format!(r#"{{"name":"blue","sku":{inner},"properties":{{"model":{model:?},"properties":{inner}}}}}"#);
            if let Ok(blue) = Blueprint::parse("Op", text.as_bytes()) {
                let changes = Changes { instances: Some(1), ..Changes::default() };
                if let Ok(copy) = blue.copy(&changes) {
                    let name = copy.name().unwrap();
                    prop_assert!(checked(&name).is_ok(), "{}", name);
                }
            }
        }
    }
}
