//! Compares what an account holds with what must have come of a drive.

use super::{ExpectedBlob, ExpectedDrive};
use crate::endpoint::Inventory;
use crate::endpoint::inventory::BlobEntry;

/// Containers that the logs go to: azure-import-export.md §3.1.
const LOG_CONTAINERS: [&str; 2] = ["waimportexport", "databoxcopylog"];

impl ExpectedDrive {
    /// Everything in which the account differs, one line each; none when all is as it must be.
    ///
    /// The account held nothing before the drive came. Logs are looked at by their readers, not here.
    pub fn differences(&self, account: &Inventory) -> Vec<String> {
        let mut differences: Vec<String> =
            self.blobs.iter().flat_map(|expected| expected.differences(account)).collect();
        let is_log = |blob: &&BlobEntry| LOG_CONTAINERS.contains(&blob.container.as_str());
        for blob in account.blobs.iter().filter(|blob| !is_log(blob)) {
            let path = path(blob);
            if !self.blobs.iter().any(|expected| expected.present && expected.blob == path) {
                differences.push(format!("{path}: is in the account and must not be"));
            }
        }
        differences
    }
}

impl ExpectedBlob {
    fn differences(&self, account: &Inventory) -> Vec<String> {
        let found = account.blobs.iter().find(|blob| path(blob) == self.blob);
        let differences = match (self.present, found) {
            (true, Some(found)) => self.compare(found),
            (true, None) => vec!["is not in the account".to_owned()],
            // Named already, among the blobs that must not be there.
            (false, _) => Vec::new(),
        };
        differences.into_iter().map(|difference| format!("{}: {difference}", self.blob)).collect()
    }

    fn compare(&self, found: &BlobEntry) -> Vec<String> {
        let mut differences = Vec::new();
        let mut check = |what: &str, expected: Option<&str>, found: Option<&str>| {
            if expected.is_some() && expected != found {
                let [expected, found] = [expected, found].map(Option::unwrap_or_default);
                differences.push(format!("its {what} is {found:?}, not {expected:?}"));
            }
        };
        let kind = if self.kind == "page" { "PageBlob" } else { "BlockBlob" };
        check("type", Some(kind), Some(&found.blob_type));
        check("length", Some(&self.length.to_string()), Some(&found.length.to_string()));
        check("SHA-256", self.sha256.as_deref(), found.sha256.as_deref());
        check("Content-Type", self.content_type.as_deref(), property(found, "Content-Type"));
        check("Cache-Control", self.cache_control.as_deref(), property(found, "Cache-Control"));
        check("Content-Language", self.content_language.as_deref(), property(found, "Content-Language"));
        for (name, value) in self.metadata.iter().flatten() {
            check(&format!("metadata {name}"), Some(value), pair(&found.metadata, name));
        }
        differences
    }
}

fn path(blob: &BlobEntry) -> String {
    format!("{}/{}", blob.container, blob.name)
}

fn property<'a>(blob: &'a BlobEntry, name: &str) -> Option<&'a str> {
    pair(&blob.properties, name)
}

fn pair<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}
