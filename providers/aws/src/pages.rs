//! Lists that come in pages.

use std::collections::BTreeSet;

use mlroll_backend::{Error, ErrorKind, Result};

/// Where a list is being read.
#[derive(Debug)]
pub(crate) struct Pages {
    operation: &'static str,
    token: Option<String>,
    followed: BTreeSet<String>,
}

impl Pages {
    /// Before the first page of a list that `operation` answers with.
    pub(crate) const fn of(operation: &'static str) -> Self {
        Self { operation, token: None, followed: BTreeSet::new() }
    }

    /// What to ask the page by; `None` for the first one.
    pub(crate) fn token(&self) -> Option<String> {
        self.token.clone()
    }

    /// Goes on to the page that `next` names, and tells whether there is one: an empty name is none, as the SDKs have it.
    ///
    /// # Errors
    /// `Unexpected` when the list comes back to where it was: it would never end.
    pub(crate) fn turn(&mut self, next: Option<String>) -> Result<bool> {
        self.token = next.filter(|next| !next.is_empty());
        match &self.token {
            Some(next) if !self.followed.insert(next.clone()) => {
                Err(Error::new(ErrorKind::Unexpected, self.operation, "the pages of the answer do not end"))
            }
            Some(_) => Ok(true),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_or_is_refused() {
        let mut pages = Pages::of("ListThings");
        assert_eq!(pages.token(), None);
        let turn = |pages: &mut Pages, next: Option<&str>| pages.turn(next.map(str::to_owned));
        assert!(turn(&mut pages, Some("b")).unwrap());
        assert_eq!(pages.token().as_deref(), Some("b"));
        assert!(turn(&mut pages, Some("c")).unwrap());
        let error = turn(&mut pages, Some("b")).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Unexpected, "ListThings"));
        for end in [None, Some("")] {
            assert!(!turn(&mut Pages::of("ListThings"), end).unwrap());
        }
    }
}
