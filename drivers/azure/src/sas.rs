//! Shared access signatures: made from an account key, for an account, a container or a blob.
//!
//! Owns the field orders of both kinds and the texts of times and permissions. Invariant: what is
//! signed is what the query says, field by field; a SAS is a secret and is zeroed on drop.
//! azure-storage.md §7.5.

use std::time::SystemTime;

use azure_core::time::{OffsetDateTime, to_rfc3339};
use model::BlobPath;
use zeroize::Zeroizing;

use crate::account::SERVICE_VERSION;
use crate::credential::AccountKey;
use crate::encode::append_query_value;
use crate::shared_key::sign;

/// Permissions of a container or blob SAS in the order in which the service wants them.
const SERVICE_ORDER: &str = "racwdxyltmeopi";
/// The same for an account SAS.
const ACCOUNT_ORDER: &str = "rwdxylacuptfi";

/// Makes signatures for one account.
pub struct SasSigner<'a> {
    account: &'a str,
    key: &'a AccountKey,
}

/// For what and how long a SAS is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SasTerms {
    /// Letters of the service's documentation, in any order: `r`ead, `a`dd, `c`reate, `w`rite,
    /// `d`elete, `l`ist, `t`ags, `i`mmutability, …
    pub permissions: String,
    /// From when on; at once when absent, whatever the clocks say.
    pub start: Option<SystemTime>,
    /// Until when.
    pub expiry: SystemTime,
    /// Refused over plain HTTP. Always true outside of tests on loopback.
    pub https_only: bool,
    /// One address or a range `1.2.3.4-1.2.3.9`.
    pub addresses: Option<String>,
}

/// Why a SAS cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SasError {
    /// A letter that stands for no permission of this kind of SAS.
    #[error("{found:?} is not a permission of this kind of SAS")]
    Permission {
        /// The letter.
        found: char,
    },
    /// No permission at all.
    #[error("a SAS needs at least one permission")]
    NoPermission,
    /// A time that has no text.
    #[error("the {which} of the SAS is outside the calendar")]
    Time {
        /// `start` or `expiry`.
        which: &'static str,
    },
    /// Resource types other than `s`, `c` and `o`.
    #[error("{found:?} is not a resource type: s(ervice), c(ontainer) and o(bject) are")]
    ResourceType {
        /// The letter.
        found: char,
    },
}

impl<'a> SasSigner<'a> {
    /// A signer with the account's key.
    pub fn new(account: &'a str, key: &'a AccountKey) -> SasSigner<'a> {
        SasSigner { account, key }
    }

    /// A SAS for the account's blob service. `resource_types`: letters of `s`ervice, `c`ontainer,
    /// `o`bject.
    ///
    /// # Errors
    /// When the terms cannot be expressed.
    pub fn account(&self, resource_types: &str, terms: &SasTerms) -> Result<Zeroizing<String>, SasError> {
        if let Some(found) = resource_types.chars().find(|letter| !"sco".contains(*letter)) {
            return Err(SasError::ResourceType { found });
        }
        let types = in_order(resource_types, "sco");
        let fields = Fields::of(terms, ACCOUNT_ORDER)?;
        let text = [
            self.account,
            &fields.permissions,
            "b",
            &types,
            &fields.start,
            &fields.expiry,
            fields.addresses,
            fields.protocol,
            SERVICE_VERSION,
            "",
            "",
        ]
        .join("\n");
        Ok(self.token(&text, &[("ss", "b"), ("srt", &types)], &fields))
    }

    /// A SAS for a container and the blobs in it.
    ///
    /// # Errors
    /// When the terms cannot be expressed.
    pub fn container(&self, container: &str, terms: &SasTerms) -> Result<Zeroizing<String>, SasError> {
        self.service(&format!("/blob/{}/{container}", self.account), "c", terms)
    }

    /// A SAS for one blob.
    ///
    /// # Errors
    /// When the terms cannot be expressed.
    pub fn blob(&self, path: &BlobPath, terms: &SasTerms) -> Result<Zeroizing<String>, SasError> {
        self.service(&format!("/blob/{}/{path}", self.account), "b", terms)
    }

    fn service(&self, resource: &str, kind: &str, terms: &SasTerms) -> Result<Zeroizing<String>, SasError> {
        let fields = Fields::of(terms, SERVICE_ORDER)?;
        // After the kind: snapshot, encryption scope, and five headers of the answer to override.
        let text = [
            &fields.permissions,
            &fields.start,
            &fields.expiry,
            resource,
            "",
            fields.addresses,
            fields.protocol,
            SERVICE_VERSION,
            kind,
            "",
            "",
            "",
            "",
            "",
            "",
            "",
        ]
        .join("\n");
        Ok(self.token(&text, &[("sr", kind)], &fields))
    }

    fn token(&self, text: &str, kind: &[(&str, &str)], fields: &Fields<'_>) -> Zeroizing<String> {
        let signature = Zeroizing::new(sign(self.key, text));
        let common = [
            ("sp", fields.permissions.as_str()),
            ("st", &fields.start),
            ("se", &fields.expiry),
            ("sip", fields.addresses),
            ("spr", fields.protocol),
            ("sig", &signature),
        ];
        // Reserved at once, so that growing leaves no copies of the signature behind.
        let mut token = Zeroizing::new(String::with_capacity(1_024));
        token.push_str("sv=");
        token.push_str(SERVICE_VERSION);
        for (name, value) in kind.iter().chain(&common).filter(|(_, value)| !value.is_empty()) {
            token.push('&');
            token.push_str(name);
            token.push('=');
            append_query_value(&mut token, value);
        }
        token
    }
}

/// The terms as texts; what is absent is empty.
struct Fields<'a> {
    permissions: String,
    start: String,
    expiry: String,
    addresses: &'a str,
    protocol: &'static str,
}

impl<'a> Fields<'a> {
    fn of(terms: &'a SasTerms, order: &str) -> Result<Fields<'a>, SasError> {
        if let Some(found) = terms.permissions.chars().find(|letter| !order.contains(*letter)) {
            return Err(SasError::Permission { found });
        }
        if terms.permissions.is_empty() {
            return Err(SasError::NoPermission);
        }
        let text = |time, which| time_text(time).ok_or(SasError::Time { which });
        Ok(Fields {
            permissions: in_order(&terms.permissions, order),
            start: terms.start.map_or_else(|| Ok(String::new()), |start| text(start, "start"))?,
            expiry: text(terms.expiry, "expiry")?,
            addresses: terms.addresses.as_deref().unwrap_or_default(),
            protocol: if terms.https_only { "https" } else { "https,http" },
        })
    }
}

fn in_order(letters: &str, order: &str) -> String {
    order.chars().filter(|letter| letters.contains(*letter)).collect()
}

/// `2030-01-01T00:00:00Z`.
fn time_text(time: SystemTime) -> Option<String> {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let moment = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    Some(to_rfc3339(&moment)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
