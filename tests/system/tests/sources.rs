//! Rules over the text of every Rust file: style.md §6 and §8.

use std::collections::BTreeSet;

use system_tests::sources::{self, Source};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

/// Functions over [`FUNCTION_LINES_MAX`] that we live with, as `path::name`. May only shrink.
const LONG_FUNCTIONS: &[&str] = &[];

#[test]
fn every_file_opens_by_saying_what_it_owns() {
    let silent: Vec<_> = paths(|source| !source.text.starts_with("//!"));
    assert!(silent.is_empty(), "files that do not open with `//!`: {silent:#?}");
}

#[test]
fn no_file_is_longer_than_one_idea() {
    let long: Vec<_> = paths(|source| source.production_lines().len() > FILE_LINES_MAX);
    assert!(long.is_empty(), "files over {FILE_LINES_MAX} lines: {long:#?}");
}

#[test]
fn functions_are_short_but_for_a_list_that_only_shrinks() {
    let functions = sources::all().iter().flat_map(Source::functions).collect::<Vec<_>>();
    let long: BTreeSet<String> = functions
        .into_iter()
        .filter(|function| function.line_count > FUNCTION_LINES_MAX)
        .map(|function| function.place)
        .collect();
    let listed: BTreeSet<String> = LONG_FUNCTIONS.iter().map(ToString::to_string).collect();
    let new: Vec<_> = long.difference(&listed).collect();
    assert!(new.is_empty(), "functions over {FUNCTION_LINES_MAX} lines: {new:#?}");
    let gone: Vec<_> = listed.difference(&long).collect();
    assert!(gone.is_empty(), "no longer long; take them off the list: {gone:#?}");
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
    ];
    let unfinished = paths(|source| marks.iter().any(|mark| source.text.contains(mark)));
    assert!(unfinished.is_empty(), "files with stubs or tests switched off: {unfinished:#?}");
}

#[test]
fn nobody_names_this_machine() {
    let folders = [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/")];
    let bound = paths(|source| folders.iter().any(|folder| source.text.contains(folder)));
    assert!(bound.is_empty(), "files with a path of one machine: {bound:#?}");
}

fn paths(is_wrong: impl Fn(&Source) -> bool) -> Vec<String> {
    let wrong = sources::all().into_iter().filter(is_wrong);
    wrong.map(|source| source.path.display().to_string()).collect()
}
