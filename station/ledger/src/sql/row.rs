//! Columns as values. What cannot be is an error with its column, never a panic.

use custody::Hash;
use sqlx::Row as _;

use super::DbRow;
use crate::error::Fault;

pub(super) fn text(row: &DbRow, column: &str) -> Result<String, Fault> {
    row.try_get(column).map_err(Fault::of)
}

pub(super) fn optional_text(row: &DbRow, column: &str) -> Result<Option<String>, Fault> {
    row.try_get(column).map_err(Fault::of)
}

pub(super) fn number(row: &DbRow, column: &str) -> Result<i64, Fault> {
    row.try_get(column).map_err(Fault::of)
}

pub(super) fn optional_number(row: &DbRow, column: &str) -> Result<Option<i64>, Fault> {
    row.try_get(column).map_err(Fault::of)
}

/// A number that is never negative.
pub(super) fn count(row: &DbRow, column: &'static str) -> Result<u64, Fault> {
    u64::try_from(number(row, column)?).map_err(|_| Fault::value(column))
}

pub(super) fn flag(row: &DbRow, column: &'static str) -> Result<bool, Fault> {
    match number(row, column)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Fault::value(column)),
    }
}

pub(super) fn bytes(row: &DbRow, column: &str) -> Result<Vec<u8>, Fault> {
    row.try_get(column).map_err(Fault::of)
}

pub(super) fn hash(row: &DbRow, column: &'static str) -> Result<Hash, Fault> {
    Hash::from_slice(&bytes(row, column)?).map_err(|_| Fault::value(column))
}

pub(super) fn json<T: serde::de::DeserializeOwned>(row: &DbRow, column: &'static str) -> Result<T, Fault> {
    serde_json::from_str(&text(row, column)?).map_err(|_| Fault::value(column))
}

pub(super) fn all<T>(rows: &[DbRow], read: impl Fn(&DbRow) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    rows.iter().map(read).collect()
}
