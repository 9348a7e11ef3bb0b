//! What a verified token says: whether it is for us and for now, who it is, and what that gives them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use thiserror::Error;

use super::compact::decode;
use super::strict::Strict;
use super::{Grant, OidcConfig, Role};
use crate::people::{Caller, Scope};

/// Names are kept in custody entries for ever; a longer one is not a name.
const ID_CHARS_MAX: usize = 200;

/// Why a token that its provider signed opens nothing.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ClaimsRefused {
    /// They are not a JSON object with each name once.
    #[error("they are not a JSON object with each name once")]
    Form,
    /// Another provider's, or none's.
    #[error("the issuer is another one")]
    Issuer,
    /// Meant for somebody else.
    #[error("it is meant for somebody else")]
    Audience,
    /// It does not say when it ends, or a time is none.
    #[error("{0:?} is not a time")]
    Time(&'static str),
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come, or it comes from the future.
    #[error("its time has not come")]
    NotYet,
    /// It does not say who it is.
    #[error("it names nobody")]
    Nobody,
    /// A subscription in it is none.
    #[error("a subscription in it is none")]
    Subscription,
}

/// The claims of a token whose signature was verified.
pub(super) struct Claims(Map<String, Value>);

/// Reads the claims of a text that was verified: header, dot, claims.
pub(super) fn read(signed: &str) -> Result<Claims, ClaimsRefused> {
    let (_, claims) = signed.split_once('.').ok_or(ClaimsRefused::Form)?;
    let bytes = decode(claims, "claims").map_err(|_| ClaimsRefused::Form)?;
    match serde_json::from_slice(&bytes) {
        Ok(Strict(Value::Object(claims))) => Ok(Claims(claims)),
        _ => Err(ClaimsRefused::Form),
    }
}

impl Claims {
    /// Issuer, audience and times.
    pub(super) fn check(&self, config: &OidcConfig, now_unix_ms: i64) -> Result<(), ClaimsRefused> {
        if self.0.get("iss").and_then(Value::as_str) != Some(&config.issuer) {
            return Err(ClaimsRefused::Issuer);
        }
        let is_for_us = |value: &Value| value.as_str() == Some(&config.audience);
        let is_meant = match self.0.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(is_for_us),
            Some(audience) => is_for_us(audience),
            None => false,
        };
        if !is_meant {
            return Err(ClaimsRefused::Audience);
        }
        self.check_times(f64::from(config.leeway_seconds), seconds(now_unix_ms))
    }

    fn check_times(&self, leeway: f64, now: f64) -> Result<(), ClaimsRefused> {
        let end = self.time("exp")?.ok_or(ClaimsRefused::Time("exp"))?;
        if now >= end + leeway {
            return Err(ClaimsRefused::Expired);
        }
        for name in ["nbf", "iat"] {
            if self.time(name)?.is_some_and(|start| now + leeway < start) {
                return Err(ClaimsRefused::NotYet);
            }
        }
        Ok(())
    }

    /// A time in seconds since 1970, which may have a fraction (RFC 7519 §2).
    fn time(&self, name: &'static str) -> Result<Option<f64>, ClaimsRefused> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(ClaimsRefused::Time(name)),
        }
    }

    /// Who it is, in which roles and how far.
    ///
    /// Who is a customer, whatever else they are, is limited to what they were given: of the two ways to read such a
    /// pair this is the narrower one.
    pub(super) fn caller(&self, config: &OidcConfig) -> Result<Caller, ClaimsRefused> {
        let names = self.names(&config.roles_claim);
        let given = names.iter().filter_map(|name| config.roles.get(*name));
        let roles: BTreeSet<Role> = given.flatten().copied().collect();
        let scope = match roles.contains(&Role::Customer) {
            true => Scope::Only(self.grants(config, &names)?),
            false => Scope::Everything,
        };
        Ok(Caller::new(format!("oidc:{}", self.id(&config.id_claim)?), roles, scope))
    }

    fn id(&self, claim: &str) -> Result<&str, ClaimsRefused> {
        let id = self.at(claim).and_then(Value::as_str).ok_or(ClaimsRefused::Nobody)?;
        let is_name = (1..=ID_CHARS_MAX).contains(&id.chars().count()) && !id.chars().any(char::is_control);
        is_name.then_some(id).ok_or(ClaimsRefused::Nobody)
    }

    fn grants(&self, config: &OidcConfig, names: &[&str]) -> Result<Vec<Grant>, ClaimsRefused> {
        let mapped = names.iter().filter_map(|name| config.customers.get(*name)).flatten().cloned();
        let mut grants: Vec<Grant> = mapped.collect();
        for text in config.subscriptions_claim.iter().flat_map(|claim| self.names(claim)) {
            let path = if text.starts_with('/') { text.to_owned() } else { format!("/subscriptions/{text}") };
            grants.push(path.parse().map_err(|_| ClaimsRefused::Subscription)?);
        }
        Ok(grants)
    }

    /// The texts of a claim: one, or a list.
    fn names(&self, claim: &str) -> Vec<&str> {
        match self.at(claim) {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// A claim by its name, which may have dots and slashes, or inside others by a path that begins with a slash.
    fn at(&self, claim: &str) -> Option<&Value> {
        let Some(path) = claim.strip_prefix('/') else { return self.0.get(claim) };
        let mut steps = path.split('/');
        let first = self.0.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 stay exact in an f64 for 285,000 years"
)]
fn seconds(unix_ms: i64) -> f64 {
    unix_ms as f64 / 1000.0
}
