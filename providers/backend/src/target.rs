//! The thing that routes, in the two forms it is written in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Who runs the thing that routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Azure Machine Learning online endpoints.
    AzureMl,
    /// Google Cloud Run services.
    CloudRun,
    /// AWS Lambda aliases.
    Lambda,
    /// Amazon SageMaker endpoints.
    SageMaker,
}

/// The thing that routes: service, alias, endpoint.
///
/// Written as `provider:path` or in the cloud's own form (ARN, resource name, ARM id). It is written back as
/// `provider:path`, but for an ARN, which says more: the account. So what is printed can be pasted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// `azure-ml:SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE/ENDPOINT`
    AzureMl(AzureMlEndpoint),
    /// `cloud-run:PROJECT/REGION/SERVICE`
    CloudRun(CloudRunService),
    /// `lambda:REGION/FUNCTION@ALIAS`
    Lambda(LambdaAlias),
    /// `sagemaker:REGION/ENDPOINT`
    SageMaker(SageMakerEndpoint),
}

/// An alias of a Lambda function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LambdaAlias {
    /// Such as `eu-west-1`.
    pub region: String,
    /// The function's name without version or alias.
    pub function: String,
    /// The alias' name.
    pub alias: String,
    /// The account, when the target was written as an ARN: the call then names it, so that the same function
    /// in another account is never touched.
    pub owner: Option<OwnedIn>,
}

/// An endpoint of Amazon SageMaker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SageMakerEndpoint {
    /// Such as `eu-west-1`.
    pub region: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The account, when the target was written as an ARN.
    pub owner: Option<OwnedIn>,
}

/// The part of an ARN that says whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnedIn {
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// Twelve digits.
    pub account: String,
}

/// A service of Google Cloud Run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloudRunService {
    /// The project's id, with its domain if it has one (`example.com:shop`).
    pub project: String,
    /// Such as `europe-west1`.
    pub region: String,
    /// The service's name.
    pub service: String,
}

/// An online endpoint of Azure Machine Learning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AzureMlEndpoint {
    /// The subscription's id.
    pub subscription: String,
    /// The resource group's name.
    pub resource_group: String,
    /// The workspace's name.
    pub workspace: String,
    /// The endpoint's name.
    pub endpoint: String,
}

/// Why a text is no [`Target`]: the part that is wrong, and what is allowed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTarget(String);

impl Provider {
    /// All providers, by name.
    pub const ALL: [Self; 4] = [Self::AzureMl, Self::CloudRun, Self::Lambda, Self::SageMaker];

    /// The name in front of the colon.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AzureMl => "azure-ml",
            Self::CloudRun => "cloud-run",
            Self::Lambda => "lambda",
            Self::SageMaker => "sagemaker",
        }
    }

    const fn form(self) -> &'static str {
        match self {
            Self::AzureMl => "azure-ml:SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE/ENDPOINT",
            Self::CloudRun => "cloud-run:PROJECT/REGION/SERVICE",
            Self::Lambda => "lambda:REGION/FUNCTION@ALIAS",
            Self::SageMaker => "sagemaker:REGION/ENDPOINT",
        }
    }
}

impl Target {
    /// Who runs it.
    #[must_use]
    pub const fn provider(&self) -> Provider {
        match self {
            Self::AzureMl(_) => Provider::AzureMl,
            Self::CloudRun(_) => Provider::CloudRun,
            Self::Lambda(_) => Provider::Lambda,
            Self::SageMaker(_) => Provider::SageMaker,
        }
    }
}

impl Target {
    /// Whether both may name the same thing: they are equal, but one may leave the account open.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let open = |a: &Option<OwnedIn>, b: &Option<OwnedIn>| a.is_none() || b.is_none() || a == b;
        match (self, other) {
            (Self::Lambda(a), Self::Lambda(b)) => {
                (&a.region, &a.function, &a.alias) == (&b.region, &b.function, &b.alias) && open(&a.owner, &b.owner)
            }
            // An ARN may have the name in lower case, and two names that differ in nothing else cannot be.
            (Self::SageMaker(a), Self::SageMaker(b)) => {
                a.region == b.region && a.endpoint.eq_ignore_ascii_case(&b.endpoint) && open(&a.owner, &b.owner)
            }
            _ => self == other,
        }
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        if let Some(arn) = text.strip_prefix("arn:") {
            return from_arn(text, arn);
        }
        if text.starts_with("projects/") {
            return from_resource_name(text);
        }
        if text.starts_with('/') {
            return from_arm_id(text);
        }
        let (name, path) = text.split_once(':').ok_or_else(|| unknown_form(text))?;
        let provider = Provider::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| unknown_form(text))?;
        let form = provider.form();
        let place = Place { text, form };
        match provider {
            Provider::AzureMl => {
                let [subscription, resource_group, workspace, endpoint] = place.split(path)?;
                azure_ml(&place, subscription, resource_group, workspace, endpoint)
            }
            Provider::CloudRun => {
                // A project's domain has dots and a colon: only the two last parts may not.
                let [project, region, service] = place.split(path)?;
                cloud_run(&place, project, region, service)
            }
            Provider::Lambda => {
                let [region, qualified] = place.split(path)?;
                let (function, alias) =
                    qualified.split_once('@').ok_or_else(|| place.wrong("ALIAS", qualified, "FUNCTION@ALIAS"))?;
                lambda(&place, region, function, alias, None)
            }
            Provider::SageMaker => {
                let [region, endpoint] = place.split(path)?;
                sagemaker(&place, region, endpoint, None)
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::AzureMl(AzureMlEndpoint { subscription, resource_group, workspace, endpoint }) => {
                format!("azure-ml:{subscription}/{resource_group}/{workspace}/{endpoint}")
            }
            Self::CloudRun(CloudRunService { project, region, service }) => {
                format!("cloud-run:{project}/{region}/{service}")
            }
            Self::Lambda(LambdaAlias { region, function, alias, owner: Some(OwnedIn { partition, account }) }) => {
                format!("arn:{partition}:lambda:{region}:{account}:function:{function}:{alias}")
            }
            Self::Lambda(LambdaAlias { region, function, alias, owner: None }) => {
                format!("lambda:{region}/{function}@{alias}")
            }
            Self::SageMaker(SageMakerEndpoint { region, endpoint, owner: Some(OwnedIn { partition, account }) }) => {
                format!("arn:{partition}:sagemaker:{region}:{account}:endpoint/{endpoint}")
            }
            Self::SageMaker(SageMakerEndpoint { region, endpoint, owner: None }) => {
                format!("sagemaker:{region}/{endpoint}")
            }
        };
        f.pad(&text)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidTarget {}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The text being read and the form it should have, for messages.
struct Place<'a> {
    text: &'a str,
    form: &'a str,
}

impl Place<'_> {
    fn split<'p, const N: usize>(&self, path: &'p str) -> Result<[&'p str; N], InvalidTarget> {
        let parts: Vec<&str> = path.split('/').collect();
        <[&str; N]>::try_from(parts).map_err(|parts| {
            InvalidTarget(format!(
                "target `{}` has {} parts after the colon instead of {N}: {}",
                self.shown(),
                parts.len(),
                self.form
            ))
        })
    }

    fn wrong(&self, part: &str, found: &str, allowed: &str) -> InvalidTarget {
        InvalidTarget(format!(
            "target `{}`: {part} is `{}`; allowed is {allowed}, as in {}",
            self.shown(),
            found.escape_debug(),
            self.form
        ))
    }

    fn shown(&self) -> String {
        self.text.chars().take(200).flat_map(char::escape_debug).collect()
    }

    fn name(&self, part: &str, found: &str, longest: usize, extra: &[u8]) -> Result<String, InvalidTarget> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || extra.contains(&b);
        let ends_well = found.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        if found.len() > longest || !ends_well || !found.bytes().all(fits) {
            let extra: String = extra.iter().flat_map(|b| [' ', char::from(*b)]).collect();
            return Err(self.wrong(part, found, &format!("1 to {longest} characters of A-Z a-z 0-9{extra}")));
        }
        Ok(found.to_owned())
    }

    fn aws_region(&self, found: &str) -> Result<String, InvalidTarget> {
        let parts: Vec<&str> = found.split('-').collect();
        let letters = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
        let fits = match parts.as_slice() {
            [first, middle @ .., last] => {
                first.len() >= 2
                    && letters(first)
                    && !middle.is_empty()
                    && middle.iter().all(letters)
                    && last.bytes().all(|b| b.is_ascii_digit())
                    && (1..=2).contains(&last.len())
            }
            [] | [_] => false,
        };
        if fits && found.len() <= 32 {
            Ok(found.to_owned())
        } else {
            Err(self.wrong("REGION", found, "a region such as eu-west-1"))
        }
    }
}

fn lambda(
    place: &Place<'_>,
    region: &str,
    function: &str,
    alias: &str,
    owner: Option<OwnedIn>,
) -> Result<Target, InvalidTarget> {
    let region = place.aws_region(region)?;
    let function = place.name("FUNCTION", function, 140, b"-_")?;
    if alias == "$LATEST" {
        return Err(place.wrong("ALIAS", alias, "an alias ($LATEST is mutable and takes no weights)"));
    }
    let alias = place.name("ALIAS", alias, 128, b"-_")?;
    if alias.bytes().all(|b| b.is_ascii_digit()) {
        return Err(place.wrong("ALIAS", &alias, "an alias (a number is a version, and a version routes nothing)"));
    }
    Ok(Target::Lambda(LambdaAlias { region, function, alias, owner }))
}

fn sagemaker(place: &Place<'_>, region: &str, endpoint: &str, owner: Option<OwnedIn>) -> Result<Target, InvalidTarget> {
    let region = place.aws_region(region)?;
    let endpoint = place.name("ENDPOINT", endpoint, 63, b"-")?;
    Ok(Target::SageMaker(SageMakerEndpoint { region, endpoint, owner }))
}

fn cloud_run(place: &Place<'_>, project: &str, region: &str, service: &str) -> Result<Target, InvalidTarget> {
    Ok(Target::CloudRun(CloudRunService {
        project: place.name("PROJECT", project, 128, b"-.:")?,
        region: place.name("REGION", region, 32, b"-")?,
        service: place.name("SERVICE", service, 63, b"-")?,
    }))
}

fn azure_ml(
    place: &Place<'_>,
    subscription: &str,
    group: &str,
    workspace: &str,
    endpoint: &str,
) -> Result<Target, InvalidTarget> {
    Ok(Target::AzureMl(AzureMlEndpoint {
        subscription: place.name("SUBSCRIPTION", subscription, 36, b"-")?,
        resource_group: place.name("RESOURCE_GROUP", group, 90, b"-_.()")?,
        workspace: place.name("WORKSPACE", workspace, 64, b"-_")?,
        endpoint: place.name("ENDPOINT", endpoint, 64, b"-")?,
    }))
}

/// `arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME:ALIAS`, `arn:PARTITION:sagemaker:REGION:ACCOUNT:endpoint/NAME`
fn from_arn(text: &str, arn: &str) -> Result<Target, InvalidTarget> {
    let form =
        "arn:aws:lambda:REGION:ACCOUNT:function:FUNCTION:ALIAS or arn:aws:sagemaker:REGION:ACCOUNT:endpoint/ENDPOINT";
    let place = Place { text, form };
    let parts: Vec<&str> = arn.split(':').collect();
    let owner = |partition: &str, account: &str| -> Result<OwnedIn, InvalidTarget> {
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(place.wrong("ACCOUNT", account, "twelve digits"));
        }
        let partition = place.name("PARTITION", partition, 32, b"-")?;
        Ok(OwnedIn { partition, account: account.to_owned() })
    };
    match parts.as_slice() {
        [partition, "lambda", region, account, "function", function, alias] => {
            lambda(&place, region, function, alias, Some(owner(partition, account)?))
        }
        [_, "lambda", _, _, "function", function] => {
            Err(place.wrong("ALIAS", function, "the ARN of an alias; this one names a function"))
        }
        [partition, "sagemaker", region, account, resource] => match resource.split_once('/') {
            Some(("endpoint", endpoint)) => sagemaker(&place, region, endpoint, Some(owner(partition, account)?)),
            Some(_) | None => Err(place.wrong("the resource", resource, "endpoint/ENDPOINT")),
        },
        _ => Err(place.wrong("the ARN", arn, form)),
    }
}

/// `projects/P/locations/R/services/S`
fn from_resource_name(text: &str) -> Result<Target, InvalidTarget> {
    let form = "projects/PROJECT/locations/REGION/services/SERVICE";
    let place = Place { text, form };
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        ["projects", project, "locations", region, "services", service] => cloud_run(&place, project, region, service),
        _ => Err(place.wrong("the resource name", text, form)),
    }
}

/// `/subscriptions/S/resourceGroups/G/providers/Microsoft.MachineLearningServices/workspaces/W/onlineEndpoints/E`,
/// whose fixed parts Azure compares without case.
fn from_arm_id(text: &str) -> Result<Target, InvalidTarget> {
    let form = "/subscriptions/SUBSCRIPTION/resourceGroups/RESOURCE_GROUP/providers/Microsoft.MachineLearningServices/workspaces/WORKSPACE/onlineEndpoints/ENDPOINT";
    let place = Place { text, form };
    let is = |found: &str, fixed: &str| found.eq_ignore_ascii_case(fixed);
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        ["", s, subscription, g, group, p, provider, w, workspace, e, endpoint]
            if is(s, "subscriptions")
                && is(g, "resourceGroups")
                && is(p, "providers")
                && is(provider, "Microsoft.MachineLearningServices")
                && is(w, "workspaces")
                && is(e, "onlineEndpoints") =>
        {
            azure_ml(&place, subscription, group, workspace, endpoint)
        }
        _ => Err(place.wrong("the ARM id", text, form)),
    }
}

fn unknown_form(text: &str) -> InvalidTarget {
    let forms: Vec<&str> = Provider::ALL.into_iter().map(Provider::form).collect();
    let shown = Place { text, form: "" }.shown();
    InvalidTarget(format!(
        "`{shown}` is not a target; allowed are {}, or the cloud's own ARN, resource name or ARM id",
        forms.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_name_the_same_target() {
        for (own, clouds) in [
            ("lambda:us-east-1/fraud@prod", "arn:aws:lambda:us-east-1:123456789012:function:fraud:prod"),
            ("sagemaker:eu-west-1/churn", "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/churn"),
            ("cloud-run:shop/europe-west1/rank", "projects/shop/locations/europe-west1/services/rank"),
            (
                "azure-ml:0f1e/rg-1/ws/score",
                "/subscriptions/0f1e/resourcegroups/rg-1/providers/microsoft.machinelearningservices/workspaces/ws/onlineendpoints/score",
            ),
        ] {
            assert_eq!(own.parse::<Target>().unwrap().to_string(), own);
            let both = (own.parse::<Target>().unwrap(), clouds.parse::<Target>().unwrap());
            assert!(both.0.may_be(&both.1) && both.1.may_be(&both.0), "{own}");
            // Read back from what is written, it is the very same; an ARN keeps its account.
            assert_eq!(both.1.to_string().parse::<Target>().unwrap(), both.1);
            assert_eq!(both.1.to_string().contains("123456789012"), clouds.starts_with("arn:"));
        }
    }

    #[test]
    fn an_arn_keeps_its_account() {
        let Target::Lambda(alias) = "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:a".parse().unwrap() else {
            panic!("it is a Lambda ARN");
        };
        assert_eq!(alias.owner, Some(OwnedIn { partition: "aws-cn".into(), account: "123456789012".into() }));
    }

    #[test]
    fn projects_with_a_domain_are_read() {
        let text = "cloud-run:example.com:shop/europe-west1/rank";
        assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
    }

    #[test]
    fn messages_name_the_part_and_what_is_allowed() {
        for (text, part) in [
            ("lambda:us-east-1/fraud", "FUNCTION@ALIAS"),
            ("lambda:us-east-1/fraud@7", "a number is a version"),
            ("lambda:us-east-1/fraud@$LATEST", "mutable"),
            ("lambda:useast1/fraud@prod", "REGION"),
            ("lambda:us-east-1/a/b@prod", "3 parts after the colon instead of 2"),
            ("lambda:us-east-1/@prod", "FUNCTION"),
            ("lambda:us-east-1/fr aud@prod", "FUNCTION"),
            ("aws:lambda", "is not a target"),
            ("fraud", "lambda:REGION/FUNCTION@ALIAS"),
            ("arn:aws:lambda:us-east-1:123456789012:function:fraud", "names a function"),
            ("arn:aws:lambda:us-east-1:1234:function:fraud:prod", "twelve digits"),
            ("arn:aws:s3:::bucket", "the ARN"),
            ("projects/p/services/s", "the resource name"),
            ("/subscriptions/s", "the ARM id"),
            ("cloud-run:p/r/../s", "4 parts"),
            ("cloud-run:p/r/..", "SERVICE"),
            ("sagemaker:eu-west-1/a_b", "ENDPOINT"),
        ] {
            let message = text.parse::<Target>().unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(text in "(lambda:[a-z]{2}-[a-z]{4,9}-[0-9]/[A-Za-z0-9_-]{1,20}@[a-z_-]{1,20})|(sagemaker:[a-z]{2}-[a-z]{4}-[0-9]/[A-Za-z0-9-]{1,63})|(cloud-run:[a-z0-9-]{1,20}/[a-z0-9-]{1,20}/[a-z0-9-]{1,20})") {
            if let Ok(target) = text.parse::<Target>() {
                prop_assert_eq!(target.to_string(), text);
            }
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Target>();
        }
    }
}
