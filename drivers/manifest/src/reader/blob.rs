//! One entry of a list: `Blob` or `File`, its children in any order.
//!
//! azure-import-export.md §1.4 and §1.12. Rules that need the whole entry (coverage against
//! `Length`, which may come last) are checked at its end.

use std::io::BufRead;

use super::element::{Element, Seen};
use super::parts::PartList;
use super::problem::{ManifestError, ProblemKind};
use super::{ManifestReader, Step};
use crate::entry::{BlobEntry, BlobKind, ListKind, SideFileRef};
use crate::rule::Rule;
use crate::xml::shortened;
use model::ImportDisposition;

/// What was read of an entry so far.
#[derive(Default)]
struct Draft {
    blob_path: Option<String>,
    file_path: Option<String>,
    length_bytes: Option<u64>,
    disposition: Option<ImportDisposition>,
    list: Option<PartList>,
    metadata: Option<SideFileRef>,
    properties: Option<SideFileRef>,
    client_data: Option<String>,
    snapshot: Option<String>,
    seen: Seen,
}

impl<R: BufRead> ManifestReader<R> {
    /// Reads the entry whose tag was just opened; `None` when it has problems.
    pub(super) fn blob(&mut self, kind: ListKind) -> Result<Option<BlobEntry>, ManifestError> {
        let index = self.blobs;
        self.blobs = index.saturating_add(1);
        self.current = Some((index, None));
        let broken_before = self.reports.broken_rule_count();
        let mut draft = Draft::default();
        while self.step()? == Step::Open {
            self.blob_child(kind, &mut draft)?;
        }
        let entry = self.finished(kind, index, draft)?;
        let intact = self.reports.broken_rule_count() == broken_before;
        if intact && self.reports.collects() {
            let refusal = entry.as_ref().and_then(|entry| entry.refusal(&self.credential));
            if let Some(refusal) = refusal {
                self.note(ProblemKind::Blob(refusal));
            }
        }
        self.current = None;
        Ok(entry.filter(|_| intact))
    }

    fn blob_child(&mut self, kind: ListKind, draft: &mut Draft) -> Result<(), ManifestError> {
        match self.element() {
            Some(element @ (Element::BlobPath | Element::FileStoragePath))
                if element == path_element(kind) =>
            {
                draft.blob_path = self.text_child(element, draft)?;
                if let Some((_, path)) = &mut self.current {
                    *path = draft.blob_path.as_deref().map(|path| shortened(path).to_owned());
                }
                Ok(())
            }
            Some(Element::FilePath) => {
                draft.file_path = self.text_child(Element::FilePath, draft)?;
                Ok(())
            }
            Some(Element::ClientData) => {
                draft.client_data = self.text_child(Element::ClientData, draft)?;
                Ok(())
            }
            Some(Element::Snapshot) => {
                draft.snapshot = self.text_child(Element::Snapshot, draft)?;
                Ok(())
            }
            Some(Element::Length) => {
                let text = self.text_child(Element::Length, draft)?;
                draft.length_bytes = text.map(|text| self.number("Length", &text)).transpose()?.flatten();
                Ok(())
            }
            Some(Element::ImportDisposition) => self.disposition(draft),
            Some(element @ Element::MetadataPath) => {
                draft.metadata = self.side_file(element, &mut draft.seen)?;
                Ok(())
            }
            Some(element @ Element::PropertiesPath) => {
                draft.properties = self.side_file(element, &mut draft.seen)?;
                Ok(())
            }
            Some(element @ (Element::BlockList | Element::PageRangeList | Element::FileRangeList))
                if (element == Element::FileRangeList) == (kind == ListKind::Files) =>
            {
                self.part_list(element, draft)
            }
            _ => self.unknown(),
        }
    }

    fn text_child(&mut self, element: Element, draft: &mut Draft) -> Result<Option<String>, ManifestError> {
        self.singleton(element, &mut draft.seen)
    }

    fn disposition(&mut self, draft: &mut Draft) -> Result<(), ManifestError> {
        let text = self.text_child(Element::ImportDisposition, draft)?;
        match text.as_deref().map(|text| shortened(text.trim()).parse()) {
            Some(Ok(disposition)) => draft.disposition = Some(disposition),
            Some(Err(unknown)) => self.broken(Rule::Disposition(unknown))?,
            None => {}
        }
        Ok(())
    }

    fn part_list(&mut self, element: Element, draft: &mut Draft) -> Result<(), ManifestError> {
        self.attributes(|_, _| None)?;
        if !draft.seen.first(element) {
            self.broken(Rule::Duplicate { element: element.name() })?;
            return self.skip();
        }
        if draft.list.is_some() {
            self.broken(Rule::BothLists)?;
            return self.skip();
        }
        draft.list = Some(self.parts(element)?);
        Ok(())
    }

    /// Checks what needs the whole entry, and makes it.
    fn finished(
        &mut self,
        kind: ListKind,
        index: u64,
        draft: Draft,
    ) -> Result<Option<BlobEntry>, ManifestError> {
        let required = [
            (draft.blob_path.is_some(), path_element(kind)),
            (draft.file_path.is_some(), Element::FilePath),
            (draft.length_bytes.is_some(), Element::Length),
        ];
        for (present, element) in required {
            if !present && !draft.seen.has(element) {
                self.broken(Rule::MissingElement { element: element.name() })?;
            }
        }
        let (Some(blob_path), Some(file_path), Some(length_bytes)) =
            (draft.blob_path, draft.file_path, draft.length_bytes)
        else {
            return Ok(None);
        };
        let list = match draft.list {
            Some(list) => list,
            None if length_bytes == 0 => PartList::empty(kind),
            None => {
                self.broken(Rule::NoList { length_bytes })?;
                return Ok(None);
            }
        };
        for rule in list.against_length(length_bytes) {
            self.broken(rule)?;
        }
        Ok(Some(BlobEntry {
            index,
            list: self.lists.saturating_sub(1),
            blob_path,
            file_path,
            length_bytes,
            stated_disposition: draft.disposition,
            kind: BlobKind::from(list),
            metadata: draft.metadata,
            properties: draft.properties,
            client_data: draft.client_data,
            snapshot: draft.snapshot,
        }))
    }

    /// A whole number: decimal digits, blanks around them ignored.
    pub(super) fn number(&mut self, name: &'static str, text: &str) -> Result<Option<u64>, ManifestError> {
        let number = super::parts::number(text);
        if number.is_none() {
            self.broken(Rule::Number { name, found: shortened(text).to_owned() })?;
        }
        Ok(number)
    }
}

fn path_element(kind: ListKind) -> Element {
    match kind {
        ListKind::Blobs => Element::BlobPath,
        ListKind::Files => Element::FileStoragePath,
    }
}
