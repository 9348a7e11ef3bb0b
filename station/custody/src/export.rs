//! A whole chain as a text, for auditors: one JSON value a line, written and read without holding more
//! than a line, so a chain of millions needs no memory.
//!
//! ```text
//! {"kind":"drayage-custody-export","version":1,"chain":"dc1"}
//! {"row":{"no":1,"hash":"…","entry":{"chain":"dc1","no":1,"job_no":1,"salt":"…","draft":{…}}}}
//! …
//! {"end":{"no":1200,"hash":"…"}}
//! ```
//! The JSON of an entry only carries it: what is hashed are the canonical bytes made from it again, so
//! blanks and the order of fields do not matter, and a field that is not hashed is refused. Invariant: a
//! text without its last line is not an export.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::canonical::Undecodable;
use crate::chain::{Head, Row};
use crate::checkpoint::TrustedCheckpoint;
use crate::entry::{Entry, job_key};
use crate::hash::Hash;
use crate::lines::{self, LineError, Lines};
use crate::verifier::{Broken, Verified, Verifier};

const KIND: &str = "drayage-custody-export";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Front {
    kind: String,
    version: u32,
    chain: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowLine {
    no: u64,
    hash: Hash,
    entry: Entry,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    no: u64,
    hash: Hash,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    // Boxed, because the other is small.
    Row(Box<RowLine>),
    End(End),
}

/// Why an export was not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Where it is written to.
    #[error("writing the export")]
    Io(#[from] io::Error),
    /// A row that is no entry cannot be shown.
    #[error("entry {no} cannot be exported")]
    Undecodable {
        /// Its number.
        no: u64,
        /// Why.
        #[source]
        source: Undecodable,
    },
}

/// Writes a chain out, row by row.
pub struct Exporter<W> {
    to: W,
}

impl<W: Write> Exporter<W> {
    /// Begins with the front line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(mut to: W, chain: &str) -> Result<Exporter<W>, ExportError> {
        let front = Front { kind: KIND.to_owned(), version: VERSION, chain: chain.to_owned() };
        lines::write(&mut to, &front)?;
        Ok(Exporter { to })
    }

    /// Adds a row as it is; whether it is true is the reader's question.
    ///
    /// # Errors
    /// When its bytes are no entry, or it cannot be written.
    pub fn row(&mut self, row: &Row) -> Result<(), ExportError> {
        let entry = row.entry().map_err(|source| ExportError::Undecodable { no: row.no, source })?;
        let line = RowLine { no: row.no, hash: row.hash, entry };
        lines::write(&mut self.to, &Line::Row(Box::new(line)))?;
        Ok(())
    }

    /// Ends the text; answers what was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, head: &Head) -> Result<W, ExportError> {
        lines::write(&mut self.to, &Line::End(End { no: head.no, hash: head.hash }))?;
        self.to.flush()?;
        Ok(self.to)
    }
}

/// Why an export is not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum ExportVerifyError {
    /// A line that cannot be read.
    #[error("the export cannot be read")]
    Line(#[from] LineError),
    /// Something else, or newer.
    #[error("this is {kind:?} of version {version}, not {KIND} of version {VERSION}")]
    Kind {
        /// What the front line says.
        kind: String,
        /// Its version.
        version: u32,
    },
    /// Text behind the end.
    #[error("line {line} follows the end of the export")]
    Trailing {
        /// Which, from 1.
        line: u64,
    },
    /// The chain itself.
    #[error("the chain is broken")]
    Broken(#[from] Broken),
}

/// Verifies an export against checkpoints that were kept elsewhere.
///
/// # Errors
/// Which line cannot be read, or which entry is not as it was written.
pub fn verify_export(
    from: impl BufRead,
    checkpoints: Vec<TrustedCheckpoint>,
) -> Result<Verified, ExportVerifyError> {
    let mut lines = Lines::new(from);
    let Front { kind, version, chain } = lines.need()?;
    if kind != KIND || version != VERSION {
        return Err(ExportVerifyError::Kind { kind, version });
    }
    let mut verifier = Verifier::new(&chain, checkpoints)?;
    loop {
        match lines.need()? {
            Line::Row(line) => {
                verifier.push(&row_of(*line))?;
            }
            Line::End(End { no, hash }) => {
                if lines.next::<serde_json::Value>()?.is_some() {
                    return Err(ExportVerifyError::Trailing { line: lines.line });
                }
                return Ok(verifier.finish(&Head { chain, no, hash })?);
            }
        }
    }
}

fn row_of(line: RowLine) -> Row {
    Row {
        entry_bytes: line.entry.to_bytes(),
        no: line.no,
        hash: line.hash,
        job: line.entry.draft.job.as_deref().map(job_key),
        job_no: line.entry.job_no,
    }
}

#[cfg(test)]
mod tests;
