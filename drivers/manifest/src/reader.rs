//! The streaming reader of drive manifests, all generations.
//!
//! azure-import-export.md §1.3–§1.10. One pass, one blob in memory: a manifest of any size takes
//! the memory of its largest blob's list. The rules and what breaking one leads to are
//! [`crate::rule`]; the steps through the XML are `crate::xml`; lists of blocks and ranges are
//! `parts`; one entry is `blob`;
//! what stands before the first list is `header`.
//!
//! ```text
//!  start ──▶ Drive ──▶ List ──▶ Blob* ──▶ List ──▶ … ──▶ end
//! ```
//!
//! # Strict and checking
//! [`ManifestReader::new`] stops at the first broken rule: the drive is not ingested.
//! [`ManifestReader::checking`] goes on as long as the XML can be followed, leaves out the entries
//! that break a rule, and collects every problem, those of single blobs too.

mod blob;
mod element;
mod header;
mod parts;
mod problem;

use std::io::BufRead;

use model::DriveId;
use zeroize::Zeroizing;

use crate::entry::{BlobEntry, Credential, DriveHeader, ListHeader, ListKind, SideFileRef};
use crate::rule::Rule;
use crate::xml::{Pull, Step};
use element::{Element, Seen};
use parts::PartRules;
pub use problem::{ManifestError, ManifestFault, Problem, ProblemKind, Reports};

/// The newest date of any version known: that of the gen C logs; manifests are seen with
/// `2011-10-01` and `2014-11-01`. azure-import-export.md §1.4.
pub const NEWEST_VERSION: &str = "2021-08-01";

/// One thing that a manifest says, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestEvent {
    /// What stands before the first list.
    Drive(DriveHeader),
    /// A list begins; the blobs up to the next one are in it.
    List(ListHeader),
    /// One blob or file.
    Blob(BlobEntry),
}

/// See the module.
pub struct ManifestReader<R> {
    pull: Pull<R>,
    state: State,
    reports: Reports,
    expected: Option<DriveId>,
    credential: Credential,
    parts: PartRules,
    lists: u64,
    blobs: u64,
    /// The entry at hand, for messages.
    current: Option<(u64, Option<String>)>,
}

/// Where in the manifest the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the root.
    Start,
    /// Inside `Drive`; `open` says that a list's tag was just read.
    Drive { open: Option<ListKind> },
    /// Inside a list; `open` says that an entry's tag was just read.
    List { kind: ListKind, open: bool },
    /// After `Drive`.
    Tail,
    /// Everything was read, or reading failed.
    Done,
}

impl<R: BufRead> ManifestReader<R> {
    /// A reader that stops at the first broken rule.
    pub fn new(reader: R) -> ManifestReader<R> {
        ManifestReader {
            pull: Pull::new(reader),
            state: State::Start,
            reports: Reports::strict(),
            expected: None,
            credential: Credential::Absent,
            parts: PartRules::default(),
            lists: 0,
            blobs: 0,
            current: None,
        }
    }

    /// A reader that collects problems and goes on: see the module.
    pub fn checking(reader: R) -> ManifestReader<R> {
        ManifestReader { reports: Reports::collecting(), ..ManifestReader::new(reader) }
    }

    /// Makes it a broken rule when the manifest is for another drive.
    #[must_use]
    pub fn expecting(self, drive: DriveId) -> ManifestReader<R> {
        ManifestReader { expected: Some(drive), ..self }
    }

    /// The next event; `None` once the whole manifest was read.
    ///
    /// # Errors
    /// Strict: the first broken rule. Checking: only what makes it impossible to go on, namely
    /// XML that cannot be followed, and a failed read. After an error there is only `None`.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would make the end and an error look alike"
    )]
    pub fn next(&mut self) -> Result<Option<ManifestEvent>, ManifestError> {
        let event = self.advance();
        if event.is_err() {
            self.state = State::Done;
        }
        event
    }

    /// The credential that the manifest carries; final once the first list was given out.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// What was found so far: warnings in both modes, problems when checking.
    pub fn reports(&self) -> &Reports {
        &self.reports
    }

    /// The same, when reading is over.
    pub fn into_reports(self) -> Reports {
        self.reports
    }

    /// How many lists and entries were seen so far, the ones with problems included.
    pub fn seen(&self) -> (u64, u64) {
        (self.lists, self.blobs)
    }

    fn advance(&mut self) -> Result<Option<ManifestEvent>, ManifestError> {
        loop {
            let event = match self.state {
                State::Start => self.drive()?.map(ManifestEvent::Drive),
                State::Drive { open: Some(kind) } => Some(ManifestEvent::List(self.list(kind)?)),
                State::Drive { open: None } => self.between_lists()?,
                State::List { kind, open } => self.entry(kind, open)?.map(ManifestEvent::Blob),
                State::Tail => self.tail()?,
                State::Done => return Ok(None),
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// Reads a list's own children, up to its first entry or its end.
    fn list(&mut self, kind: ListKind) -> Result<ListHeader, ManifestError> {
        let index = self.lists;
        self.lists = index.saturating_add(1);
        let mut id = None;
        self.attributes(|name, value| match name {
            "Id" => Some(id.replace(value.into_owned()).map(|_| "Id")),
            _ => None,
        })?;
        let mut header = ListHeader { index, kind, id, metadata: None, properties: None };
        let mut seen = Seen::default();
        loop {
            match self.step()? {
                Step::Open => match self.element() {
                    Some(element) if element == entry_element(kind) => {
                        self.state = State::List { kind, open: true };
                        return Ok(header);
                    }
                    Some(element @ Element::MetadataPath) => {
                        header.metadata = self.side_file(element, &mut seen)?;
                    }
                    Some(element @ Element::PropertiesPath) => {
                        header.properties = self.side_file(element, &mut seen)?;
                    }
                    _ => self.unknown()?,
                },
                Step::Close | Step::End => {
                    self.state = State::Drive { open: None };
                    return Ok(header);
                }
            }
        }
    }

    fn between_lists(&mut self) -> Result<Option<ManifestEvent>, ManifestError> {
        match self.step()? {
            Step::Close | Step::End => self.state = State::Tail,
            Step::Open => match self.element() {
                Some(Element::BlobList) => self.state = State::Drive { open: Some(ListKind::Blobs) },
                Some(Element::FileList) => self.state = State::Drive { open: Some(ListKind::Files) },
                Some(element @ (Element::DriveId | Element::StorageAccountKey | Element::ContainerSas)) => {
                    self.broken(Rule::AfterFirstList { element: element.name() })?;
                    self.secret()?;
                }
                _ => self.unknown()?,
            },
        }
        Ok(None)
    }

    /// Reads one entry; `None` at the list's end, and for an entry with problems.
    fn entry(&mut self, kind: ListKind, open: bool) -> Result<Option<BlobEntry>, ManifestError> {
        if open {
            self.state = State::List { kind, open: false };
            return self.blob(kind);
        }
        match self.step()? {
            Step::Close | Step::End => self.state = State::Drive { open: None },
            Step::Open => match self.element() {
                Some(element) if element == entry_element(kind) => {
                    self.state = State::List { kind, open: true };
                }
                Some(element @ (Element::MetadataPath | Element::PropertiesPath)) => {
                    self.broken(Rule::AfterFirstBlob { element: element.name() })?;
                    self.skip()?;
                }
                _ => self.unknown()?,
            },
        }
        Ok(None)
    }

    fn tail(&mut self) -> Result<Option<ManifestEvent>, ManifestError> {
        match self.step()? {
            Step::End => self.state = State::Done,
            Step::Close => {}
            Step::Open if self.element() == Some(Element::Drive) => {
                self.broken(Rule::SeveralDrives)?;
                self.skip()?;
            }
            Step::Open => self.unknown()?,
        }
        Ok(None)
    }
}

/// Steps that the reader's parts share.
impl<R: BufRead> ManifestReader<R> {
    fn secret(&mut self) -> Result<Zeroizing<String>, ManifestError> {
        // Reserved once, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(crate::limits::SECRET_BYTES));
        let result = self.pull.text(&mut text);
        self.pull.forget();
        result.map_err(|error| self.failed(error))?;
        Ok(text)
    }

    fn step(&mut self) -> Result<Step, ManifestError> {
        self.pull.step().map_err(|error| self.failed(error))
    }

    fn skip(&mut self) -> Result<(), ManifestError> {
        self.pull.skip().map_err(|error| self.failed(error))
    }

    /// The element that was just opened, if the format has it.
    fn element(&self) -> Option<Element> {
        Element::of(self.pull.tag().name)
    }

    /// Steps over an element that the format does not have.
    fn unknown(&mut self) -> Result<(), ManifestError> {
        let place = self.pull.place();
        self.reports.warn(place);
        self.skip()
    }

    /// Reads an element's text, which may occur once; `None` at the second one, when checking.
    fn singleton(&mut self, element: Element, seen: &mut Seen) -> Result<Option<String>, ManifestError> {
        if !seen.first(element) {
            self.broken(Rule::Duplicate { element: element.name() })?;
            self.skip()?;
            return Ok(None);
        }
        let mut text = String::new();
        let children = self.pull.text(&mut text).map_err(|error| self.failed(error))?;
        if children > 0 {
            self.reports.warn(self.pull.place());
        }
        Ok(Some(text))
    }

    fn side_file(&mut self, element: Element, seen: &mut Seen) -> Result<Option<SideFileRef>, ManifestError> {
        let mut hash = None;
        self.attributes(|name, value| match name {
            "Hash" => Some(hash.replace(value.parse()).map(|_| "Hash")),
            _ => None,
        })?;
        let hash = match hash {
            Some(Ok(hash)) => Some(hash),
            Some(Err(reason)) => {
                self.broken(Rule::Hash { element: element.name(), reason })?;
                None
            }
            None => {
                self.broken(Rule::MissingAttribute { element: element.name(), attribute: "Hash" })?;
                None
            }
        };
        let path = self.singleton(element, seen)?;
        let found = path.zip(hash).map(|(path, hash)| SideFileRef { path, hash });
        let source = found.as_ref().filter(|_| self.reports.collects()).and_then(|found| found.file().err());
        if let Some(source) = source {
            self.note(ProblemKind::SideFile { element: element.name(), source });
        }
        Ok(found)
    }

    /// Hands the tag's attributes to `each`, which answers `None` for one that it does not know,
    /// and the attribute's name for one that it has had before.
    fn attributes(
        &mut self,
        mut each: impl FnMut(&str, std::borrow::Cow<'_, str>) -> Option<Option<&'static str>>,
    ) -> Result<(), ManifestError> {
        let (mut unknown, mut duplicate) = (false, None);
        let result = self.pull.tag().attributes(|name, value| match each(name, value) {
            None => unknown = true,
            Some(None) => {}
            Some(again) => duplicate = again,
        });
        if unknown {
            self.reports.warn(self.pull.place());
        }
        if let Some(element) = duplicate {
            self.broken(Rule::Duplicate { element })?;
        }
        result.map_err(|fault| self.stopped(Rule::Xml(fault)))
    }
}

fn entry_element(kind: ListKind) -> Element {
    match kind {
        ListKind::Blobs => Element::Blob,
        ListKind::Files => Element::File,
    }
}
