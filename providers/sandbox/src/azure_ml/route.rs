//! Which operation a request asks for, and on what.

use crate::api::Request;
use crate::arm::Asked;

/// Names of operations, for faults and the log: those of Azure's own clients, and of its paths where they have none.
pub(super) const OPERATIONS: &[&str] = &[
    "OnlineDeployments_CreateOrUpdate",
    "OnlineDeployments_Delete",
    "OnlineDeployments_Get",
    "OnlineDeployments_GetLogs",
    "OnlineDeployments_List",
    "OnlineDeployments_ListSkus",
    "OnlineDeployments_Update",
    "OnlineEndpoints_CreateOrUpdate",
    "OnlineEndpoints_Delete",
    "OnlineEndpoints_Get",
    "OnlineEndpoints_GetToken",
    "OnlineEndpoints_List",
    "OnlineEndpoints_ListKeys",
    "OnlineEndpoints_Update",
    UNKNOWN,
    "Workspaces_Get",
    "mfeOperationResults",
    "mfeOperationsStatus",
];

/// A request that names none of them.
pub(super) const UNKNOWN: &str = "Unknown";

/// Whether an operation changes nothing.
pub(super) fn reads(operation: &str) -> bool {
    ["_Get", "_List", "_GetToken", "_ListKeys", "_GetLogs", "_ListSkus"].iter().any(|end| operation.ends_with(end))
        || operation.starts_with("mfe")
}

/// Subscription, resource group and workspace, in lower case.
pub(super) type Scope = (String, String, String);

/// A request taken apart.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) operation: &'static str,
    pub(super) asked: Asked,
    /// As it was sent: subscription, resource group, workspace.
    pub(super) within: [String; 3],
    /// As it was sent; empty where there is none.
    pub(super) endpoint: String,
    /// As it was sent; empty where there is none.
    pub(super) deployment: String,
    /// The id of an asynchronous operation.
    pub(super) id: String,
}

impl Route {
    /// `None` for what is not below `/subscriptions`.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let asked = Asked::of(request)?;
        let parts: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
        let mut route = Self {
            operation: UNKNOWN,
            within: Default::default(),
            endpoint: String::new(),
            deployment: String::new(),
            id: String::new(),
            asked: asked.clone(),
        };
        let is = |part: &str, word: &str| part.eq_ignore_ascii_case(word);
        match parts.as_slice() {
            [_, p, provider, l, _, kind, id] if is(p, "providers") && is(provider, PROVIDER) && is(l, "locations") => {
                (*id).clone_into(&mut route.id);
                let get = asked.method == "GET";
                let known = ["mfeOperationResults", "mfeOperationsStatus"].into_iter().find(|known| is(kind, known));
                route.operation = known.filter(|_| get).unwrap_or(UNKNOWN);
            }
            [subscription, g, group, p, provider, w, workspace, rest @ ..]
                if is(g, "resourceGroups") && is(p, "providers") && is(provider, PROVIDER) && is(w, "workspaces") =>
            {
                route.within = [*subscription, *group, *workspace].map(str::to_owned);
                route.below(rest);
            }
            _ => {}
        }
        Some(route)
    }

    /// Reads what follows the workspace.
    fn below(&mut self, rest: &[&str]) {
        let method = self.asked.method.as_str().to_owned();
        let (e, rest) = match rest {
            [] => {
                self.operation = if method == "GET" { "Workspaces_Get" } else { UNKNOWN };
                return;
            }
            [e, rest @ ..] => (*e, rest),
        };
        if !e.eq_ignore_ascii_case("onlineEndpoints") {
            return;
        }
        if let Some(endpoint) = rest.first() {
            (*endpoint).clone_into(&mut self.endpoint);
        }
        let lower: Vec<String> = rest.iter().skip(1).map(|part| part.to_ascii_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        if let (["deployments", _, ..], Some(name)) = (lower.as_slice(), rest.get(2)) {
            (*name).clone_into(&mut self.deployment);
        }
        let with_endpoint = !rest.is_empty();
        self.operation = match (method.as_str(), with_endpoint, lower.as_slice()) {
            ("GET", false, []) => "OnlineEndpoints_List",
            ("GET", true, []) => "OnlineEndpoints_Get",
            ("PUT", true, []) => "OnlineEndpoints_CreateOrUpdate",
            ("PATCH", true, []) => "OnlineEndpoints_Update",
            ("DELETE", true, []) => "OnlineEndpoints_Delete",
            ("POST", true, ["listkeys"]) => "OnlineEndpoints_ListKeys",
            ("POST", true, ["token"]) => "OnlineEndpoints_GetToken",
            ("GET", true, ["deployments"]) => "OnlineDeployments_List",
            ("GET", true, ["deployments", _]) => "OnlineDeployments_Get",
            ("PUT", true, ["deployments", _]) => "OnlineDeployments_CreateOrUpdate",
            ("PATCH", true, ["deployments", _]) => "OnlineDeployments_Update",
            ("DELETE", true, ["deployments", _]) => "OnlineDeployments_Delete",
            ("POST", true, ["deployments", _, "getlogs"]) => "OnlineDeployments_GetLogs",
            ("GET", true, ["deployments", _, "skus"]) => "OnlineDeployments_ListSkus",
            _ => UNKNOWN,
        };
    }

    pub(super) fn scope(&self) -> Scope {
        let [subscription, group, workspace] = &self.within;
        (subscription.to_ascii_lowercase(), group.to_ascii_lowercase(), workspace.to_ascii_lowercase())
    }

    /// The object as `endpoint@deployment` or `endpoint`, the way faults and the log name it.
    pub(super) fn target(&self) -> Option<String> {
        match (self.endpoint.as_str(), self.deployment.as_str()) {
            ("", _) => None,
            (endpoint, "") => Some(endpoint.to_ascii_lowercase()),
            (endpoint, deployment) => {
                Some(format!("{}@{}", endpoint.to_ascii_lowercase(), deployment.to_ascii_lowercase()))
            }
        }
    }
}

/// The resource provider.
pub(super) const PROVIDER: &str = "Microsoft.MachineLearningServices";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_no_case_and_only_its_own_are_its_own() {
        let route = |method: &str, uri: &str| {
            let request = http::Request::builder().method(method).uri(uri).body(bytes::Bytes::new()).unwrap();
            Route::of(&request).map(|route| (route.operation, route.target()))
        };
        let base = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w";
        let some = |operation, target: &str| Some((operation, Some(target.to_owned())));
        assert_eq!(route("GET", &format!("{base}/onlineEndpoints/Fraud")), some("OnlineEndpoints_Get", "fraud"));
        let lower = base.to_ascii_lowercase();
        assert_eq!(
            route("PUT", &format!("{lower}/onlineendpoints/fraud/Deployments/Green?api-version=x")),
            some("OnlineDeployments_CreateOrUpdate", "fraud@green")
        );
        assert_eq!(route("GET", &format!("{base}/onlineEndpoints")), Some(("OnlineEndpoints_List", None)));
        assert_eq!(route("GET", base), Some(("Workspaces_Get", None)));
        assert_eq!(route("POST", &format!("{base}/onlineEndpoints/f/deployments/d/what")), some(UNKNOWN, "f@d"));
        let status =
            "/subscriptions/s/providers/Microsoft.MachineLearningServices/locations/eastus/mfeOperationsStatus/oe:1:2";
        assert_eq!(route("GET", status), Some(("mfeOperationsStatus", None)));
        assert_eq!(route("GET", "/subscriptions/s/resourceGroups"), Some((UNKNOWN, None)));
        for other in ["/", "/api/v1/query", "/v2/projects/p", "/2015-03-31/functions"] {
            assert_eq!(route("GET", other), None, "{other}");
        }
    }
}
