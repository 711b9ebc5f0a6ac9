//! Which variant gets the new model.

use mlroll_backend::{Error, ErrorKind, Release, Result, RevisionId};

use super::wire::Slot;

/// Variants of one endpoint config (SageMaker API model).
const MOST: usize = 10;

/// The slot for a release, and whether it is new: the one that is named, else the only one without traffic that is no way back,
/// else another one.
pub(super) fn idle(
    slots: &[Slot],
    stable: &RevisionId,
    previous: Option<&RevisionId>,
    release: &Release,
) -> Result<(String, bool)> {
    let refused = |kind: ErrorKind, message: String| Err(Error::new(kind, "UpdateEndpoint", message));
    let has = |name: &str| slots.iter().any(|slot| slot.name == name);
    let is_previous = |name: &str| previous.is_some_and(|previous| previous.as_str() == name);
    let lost = |name: &str| {
        format!(
            "variant {name} is `previous`, the way back of the last promote, and would be overwritten; --discard-previous allows it"
        )
    };
    let may = release.may_discard_previous;
    if let Some(name) = &release.name {
        let name = name.as_str();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        return match name {
            name if name == stable.as_str() => refused(
                ErrorKind::Invalid,
                format!("variant {name} has all of the traffic: it is no slot for a new model"),
            ),
            name if has(name) && is_previous(name) && !may => refused(ErrorKind::Conflict, lost(name)),
            name if has(name) => Ok((name.to_owned(), false)),
            name if name.len() > 63 || !name.bytes().all(fits) || name.starts_with('-') || name.ends_with('-') => {
                refused(
                    ErrorKind::Invalid,
                    format!("`{name}` is no name of a variant: at most 63 letters, digits and inner hyphens"),
                )
            }
            _ if slots.len() >= MOST => {
                refused(ErrorKind::Invalid, format!("the endpoint has {MOST} variants, the most there can be"))
            }
            name => Ok((name.to_owned(), true)),
        };
    }
    let idle: Vec<&str> = slots.iter().map(|slot| slot.name.as_str()).filter(|name| *name != stable.as_str()).collect();
    let free: Vec<&str> = idle.iter().copied().filter(|name| !is_previous(name)).collect();
    match (free.as_slice(), idle.as_slice()) {
        ([only], _) => Ok(((*only).to_owned(), false)),
        ([], [only]) if may => Ok(((*only).to_owned(), false)),
        ([], [only]) => refused(ErrorKind::Conflict, lost(only)),
        ([], _) => Ok(((if stable.as_str() == "b" { "a" } else { "b" }).to_owned(), true)),
        (many, _) => refused(
            ErrorKind::Invalid,
            format!("variants {} have no traffic: name the one to overwrite with --name", many.join(", ")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use mlroll_backend::{Artifact, Settings};

    use super::*;

    #[test]
    fn the_slot_is_the_one_that_nobody_needs() {
        for (names, stable, previous, named, may, expected) in [
            ("a b", "a", None, None, false, Ok(("b", false))),
            ("a b", "b", None, None, false, Ok(("a", false))),
            ("a", "a", None, None, false, Ok(("b", true))),
            ("b", "b", None, None, false, Ok(("a", true))),
            ("AllTraffic", "AllTraffic", None, None, false, Ok(("b", true))),
            ("a b", "b", Some("a"), None, false, Err(ErrorKind::Conflict)),
            ("a b", "b", Some("a"), None, true, Ok(("a", false))),
            ("a b c", "b", Some("a"), None, false, Ok(("c", false))),
            ("a b c", "a", None, None, true, Err(ErrorKind::Invalid)),
            ("a b c", "a", None, Some("c"), false, Ok(("c", false))),
            ("a b", "b", Some("a"), Some("a"), false, Err(ErrorKind::Conflict)),
            ("a b", "a", None, Some("a"), true, Err(ErrorKind::Invalid)),
            ("a b", "b", Some("a"), Some("c"), false, Ok(("c", true))),
            ("a b", "a", None, Some("c_d"), false, Err(ErrorKind::Invalid)),
            ("a b c d e f g h i j", "a", None, Some("k"), false, Err(ErrorKind::Invalid)),
        ] {
            let slots: Vec<Slot> =
                names.split(' ').map(|name| Slot { name: name.to_owned(), ..Slot::default() }).collect();
            let id = |text: &str| text.parse::<RevisionId>().unwrap();
            let release = Release {
                artifact: Artifact::Stable,
                settings: Settings::default(),
                name: named.map(id),
                may_discard_previous: may,
                anew: false,
            };
            let found = idle(&slots, &id(stable), previous.map(id).as_ref(), &release);
            let found = found.map_err(|e| e.kind());
            assert_eq!(
                found,
                expected.map(|(name, new)| (name.to_owned(), new)),
                "{names} {stable} {previous:?} {named:?} {may}"
            );
        }
    }
}
