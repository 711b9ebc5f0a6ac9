//! Lists a page at a time.

use std::collections::BTreeMap;

use crate::error::ApiError;

/// The page a request asks for.
#[derive(Debug)]
pub(crate) struct Page {
    after: Option<String>,
    size: usize,
}

impl Page {
    /// Reads `Marker` and `MaxItems`; a page is never longer than `largest`, whatever the client asks for.
    pub(crate) fn of(query: &BTreeMap<String, String>, largest: usize) -> Result<Self, ApiError> {
        let size = match query.get("MaxItems") {
            None => largest,
            Some(text) => match text.parse::<usize>() {
                Ok(size @ 1..=10_000) => size.min(largest),
                Ok(_) | Err(_) => return Err(refused_size(text)),
            },
        };
        let after = match query.get("Marker") {
            None => None,
            Some(marker) => Some(marker.strip_suffix(SUFFIX).ok_or_else(|| refused_marker(marker))?.to_owned()),
        };
        Ok(Self { after, size })
    }

    /// Cuts the page out of a list and returns it with the marker of the next one.
    ///
    /// The marker names the last item rather than a position, so that an earlier item deleted between two pages moves
    /// no other out of sight.
    pub(crate) fn cut<T>(&self, items: Vec<(String, T)>) -> Result<(Vec<T>, Option<String>), ApiError> {
        let start = match &self.after {
            None => 0,
            Some(after) => match items.iter().position(|(name, _)| name == after) {
                Some(at) => at + 1,
                None => return Err(refused_marker(after)),
            },
        };
        let more = items.len() > start + self.size;
        let page: Vec<(String, T)> = items.into_iter().skip(start).take(self.size).collect();
        let next = page.last().filter(|_| more).map(|(name, _)| format!("{name}{SUFFIX}"));
        Ok((page.into_iter().map(|(_, item)| item).collect(), next))
    }
}

/// Makes a marker unreadable to a client that does not encode it.
const SUFFIX: &str = "+/=";

fn refused_marker(marker: &str) -> ApiError {
    ApiError::invalid(format!("Invalid pagination token: {marker}"))
}

fn refused_size(text: &str) -> ApiError {
    let constraint = if text.parse::<i64>().is_ok_and(|size| size < 1) {
        "Member must have value greater than or equal to 1"
    } else {
        "Member must have value less than or equal to 10000"
    };
    ApiError::validation(text, "maxItems", constraint)
}
