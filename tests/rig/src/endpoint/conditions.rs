//! Conditional headers: whether an operation may go on, given what is there.
//!
//! Reads that fail are 304 or 412, writes 412, and `If-None-Match: *` on something that exists is
//! 409 for the operations that create (REST reference, conditional headers; spec §4.2).

use super::codes::{self, Refusal};
use super::request::Head;
use super::stamp::Stamp;
use super::state::{Blob, etag_text};

/// What conditions are held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    pub(crate) etag: u64,
    pub(crate) modified: Stamp,
}

impl From<&Blob> for Version {
    fn from(blob: &Blob) -> Version {
        Version { etag: blob.etag, modified: blob.modified }
    }
}

/// The four conditions of a request.
pub(crate) struct Conditions<'a> {
    match_any_of: Option<&'a str>,
    match_none_of: Option<&'a str>,
    modified_since: Option<Stamp>,
    unmodified_since: Option<Stamp>,
}

impl<'a> Conditions<'a> {
    pub(crate) fn of(head: &'a Head) -> Result<Conditions<'a>, Refusal> {
        Ok(Conditions {
            match_any_of: head.header("if-match"),
            match_none_of: head.header("if-none-match"),
            modified_since: head.date("if-modified-since")?,
            unmodified_since: head.date("if-unmodified-since")?,
        })
    }

    /// For an operation that reads something that is there.
    pub(crate) fn check_read(&self, there: Version) -> Result<(), Refusal> {
        if self.match_none_of == Some("*") {
            return Err(codes::UNSATISFIABLE.into());
        }
        self.check_preconditions(there)?;
        if self.matches_none_of(there) || self.not_modified(there) {
            return Err(codes::NOT_MODIFIED.into());
        }
        Ok(())
    }

    /// For an operation that changes something that is there.
    pub(crate) fn check_write(&self, there: Version) -> Result<(), Refusal> {
        self.check_preconditions(there)?;
        if self.matches_none_of(there) || self.not_modified(there) {
            return Err(codes::CONDITION_NOT_MET.into());
        }
        Ok(())
    }

    /// For an operation that creates or replaces.
    pub(crate) fn check_create(&self, there: Option<Version>) -> Result<(), Refusal> {
        match there {
            Some(_) if self.match_none_of == Some("*") => Err(codes::BLOB_EXISTS.into()),
            Some(there) => self.check_write(there),
            None if self.match_any_of.is_some() => Err(codes::CONDITION_NOT_MET.into()),
            None => Ok(()),
        }
    }

    fn check_preconditions(&self, there: Version) -> Result<(), Refusal> {
        let matched = self.match_any_of.is_none_or(|list| lists(list, there.etag));
        let unmodified = self.unmodified_since.is_none_or(|since| there.modified.whole_seconds() <= since);
        if matched && unmodified { Ok(()) } else { Err(codes::CONDITION_NOT_MET.into()) }
    }

    fn matches_none_of(&self, there: Version) -> bool {
        self.match_none_of.is_some_and(|list| lists(list, there.etag))
    }

    /// `If-Modified-Since` is ignored beside `If-None-Match`.
    fn not_modified(&self, there: Version) -> bool {
        self.match_none_of.is_none()
            && self.modified_since.is_some_and(|since| there.modified.whole_seconds() <= since)
    }
}

fn lists(list: &str, etag: u64) -> bool {
    let own = etag_text(etag);
    list.split(',').map(str::trim).any(|each| each == "*" || each == own || each == own.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: Version = Version { etag: 0x8DE1, modified: Stamp::from_unix_seconds(1_000) };

    fn conditions<'a>(any: Option<&'a str>, none: Option<&'a str>) -> Conditions<'a> {
        Conditions { match_any_of: any, match_none_of: none, modified_since: None, unmodified_since: None }
    }

    fn status(result: Result<(), Refusal>) -> u16 {
        result.map_or_else(|refusal| refusal.status, |()| 0)
    }

    #[test]
    fn each_condition_has_the_status_of_its_kind_of_operation() {
        for (any, none, read, write, create) in [
            (Some("\"0x8DE1\""), None, 0, 0, 0),
            (Some("0x8DE1"), None, 0, 0, 0),
            (Some("\"0x1\", \"0x8DE1\""), None, 0, 0, 0),
            (Some("\"0x1\""), None, 412, 412, 412),
            (Some("*"), None, 0, 0, 0),
            (None, Some("*"), 400, 412, 409),
            (None, Some("\"0x8DE1\""), 304, 412, 412),
            (None, Some("\"0x1\""), 0, 0, 0),
        ] {
            let conditions = conditions(any, none);
            let statuses = (
                status(conditions.check_read(THERE)),
                status(conditions.check_write(THERE)),
                status(conditions.check_create(Some(THERE))),
            );
            assert_eq!(statuses, (read, write, create), "{any:?} {none:?}");
        }
    }

    #[test]
    fn what_is_not_there_matches_no_etag() {
        assert_eq!(status(conditions(Some("*"), None).check_create(None)), 412);
        assert_eq!(status(conditions(None, Some("*")).check_create(None)), 0);
    }

    #[test]
    fn dates_compare_by_the_second() {
        let at = |modified: Option<u64>, unmodified: Option<u64>| Conditions {
            match_any_of: None,
            match_none_of: None,
            modified_since: modified.map(Stamp::from_unix_seconds),
            unmodified_since: unmodified.map(Stamp::from_unix_seconds),
        };
        assert_eq!(status(at(Some(1_000), None).check_read(THERE)), 304);
        assert_eq!(status(at(Some(999), None).check_read(THERE)), 0);
        assert_eq!(status(at(None, Some(999)).check_write(THERE)), 412);
        assert_eq!(status(at(None, Some(1_000)).check_write(THERE)), 0);
    }
}
