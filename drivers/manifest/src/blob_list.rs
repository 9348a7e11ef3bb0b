//! Blob lists: which blobs an export takes, and which ones did not fit.
//!
//! azure-import-export.md §6.1 and §6.5. Several roots are tolerated, because published samples
//! have `BlobList` and `AzureFileList` beside each other.

use std::io::{self, BufRead, Write};

use model::status::DriveStatus;

use crate::xml::{Place, Pull, Step, XmlCause, XmlError, XmlFault, shortened, text};

/// One line of a blob list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `BlobPath`: one blob, `container/name`; a leading `/` is optional.
    Path(String),
    /// `BlobPathPrefix`: all blobs whose `/container/name` begins so.
    Prefix(String),
    /// `FilePath` of an `AzureFileList`.
    FilePath(String),
    /// `FilePathPrefix` of an `AzureFileList`.
    FilePrefix(String),
}

/// Which snapshots of a blob a path selects. The spelling is ours: §6.1, "Snapshots".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshots<'a> {
    /// The blob alone: `path`.
    Base,
    /// One snapshot: `path?snapshot=<time>`.
    One(&'a str),
    /// The blob and all its snapshots: `path?snapshots`.
    All,
}

/// Reads a blob list, one selector at a time.
pub struct BlobListReader<R> {
    pull: Pull<R>,
    inside: Option<Root>,
    empty: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    Blobs,
    Files,
}

/// A blob list that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("reading a blob list, {place}")]
pub struct BlobListError {
    /// Where.
    pub place: Place,
    /// What is wrong.
    #[source]
    pub fault: BlobListFault,
}

/// What is wrong with a blob list.
#[derive(Debug, thiserror::Error)]
pub enum BlobListFault {
    /// Not XML.
    #[error("not the XML that it should be: {0}")]
    Xml(XmlFault),
    /// An element that a blob list does not have; names are case-sensitive.
    #[error("{found:?} is no element of a blob list")]
    Element {
        /// Its name.
        found: String,
    },
    /// A selector without text.
    #[error("the selector is empty")]
    EmptySelector,
    /// No selector at all.
    #[error("the list selects nothing")]
    EmptyList,
    /// The list's bytes could not be read.
    #[error("the next bytes cannot be read")]
    Read(#[source] io::Error),
}

impl BlobListError {
    /// What the drive's status becomes.
    pub fn status(&self) -> DriveStatus {
        match &self.fault {
            BlobListFault::Xml(_)
            | BlobListFault::Element { .. }
            | BlobListFault::EmptySelector
            | BlobListFault::EmptyList => DriveStatus::BlobListFormatInvalid,
            BlobListFault::Read(_) => DriveStatus::InternalError,
        }
    }
}

impl Selector {
    /// A path's blob, and which of its snapshots.
    pub fn snapshots(path: &str) -> (&str, Snapshots<'_>) {
        match path.rsplit_once('?') {
            Some((blob, "snapshots")) => (blob, Snapshots::All),
            Some((blob, query)) => match query.strip_prefix("snapshot=") {
                Some(time) if !time.is_empty() => (blob, Snapshots::One(time)),
                _ => (path, Snapshots::Base),
            },
            None => (path, Snapshots::Base),
        }
    }

    fn new(root: Root, element: &str, text: String) -> Option<Selector> {
        Some(match (root, element) {
            // Command lines that mean everything say so as a path: §6.1.
            (Root::Blobs, "BlobPath") if matches!(text.as_str(), "/" | "\\") => {
                Selector::Prefix("/".to_owned())
            }
            (Root::Blobs, "BlobPath") => Selector::Path(text),
            (Root::Blobs, "BlobPathPrefix") => Selector::Prefix(text),
            (Root::Files, "FilePath") => Selector::FilePath(text),
            (Root::Files, "FilePathPrefix") => Selector::FilePrefix(text),
            _ => return None,
        })
    }
}

impl<R: BufRead> BlobListReader<R> {
    /// A reader of one list.
    pub fn new(reader: R) -> BlobListReader<R> {
        BlobListReader { pull: Pull::several_roots(reader), inside: None, empty: true }
    }

    /// The next selector; `None` at the end.
    ///
    /// # Errors
    /// What is wrong with the list; a list without a selector is an error too.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would make the end and an error look alike"
    )]
    pub fn next(&mut self) -> Result<Option<Selector>, BlobListError> {
        loop {
            match (self.pull.step()?, self.inside) {
                (Step::End, _) if self.empty => return Err(self.wrong(BlobListFault::EmptyList)),
                (Step::End, _) => return Ok(None),
                (Step::Close, _) => self.inside = None,
                (Step::Open, None) => self.inside = Some(self.root()?),
                (Step::Open, Some(root)) => return self.selector(root).map(Some),
            }
        }
    }

    fn root(&self) -> Result<Root, BlobListError> {
        match self.pull.tag().name {
            "BlobList" => Ok(Root::Blobs),
            "AzureFileList" => Ok(Root::Files),
            found => Err(self.wrong(BlobListFault::Element { found: shortened(found).to_owned() })),
        }
    }

    fn selector(&mut self, root: Root) -> Result<Selector, BlobListError> {
        let element = self.pull.tag().name.to_owned();
        let mut text = String::new();
        if self.pull.text(&mut text)? > 0 {
            return Err(self.wrong(BlobListFault::Xml(XmlFault::StrayText)));
        }
        if text.trim().is_empty() {
            return Err(self.wrong(BlobListFault::EmptySelector));
        }
        self.empty = false;
        Selector::new(root, &element, text)
            .ok_or_else(|| self.wrong(BlobListFault::Element { found: shortened(&element).to_owned() }))
    }

    fn wrong(&self, fault: BlobListFault) -> BlobListError {
        BlobListError { place: self.pull.place(), fault }
    }
}

impl From<XmlError> for BlobListError {
    fn from(error: XmlError) -> BlobListError {
        let fault = match error.cause {
            XmlCause::Fault(fault) => BlobListFault::Xml(fault),
            XmlCause::Read(source) => BlobListFault::Read(source),
        };
        BlobListError { place: error.place, fault }
    }
}

/// Writes a blob list: the incomplete list of an export, ready to be the next job's list.
pub struct BlobListWriter<W> {
    writer: W,
}

impl<W: Write> BlobListWriter<W> {
    /// Begins a list.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn new(mut writer: W) -> io::Result<BlobListWriter<W>> {
        writer.write_all(b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<BlobList>\n")?;
        Ok(BlobListWriter { writer })
    }

    /// Writes a path.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn path(&mut self, path: &str) -> io::Result<()> {
        writeln!(self.writer, "  <BlobPath>{}</BlobPath>", text(path))
    }

    /// Writes a prefix.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn prefix(&mut self, prefix: &str) -> io::Result<()> {
        writeln!(self.writer, "  <BlobPathPrefix>{}</BlobPathPrefix>", text(prefix))
    }

    /// Ends the list.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.write_all(b"</BlobList>\n")?;
        self.writer.flush()?;
        Ok(self.writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Result<Vec<Selector>, BlobListError> {
        let mut reader = BlobListReader::new(list.as_bytes());
        let mut selectors = Vec::new();
        while let Some(selector) = reader.next()? {
            selectors.push(selector);
        }
        Ok(selectors)
    }

    #[test]
    fn paths_and_prefixes_are_read_from_several_roots() {
        let list = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<BlobList>\n\
            <BlobPath>pictures/animals/koala.jpg</BlobPath><BlobPathPrefix>/vhds/</BlobPathPrefix>\n\
            <BlobPath>/</BlobPath><BlobPath>a&amp;b/c</BlobPath></BlobList>\n\
            <AzureFileList><FilePath>/s/f</FilePath><FilePathPrefix>/s/</FilePathPrefix></AzureFileList>\n";
        let expected = [
            Selector::Path("pictures/animals/koala.jpg".to_owned()),
            Selector::Prefix("/vhds/".to_owned()),
            Selector::Prefix("/".to_owned()),
            Selector::Path("a&b/c".to_owned()),
            Selector::FilePath("/s/f".to_owned()),
            Selector::FilePrefix("/s/".to_owned()),
        ];
        assert_eq!(read(list).unwrap(), expected);
    }

    #[test]
    fn a_malformed_list_is_refused_with_its_status() {
        for list in [
            "",
            "<BlobList></BlobList>",
            "<BlobList><BlobPath>a/b</blobpath></BlobList>",
            "<BlobList><blobpath>a/b</blobpath></BlobList>",
            "<bloblist><BlobPath>a/b</BlobPath></bloblist>",
            "<BlobList><BlobPath>a/b</BlobPath>",
            "<BlobList><BlobPath> </BlobPath></BlobList>",
            "<BlobList><FilePath>a/b</FilePath></BlobList>",
            "<BlobList>a/b</BlobList>",
            "<BlobList><BlobPath>a<b/></BlobPath></BlobList>",
            "<!DOCTYPE x []><BlobList><BlobPath>a/b</BlobPath></BlobList>",
        ] {
            assert_eq!(read(list).unwrap_err().status(), DriveStatus::BlobListFormatInvalid, "{list}");
        }
    }

    #[test]
    fn a_path_says_which_snapshots_it_means() {
        for (path, expected) in [
            ("c/b", ("c/b", Snapshots::Base)),
            ("c/b?snapshots", ("c/b", Snapshots::All)),
            ("c/b?snapshot=2012-09-18T23:47:08Z", ("c/b", Snapshots::One("2012-09-18T23:47:08Z"))),
            ("c/b?snapshot=", ("c/b?snapshot=", Snapshots::Base)),
            ("c/what?", ("c/what?", Snapshots::Base)),
        ] {
            assert_eq!(Selector::snapshots(path), expected);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut writer = BlobListWriter::new(Vec::new()).unwrap();
        writer.path("c/<&>\r\n é").unwrap();
        writer.prefix("/c/").unwrap();
        let list = String::from_utf8(writer.finish().unwrap()).unwrap();
        let expected = [Selector::Path("c/<&>\r\n é".to_owned()), Selector::Prefix("/c/".to_owned())];
        assert_eq!(read(&list).unwrap(), expected);
    }
}
