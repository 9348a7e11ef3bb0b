//! Signing, by a client's side of the rules of spec §7.5: written apart from the endpoint's checks and
//! from drivers/azure, so that the three can be held against each other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::endpoint::request::encode;
use crate::endpoint::stamp::Stamp;

/// The version that signatures are made for.
const VERSION: &str = "2022-11-02";

/// HMAC-SHA256 under a key in base64, in base64.
pub fn hmac(key: &str, text: &str) -> String {
    let key = BASE64.decode(key).expect("a test's key is base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

/// The fields of an account signature, each as it stands in the query.
#[derive(Debug, Clone, Default)]
pub struct AccountSas {
    /// `sp`: letters.
    pub permissions: String,
    /// `ss`: services.
    pub services: String,
    /// `srt`: resource types.
    pub resource_types: String,
    /// `st`.
    pub start: String,
    /// `se`.
    pub expiry: String,
    /// `sip`.
    pub addresses: String,
    /// `spr`.
    pub protocol: String,
}

impl AccountSas {
    /// The query string, signed.
    pub fn query(&self, account: &str, key: &str) -> String {
        let text = format!(
            "{account}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{VERSION}\n\n",
            self.permissions,
            self.services,
            self.resource_types,
            self.start,
            self.expiry,
            self.addresses,
            self.protocol
        );
        let fields = [
            ("sv", VERSION),
            ("ss", &self.services),
            ("srt", &self.resource_types),
            ("sp", &self.permissions),
            ("st", &self.start),
            ("se", &self.expiry),
            ("sip", &self.addresses),
            ("spr", &self.protocol),
        ];
        join(&fields, &hmac(key, &text))
    }
}

/// The fields of a blob service signature.
#[derive(Debug, Clone, Default)]
pub struct ServiceSas {
    /// `sp`: letters.
    pub permissions: String,
    /// `st`.
    pub start: String,
    /// `se`.
    pub expiry: String,
    /// `si`: a stored access policy.
    pub policy: String,
    /// `sip`.
    pub addresses: String,
    /// `spr`.
    pub protocol: String,
}

impl ServiceSas {
    /// The query string, signed for a container, or for one blob of it.
    pub fn query(&self, (account, key): (&str, &str), container: &str, blob: Option<&str>) -> String {
        let kind = if blob.is_some() { "b" } else { "c" };
        let path = blob.map_or_else(|| container.to_owned(), |blob| format!("{container}/{blob}"));
        let text = format!(
            "{}\n{}\n{}\n/blob/{account}/{path}\n{}\n{}\n{}\n{VERSION}\n{kind}\n\n\n\n\n\n\n",
            self.permissions, self.start, self.expiry, self.policy, self.addresses, self.protocol
        );
        let fields = [
            ("sv", VERSION),
            ("sr", kind),
            ("sp", &self.permissions),
            ("st", &self.start),
            ("se", &self.expiry),
            ("si", &self.policy),
            ("sip", &self.addresses),
            ("spr", &self.protocol),
        ];
        join(&fields, &hmac(key, &text))
    }
}

/// An account signature for containers and blobs, over http too.
pub fn account_sas(account: &str, key: &str, letters: &str, expiry: Stamp) -> String {
    let sas = AccountSas {
        permissions: letters.to_owned(),
        services: "b".to_owned(),
        resource_types: "sco".to_owned(),
        expiry: expiry.iso_seconds(),
        ..AccountSas::default()
    };
    sas.query(account, key)
}

/// A service signature for one container, over http too.
pub fn container_sas(of: (&str, &str), container: &str, letters: &str, expiry: Stamp) -> String {
    let sas =
        ServiceSas { permissions: letters.to_owned(), expiry: expiry.iso_seconds(), ..ServiceSas::default() };
    sas.query(of, container, None)
}

fn join(fields: &[(&str, &str)], signature: &str) -> String {
    let given = fields.iter().filter(|(_, value)| !value.is_empty());
    let mut query: String = given.map(|(name, value)| format!("{name}={}&", encode(value))).collect();
    query.push_str(&format!("sig={}", encode(signature)));
    query
}

/// What a client signs of a request.
pub struct Signed<'a> {
    /// The verb.
    pub method: &'a str,
    /// The whole path as it is sent.
    pub path: &'a str,
    /// The query, decoded.
    pub query: &'a [(String, String)],
    /// The headers, names in lower case, `x-ms-date` among them.
    pub headers: &'a [(String, String)],
}

impl Signed<'_> {
    /// The Shared Key string to sign.
    pub fn text(&self, account: &str) -> String {
        let mut lines = vec![self.method.to_owned()];
        for name in [
            "content-encoding",
            "content-language",
            "content-length",
            "content-md5",
            "content-type",
            "date",
            "if-modified-since",
            "if-match",
            "if-none-match",
            "if-unmodified-since",
            "range",
        ] {
            let value = self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value);
            let unsigned = name == "date" || (name == "content-length" && value == "0");
            lines.push(if unsigned { String::new() } else { value.to_owned() });
        }
        let mut own: Vec<&(String, String)> =
            self.headers.iter().filter(|(name, _)| name.starts_with("x-ms-")).collect();
        own.sort();
        lines.extend(own.iter().map(|(name, value)| format!("{name}:{}", value.trim())));
        lines.push(format!("/{account}{}", self.path));
        let mut query = self.query.to_vec();
        query.sort();
        lines.extend(query.iter().map(|(name, value)| format!("{}:{value}", name.to_lowercase())));
        lines.join("\n")
    }
}
