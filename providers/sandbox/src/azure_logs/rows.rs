//! The rows of the traffic log: requests that have all columns in common are one row that counts many times.

use mlroll_backend::{RevisionId, Target};

use super::kusto::{Column, Fault, Kind, Query, Row, Table, Value, unknown_table};
use crate::World;
use crate::traffic::Measured;

/// The table that there is.
pub(super) const TABLE: &str = "AmlOnlineEndpointTrafficLog";

/// How long before the sandbox began there can have been requests, in seconds.
const HISTORY: i64 = 27 * 3600;

/// More takes too long: a day of minutes, or an hour and a half of seconds.
const MOST_STRETCHES: i64 = 6_000;

/// What a client gets when the model's container answers with anything but 200.
const FAILED: i64 = 424;

/// What it gets when nobody is free to answer, and how many milliseconds that takes.
const THROTTLED: (i64, i64) = (429, 1);

/// An endpoint whose rows are looked at.
#[derive(Debug)]
pub(super) struct Scope {
    /// The parts of its id.
    pub(super) endpoint: [String; 4],
    /// `None`: it has no users.
    pub(super) target: Option<Target>,
    pub(super) revisions: Vec<RevisionId>,
}

const COLUMNS: [(&str, Kind); 10] = [
    ("TimeGenerated", Kind::Time),
    ("AzureMLWorkspaceName", Kind::Text),
    ("EndpointName", Kind::Text),
    ("DeploymentName", Kind::Text),
    ("Method", Kind::Text),
    ("ResponseCode", Kind::Int),
    ("ModelStatusCode", Kind::Int),
    ("TotalDurationMs", Kind::Int),
    ("_ResourceId", Kind::Text),
    ("_SubscriptionId", Kind::Text),
];

/// The table that a query is about, between two seconds; only what is needed to answer it exactly.
pub(super) fn table(
    query: &Query,
    span: Option<(i64, i64)>,
    scope: Vec<Scope>,
    world: &mut World,
) -> Result<Table, Fault> {
    if query.table() != TABLE {
        return Err(unknown_table(query));
    }
    let columns = COLUMNS.iter().map(|(name, kind)| Column::new(*name, *kind)).collect();
    let delay = i64::try_from(world.scenario.azure_logs.delay.as_secs()).unwrap_or(i64::MAX / 4);
    let visible = world.now().unix_seconds().saturating_sub(delay);
    let began = (world.traffic.began().unix_seconds() - HISTORY).div_euclid(60) * 60;
    let (from, until) = span.map_or((began, visible), |(from, until)| (from.max(began), until.min(visible)));
    let (from, until) = query.between().map_or((from, until), |(a, b)| (from.max(a), until.min(b)));
    // Rows of one stretch are told apart nowhere: it ends at a minute, where a bin may end, and at each moment that is named.
    let (mut moments, widths) = query.granules();
    moments.extend(span.into_iter().flat_map(|(from, until)| [from, until]));
    moments.sort_unstable();
    let width = widths.into_iter().fold(60, divisor);
    if until.saturating_sub(from) / width > MOST_STRETCHES {
        return Err(Fault::Syntax("Bins are too fine for so much time in this sandbox".to_owned()));
    }
    let mut rows = Vec::new();
    for Scope { endpoint, target, revisions } in scope {
        let Some(target) = target else { continue };
        let [subscription, group, workspace, name] = &endpoint;
        let id = format!(
            "/subscriptions/{subscription}/resourcegroups/{group}/providers/microsoft.machinelearningservices/workspaces/\
             {workspace}/onlineendpoints/{name}"
        );
        let id = id.to_ascii_lowercase();
        for revision in &revisions {
            let mut at = from;
            while at < until {
                let end = (at.div_euclid(width) * width).saturating_add(width).min(until);
                let named = moments.get(moments.partition_point(|moment| *moment <= at)).copied();
                let end = named.map_or(end, |moment| end.min(moment));
                let measured = world.traffic.between(&target, revision, at, end);
                let texts = |text: &str| Value::Text(text.into());
                let deployment = texts(revision.as_str());
                let (workspace, name, method) = (texts(workspace), texts(name), texts("POST"));
                let (id, subscription) = (texts(&id), texts(subscription));
                rows.extend(answers(&measured).map(|(code, milliseconds, times)| Row {
                    values: vec![
                        Value::Time(at),
                        workspace.clone(),
                        name.clone(),
                        deployment.clone(),
                        method.clone(),
                        Value::Int(code),
                        match code {
                            FAILED => Value::Int(500),
                            code if code == THROTTLED.0 => Value::Null,
                            _ => Value::Int(200),
                        },
                        Value::Int(milliseconds),
                        id.clone(),
                        subscription.clone(),
                    ],
                    times,
                }));
                at = end;
            }
        }
    }
    Ok(Table { columns, rows })
}

/// Requests by their code and duration. Those that failed are spread over all durations: they take as long as others.
fn answers(measured: &Measured) -> impl Iterator<Item = (i64, i64, u64)> {
    let (total, errors) = (measured.requests, measured.errors.min(measured.requests));
    let failed_of = move |first: u64| {
        if total == 0 {
            0
        } else {
            u64::try_from(u128::from(errors) * u128::from(first) / u128::from(total)).unwrap_or(0)
        }
    };
    let mut before = 0_u64;
    let (turned_away, instantly) = THROTTLED;
    let mut rows = vec![(turned_away, instantly, measured.counters.throttled)];
    for (seconds, times) in measured.latency.iter() {
        let upto = before.saturating_add(times);
        let failed = failed_of(upto).saturating_sub(failed_of(before));
        let milliseconds = (seconds * 1000.0).round() as i64;
        rows.push((200, milliseconds, times.saturating_sub(failed)));
        rows.push((FAILED, milliseconds, failed));
        before = upto;
    }
    rows.into_iter().filter(|(_, _, times)| *times > 0)
}

fn divisor(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.saturating_abs(), b.saturating_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}
