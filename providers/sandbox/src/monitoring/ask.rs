//! What a request asks of `timeSeries.list`.

use mlroll_backend::Timestamp;

use super::filter::{Filter, Key};
use crate::api::Request;
use crate::google::{Parameters, Refusal};

/// The most points on a page (discovery document).
const PAGE: usize = 100_000;

/// How the points of a series become one for each period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Aligner {
    Delta,
    Max,
    Mean,
    Min,
    None,
    Percentile(f64),
    Rate,
}

/// How several series become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reducer {
    Count,
    Max,
    Mean,
    Min,
    None,
    Percentile(f64),
    Sum,
}

/// A request that makes sense.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) filter: Filter,
    /// In seconds since 1970.
    pub(super) start: i64,
    pub(super) end: i64,
    /// In seconds.
    pub(super) period: i64,
    pub(super) aligner: Aligner,
    pub(super) reducer: Reducer,
    pub(super) group_by: Vec<Key>,
    /// Whether points are left out.
    pub(super) headers: bool,
    pub(super) page_start: usize,
    pub(super) page_size: usize,
}

const ONCE: [&str; 10] = [
    "aggregation.alignmentPeriod",
    "aggregation.crossSeriesReducer",
    "aggregation.perSeriesAligner",
    "filter",
    "interval.endTime",
    "interval.startTime",
    "orderBy",
    "pageSize",
    "pageToken",
    "view",
];

impl Ask {
    pub(super) fn read(request: &Request) -> Result<Self, Refusal> {
        let sent = Parameters::read(request, &ONCE, &["aggregation.groupByFields"])?;
        let missing = |name: &str| Refusal::invalid(format!("Field {name} had an invalid value: it is required."));
        let filter = Filter::parse(sent.get("filter").ok_or_else(|| missing("filter"))?)?;
        let end = moment(&sent, "interval.endTime")?.ok_or_else(|| missing("interval.end_time"))?;
        let start = moment(&sent, "interval.startTime")?.unwrap_or(end);
        if start > end {
            return Err(Refusal::invalid(
                "Field interval had an invalid value: The start time must be earlier than or equal to the end time.",
            ));
        }
        if let Some(order) = sent.get("orderBy") {
            return Err(Refusal::invalid(format!("Field orderBy had an invalid value of \"{order}\": must be empty.")));
        }
        let headers = match sent.get("view") {
            None | Some("FULL" | "0") => false,
            Some("HEADERS" | "1") => true,
            Some(other) => return Err(Refusal::invalid(format!("Invalid value at 'view' (TimeSeriesView), {other}"))),
        };
        let aligner = aligner(sent.get("aggregation.perSeriesAligner").unwrap_or("ALIGN_NONE"))?;
        let reducer = reducer(sent.get("aggregation.crossSeriesReducer").unwrap_or("REDUCE_NONE"))?;
        if aligner == Aligner::None && reducer != Reducer::None {
            return Err(Refusal::invalid(
                "Field aggregation had an invalid value: a crossSeriesReducer needs a perSeriesAligner.",
            ));
        }
        let period = match sent.get("aggregation.alignmentPeriod") {
            Some(text) => period(text)?,
            None if aligner == Aligner::None => 60,
            None => return Err(missing("aggregation.alignmentPeriod")),
        };
        let group_by = sent.all("aggregation.groupByFields").map(Key::parse).collect::<Result<_, _>>()?;
        let (page_start, page_size) = (sent.page_start()?, sent.page_size(PAGE)?);
        Ok(Self { filter, start, end, period, aligner, reducer, group_by, headers, page_start, page_size })
    }
}

fn moment(sent: &Parameters, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(text) = sent.get(name) else { return Ok(None) };
    let moment = text.parse::<Timestamp>();
    let invalid = |_| Refusal::invalid(format!("Invalid value at '{name}' (google.protobuf.Timestamp), \"{text}\""));
    moment.map(|moment| Some(moment.unix_seconds())).map_err(invalid)
}

fn period(text: &str) -> Result<i64, Refusal> {
    let seconds = text.strip_suffix('s').and_then(|number| number.parse::<i64>().ok());
    // 104 weeks (API reference, `Aggregation`).
    match seconds {
        Some(seconds @ 60..=62_899_200) => Ok(seconds),
        _ => Err(Refusal::invalid(format!(
            "Field aggregation.alignmentPeriod had an invalid value of \"{text}\": must be 60 seconds to 104 weeks."
        ))),
    }
}

fn percentile(name: &str, of: &str) -> Option<f64> {
    match name.strip_prefix(of)? {
        "99" => Some(99.0),
        "95" => Some(95.0),
        "50" => Some(50.0),
        "05" => Some(5.0),
        _ => None,
    }
}

impl Aligner {
    /// Refuses what makes no sense of moments, or of increases.
    pub(super) fn suits(self, gauge: bool) -> Result<(), Refusal> {
        let fits = match self {
            Self::Max | Self::Mean | Self::Min => gauge,
            Self::Delta | Self::Percentile(_) | Self::Rate => !gauge,
            Self::None => true,
        };
        let kind = if gauge { "GAUGE" } else { "DELTA" };
        if fits {
            return Ok(());
        }
        Err(Refusal::invalid(format!(
            "Field aggregation.perSeriesAligner had an invalid value: The aligner cannot be applied to metrics with kind {kind}."
        )))
    }
}

fn aligner(name: &str) -> Result<Aligner, Refusal> {
    match name {
        "ALIGN_NONE" => Ok(Aligner::None),
        // Of points that are increases, their sum is the increase.
        "ALIGN_DELTA" | "ALIGN_SUM" => Ok(Aligner::Delta),
        "ALIGN_MAX" => Ok(Aligner::Max),
        "ALIGN_MEAN" => Ok(Aligner::Mean),
        "ALIGN_MIN" => Ok(Aligner::Min),
        "ALIGN_RATE" => Ok(Aligner::Rate),
        _ => percentile(name, "ALIGN_PERCENTILE_").map(Aligner::Percentile).ok_or_else(|| {
            Refusal::invalid(format!(
                "Field aggregation.perSeriesAligner had an invalid value of \"{name}\": there is no such aligner here."
            ))
        }),
    }
}

fn reducer(name: &str) -> Result<Reducer, Refusal> {
    match name {
        "REDUCE_COUNT" => Ok(Reducer::Count),
        "REDUCE_MAX" => Ok(Reducer::Max),
        "REDUCE_MEAN" => Ok(Reducer::Mean),
        "REDUCE_MIN" => Ok(Reducer::Min),
        "REDUCE_NONE" => Ok(Reducer::None),
        "REDUCE_SUM" => Ok(Reducer::Sum),
        _ => percentile(name, "REDUCE_PERCENTILE_").map(Reducer::Percentile).ok_or_else(|| {
            Refusal::invalid(format!("Field aggregation.crossSeriesReducer had an invalid value of \"{name}\"."))
        }),
    }
}
