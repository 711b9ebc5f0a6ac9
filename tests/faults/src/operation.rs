//! Which operation a request asks for, and on what.

use std::collections::BTreeMap;
use std::fmt;

use crate::http::{self, Message};

/// An operation of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Reads one alias.
    GetAlias,
    /// Reads the configuration and the state of one version.
    GetFunctionConfiguration,
    /// Reads all aliases of a function, a page at a time.
    ListAliases,
    /// Reads which versions and aliases of a function have provisioned concurrency; here none has.
    ListProvisionedConcurrencyConfigs,
    /// Reads all versions of a function, a page at a time.
    ListVersionsByFunction,
    /// Anything the server does not implement.
    Unknown,
    /// Changes one alias.
    UpdateAlias,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A request taken apart: the operation, its object and its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) function: String,
    /// The alias, or the version asked about in `GetFunctionConfiguration`.
    pub(crate) qualifier: Option<String>,
    pub(crate) query: BTreeMap<String, String>,
}

impl Route {
    /// Reads the route from a request's method, path and query.
    pub(crate) fn of(message: &Message) -> Self {
        let query = http::parse_query(&message.query);
        let segments: Vec<String> = message.path.split('/').map(http::decode_path).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (operation, name, qualifier) = match (message.method.as_str(), segments.as_slice()) {
            ("GET", ["", API, "functions", name, "aliases", alias]) => (Operation::GetAlias, *name, Some(*alias)),
            ("PUT", ["", API, "functions", name, "aliases", alias]) => (Operation::UpdateAlias, *name, Some(*alias)),
            ("GET", ["", API, "functions", name, "aliases"]) => (Operation::ListAliases, *name, None),
            ("GET", ["", API, "functions", name, "versions"]) => (Operation::ListVersionsByFunction, *name, None),
            ("GET", ["", PROVISIONING, "functions", name, "provisioned-concurrency"]) if query.contains_key("List") => {
                (Operation::ListProvisionedConcurrencyConfigs, *name, None)
            }
            ("GET", ["", API, "functions", name, "configuration"]) => {
                let qualifier = query.get("Qualifier").map(String::as_str);
                (Operation::GetFunctionConfiguration, *name, qualifier)
            }
            _ => (Operation::Unknown, "", None),
        };
        let (function, own_qualifier) = bare_name(name);
        let qualifier = qualifier.or(own_qualifier).map(str::to_owned);
        Self { operation, function: function.to_owned(), qualifier, query }
    }

    /// Names the object as `function@qualifier`, the way faults and the log address it.
    pub(crate) fn target(&self) -> Option<String> {
        match &self.qualifier {
            _ if self.function.is_empty() => None,
            Some(qualifier) => Some(format!("{}@{qualifier}", self.function)),
            None => Some(self.function.clone()),
        }
    }
}

const API: &str = "2015-03-31";
const PROVISIONING: &str = "2019-09-30";

/// Reduces the name formats Lambda accepts (name, partial ARN, full ARN) to the name and its qualifier.
fn bare_name(name: &str) -> (&str, Option<&str>) {
    let name = match name.find("function:") {
        Some(at) => name.get(at + "function:".len()..).unwrap_or_default(),
        None => name,
    };
    match name.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduces_every_name_format() {
        assert_eq!(bare_name("fraud"), ("fraud", None));
        assert_eq!(bare_name("fraud:3"), ("fraud", Some("3")));
        assert_eq!(bare_name("123456789012:function:fraud"), ("fraud", None));
        assert_eq!(bare_name("arn:aws:lambda:us-east-1:123456789012:function:fraud:prod"), ("fraud", Some("prod")));
    }
}
