//! What Log Analytics is asked about the traffic log of an endpoint: one row for each request, counted where it is kept.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use mlroll_backend::{AzureMlEndpoint, Effect, Error, ErrorKind, Query, Result, Target, Timestamp, Window};
use serde_json::json;

use super::rows::Rows;
use crate::transport::{Request, Transport};

/// The table that the endpoint's diagnostic setting fills.
pub(super) const TABLE: &str = "AmlOnlineEndpointTrafficLog";

/// Latencies that requests are counted above besides those that gates ask about, in milliseconds: gates that compare whole
/// histograms, or have no limit of their own, need bounds. As those of Prometheus' own clients.
const LADDER: [f64; 11] = [5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0];

/// The coarsest bin of time, in seconds.
const MINUTE: u64 = 60;

/// How the traffic log is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrafficLog {
    /// The id of the Log Analytics workspace that is asked; without one the endpoint itself is, and Azure finds where its logs
    /// are.
    pub workspace: Option<String>,
    /// The latencies that gates ask about, in seconds.
    pub slower_than: Vec<f64>,
}

/// What is counted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// Requests, and the failed ones.
    Failures,
    /// Requests by how long they took.
    Latencies,
    /// Requests.
    Requests,
}

impl Counted {
    /// What of the log answers a query; `None` where metrics do.
    pub(super) const fn of(query: &Query) -> Option<Self> {
        match query {
            Query::ErrorRate => Some(Self::Failures),
            Query::Latency | Query::Quantile(_) => Some(Self::Latencies),
            Query::Requests => Some(Self::Requests),
            Query::Alarms(_)
            | Query::Custom(_)
            | Query::Headroom(_)
            | Query::InstanceStartup
            | Query::PendingRequests
            | Query::Ratio { .. }
            | Query::Scores(_)
            | Query::Stratified { .. } => None,
        }
    }
}

impl TrafficLog {
    /// What requests are counted above, in milliseconds, rising.
    pub(super) fn bounds(&self) -> Vec<f64> {
        let told = self.slower_than.iter().map(|seconds| (seconds * 1e6).round() / 1e3);
        let mut bounds: Vec<f64> = told.chain(LADDER).filter(|bound| bound.is_finite() && *bound > 0.0).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        bounds
    }

    /// Asks once about all of an endpoint's `deployments` and `windows`.
    pub(super) async fn ask(
        &self,
        transport: &Transport,
        target: &Target,
        endpoint: &AzureMlEndpoint,
        deployments: &BTreeSet<String>,
        windows: &[Window],
    ) -> Result<Rows> {
        let (from, until) = match (windows.iter().map(|w| w.start()).min(), windows.iter().map(|w| w.end()).max()) {
            (Some(from), Some(until)) => (from, until),
            _ => return Err(Error::new(ErrorKind::Unexpected, self.operation(), "no window")),
        };
        let query = self.query(endpoint, deployments, Some((from, until)), bin(windows));
        let body = json!({ "query": query, "timespan": format!("{from}/{until}") }).to_string();
        let path = match &self.workspace {
            Some(workspace) => vec!["v1", "workspaces", workspace, "query"],
            None => vec![
                "v1",
                "subscriptions",
                &endpoint.subscription,
                "resourceGroups",
                &endpoint.resource_group,
                "providers",
                "Microsoft.MachineLearningServices",
                "workspaces",
                &endpoint.workspace,
                "onlineEndpoints",
                &endpoint.endpoint,
                "query",
            ],
        };
        let address = transport.address(path, &[])?;
        let operation = self.operation();
        // It only reads, whatever its method.
        let request = Request { operation, target, effect: Effect::Read, method: "POST", address, body: Some(body) };
        match transport.send(&request).await {
            Ok(answer) => Rows::parse(operation, &answer.body, &self.bounds(), || hint(endpoint)),
            // Nobody has ever sent it there.
            Err(e) if e.kind() == ErrorKind::Invalid && e.message().contains(TABLE) => {
                Err(Error::new(e.kind(), operation, format!("{}: {}", e.message(), hint(endpoint))))
            }
            Err(e) => Err(e),
        }
    }

    const fn operation(&self) -> &'static str {
        if self.workspace.is_some() { "Query_Execute" } else { "Query_ResourceExecute" }
    }

    /// The query, in bins of so many seconds; without a time for people who want to ask it again.
    ///
    /// `ResponseCode` is read as a number whatever it is: Microsoft's list of columns has a number, its examples have texts.
    pub(super) fn query(
        &self,
        endpoint: &AzureMlEndpoint,
        deployments: &BTreeSet<String>,
        time: Option<(Timestamp, Timestamp)>,
        bin: u64,
    ) -> String {
        let mut query = TABLE.to_owned();
        if let Some((from, until)) = time {
            let _ = write!(query, "\n| where TimeGenerated >= datetime({from}) and TimeGenerated < datetime({until})");
        }
        let names: Vec<String> = deployments.iter().map(|name| quoted(name)).collect();
        let _ = write!(query, "\n| where EndpointName =~ {}", quoted(&endpoint.endpoint));
        let _ = write!(query, " and DeploymentName in~ ({})", names.join(", "));
        if self.workspace.is_some() {
            // Others of the same name may write there too.
            let _ = write!(query, " and _ResourceId =~ {}", quoted(&id(endpoint)));
        }
        // One that is turned away is no answer of the deployment's, and it is quick.
        query.push_str("\n| extend Code = toint(ResponseCode)\n| extend Answered = isnull(Code) or Code != 429");
        query.push_str("\n| summarize Requests = countif(Answered), Throttled = countif(Code == 429)");
        query.push_str(", Failed = countif(Code == 408 or Code == 424 or (Code >= 500 and Code <= 599))");
        query.push_str(", NoCode = countif(isnull(Code)), NoDuration = countif(Answered and isnull(TotalDurationMs))");
        for (n, bound) in self.bounds().iter().enumerate() {
            let _ = write!(query, ", Above{n} = countif(Answered and TotalDurationMs > {bound})");
        }
        let _ = write!(query, " by Start = bin(TimeGenerated, {bin}s), Deployment = tolower(DeploymentName)");
        query
    }
}

/// The widest bin that every window is made of: windows lie on a grid of their own length.
pub(super) fn bin(windows: &[Window]) -> u64 {
    windows.iter().fold(MINUTE, |bin, window| divisor(bin, window.length().as_secs()))
}

fn divisor(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// A literal of the query language. What a name holds cannot end it.
fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => literal.extend(['\\', c]),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(literal, "\\u{:04x}", u32::from(c));
            }
            c => literal.push(c),
        }
    }
    literal.push('\'');
    literal
}

/// The endpoint's id in Azure Resource Manager.
fn id(endpoint: &AzureMlEndpoint) -> String {
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}/onlineEndpoints/{}",
        endpoint.subscription, endpoint.resource_group, endpoint.workspace, endpoint.endpoint
    )
}

/// What to type where there is nothing to be read.
fn hint(endpoint: &AzureMlEndpoint) -> String {
    format!(
        "where nobody sends it to Log Analytics yet: `az monitor diagnostic-settings create --name mlroll --resource {} \
         --workspace WORKSPACE --logs '[{{\"category\": \"{TABLE}\", \"enabled\": true}}]'`; its first rows may take an hour",
        id(endpoint)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str) -> AzureMlEndpoint {
        AzureMlEndpoint {
            subscription: "s".to_owned(),
            resource_group: "g".to_owned(),
            workspace: "w".to_owned(),
            endpoint: name.to_owned(),
        }
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        for (name, literal) in [
            ("green", "'green'"),
            ("x' or 1 == 1 //", "'x\\' or 1 == 1 //'"),
            ("x\\", "'x\\\\'"),
            ("x\\' | take 1", "'x\\\\\\' | take 1'"),
            ("a\nb\u{2028}\"", "'a\\u000ab\\u2028\"'"),
        ] {
            assert_eq!(quoted(name), literal);
            let query = TrafficLog::default().query(&endpoint(name), &[name.to_owned()].into(), None, 60);
            assert_eq!((query.matches(literal).count(), query.lines().count()), (2, 5), "{query}");
        }
    }

    #[test]
    fn limits_of_gates_are_bounds_to_the_microsecond() {
        let log = TrafficLog { slower_than: vec![0.3, 0.29, 0.0007, f64::NAN, 0.5], ..TrafficLog::default() };
        let bounds = log.bounds();
        assert!([300.0, 290.0, 0.7].iter().all(|bound| bounds.contains(bound)), "{bounds:?}");
        assert_eq!(bounds.len(), LADDER.len() + 3);
        let query = log.query(&endpoint("fraud"), &["blue".to_owned(), "green".to_owned()].into(), None, 30);
        assert!(
            query.contains(
                "Above0 = countif(Answered and TotalDurationMs > 0.7), Above1 = countif(Answered and TotalDurationMs > 5), "
            ),
            "{query}"
        );
        assert!(query.contains("EndpointName =~ 'fraud' and DeploymentName in~ ('blue', 'green')\n"), "{query}");
        assert!(query.ends_with("by Start = bin(TimeGenerated, 30s), Deployment = tolower(DeploymentName)"), "{query}");
    }

    #[test]
    fn bins_are_parts_of_every_window() {
        let window = |start: i64, length: i64| {
            let at = |seconds| Timestamp::from_unix_seconds(seconds).unwrap();
            Window::new(at(start), at(start + length)).unwrap()
        };
        assert_eq!(bin(&[window(0, 300), window(600, 300)]), 60);
        assert_eq!(bin(&[window(90, 90)]), 30);
        assert_eq!(bin(&[window(120, 60), window(14, 7)]), 1);
        assert_eq!(bin(&[]), 60);
    }
}
