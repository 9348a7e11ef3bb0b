//! The pull parser: steps over tags and collects texts, within the limits, knowing where it is.
//!
//! A step leaves its bytes in a buffer that belongs to the parser; [`Pull::tag`] looks at them.
//! The buffer is zeroed on drop and by [`Pull::forget`], because a manifest may carry an account
//! key.

use std::borrow::Cow;
use std::io::BufRead;
use std::ops::Range;

use quick_xml::events::Event;
use zeroize::{Zeroize, Zeroizing};

use super::bounded::{AllowanceSpent, Bounded};
use super::characters::first_foreign;
use super::fault::{XmlCause, XmlError, XmlFault};
use super::place::Place;
use super::tag::{Tag, shortened};
use crate::limits::{DEPTH_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};

/// One step through a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// An element opens; its tag is [`Pull::tag`].
    Open,
    /// The innermost open element closes.
    Close,
    /// The document is at its end.
    End,
}

/// A step that may also be a piece of text; the text is in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Raw {
    Step(Step),
    Text,
    CData,
    Reference,
    Nothing,
}

/// See the module.
pub(crate) struct Pull<R> {
    reader: quick_xml::Reader<Bounded<R>>,
    buffer: Zeroizing<Vec<u8>>,
    /// Where in `buffer` the tag's content or the text is.
    content: Range<usize>,
    name_length: usize,
    /// Names of the open elements, each followed by `/`.
    path: String,
    /// The length of `path` before each open element.
    starts: Vec<usize>,
    close_pending: bool,
    started: bool,
    several_roots: bool,
    decoded: bool,
    root_closed: bool,
    offset_bytes: u64,
    line: u64,
    lines_in_buffer: u64,
}

impl<R: BufRead> Pull<R> {
    /// A document with one root.
    pub(crate) fn new(reader: R) -> Pull<R> {
        Pull {
            reader: quick_xml::Reader::from_reader(Bounded::new(reader)),
            // Large enough that growing leaves no copy of a credential behind.
            buffer: Zeroizing::new(Vec::with_capacity(4096)),
            content: 0..0,
            name_length: 0,
            path: String::new(),
            starts: Vec::new(),
            close_pending: false,
            started: false,
            several_roots: false,
            decoded: false,
            root_closed: false,
            offset_bytes: 0,
            line: 1,
            lines_in_buffer: 0,
        }
    }

    /// A run of elements without a common root, as the gen C logs are.
    pub(crate) fn several_roots(reader: R) -> Pull<R> {
        Pull { several_roots: true, ..Pull::new(reader) }
    }

    /// The bytes were decoded from what the prolog names, so what it names no longer matters.
    pub(crate) fn decoded(self) -> Pull<R> {
        Pull { decoded: true, ..self }
    }

    /// The next tag; text other than blanks is a fault.
    pub(crate) fn step(&mut self) -> Result<Step, XmlError> {
        loop {
            match self.raw()? {
                Raw::Step(step) => return Ok(step),
                Raw::Nothing => {}
                Raw::Text if self.buffered().bytes().all(|byte| byte.is_ascii_whitespace()) => {}
                Raw::Text | Raw::CData | Raw::Reference => {
                    let fault = if self.starts.is_empty() && self.root_closed {
                        XmlFault::AfterRoot
                    } else {
                        XmlFault::StrayText
                    };
                    return Err(self.fault(fault));
                }
            }
        }
    }

    /// The tag of the last [`Step::Open`].
    pub(crate) fn tag(&self) -> Tag<'_> {
        let content = self.buffered();
        Tag::new(content, self.name_length)
    }

    /// Appends the text of the element that was just opened, up to and with its close tag.
    ///
    /// Elements inside it are stepped over; returns how many there were.
    pub(crate) fn text(&mut self, into: &mut String) -> Result<u64, XmlError> {
        let mut children: u64 = 0;
        loop {
            match self.raw()? {
                Raw::Step(Step::Close | Step::End) => return Ok(children),
                Raw::Step(Step::Open) => {
                    children = children.saturating_add(1);
                    self.skip()?;
                }
                Raw::Nothing => {}
                Raw::Text | Raw::CData => into.push_str(&normalise_line_ends(self.buffered())),
                Raw::Reference => into.push(self.reference()?),
            }
            if into.len() > TEXT_BYTES_MAX {
                return Err(self.fault(XmlFault::TextLength));
            }
        }
    }

    /// Steps over the rest of the element that was just opened, whatever is in it.
    pub(crate) fn skip(&mut self) -> Result<(), XmlError> {
        let depth = self.starts.len();
        loop {
            match self.raw()? {
                Raw::Step(Step::Close | Step::End) if self.starts.len() < depth => return Ok(()),
                Raw::Reference => {
                    self.reference()?;
                }
                _ => {}
            }
        }
    }

    /// Forgets the bytes of the last step: they were a secret.
    pub(crate) fn forget(&mut self) {
        self.buffer.zeroize();
        self.content = 0..0;
    }

    /// Where the last step began.
    pub(crate) fn place(&self) -> Place {
        let element = self.path.strip_suffix('/').unwrap_or(&self.path).to_owned();
        Place { offset_bytes: self.offset_bytes, line: self.line, element }
    }

    /// A fault at the last step.
    pub(crate) fn fault(&self, fault: XmlFault) -> XmlError {
        XmlError { place: self.place(), cause: XmlCause::Fault(fault) }
    }

    fn buffered(&self) -> &str {
        // The range was taken from the parser's own `&str`, so it is UTF-8.
        let bytes = self.buffer.get(self.content.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    fn raw(&mut self) -> Result<Raw, XmlError> {
        if self.close_pending {
            self.close_pending = false;
            return Ok(self.close());
        }
        self.advance_place();
        self.reader.get_mut().renew();
        let seen = match self.reader.read_event_into(&mut self.buffer) {
            Ok(event) => Seen::of(&event),
            Err(error) => return Err(self.refused(error)),
        };
        let raw = self.take(seen);
        self.started = true;
        raw
    }

    fn advance_place(&mut self) {
        self.offset_bytes = self.reader.buffer_position();
        self.line = self.line.saturating_add(self.lines_in_buffer);
        self.buffer.clear();
        self.lines_in_buffer = 0;
    }

    fn take(&mut self, seen: Seen) -> Result<Raw, XmlError> {
        let newlines = self.buffer.iter().filter(|&&byte| byte == b'\n').count();
        self.lines_in_buffer = u64::try_from(newlines).unwrap_or(u64::MAX);
        let end = self.buffer.len();
        match seen {
            Seen::Open { name_length, empty } => {
                self.content = 1..end.saturating_sub(if empty { 2 } else { 1 });
                self.check_characters()?;
                self.close_pending = empty;
                self.open(name_length)
            }
            Seen::Close => Ok(self.close()),
            Seen::Text => {
                self.content = 0..end;
                self.check_characters()?;
                Ok(Raw::Text)
            }
            Seen::CData => {
                self.content = "<![CDATA[".len()..end.saturating_sub("]]>".len());
                self.check_characters()?;
                Ok(Raw::CData)
            }
            Seen::Reference => {
                self.content = 1..end.saturating_sub(1);
                Ok(Raw::Reference)
            }
            Seen::Declaration { encoding } => self.declaration(encoding),
            Seen::Other => Ok(Raw::Nothing),
            Seen::DocumentType => Err(self.fault(XmlFault::DocumentType)),
            Seen::End => self.end(),
        }
    }

    fn open(&mut self, name_length: usize) -> Result<Raw, XmlError> {
        if self.starts.is_empty() && self.root_closed && !self.several_roots {
            return Err(self.fault(XmlFault::AfterRoot));
        }
        if self.starts.len() >= DEPTH_MAX {
            return Err(self.fault(XmlFault::Depth));
        }
        if name_length > NAME_BYTES_MAX {
            return Err(self.fault(XmlFault::NameLength));
        }
        self.name_length = name_length;
        self.starts.push(self.path.len());
        let name_end = self.content.start.saturating_add(name_length);
        let name = self.buffer.get(self.content.start..name_end).unwrap_or_default();
        self.path.push_str(std::str::from_utf8(name).unwrap_or_default());
        self.path.push('/');
        Ok(Raw::Step(Step::Open))
    }

    fn close(&mut self) -> Raw {
        if let Some(start) = self.starts.pop() {
            self.path.truncate(start);
        }
        self.root_closed |= self.starts.is_empty();
        Raw::Step(Step::Close)
    }

    fn end(&self) -> Result<Raw, XmlError> {
        if !self.starts.is_empty() {
            Err(self.fault(XmlFault::Truncated))
        } else if !self.root_closed && !self.several_roots {
            Err(self.fault(XmlFault::Empty))
        } else {
            Ok(Raw::Step(Step::End))
        }
    }

    fn declaration(&self, encoding: Option<String>) -> Result<Raw, XmlError> {
        if self.started && !self.several_roots {
            let what = "the XML declaration is not at the document's start".to_owned();
            return Err(self.fault(XmlFault::Malformed { what }));
        }
        match encoding {
            Some(declared)
                if !self.decoded
                    && !["utf-8", "utf8", "us-ascii"]
                        .iter()
                        .any(|known| declared.eq_ignore_ascii_case(known)) =>
            {
                Err(self.fault(XmlFault::Encoding { declared }))
            }
            _ => Ok(Raw::Nothing),
        }
    }

    fn reference(&self) -> Result<char, XmlError> {
        let name = self.buffered();
        match name.strip_prefix('#') {
            Some(number) => {
                let code = match number.strip_prefix('x') {
                    Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                        u32::from_str_radix(digits, 16).ok()
                    }
                    None if number.bytes().all(|byte| byte.is_ascii_digit()) => number.parse().ok(),
                    _ => None,
                };
                let code = code.ok_or_else(|| {
                    let what = format!("{name:?} is not a character reference", name = shortened(name));
                    self.fault(XmlFault::Malformed { what })
                })?;
                char::from_u32(code)
                    .filter(|&character| super::characters::is_xml_character(character))
                    .ok_or_else(|| self.fault(XmlFault::Character { code }))
            }
            None => predefined(name)
                .ok_or_else(|| self.fault(XmlFault::Entity { name: shortened(name).to_owned() })),
        }
    }

    fn check_characters(&self) -> Result<(), XmlError> {
        match first_foreign(self.buffered()) {
            Some(character) => Err(self.fault(XmlFault::Character { code: u32::from(character) })),
            None => Ok(()),
        }
    }

    fn refused(&self, error: quick_xml::Error) -> XmlError {
        let cause = match error {
            quick_xml::Error::Io(source) => {
                let spent = source.get_ref().is_some_and(|inner| inner.is::<AllowanceSpent>());
                if spent {
                    XmlCause::Fault(XmlFault::MarkupLength)
                } else {
                    XmlCause::Read(std::io::Error::new(source.kind(), source))
                }
            }
            quick_xml::Error::Encoding(_) => XmlCause::Fault(XmlFault::NotUtf8),
            other => XmlCause::Fault(XmlFault::Malformed { what: shortened(&other.to_string()).to_owned() }),
        };
        let offset_bytes = self.reader.error_position().max(self.offset_bytes);
        XmlError { place: Place { offset_bytes, ..self.place() }, cause }
    }
}

/// What an event was, without borrowing the buffer.
enum Seen {
    Open { name_length: usize, empty: bool },
    Close,
    Text,
    CData,
    Reference,
    Declaration { encoding: Option<String> },
    DocumentType,
    Other,
    End,
}

impl Seen {
    fn of(event: &Event<'_>) -> Seen {
        match event {
            Event::Start(tag) => Seen::Open { name_length: tag.name().as_ref().len(), empty: false },
            Event::Empty(tag) => Seen::Open { name_length: tag.name().as_ref().len(), empty: true },
            Event::End(_) => Seen::Close,
            Event::Text(_) => Seen::Text,
            Event::CData(_) => Seen::CData,
            Event::GeneralRef(_) => Seen::Reference,
            Event::Decl(declaration) => {
                let encoding = declaration.encoding().and_then(Result::ok);
                Seen::Declaration { encoding: encoding.map(|name| shortened(&name).to_owned()) }
            }
            Event::DocType(_) => Seen::DocumentType,
            Event::Comment(_) | Event::PI(_) => Seen::Other,
            Event::Eof => Seen::End,
        }
    }
}

fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}

fn normalise_line_ends(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}
