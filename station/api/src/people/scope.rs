//! How far a caller reaches: everything, or the subscriptions and resource groups that are theirs.
//!
//! ARM compares these names without case, so a grant does too.

use std::fmt;
use std::str::FromStr;

use model::job::JobKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One subscription, or one resource group of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Grant {
    /// The subscription's id.
    pub subscription: String,
    /// Only this group of it; without one, the whole subscription.
    pub resource_group: Option<String>,
}

/// A text that names neither a subscription nor a resource group.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is neither `/subscriptions/ID` nor `/subscriptions/ID/resourceGroups/NAME`")]
pub struct NotAGrant(pub String);

/// What a caller was given: a token or an identity provider says it, or configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// No limit but the roles'. A customer without grants still reaches nothing.
    Everything,
    /// Only these, whatever the roles say.
    Only(Vec<Grant>),
}

/// How far one allowed operation reaches. Only [`super::authorise`] gives it out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach(Scope);

/// What of one subscription a reach covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part<'a> {
    /// All of it.
    Whole,
    /// These resource groups of it; none at all where the list is empty.
    Groups(Vec<&'a str>),
}

impl Reach {
    pub(super) fn of(scope: Scope) -> Self {
        Self(scope)
    }

    /// Whether it has no limit: lists over all subscriptions need no filter.
    pub fn is_everything(&self) -> bool {
        self.0 == Scope::Everything
    }

    /// What it names, for a list over all subscriptions; `None` where it has no limit.
    pub fn grants(&self) -> Option<&[Grant]> {
        match &self.0 {
            Scope::Everything => None,
            Scope::Only(grants) => Some(grants),
        }
    }

    /// Whether a job of this group is covered.
    ///
    /// Answer 404 where it is not, with the very body that a job which does not exist gets: a 403 would tell a
    /// customer which names others use.
    pub fn covers(&self, subscription: &str, resource_group: &str) -> bool {
        match self.part(subscription) {
            Part::Whole => true,
            Part::Groups(groups) => groups.iter().any(|group| group.eq_ignore_ascii_case(resource_group)),
        }
    }

    /// Whether this job is covered.
    pub fn covers_job(&self, key: &JobKey) -> bool {
        self.covers(&key.subscription, &key.resource_group)
    }

    /// What of one subscription is covered, for a list by subscription.
    pub fn part(&self, subscription: &str) -> Part<'_> {
        let Scope::Only(grants) = &self.0 else { return Part::Whole };
        let own = grants.iter().filter(|grant| grant.subscription.eq_ignore_ascii_case(subscription));
        match own.map(|grant| grant.resource_group.as_deref()).collect::<Option<Vec<_>>>() {
            Some(groups) => Part::Groups(groups),
            // One grant names no group: it is the whole subscription.
            None => Part::Whole,
        }
    }
}

impl FromStr for Grant {
    type Err = NotAGrant;

    fn from_str(text: &str) -> Result<Self, NotAGrant> {
        let parts: Vec<&str> = text.split('/').collect();
        let is = |part: &str, word: &str| part.eq_ignore_ascii_case(word);
        let (subscription, group) = match parts[..] {
            ["", word, subscription] if is(word, "subscriptions") => (subscription, None),
            ["", word, subscription, groups, group]
                if is(word, "subscriptions") && is(groups, "resourceGroups") =>
            {
                (subscription, Some(group))
            }
            _ => return Err(NotAGrant(text.to_owned())),
        };
        if subscription.is_empty() || group.is_some_and(str::is_empty) {
            return Err(NotAGrant(text.to_owned()));
        }
        Ok(Self { subscription: subscription.to_owned(), resource_group: group.map(str::to_owned) })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "/subscriptions/{}", self.subscription)?;
        match &self.resource_group {
            Some(group) => write!(out, "/resourceGroups/{group}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Grant {
    type Error = NotAGrant;

    fn try_from(text: String) -> Result<Self, NotAGrant> {
        text.parse()
    }
}

impl From<Grant> for String {
    fn from(grant: Grant) -> Self {
        grant.to_string()
    }
}
