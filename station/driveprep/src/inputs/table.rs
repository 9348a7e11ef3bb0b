//! CSV files with a header: cells by the column's name, errors with line and column.
//!
//! azure-import-export.md §2.5, §2.6: the first line is the header, values may be quoted, `None` (or
//! an empty cell) means absent, unknown columns are ignored, missing optional ones allowed.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{InputError, InputFault};

/// Far more than the longest real one: a million rows of 64 bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A CSV file, its header read.
pub(super) struct Table {
    path: PathBuf,
    columns: Vec<String>,
    reader: csv::Reader<std::io::Cursor<Vec<u8>>>,
}

/// One row.
pub(super) struct Row<'a> {
    table: &'a Table,
    cells: csv::StringRecord,
    line: u64,
}

impl Table {
    /// Reads the file and its header.
    pub(super) fn open(path: &Path) -> Result<Table, InputError> {
        Table::parse(path, read_bounded(path, FILE_BYTES_MAX)?)
    }

    /// Takes the file's bytes; `path` is for errors only.
    pub(super) fn parse(path: &Path, mut bytes: Vec<u8>) -> Result<Table, InputError> {
        if bytes.starts_with(b"\xEF\xBB\xBF") {
            bytes.drain(..3);
        }
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(std::io::Cursor::new(bytes));
        let header = reader.headers().map_err(|error| located(path, &error))?;
        let columns: Vec<String> = header.iter().map(str::to_owned).collect();
        for (index, column) in columns.iter().enumerate() {
            if columns[..index].iter().any(|other| same(other, column)) {
                let fault = InputFault::DuplicateColumn { column: column.clone() };
                return Err(InputError::at(format!("{}, line 1", path.display()), fault));
            }
        }
        Ok(Table { path: path.to_owned(), columns, reader })
    }

    /// Whether the header has that column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|other| same(other, column))
    }

    /// That column must be there.
    pub(super) fn require(&self, column: &'static str) -> Result<(), InputError> {
        if self.has(column) {
            return Ok(());
        }
        let fault = InputFault::MissingColumn { column, found: self.columns.join(",") };
        Err(InputError::at(format!("{}, line 1", self.path.display()), fault))
    }

    /// The columns that none of these names.
    pub(super) fn unknown(&self, known: &[&str]) -> Vec<String> {
        let is_known = |column: &&String| known.iter().any(|known| same(known, column));
        self.columns.iter().filter(|column| !is_known(column) && !column.is_empty()).cloned().collect()
    }

    /// Gives each row to `take`, blank ones aside.
    pub(super) fn each<T>(
        &mut self,
        mut take: impl FnMut(&Row<'_>) -> Result<T, InputError>,
    ) -> Result<Vec<T>, InputError> {
        let mut taken = Vec::new();
        loop {
            let mut cells = csv::StringRecord::new();
            let is_row = self.reader.read_record(&mut cells).map_err(|error| located(&self.path, &error))?;
            if !is_row {
                return Ok(taken);
            }
            let line = cells.position().map_or(0, csv::Position::line);
            let row = Row { table: self, cells, line };
            if row.cells.iter().all(str::is_empty) {
                continue;
            }
            row.check_length()?;
            taken.push(take(&row)?);
        }
    }
}

impl Row<'_> {
    /// Where the row is.
    pub(super) fn place(&self) -> String {
        format!("{}, line {}", self.table.path.display(), self.line)
    }

    /// Something is wrong with a cell.
    pub(super) fn error(&self, column: &str, fault: InputFault) -> InputError {
        InputError::at(format!("{}, column {column}", self.place()), fault)
    }

    /// The cell as it stands there; `None` when there is none.
    pub(super) fn stated(&self, column: &str) -> Option<&str> {
        let index = self.table.columns.iter().position(|other| same(other, column))?;
        self.cells.get(index)
    }

    /// The cell, unless it says that there is no value.
    pub(super) fn cell(&self, column: &str) -> Option<&str> {
        self.stated(column).filter(|text| !is_absent(text))
    }

    /// The cell, which must have a value.
    pub(super) fn value(&self, column: &'static str) -> Result<&str, InputError> {
        self.cell(column).ok_or_else(|| self.error(column, InputFault::MissingValue))
    }

    fn check_length(&self) -> Result<(), InputError> {
        let (expected, found) = (self.table.columns.len(), self.cells.len());
        if found <= expected || self.cells.iter().skip(expected).all(str::is_empty) {
            return Ok(());
        }
        Err(InputError::at(self.place(), InputFault::Cells { expected, found }))
    }
}

/// Reads a file that has at most so many bytes.
pub(super) fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, InputError> {
    let failed = |error| InputError::file(path, InputFault::Read(error));
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(InputError::file(path, InputFault::TooLarge { limit_bytes }));
    }
    Ok(bytes)
}

/// Absent: empty, `None`, or `None` in quotes that were quoted themselves.
fn is_absent(text: &str) -> bool {
    text.is_empty() || text.trim_matches('"').eq_ignore_ascii_case("none")
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn located(path: &Path, error: &csv::Error) -> InputError {
    let line = error.position().map_or(1, csv::Position::line);
    let what = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "the text is not UTF-8; save it as UTF-8".to_owned(),
        csv::ErrorKind::Io(source) => format!("reading it: {source}"),
        _ => "it is no CSV".to_owned(),
    };
    InputError::at(format!("{}, line {line}", path.display()), InputFault::Csv(what))
}
