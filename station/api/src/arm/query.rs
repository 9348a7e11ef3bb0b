//! A request's query: `api-version`, and for the lists `$top`, `$filter` and `$skiptoken`.
//!
//! Names are compared without case, unknown parameters are ignored. A known one that is given twice with
//! different values is refused, because either choice would be wrong half of the time.

use axum::extract::Query as Pairs;
use axum::http::Uri;

use super::error::ArmError;
use super::filter::Filter;
use super::version::ApiVersion;

/// The service returns at most so many jobs at once.
pub const TOP_MAX: u32 = 100;

/// The parameters as they stand in the URL, decoded.
pub(super) struct Query(Vec<(String, String)>);

/// Which part of a list is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Page {
    /// Up to so many jobs, 1 to [`TOP_MAX`].
    pub(super) top: u32,
    /// The filter as given, for the next link.
    pub(super) filter_text: Option<String>,
    /// What it says.
    pub(super) filter: Filter,
    /// Where the last page ended.
    pub(super) skip_token: Option<String>,
}

impl Query {
    pub(super) fn of(uri: &Uri) -> Result<Self, ArmError> {
        let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(uri);
        let Pairs(pairs) =
            pairs.map_err(|_| ArmError::invalid_query("query", "The query cannot be read."))?;
        Ok(Self(pairs))
    }

    /// The version, which every request must give.
    pub(super) fn version(&self) -> Result<ApiVersion, ArmError> {
        let text =
            self.one("api-version")?.filter(|text| !text.is_empty()).ok_or_else(ArmError::version_missing)?;
        ApiVersion::parse(text).ok_or_else(ArmError::version_unknown)
    }

    /// The part of a list.
    pub(super) fn page(&self) -> Result<Page, ArmError> {
        let filter_text = self.one("$filter")?.map(str::to_owned);
        let filter = Filter::parse(filter_text.as_deref().unwrap_or_default());
        let filter = filter.map_err(|error| {
            ArmError::invalid_query("$filter", format!("The filter cannot be read: {error}."))
        })?;
        let skip_token = self.one("$skiptoken")?.map(str::to_owned);
        Ok(Page { top: self.top()?, filter_text, filter, skip_token })
    }

    fn top(&self) -> Result<u32, ArmError> {
        let Some(text) = self.one("$top")? else { return Ok(TOP_MAX) };
        let top = text.parse().ok().filter(|top| (1..=TOP_MAX).contains(top));
        top.ok_or_else(|| {
            ArmError::invalid_query("$top", format!("'$top' must be a whole number from 1 to {TOP_MAX}."))
        })
    }

    fn one(&self, name: &str) -> Result<Option<&str>, ArmError> {
        let mut given =
            self.0.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
        let Some(first) = given.next() else { return Ok(None) };
        if given.all(|other| other == first) {
            Ok(Some(first))
        } else {
            Err(ArmError::invalid_query(name, format!("'{name}' is given twice, with different values.")))
        }
    }
}
