//! Where in a `[[gates]]` table a mistake is: a gate is checked as a whole, but its message names the key.

use std::ops::Range;

/// The span of the value that `message`, which begins with its key, complains about; `table` is the span of the whole gate.
///
/// `None` when the message names no key, or the table has no such key of its own.
pub(super) fn span(text: &str, table: &Range<usize>, message: &str) -> Option<Range<usize>> {
    let named = message.strip_prefix('`').unwrap_or(message);
    let key: String = named.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
    if key.is_empty() || !named.get(key.len()..)?.starts_with([':', '`']) {
        return None;
    }
    let rest = text.get(table.start..)?;
    // `[[...gates]]` runs to the next header; `gates = [{ .. }, ..]` is one span, in which a key may stand more than once.
    let inline = !rest.starts_with("[[");
    let end = if inline { table.end.saturating_sub(table.start) } else { rest.len() };
    let mut lines = rest.get(..end)?.split_inclusive('\n');
    let mut offset = 0;
    let mut found: Vec<usize> = Vec::new();
    if !inline {
        offset = lines.next()?.len();
    }
    for line in lines.take_while(|line| inline || !line.trim_start().starts_with('[')) {
        let value = |(at, _): (usize, &str)| {
            let before = line.get(..at)?.trim();
            let first = before.is_empty() || (inline && before.ends_with(['{', ',']));
            let value = line.get(at + key.len()..)?.trim_start().strip_prefix('=')?.trim_start();
            first.then(|| table.start + offset + line.len() - value.len())
        };
        found.extend(line.match_indices(key.as_str()).filter_map(value));
        offset += line.len();
    }
    match found.as_slice() {
        [start] => Some(*start..*start + 1),
        _ => None,
    }
}
