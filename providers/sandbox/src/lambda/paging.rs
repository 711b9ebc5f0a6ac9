//! Lists a page at a time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::Refusal;
use super::route::Route;
use super::rules;

/// The page that a request asks for.
#[derive(Debug)]
pub(super) struct Page {
    after: Option<String>,
    size: usize,
}

impl Page {
    /// Reads `Marker` and `MaxItems` (1 ..= `allowed`); a page is never longer than 50, whatever the client asks for.
    pub(super) fn of(route: &Route, allowed: usize) -> Result<Self, Refusal> {
        let size = match route.query("MaxItems") {
            None => LARGEST,
            Some(text) => {
                let number = text
                    .parse::<i64>()
                    .map_err(|_| Refusal::serialization(format!("'{text}' can not be converted to an Integer")))?;
                let size = usize::try_from(number).ok().filter(|size| (1..=allowed).contains(size));
                let size = size.ok_or_else(|| {
                    let constraint = if number < 1 {
                        "Member must have value greater than or equal to 1".to_owned()
                    } else {
                        format!("Member must have value less than or equal to {allowed}")
                    };
                    Refusal::validation(&[rules::violation(text, "maxItems", &constraint)])
                })?;
                size.min(LARGEST)
            }
        };
        let after = route.query("Marker").map(|marker| read(marker).ok_or_else(|| refused(marker))).transpose()?;
        Ok(Self { after, size })
    }

    /// Cuts the page out of a list that is ordered by its names, and returns it with the marker of the next one.
    ///
    /// The marker names the last item rather than a position, so that an item deleted between two pages moves no other
    /// out of sight.
    pub(super) fn cut<N: Ord, T>(
        &self,
        items: Vec<(N, T)>,
        name: impl Fn(&str) -> Option<N>,
        written: impl Fn(&N) -> String,
    ) -> Result<(Vec<T>, Option<String>), Refusal> {
        let start = match &self.after {
            None => 0,
            Some(after) => {
                let after = name(after).ok_or_else(|| refused(after))?;
                items.partition_point(|(name, _)| *name <= after)
            }
        };
        let more = items.len() > start.saturating_add(self.size);
        let page: Vec<(N, T)> = items.into_iter().skip(start).take(self.size).collect();
        let next = page.last().filter(|_| more).map(|(name, _)| mark(&written(name)));
        Ok((page.into_iter().map(|(_, item)| item).collect(), next))
    }
}

/// What Lambda gives at once, whatever `MaxItems` says.
const LARGEST: usize = 50;

/// A marker has to be encoded in a URL: `+`, `/` and `=` are part of every one, so that a client that forgets is found.
fn mark(last: &str) -> String {
    STANDARD.encode(format!("{last}>>>???")) + "+/="
}

fn read(marker: &str) -> Option<String> {
    let decoded = STANDARD.decode(marker.strip_suffix("+/=")?).ok()?;
    Some(String::from_utf8(decoded).ok()?.strip_suffix(">>>???")?.to_owned())
}

fn refused(marker: &str) -> Refusal {
    Refusal::invalid(format!("Invalid pagination token: {marker}"))
}
