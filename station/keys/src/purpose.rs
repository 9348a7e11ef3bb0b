//! What a secret is for. It is the associated data of the encryption, so a sealed secret that is moved
//! to another drive, job or account does not open there.
//!
//! Canonical bytes: `"drayage-purpose-v1\0"`, one byte for the kind, then each field as its length in
//! bytes (`u32`, big-endian) and its UTF-8. Invariant: no two purposes share their bytes. Ids that ARM
//! compares without case (jobs, and accounts by their DNS name) are lowered first; a drive's serial
//! number is not: two drives may differ in the case of a letter only.

use std::fmt;

use model::DriveId;
use serde::{Deserialize, Serialize};

const TAG: &[u8] = b"drayage-purpose-v1\0";

/// What a secret opens, and of whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Purpose {
    /// A drive's BitLocker recovery password, given with the job or generated for it.
    RecoveryPassword {
        /// The job's ARM id.
        job: String,
        /// The drive's serial number, from [`Purpose::recovery_password`].
        drive_id: String,
    },
    /// Another secret of a job: a storage key or SAS that came with it.
    JobSecret {
        /// The job's ARM id.
        job: String,
        /// Which one, in the words of whoever stores it.
        name: String,
    },
    /// The station's own way into a storage account.
    StorageCredential {
        /// The account.
        account: String,
    },
    /// What a web-hook's bodies are signed with.
    WebHook {
        /// The web-hook.
        id: String,
    },
}

impl Purpose {
    /// A drive's recovery password within a job.
    pub fn recovery_password(job: &str, drive_id: &DriveId) -> Purpose {
        Purpose::RecoveryPassword { job: job.to_owned(), drive_id: drive_id.as_str().to_owned() }
    }

    /// The kind, as ledgers and messages name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Purpose::RecoveryPassword { .. } => "recovery-password",
            Purpose::JobSecret { .. } => "job-secret",
            Purpose::StorageCredential { .. } => "storage-credential",
            Purpose::WebHook { .. } => "web-hook",
        }
    }

    /// The bytes that a sealed secret is bound to.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut to = TAG.to_vec();
        match self {
            Purpose::RecoveryPassword { job, drive_id } => {
                to.push(1);
                text(&mut to, &job.to_ascii_lowercase());
                text(&mut to, drive_id);
            }
            Purpose::JobSecret { job, name } => {
                to.push(2);
                text(&mut to, &job.to_ascii_lowercase());
                text(&mut to, name);
            }
            Purpose::StorageCredential { account } => {
                to.push(3);
                text(&mut to, &account.to_ascii_lowercase());
            }
            Purpose::WebHook { id } => {
                to.push(4);
                text(&mut to, id);
            }
        }
        to
    }
}

fn text(to: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).expect("an id is shorter than 4 GiB");
    to.extend(length.to_be_bytes());
    to.extend(text.as_bytes());
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Purpose::RecoveryPassword { job, drive_id } => {
                write!(f, "the recovery password of drive {drive_id} in {job}")
            }
            Purpose::JobSecret { job, name } => write!(f, "the secret {name} of {job}"),
            Purpose::StorageCredential { account } => write!(f, "the credential of account {account}"),
            Purpose::WebHook { id } => write!(f, "the secret of web-hook {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn no_two_purposes_share_their_bytes() {
        let purposes = [
            Purpose::RecoveryPassword { job: text("/j/ab"), drive_id: text("c") },
            Purpose::RecoveryPassword { job: text("/j/a"), drive_id: text("bc") },
            Purpose::RecoveryPassword { job: text("/j/a"), drive_id: text("Bc") },
            Purpose::JobSecret { job: text("/j/a"), name: text("bc") },
            Purpose::StorageCredential { account: text("a") },
            Purpose::WebHook { id: text("a") },
        ];
        let mut bytes: Vec<_> = purposes.iter().map(Purpose::canonical).collect();
        bytes.sort();
        bytes.dedup();
        assert_eq!(bytes.len(), purposes.len());
    }

    #[test]
    fn a_job_is_one_job_however_its_id_is_spelled() {
        let drive = DriveId::new("S1").unwrap();
        let (upper, lower) =
            (Purpose::recovery_password("/J/A", &drive), Purpose::recovery_password("/j/a", &drive));
        assert_eq!(upper.canonical(), lower.canonical());
    }

    #[test]
    fn a_purpose_survives_its_json_for_those_who_rewrap() {
        let purpose = Purpose::JobSecret { job: text("/j"), name: text("sas") };
        let json = serde_json::to_string(&purpose).unwrap();
        assert_eq!(json, r#"{"kind":"job-secret","job":"/j","name":"sas"}"#);
        assert_eq!(serde_json::from_str::<Purpose>(&json).unwrap(), purpose);
    }
}
