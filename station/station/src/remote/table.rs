//! Columns on a terminal: as wide as their longest cell, nothing else.

use serde_json::Value;

/// Lines of the table, the heads first; empty columns on the right leave no blanks.
pub fn lines(heads: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let heads = line(heads.to_vec());
    std::iter::once(heads)
        .chain(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())))
        .collect()
}

/// Prints the table.
pub fn print(heads: &[&str], rows: &[Vec<String>]) {
    for line in lines(heads, rows) {
        println!("{line}");
    }
}

/// A member as a cell: texts without quotes, what is not there as a dash.
pub fn cell(object: &Value, path: &str) -> String {
    match object.pointer(path) {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => printable(text),
        Some(other) => other.to_string(),
    }
}

/// What a stranger wrote must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = vec![vec!["WD-1".to_owned(), "Received".to_owned()], vec!["A".to_owned(), "–".to_owned()]];
        assert_eq!(lines(&["drive", "state"], &rows), ["drive  state", "WD-1   Received", "A      –"]);
    }

    #[test]
    fn escape_sequences_in_a_name_do_not_reach_the_terminal() {
        assert_eq!(cell(&json!({"name": "a\u{1b}[2Jb"}), "/name"), "a\u{fffd}[2Jb");
    }
}
