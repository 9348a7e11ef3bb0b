//! The workspace's Rust files, and their functions' lengths.
//!
//! Relies on rustfmt: an item's closing brace stands in the column of its first line.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace;

/// One Rust file.
pub struct Source {
    /// Its path below the repository's top.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Whether the whole file is tests: it is named `tests.rs`, or its crate keeps it below a folder `tests`.
    pub is_test: bool,
}

/// A function of the production code.
pub struct Function {
    /// `path::name`, as the list of long functions writes it.
    pub place: String,
    /// From the line with `fn` to the closing brace, both counted.
    pub line_count: usize,
}

impl Source {
    /// The lines that are not tests: none of a test file, and no inline `mod tests`.
    pub fn production_lines(&self) -> Vec<&str> {
        let lines: Vec<&str> = self.text.lines().collect();
        let inline_tests = lines.windows(2).position(|pair| {
            pair[0].trim_start().starts_with("#[cfg(test)]") && pair[1].trim_start().starts_with("mod ")
        });
        let end = if self.is_test { 0 } else { inline_tests.unwrap_or(lines.len()) };
        lines[..end].to_vec()
    }

    /// Every function of the production code, nested ones too.
    pub fn functions(&self) -> Vec<Function> {
        let lines = self.production_lines();
        let starts = lines.iter().enumerate().filter_map(|(start, line)| Some((start, function_name(line)?)));
        let function = |(start, name): (usize, &str)| Function {
            place: format!("{}::{name}", self.path.display()),
            line_count: item_line_count(&lines[start..]),
        };
        starts.map(function).collect()
    }
}

/// Every Rust file of the workspace's crates.
pub fn all() -> Vec<Source> {
    let mut sources = Vec::new();
    for member in workspace::members() {
        let folder = workspace::root().join(&member.folder);
        collect(&folder, &folder, &mut sources);
    }
    assert!(!sources.is_empty(), "the workspace has no Rust files");
    sources
}

fn collect(crate_folder: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).expect("a folder of the workspace can be read");
    for path in entries.map(|entry| entry.expect("its entries too").path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !matches!(name, "target" | "node_modules") && !name.starts_with('.') {
            collect(crate_folder, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let within = path.strip_prefix(crate_folder).expect("it was found there");
            let is_test = name == "tests.rs" || within.components().any(|part| part.as_os_str() == "tests");
            let text = fs::read_to_string(&path).expect("a Rust file is text");
            let path = path.strip_prefix(workspace::root()).expect("below the top").to_owned();
            sources.push(Source { path, text, is_test });
        }
    }
}

/// The name of the function whose signature begins on this line, if one does.
fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    if let Some(after) = rest.strip_prefix("pub(") {
        rest = after.split_once(')')?.1.trim_start();
    }
    loop {
        if let Some(name) = rest.strip_prefix("fn ") {
            // A macro's `fn $name` is a pattern of functions, not one.
            return name.split(['(', '<']).next().filter(|name| !name.starts_with('$'));
        }
        let modifiers = ["pub ", "async ", "const ", "unsafe ", "extern \"C\" "];
        rest = modifiers.iter().find_map(|modifier| rest.strip_prefix(modifier))?;
    }
}

/// How many lines the item takes that begins on the first one.
fn item_line_count(lines: &[&str]) -> usize {
    let indent = lines[0].len() - lines[0].trim_start().len();
    let is_whole = |line: &str| line.ends_with('}') || line.ends_with(';');
    if is_whole(lines[0]) {
        return 1;
    }
    let ends = |line: &&str| {
        let here = line.len() - line.trim_start().len();
        here == indent && line.trim_start().starts_with(['}', ')']) && is_whole(line)
    };
    lines.iter().skip(1).position(ends).map_or(lines.len(), |index| index + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { path: "a.rs".into(), text: text.to_owned(), is_test: false }
    }

    #[test]
    fn functions_are_measured_from_signature_to_closing_brace() {
        let text = "//! x\npub(crate) async fn one(\n    a: u8,\n) -> u8 {\n    a\n}\nimpl X {\n    fn two(&self) -> u8 {\n        \
                    if a {\n        }\n    }\n    fn three() {}\n    fn four(&self);\n}\n";
        let found: Vec<(String, usize)> =
            source(text).functions().into_iter().map(|f| (f.place, f.line_count)).collect();
        let expected = [("a.rs::one", 5), ("a.rs::two", 4), ("a.rs::three", 1), ("a.rs::four", 1)];
        assert_eq!(found, expected.map(|(place, count)| (place.to_owned(), count)));
    }

    #[test]
    fn inline_tests_are_not_production() {
        let text = "//! x\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        assert_eq!(source(text).production_lines().len(), 2);
    }
}
