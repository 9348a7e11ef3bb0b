//! What stands before a manifest's first list: version, drive, credential, creator.
//!
//! azure-import-export.md §1.3 and §1.4. Which credential there is, is noted; its text is zeroed.

use std::io::BufRead;

use model::DriveId;

use super::element::{Element, Seen};
use super::problem::ManifestError;
use super::{ManifestReader, NEWEST_VERSION, State, Step};
use crate::entry::{Credential, DriveHeader, ListKind};
use crate::rule::Rule;

/// What was read of the header so far.
#[derive(Default)]
struct HeaderDraft {
    drive_id: Option<DriveId>,
    credential: Credential,
    client_creator: Option<String>,
    seen: Seen,
}

impl<R: BufRead> ManifestReader<R> {
    /// Reads up to the first list, or to the end of `Drive`.
    pub(super) fn drive(&mut self) -> Result<Option<DriveHeader>, ManifestError> {
        let version = self.root()?;
        let mut header = HeaderDraft::default();
        let open = loop {
            match self.step()? {
                Step::Open => match self.element() {
                    Some(Element::BlobList) => break Some(ListKind::Blobs),
                    Some(Element::FileList) => break Some(ListKind::Files),
                    other => self.header_child(other, &mut header)?,
                },
                Step::Close | Step::End => break None,
            }
        };
        self.state = if open.is_some() { State::Drive { open } } else { State::Tail };
        self.credential = header.credential.clone();
        let Some(drive_id) = header.drive_id else {
            if !header.seen.has(Element::DriveId) {
                self.broken(Rule::MissingElement { element: "DriveId" })?;
            }
            return Ok(None);
        };
        self.check_drive(&drive_id)?;
        let HeaderDraft { credential, client_creator, .. } = header;
        Ok(version.map(|version| DriveHeader { version, drive_id, credential, client_creator }))
    }

    /// Steps into `DriveManifest` and `Drive`.
    fn root(&mut self) -> Result<Option<String>, ManifestError> {
        self.step()?;
        if self.element() != Some(Element::DriveManifest) {
            let found = self.pull.tag().name.to_owned();
            return Err(self.stopped(Rule::Root { found }));
        }
        let mut version = None;
        self.attributes(|name, value| match name {
            "Version" => Some(version.replace(value.trim().to_owned()).map(|_| "Version")),
            _ => None,
        })?;
        let version = self.check_version(version)?;
        loop {
            match self.step()? {
                Step::Open if self.element() == Some(Element::Drive) => return Ok(version),
                Step::Open => self.unknown()?,
                Step::Close | Step::End => {
                    return Err(self.stopped(Rule::MissingElement { element: "Drive" }));
                }
            }
        }
    }

    fn check_version(&mut self, version: Option<String>) -> Result<Option<String>, ManifestError> {
        match version {
            None => {
                self.broken(Rule::MissingAttribute { element: "DriveManifest", attribute: "Version" })?;
                Ok(None)
            }
            Some(found) if !is_known_version(&found) => {
                let found = crate::xml::shortened(&found).to_owned();
                self.broken(Rule::Version { found })?;
                Ok(None)
            }
            known => Ok(known),
        }
    }

    fn check_drive(&mut self, found: &DriveId) -> Result<(), ManifestError> {
        match &self.expected {
            Some(expected) if expected != found => {
                let (expected, found) = (expected.clone(), found.clone());
                self.broken(Rule::DriveIdMismatch { expected, found })
            }
            _ => Ok(()),
        }
    }

    fn header_child(
        &mut self,
        element: Option<Element>,
        header: &mut HeaderDraft,
    ) -> Result<(), ManifestError> {
        match element {
            Some(Element::DriveId) => {
                let text = self.singleton(Element::DriveId, &mut header.seen)?;
                match text.map(|text| DriveId::new(&text)) {
                    Some(Ok(id)) => header.drive_id = Some(id),
                    Some(Err(_)) => self.broken(Rule::DriveIdEmpty)?,
                    None => {}
                }
                Ok(())
            }
            Some(Element::ClientCreator) => {
                header.client_creator = self.singleton(Element::ClientCreator, &mut header.seen)?;
                Ok(())
            }
            Some(element @ (Element::StorageAccountKey | Element::ContainerSas)) => {
                self.note_credential(element, header)
            }
            _ => self.unknown(),
        }
    }

    /// Notes which credential there is; its text is zeroed as soon as it was looked at.
    fn note_credential(&mut self, element: Element, header: &mut HeaderDraft) -> Result<(), ManifestError> {
        let text = self.secret()?;
        if !header.seen.first(element) {
            return self.broken(Rule::Duplicate { element: element.name() });
        }
        if header.credential != Credential::Absent {
            return self.broken(Rule::SeveralCredentials);
        }
        if element == Element::StorageAccountKey {
            header.credential = Credential::AccountKey;
            return Ok(());
        }
        match text.trim().split_once('?') {
            Some((container, token)) if !container.is_empty() && !token.is_empty() => {
                let container = container.trim_matches('/').to_owned();
                header.credential = Credential::ContainerSas { container };
                Ok(())
            }
            _ => self.broken(Rule::ContainerSas),
        }
    }
}

fn is_known_version(version: &str) -> bool {
    let shape = version.len() == NEWEST_VERSION.len()
        && version.bytes().zip(NEWEST_VERSION.bytes()).all(|(found, known)| match known {
            b'-' => found == b'-',
            _ => found.is_ascii_digit(),
        });
    shape && version <= NEWEST_VERSION
}
