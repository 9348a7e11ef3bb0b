//! Why a log cannot be read on, and where.

use std::io;

use crate::xml::{Place, XmlCause, XmlError, XmlFault};

/// A log that cannot be read on.
#[derive(Debug, thiserror::Error)]
#[error("reading a log, {place}")]
pub struct LogError {
    /// Where.
    pub place: Place,
    /// What is wrong.
    #[source]
    pub fault: LogFault,
}

/// What is wrong with a log. Readers are lenient, so it is little.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// Not XML.
    #[error("not the XML that it should be: {0}")]
    Xml(XmlFault),
    /// Another document.
    #[error("the root element is {found:?}, not {expected}")]
    Root {
        /// The root that belongs there.
        expected: &'static str,
        /// The root that is there.
        found: String,
    },
    /// A blob with more blocks or ranges than a blob can have.
    #[error("a blob has more than {max} parts")]
    PartCount {
        /// The most.
        max: usize,
    },
    /// The log's bytes could not be read.
    #[error("the next bytes cannot be read")]
    Read(#[source] io::Error),
}

impl From<XmlError> for LogError {
    fn from(error: XmlError) -> LogError {
        let fault = match error.cause {
            XmlCause::Fault(fault) => LogFault::Xml(fault),
            XmlCause::Read(source) => LogFault::Read(source),
        };
        LogError { place: error.place, fault }
    }
}
