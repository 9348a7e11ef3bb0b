//! Against SAS that the official Python client made (tests/vectors/python-client.py).

use std::time::Duration;

use super::*;
use crate::credential::{DEVELOPMENT_ACCOUNT, DEVELOPMENT_KEY};

const VECTORS: &str = include_str!("../../tests/vectors/python-client.json");

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn terms(permissions: &str) -> SasTerms {
    SasTerms {
        permissions: permissions.to_owned(),
        start: None,
        expiry: at(1_893_456_000),
        https_only: true,
        addresses: None,
    }
}

/// Compares field by field, because the order in the query is free.
fn assert_fields(token: &str, kind: &str) {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let expected = vectors["sas"][kind].as_object().unwrap();
    let found: Vec<(String, String)> = token
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), crate::encode::decode(value)))
        .collect();
    assert_eq!(found.len(), expected.len(), "{kind}");
    for (name, value) in found {
        assert_eq!(expected.get(&name).and_then(|v| v.as_str()), Some(value.as_str()), "{kind} {name}");
    }
}

#[test]
fn every_kind_equals_the_python_clients() {
    let key = AccountKey::from_base64(DEVELOPMENT_KEY).unwrap();
    let signer = SasSigner::new(DEVELOPMENT_ACCOUNT, &key);
    let start = Some(at(1_767_323_045));
    let account = signer.account("osc", &SasTerms { start, ..terms("rwdlac") }).unwrap();
    assert_fields(&account, "account");
    let addresses = Some("10.0.0.1-10.0.0.9".to_owned());
    let container = SasTerms { start, addresses, https_only: false, ..terms("ldwcar") };
    assert_fields(&signer.container("abc", &container).unwrap(), "container");
    let path = BlobPath::parse("abc/a b/ü%41+#.txt").unwrap();
    assert_fields(&signer.blob(&path, &terms("r")).unwrap(), "blob");
}

#[test]
fn terms_that_cannot_be_expressed_are_refused() {
    let key = AccountKey::from_base64(DEVELOPMENT_KEY).unwrap();
    let signer = SasSigner::new(DEVELOPMENT_ACCOUNT, &key);
    let container = |terms: &SasTerms| signer.container("abc", terms).unwrap_err();
    assert_eq!(container(&terms("rq")), SasError::Permission { found: 'q' });
    assert_eq!(container(&terms("")), SasError::NoPermission);
    assert_eq!(signer.account("sx", &terms("r")).unwrap_err(), SasError::ResourceType { found: 'x' });
    let early = SasTerms { expiry: SystemTime::UNIX_EPOCH - Duration::from_secs(1), ..terms("r") };
    assert_eq!(container(&early), SasError::Time { which: "expiry" });
}
