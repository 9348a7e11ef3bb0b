//! What the page and the label say: gathered from the job entry, the manifest and the drive.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, anyhow};
use manifest::{BlobEntry, BlobKind, JobEntry, ManifestEvent, ManifestReader};
use model::{DriveId, Exit};
use proof::proven::hash_all_like;

use crate::failure::Failure;
use crate::open::Unlocked;

/// Names that are listed; the others are counted.
pub const NAMES_MAX: usize = 12;

/// Everything about one drive that is printed.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The drive's serial number.
    pub serial: String,
    /// The job's name, where the customer gave one.
    pub job_name: Option<String>,
    /// When the page was made, UTC.
    pub printed: String,
    /// The manifest's path on the drive.
    pub manifest_file: String,
    /// `MD5` and the like.
    pub hash_algorithm: String,
    /// The manifest's hash, upper case.
    pub manifest_hash: String,
    /// What the manifest amounts to; none when only the job entry was at hand.
    pub contents: Option<Contents>,
    /// What the drive itself says; none when it was not at hand.
    pub device: Option<DeviceFacts>,
}

/// What the manifest amounts to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Block and page blobs.
    pub blobs: u64,
    /// Files for shares.
    pub files: u64,
    /// Length of all of them.
    pub bytes: u64,
    /// Containers and shares.
    pub containers: Names,
    /// Copy sessions.
    pub sessions: Names,
}

/// Distinct names, the first of them listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// At most [`NAMES_MAX`].
    pub listed: BTreeSet<String>,
    /// Whether there are more.
    pub more: bool,
}

/// What the drive itself says.
#[derive(Debug, Clone, Default)]
pub struct DeviceFacts {
    /// Model, where the kernel knows one.
    pub model: Option<String>,
    /// Capacity.
    pub length_bytes: u64,
    /// How the sectors are encrypted.
    pub encryption: String,
    /// Kind and key id of each protector.
    pub protectors: Vec<String>,
}

impl Facts {
    /// What the job entry says.
    pub fn of_job(job: &JobEntry, job_name: Option<String>, printed: String) -> Facts {
        Facts {
            serial: job.drive_id.to_string(),
            job_name,
            printed,
            manifest_file: job.manifest_file.clone(),
            hash_algorithm: job.manifest_hash.algorithm().to_owned(),
            manifest_hash: job.manifest_hash.to_string(),
            contents: None,
            device: None,
        }
    }

    /// Adds what the drive says, its manifest proven against the job's hash.
    ///
    /// # Errors
    /// When the manifest is not the job's.
    pub fn add_drive(&mut self, unlocked: Unlocked) -> Result<(), Failure> {
        let recognised = &unlocked.drive.recognised;
        let metadata = &recognised.metadata;
        self.device = Some(DeviceFacts {
            model: recognised.identity.model.clone(),
            length_bytes: recognised.identity.length_bytes,
            encryption: metadata.method.to_string(),
            protectors: metadata
                .protectors()
                .iter()
                .map(|protector| format!("{} {}", protector.kind, protector.id))
                .collect(),
        });
        let (drive, _, job) = unlocked.prove()?;
        self.contents = Some(Contents::read(drive.manifest.read(), &job.drive_id)?);
        Ok(())
    }

    /// Adds what a copy of the manifest says, once its hash is the job's.
    ///
    /// # Errors
    /// When it cannot be read, or is not the job's.
    pub fn add_manifest(&mut self, path: &Path, job: &JobEntry) -> Result<(), Failure> {
        let open = || File::open(path).with_context(|| format!("reading {}", path.display()));
        let found = hash_all_like(job.manifest_hash, open().map_err(Failure::usage)?)
            .with_context(|| format!("reading {}", path.display()))
            .map_err(Failure::usage)?;
        if found != job.manifest_hash {
            let cause = anyhow!(
                "{} is not the job's manifest: its {} is {found}, the job says {}",
                path.display(),
                found.algorithm(),
                job.manifest_hash
            );
            return Err(Failure::new(Exit::Manifest, cause));
        }
        self.contents = Some(Contents::read(open().map_err(Failure::usage)?, &job.drive_id)?);
        Ok(())
    }

    /// What the QR code says: format and version, serial number, manifest hash, program.
    pub fn qr_text(&self) -> String {
        let escaped = self.serial.replace('%', "%25").replace(';', "%3B");
        format!(
            "DRAYAGE/1;serial={escaped};manifest={}:{};tool=driveprep/{}",
            self.hash_algorithm,
            self.manifest_hash,
            env!("CARGO_PKG_VERSION")
        )
    }
}

impl Contents {
    fn read(input: impl Read, drive: &DriveId) -> Result<Contents, Failure> {
        let mut reader =
            ManifestReader::new(BufReader::with_capacity(1 << 16, input)).expecting(drive.clone());
        let mut contents = Contents::default();
        while let Some(event) = reader.next().map_err(|error| Failure::new(Exit::Manifest, error))? {
            match event {
                ManifestEvent::List(list) => {
                    let session = list.id.as_deref().map(|id| id.rsplit_once('-').map_or(id, |(id, _)| id));
                    session.into_iter().for_each(|session| contents.sessions.add(session));
                }
                ManifestEvent::Blob(entry) => contents.add(&entry),
                ManifestEvent::Drive(_) => {}
            }
        }
        Ok(contents)
    }

    fn add(&mut self, entry: &BlobEntry) {
        match entry.kind {
            BlobKind::Block(_) | BlobKind::Page(_) => self.blobs += 1,
            BlobKind::File(_) => self.files += 1,
        }
        self.bytes = self.bytes.saturating_add(entry.length_bytes);
        let path = entry.blob_path.trim_start_matches('/');
        self.containers.add(path.split_once('/').map_or("$root", |(container, _)| container));
    }
}

impl Names {
    fn add(&mut self, name: &str) {
        if self.listed.contains(name) {
            return;
        }
        if self.listed.len() < NAMES_MAX {
            self.listed.insert(name.to_owned());
        } else {
            self.more = true;
        }
    }

    /// In one line.
    pub fn joined(&self) -> String {
        let mut text: String = self.listed.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        if self.more {
            text.push_str(" and more");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contents_of_a_manifest_are_counted_by_container_and_session() {
        let manifest = br#"<?xml version="1.0"?><DriveManifest Version="2014-11-01"><Drive><DriveId>S1</DriveId>
            <BlobList Id="session#1-0"><Blob><BlobPath>b/x</BlobPath><FilePath>\x</FilePath><Length>0</Length><BlockList /></Blob>
            <Blob><BlobPath>a/y/z</BlobPath><FilePath>\y</FilePath><Length>0</Length><BlockList /></Blob></BlobList>
            <BlobList Id="session#2-0"></BlobList></Drive></DriveManifest>"#;
        let contents = Contents::read(&manifest[..], &DriveId::new("S1").unwrap()).unwrap();
        assert_eq!((contents.blobs, contents.files, contents.bytes), (2, 0, 0));
        assert_eq!(contents.containers.joined(), "a, b");
        assert_eq!(contents.sessions.joined(), "session#1, session#2");
    }

    #[test]
    fn many_names_are_cut_off_and_said_so() {
        let mut names = Names::default();
        (0..40).for_each(|n| names.add(&format!("c{n:02}")));
        names.add("c00");
        assert_eq!(names.listed.len(), NAMES_MAX);
        assert!(names.joined().ends_with("c11 and more"));
    }

    #[test]
    fn the_qr_text_cannot_be_broken_up_by_a_serial_number() {
        let facts = Facts { serial: "a;b%".to_owned(), hash_algorithm: "MD5".to_owned(), ..Facts::default() };
        assert!(facts.qr_text().starts_with("DRAYAGE/1;serial=a%3Bb%25;manifest=MD5:;"));
    }
}
