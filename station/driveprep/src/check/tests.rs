//! Whole checks of real folders, by their exit codes.

use std::fs;

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    check: CheckArguments,
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/a.txt"), b"abc").unwrap();
    folder
}

fn checked(folder: &tempfile::TempDir, arguments: &[&str]) -> Result<Exit, u8> {
    let data = folder.path().join("data").display().to_string();
    let from = ["check", "--from", &data, "--to", "files"];
    let parsed = Arguments::try_parse_from([&from, arguments].concat()).unwrap();
    run(&parsed.check, &Console::new(false)).map_err(|failure| failure.exit.code())
}

#[test]
fn a_sound_source_is_success() {
    let folder = folder();
    assert_eq!(checked(&folder, &[]), Ok(Exit::Success));
    assert_eq!(checked(&folder, &["--size", "1TB", "--strict"]), Ok(Exit::Success));
}

#[test]
fn what_cannot_be_packed_is_incomplete() {
    let folder = folder();
    assert_eq!(checked(&folder, &["--sas-container", "others"]), Ok(Exit::Incomplete));
    fs::write(folder.path().join("data/A.TXT"), b"abc").unwrap();
    assert_eq!(checked(&folder, &[]), Ok(Exit::Incomplete));
}

#[test]
fn warnings_count_only_when_asked_for() {
    let folder = folder();
    std::os::unix::fs::symlink("a.txt", folder.path().join("data/link")).unwrap();
    assert_eq!(checked(&folder, &[]), Ok(Exit::Success));
    assert_eq!(checked(&folder, &["--strict"]), Ok(Exit::Warnings));
}

#[test]
fn drives_that_are_too_small_or_inside_a_source_are_incomplete() {
    let folder = folder();
    let big = fs::File::create(folder.path().join("data/big")).unwrap();
    // Written, not a hole: only its allocation may be left out.
    std::io::Write::write_all(&mut &big, &vec![1; 4 << 20]).unwrap();
    let image = folder.path().join("drive.img").display().to_string();
    assert_eq!(checked(&folder, &["--drive", &image, "--size", "64MiB"]), Ok(Exit::Success));
    assert_eq!(checked(&folder, &["--drive", &image, "--size", "12MiB"]), Ok(Exit::Incomplete));
    assert_eq!(checked(&folder, &["--size", "12MiB"]), Ok(Exit::Incomplete));
    let inside = folder.path().join("data/drive.img").display().to_string();
    assert_eq!(checked(&folder, &["--drive", &inside, "--size", "1GiB"]), Ok(Exit::Incomplete));
    assert_eq!(checked(&folder, &["--drive", &image, "--strict"]), Ok(Exit::Warnings));
}

#[test]
fn unusable_input_is_usage() {
    let folder = folder();
    assert_eq!(checked(&folder, &["--size", "big"]), Err(2));
    assert_eq!(checked(&folder, &["--dataset", "/nonexistent.csv"]), Err(2));
    assert_eq!(checked(&folder, &["--session", "a/b"]), Err(2));
}
