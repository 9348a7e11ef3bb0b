//! The two lists of jobs: which part, of what the caller may see, and the link to the next part.

use axum::Json;
use axum::http::{HeaderMap, Uri, header, uri::Authority};
use axum::response::{IntoResponse, Response};
use jobs::{Listing, Stored};
use ledger::JobScope;
use model::job::{Job, JobState, JobType};
use serde::Serialize;

use super::Arm;
use super::answer::{JobBody, Shown};
use super::error::ArmError;
use super::headers::Ids;
use super::path::Group;
use super::query::{Page, TOP_MAX};
use super::refused;
use super::skip::List;
use super::version::ApiVersion;
use crate::people::{Part as Covered, Reach};

/// A list that a request asks for.
pub(super) struct Asked<'a> {
    /// Its subscription.
    pub(super) subscription: &'a str,
    /// Its resource group, if it is of one.
    pub(super) group: Option<&'a Group>,
    /// Which part.
    pub(super) page: Page,
    /// For a client of which version.
    pub(super) version: ApiVersion,
    /// What the caller may see.
    pub(super) reach: Reach,
    /// Where the request went, for the link.
    pub(super) uri: &'a Uri,
    /// And at which host.
    pub(super) headers: &'a HeaderMap,
    /// Whether it came over TLS.
    pub(super) is_tls: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    value: Vec<JobBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_link: Option<String>,
}

/// So many jobs are looked at for one page when the caller may see only some of them; then the page ends with what
/// was found, so that no request reads without end.
const LOOKED_AT_MAX: usize = 2_000;

/// A part of a list: what is in it, each with the position after it, and where the next part begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<T> {
    pub(super) found: Vec<(i64, T)>,
    pub(super) next: Option<i64>,
}

/// Reads parts of a list until `top` that are shown were found.
///
/// The first part is as long as the page: mostly everything is shown. Where it was not enough the rest is read in parts
/// of [`TOP_MAX`], whatever `top` is, and the page ends within one: else `$top=1` would read a long list job by job.
pub(super) async fn gather<T, E, Reading: Future<Output = Result<Part<T>, E>>>(
    top: u32,
    mut after: Option<i64>,
    shows: impl Fn(&T) -> bool,
    read: impl Fn(Option<i64>, u32) -> Reading,
) -> Result<Part<T>, E> {
    let mut page = Part { found: Vec::new(), next: None };
    let (mut looked_at, mut limit) = (0, top);
    loop {
        let part = read(after, limit).await?;
        looked_at += part.found.len();
        for (position, item) in part.found.into_iter().filter(|(_, item)| shows(item)) {
            if page.found.len() == top as usize {
                page.next = page.found.last().map(|(position, _)| *position);
                return Ok(page);
            }
            page.found.push((position, item));
        }
        page.next = part.next;
        after = part.next;
        if after.is_none() || page.found.len() == top as usize || looked_at >= LOOKED_AT_MAX {
            return Ok(page);
        }
        limit = TOP_MAX;
    }
}

impl Asked<'_> {
    /// The answer.
    pub(super) async fn answer(&self, arm: &Arm, ids: &Ids) -> Result<Response, ArmError> {
        let list = List { subscription: self.subscription, group: self.group, filter: &self.page.filter };
        let after = self.page.skip_token.as_deref().map(|token| list.position(token)).transpose()?;
        let found = self.find(arm, after, ids).await?;
        let next_link = found.next.map(|next| self.next_link(arm, &list.token(next))).transpose()?;
        let locations = &arm.locations;
        let shown = found.found.iter().map(|(_, Stored { job, .. })| {
            let location = locations.find(&job.location).map_or(&*job.location, |location| &location.name);
            JobBody::of(job, location, self.version, Shown::Read)
        });
        Ok(Json(Body { value: shown.collect(), next_link }).into_response())
    }

    async fn find(&self, arm: &Arm, after: Option<i64>, ids: &Ids) -> Result<Part<Stored>, ArmError> {
        let Some(listing) = &self.listing() else { return Ok(Part { found: Vec::new(), next: None }) };
        let read = |after, limit| async move {
            let part = arm.jobs.list(listing, after, limit).await;
            let part = part.map_err(|error| refused::look(&error, ids))?;
            Ok(Part { found: part.numbers.into_iter().zip(part.jobs).collect(), next: part.next })
        };
        gather(self.page.top, after, |stored: &Stored| self.shows(&stored.job), read).await
    }

    /// What to ask the service for; nothing where no job can be shown.
    fn listing(&self) -> Option<Listing> {
        let resource_group = match (self.group, self.reach.part(self.subscription)) {
            (Some(group), part) => {
                let covered = match part {
                    Covered::Whole => true,
                    Covered::Groups(groups) => groups.iter().any(|own| own.eq_ignore_ascii_case(&group.name)),
                };
                covered.then(|| Some(group.name.clone()))?
            }
            (None, Covered::Whole) => None,
            (None, Covered::Groups(groups)) => match groups[..] {
                [] => return None,
                [only] => Some(only.to_owned()),
                // Each job of the subscription is looked at.
                _ => None,
            },
        };
        let filter = &self.page.filter;
        // A word that is no state at all is no job's state either.
        let state = filter.state.as_deref().map(|word| JobState::parse(word).ok());
        let job_type = filter.job_type.as_deref().map(|word| JobType::parse(word).ok());
        if state == Some(None) || job_type == Some(None) {
            return None;
        }
        let subscription = self.subscription.to_owned();
        let scope = match resource_group {
            Some(resource_group) => JobScope::ResourceGroup { subscription, resource_group },
            None => JobScope::Subscription(subscription),
        };
        Some(Listing { scope, state: state.flatten(), job_type: job_type.flatten() })
    }

    fn shows(&self, job: &Job) -> bool {
        let covered = self.reach.covers(&job.key.subscription, &job.key.resource_group);
        covered && self.page.filter.tracking_number.as_deref().is_none_or(|number| has_number(job, number))
    }

    /// The same request, from where this part ended.
    fn next_link(&self, arm: &Arm, token: &str) -> Result<String, ArmError> {
        let mut link = self.base(arm)?;
        link.push_str(self.uri.path());
        link.push_str("?api-version=");
        link.push_str(self.version.as_str());
        link.push_str(&format!("&$top={}", self.page.top));
        if let Some(filter) = &self.page.filter_text {
            link.push_str("&$filter=");
            link.push_str(&escaped(filter));
        }
        link.push_str("&$skiptoken=");
        link.push_str(token);
        Ok(link)
    }

    /// Scheme and host, without a slash: the operator's word, or what this very request used.
    fn base(&self, arm: &Arm) -> Result<String, ArmError> {
        if let Some(public) = &arm.public_url {
            return Ok(public.trim_end_matches('/').to_owned());
        }
        let given = self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = given.or_else(|| self.uri.authority().map(Authority::as_str));
        // Who asked sees it in the link, nobody else does; but it must be a host, and nothing more.
        let host =
            host.and_then(|host| host.parse::<Authority>().ok()).filter(|host| !host.as_str().contains('@'));
        let host = host.ok_or_else(|| ArmError::invalid_query("Host", "The request names no host."))?;
        let scheme = if self.is_tls { "https" } else { "http" };
        Ok(format!("{scheme}://{host}"))
    }
}

/// Numbers are compared as the ledger does: without case and blanks.
fn has_number(job: &Job, number: &str) -> bool {
    let fold = |text: &str| -> String {
        text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
    };
    let delivery = job.delivery_package.as_ref().map(|package| &package.tracking_number);
    let back = job.return_package.as_ref().map(|package| &package.tracking_number);
    let wanted = fold(number);
    [delivery, back].into_iter().flatten().any(|own| fold(own) == wanted)
}

/// Percent-escapes everything but what RFC 3986 leaves unreserved.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
