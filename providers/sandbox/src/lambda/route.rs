//! Which operation a request asks for, and on what.

use std::collections::BTreeMap;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::api::Request;

/// Names of operations, for faults and the log.
pub(super) const OPERATIONS: &[&str] = &[
    "CreateAlias",
    "DeleteAlias",
    "DeleteFunction",
    "DeleteFunctionConcurrency",
    "DeleteProvisionedConcurrencyConfig",
    "GetAccountSettings",
    "GetAlias",
    "GetFunction",
    "GetFunctionConcurrency",
    "GetFunctionConfiguration",
    "GetProvisionedConcurrencyConfig",
    "Invoke",
    "ListAliases",
    "ListFunctions",
    "ListProvisionedConcurrencyConfigs",
    "ListVersionsByFunction",
    "PublishVersion",
    "PutFunctionConcurrency",
    "PutProvisionedConcurrencyConfig",
    UNKNOWN,
    "UpdateAlias",
    "UpdateFunctionCode",
    "UpdateFunctionConfiguration",
];

/// A request for Lambda that names none of its operations.
pub(super) const UNKNOWN: &str = "Unknown";

/// Whether an operation changes nothing.
pub(super) fn reads(operation: &str) -> bool {
    operation.starts_with("Get") || operation.starts_with("List")
}

/// A request taken apart: the operation, its object and its parameters.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) operation: &'static str,
    /// The name of the function as it was sent: a name or an ARN. Empty where there is none.
    pub(super) function: String,
    /// The region that an ARN names.
    pub(super) region: Option<String>,
    /// The alias or version.
    pub(super) qualifier: Option<String>,
    query: BTreeMap<String, String>,
}

impl Route {
    /// Reads method, path and query; `None` when the path is not one of Lambda's.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let path = request.uri().path().strip_prefix('/')?;
        let segments: Vec<String> =
            path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (version, rest) = segments.split_first()?;
        if !is_date(version) || !rest.first().is_some_and(|kind| KINDS.contains(kind)) {
            return None;
        }
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
        let (operation, function, in_path) = find(request.method(), version, rest, &query);
        let (region, function, in_name) = bare_name(function);
        let in_query = query.get("Qualifier").map(String::as_str);
        let qualifier = in_path.or(in_query).or(in_name).map(str::to_owned);
        Some(Self {
            operation,
            function: function.to_owned(),
            region: region.map(str::to_owned),
            qualifier,
            query: query.clone(),
        })
    }

    /// A parameter of the query; an empty one is absent.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The object as `function@qualifier` or `function`, the way faults and the log name it.
    pub(super) fn target(&self) -> Option<String> {
        match &self.qualifier {
            _ if self.function.is_empty() => None,
            Some(qualifier) => Some(format!("{}@{qualifier}", self.function)),
            None => Some(self.function.clone()),
        }
    }
}

/// What follows the version in the paths of Lambda.
const KINDS: [&str; 6] =
    ["account-settings", "code-signing-configs", "event-source-mappings", "functions", "layers", "tags"];

type Found<'a> = (&'static str, &'a str, Option<&'a str>);

fn find<'a>(method: &Method, version: &str, path: &[&'a str], query: &BTreeMap<String, String>) -> Found<'a> {
    let verb = method.as_str();
    match (verb, version, path) {
        ("GET", V2015, ["functions"] | ["functions", ""]) => ("ListFunctions", "", None),
        ("GET", V2015, ["functions", f]) => ("GetFunction", f, None),
        ("DELETE", V2015, ["functions", f]) => ("DeleteFunction", f, None),
        ("GET", V2015, ["functions", f, "configuration"]) => ("GetFunctionConfiguration", f, None),
        ("PUT", V2015, ["functions", f, "configuration"]) => ("UpdateFunctionConfiguration", f, None),
        ("PUT", V2015, ["functions", f, "code"]) => ("UpdateFunctionCode", f, None),
        ("GET", V2015, ["functions", f, "versions"]) => ("ListVersionsByFunction", f, None),
        ("POST", V2015, ["functions", f, "versions"]) => ("PublishVersion", f, None),
        ("POST", V2015, ["functions", f, "invocations"]) => ("Invoke", f, None),
        ("GET", V2015, ["functions", f, "aliases"]) => ("ListAliases", f, None),
        ("POST", V2015, ["functions", f, "aliases"]) => ("CreateAlias", f, None),
        ("GET", V2015, ["functions", f, "aliases", alias]) => ("GetAlias", f, Some(alias)),
        ("PUT", V2015, ["functions", f, "aliases", alias]) => ("UpdateAlias", f, Some(alias)),
        ("DELETE", V2015, ["functions", f, "aliases", alias]) => ("DeleteAlias", f, Some(alias)),
        ("GET", V2016, ["account-settings"] | ["account-settings", ""]) => ("GetAccountSettings", "", None),
        ("PUT", V2017, ["functions", f, "concurrency"]) => ("PutFunctionConcurrency", f, None),
        ("DELETE", V2017, ["functions", f, "concurrency"]) => ("DeleteFunctionConcurrency", f, None),
        ("GET", V2019, ["functions", f, "concurrency"]) => ("GetFunctionConcurrency", f, None),
        ("GET", V2019, ["functions", f, "provisioned-concurrency"]) => {
            let all = query.get("List").is_some_and(|list| list == "ALL");
            let name = if all { "ListProvisionedConcurrencyConfigs" } else { "GetProvisionedConcurrencyConfig" };
            (name, f, None)
        }
        ("PUT", V2019, ["functions", f, "provisioned-concurrency"]) => ("PutProvisionedConcurrencyConfig", f, None),
        ("DELETE", V2019, ["functions", f, "provisioned-concurrency"]) => {
            ("DeleteProvisionedConcurrencyConfig", f, None)
        }
        _ => (UNKNOWN, "", None),
    }
}

const V2015: &str = "2015-03-31";
const V2016: &str = "2016-08-19";
const V2017: &str = "2017-10-31";
const V2019: &str = "2019-09-30";

fn is_date(text: &str) -> bool {
    let digits = |part: Option<&str>, n| part.is_some_and(|p| p.len() == n && p.bytes().all(|b| b.is_ascii_digit()));
    let mut parts = text.split('-');
    digits(parts.next(), 4) && digits(parts.next(), 2) && digits(parts.next(), 2) && parts.next().is_none()
}

/// Reduces the name formats that Lambda accepts (name, partial ARN, full ARN) to region, name and qualifier.
fn bare_name(name: &str) -> (Option<&str>, &str, Option<&str>) {
    let (front, name) = match name.rsplit_once("function:") {
        Some((front, name)) => (Some(front), name),
        None => (None, name),
    };
    let region = front.and_then(|front| front.strip_prefix("arn:aws:lambda:")?.split(':').next());
    match name.split_once(':') {
        Some((name, qualifier)) => (region, name, Some(qualifier)),
        None => (region, name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduces_every_name_format() {
        assert_eq!(bare_name("fraud"), (None, "fraud", None));
        assert_eq!(bare_name("fraud:3"), (None, "fraud", Some("3")));
        assert_eq!(bare_name("123456789012:function:fraud"), (None, "fraud", None));
        assert_eq!(
            bare_name("arn:aws:lambda:us-east-1:123456789012:function:fraud:prod"),
            (Some("us-east-1"), "fraud", Some("prod"))
        );
    }

    #[test]
    fn only_its_own_paths_are_its_own() {
        let route = |method: &str, uri: &str| {
            let request = http::Request::builder().method(method).uri(uri).body(bytes::Bytes::new()).unwrap();
            Route::of(&request).map(|route| (route.operation, route.target()))
        };
        let target = |text: &str| Some(text.to_owned());
        assert_eq!(route("GET", "/2015-03-31/functions/f/aliases/prod"), Some(("GetAlias", target("f@prod"))));
        assert_eq!(
            route("GET", "/2015-03-31/functions/f?Qualifier=%24LATEST"),
            Some(("GetFunction", target("f@$LATEST")))
        );
        assert_eq!(route("GET", "/2015-03-31/functions/"), Some(("ListFunctions", None)));
        assert_eq!(route("PATCH", "/2015-03-31/functions/f"), Some((UNKNOWN, None)));
        assert_eq!(route("GET", "/2019-09-30/functions/f/concurrency"), Some(("GetFunctionConcurrency", target("f"))));
        for other in ["/", "/api/v1/query", "/2015-03-31/buckets", "/2015/functions/f", "/v2/projects/p"] {
            assert_eq!(route("GET", other), None, "{other}");
        }
    }
}
