//! Alerts of named policies: `alertPolicies.list` and `alerts.list` of v3. JSON types stop here.

use std::collections::BTreeSet;

use mlroll_backend::{Error, ErrorKind, Result, Sample, Timestamp, Window};
use serde::Deserialize;

use super::wire::{asking, read};
use crate::session::Session;

const POLICIES: &str = "ListAlertPolicies";
const ALERTS: &str = "ListAlerts";

/// The most items of a page that `alerts.list` gives (discovery document); as many policies are asked for.
const PAGE: &str = "1000";

/// Of those that have closed few matter: those since the first window began.
const CLOSED_PAGE: &str = "100";

/// When an alert was open; no end while it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    from: Timestamp,
    until: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Page {
    alert_policies: Vec<Policy>,
    alerts: Vec<Alert>,
    next_page_token: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Policy {
    /// The whole resource name.
    name: String,
    display_name: String,
    /// Absent is true.
    enabled: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Alert {
    open_time: String,
    close_time: Option<String>,
    /// As it was when the alert was opened.
    policy: Policy,
}

/// When alerts of any of these policies were open, of all that were not over by `since`.
///
/// Alerts are asked for by their state alone. Their policy is a snapshot from when they opened, under whose former display
/// name a filter would not look, and its resource name may hold the project's number where the policy's own has the id.
///
/// # Errors
/// `NotFound`: there is no policy of a name. `Invalid`: it is disabled, so it would never open an alert.
pub(super) async fn alerts(session: &Session, project: &str, names: &[String], since: Timestamp) -> Result<Vec<Open>> {
    let listed = all(session, POLICIES, project, "alertPolicies", &[("pageSize", PAGE)], |_| false).await?;
    let policies: Vec<Policy> = listed.into_iter().flat_map(|page| page.alert_policies).collect();
    let mut meant = Vec::new();
    for name in names {
        let of_name: Vec<&Policy> = policies.iter().filter(|policy| policy.is_called(name)).collect();
        let Some(first) = of_name.first() else {
            let message = format!("project {project} has no alert policy `{name}`");
            return Err(Error::new(ErrorKind::NotFound, POLICIES, message));
        };
        if of_name.iter().all(|policy| policy.enabled == Some(false)) {
            let message = format!("the alert policy `{}` is disabled: it never opens an alert", first.display_name);
            return Err(Error::new(ErrorKind::Invalid, POLICIES, message));
        }
        meant.extend(of_name.into_iter().cloned());
    }
    // The open ones first: one that closes between the requests is then in both lists, and not in neither.
    let open = [("pageSize", PAGE), ("filter", "state=\"OPEN\"")];
    let mut listed = all(session, ALERTS, project, "alerts", &open, |_| false).await?;
    let closed = [("pageSize", CLOSED_PAGE), ("filter", "state=\"CLOSED\""), ("orderBy", "close_time desc")];
    listed.extend(all(session, ALERTS, project, "alerts", &closed, |pages| is_enough(pages, since)).await?);
    let ours = |alert: &Alert| meant.iter().any(|policy| alert.policy.is_of(policy));
    listed.iter().flat_map(|page| &page.alerts).filter(|alert| ours(alert)).map(Alert::open).collect()
}

/// Whether any of them was open at some time of the window: one or zero.
pub(super) fn during(open: &[Open], window: Window) -> Sample {
    let meets = |alert: &Open| alert.from < window.end() && alert.until.is_none_or(|until| until > window.start());
    Sample::value(if open.iter().any(meets) { 1.0 } else { 0.0 })
}

async fn all(
    session: &Session,
    operation: &'static str,
    project: &str,
    what: &str,
    asked: &[(&str, &str)],
    is_enough: impl Fn(&[Page]) -> bool,
) -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    let mut followed = BTreeSet::new();
    let mut token = String::new();
    loop {
        let mut query = asked.to_vec();
        if !token.is_empty() {
            query.push(("pageToken", token.as_str()));
        }
        let url = session.url(&["v3", "projects", project, what], &query);
        let page: Page = read(operation, &session.send(&asking(operation, url)).await?)?;
        token.clone_from(&page.next_page_token);
        pages.push(page);
        if token.is_empty() || is_enough(&pages) {
            return Ok(pages);
        }
        if !followed.insert(token.clone()) {
            return Err(Error::new(ErrorKind::Unexpected, operation, "the list does not end"));
        }
    }
}

/// Whether all that follows these pages had closed by `since`: they end with one that had, and are really in the order that
/// was asked for.
fn is_enough(pages: &[Page], since: Timestamp) -> bool {
    let alerts = pages.iter().flat_map(|page| &page.alerts);
    let closed: Option<Vec<Timestamp>> = alerts.map(|alert| alert.close_time.as_deref()?.parse().ok()).collect();
    closed.is_some_and(|times| times.is_sorted_by(|a, b| a >= b) && times.last().is_some_and(|last| *last <= since))
}

impl Policy {
    /// Of an alert's snapshot: whether it is of that policy. Policies can share a display name and change it; what follows
    /// `alertPolicies/` is one policy's own. A snapshot without a name has nothing but what people saw.
    fn is_of(&self, policy: &Self) -> bool {
        let id = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        if self.name.is_empty() {
            return self.display_name == policy.display_name;
        }
        id(&self.name) == id(&policy.name)
    }

    /// By the name that people see, or by the whole resource name, which is unique.
    fn is_called(&self, name: &str) -> bool {
        self.display_name == name || self.name == name
    }
}

impl Alert {
    fn open(&self) -> Result<Open> {
        let moment = |text: &str| {
            text.parse::<Timestamp>()
                .map_err(|_| Error::new(ErrorKind::Unexpected, ALERTS, "an alert opens at no known time"))
        };
        let until = self.close_time.as_deref().filter(|time| !time.is_empty()).map(moment).transpose()?;
        Ok(Open { from: moment(&self.open_time)?, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_counts_in_each_window_that_it_touches() {
        let at = |minute: i64| Timestamp::from_unix_seconds(60 * minute).unwrap();
        let window = |minute: i64| Window::new(at(minute), at(minute + 1)).unwrap();
        let opened = |from: i64, until: Option<i64>| Open { from: at(from), until: until.map(at) };
        let zero_or_one = |open: &[Open], minute| {
            let sample = during(open, window(minute));
            let Sample::Value(value) = sample else { panic!("{sample:?}") };
            value.get()
        };
        assert_eq!(zero_or_one(&[], 5), 0.0);
        for (alert, minute, expected) in [
            (opened(3, Some(5)), 4, 1.0),
            (opened(3, Some(5)), 5, 0.0),
            (opened(3, Some(5)), 2, 0.0),
            (opened(3, None), 99, 1.0),
            (opened(6, None), 5, 0.0),
        ] {
            assert_eq!(zero_or_one(&[opened(0, Some(1)), alert], minute), expected, "{alert:?} {minute}");
        }
    }
}
