//! The repair file: what was noted is there again, whatever was cut off or changed.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn subject() -> Subject {
    let input = "D41D8CD98F00B204E9800998ECF8427E".to_owned();
    Subject {
        command: "RepairImport",
        account: "https://a.blob.core.windows.net".to_owned(),
        input,
        folder: None,
    }
}

fn key(blob_path: &str) -> Key<'_> {
    Key { blob_path, file_path: Some("\\s\\a") }
}

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("drive.rep");
    (folder, path)
}

/// A file with a record of each kind.
fn written(path: &Path) {
    let mut file = RepairFile::open(path, &subject()).unwrap();
    assert!(!file.is_resumed);
    file.completed(key("c/whole")).unwrap();
    let intent = Intent { target: "c/half (2)", lease: Some("lease-1"), is_anew: true };
    file.intends(key("c/half"), intent).unwrap();
    file.sent(key("c/half"), "Block", 4_096).unwrap();
    file.sent(key("c/\u{e4} b"), "PageRange", 512).unwrap();
    file.check(7).unwrap();
}

#[test]
fn what_was_noted_is_there_again() {
    let (_folder, path) = folder();
    written(&path);
    let file = RepairFile::open(&path, &subject()).unwrap();
    assert!(file.is_resumed && file.blob(key("c/whole")).is_completed);
    let half = file.blob(key("c/half"));
    assert_eq!((half.is_completed, half.target.as_deref()), (false, Some("c/half (2)")));
    assert_eq!((half.lease.as_deref(), half.is_anew), (Some("lease-1"), true));
    assert!(file.has_component(key("c/half"), 4_096) && !file.has_component(key("c/half"), 0));
    assert!(file.has_component(key("c/\u{e4} b"), 512));
    assert_eq!((file.checked(), file.blob(key("c/other"))), (7, Noted::default()));
}

#[test]
fn two_files_that_were_packed_for_one_name_are_two_blobs() {
    let (_folder, path) = folder();
    let other = Key { file_path: Some("\\s\\b"), ..key("c/a") };
    let mut file = RepairFile::open(&path, &subject()).unwrap();
    file.sent(key("c/a"), "Block", 0).unwrap();
    file.intends(key("c/a"), Intent { target: "c/a", lease: None, is_anew: false }).unwrap();
    file.completed(other).unwrap();
    drop(file);
    let file = RepairFile::open(&path, &subject()).unwrap();
    assert!(file.blob(other).is_completed && !file.blob(key("c/a")).is_completed);
    assert_eq!((file.blob(other).target, file.has_component(other, 0)), (None, false));
    assert!(file.has_component(key("c/a"), 0));
}

#[test]
fn names_with_blanks_breaks_and_quotes_come_back_exactly() {
    let (_folder, path) = folder();
    for name in [" c/a ", "c/\"q\"\\", "c/new\nline", "c/[BeginUpdate", "c/State: Completed"] {
        RepairFile::open(&path, &subject()).unwrap().completed(key(name)).unwrap();
        assert!(RepairFile::open(&path, &subject()).unwrap().blob(key(name)).is_completed, "{name:?}");
    }
    let mut file = RepairFile::open(&path, &subject()).unwrap();
    assert!(matches!(file.completed(key("c/[EndUpdateRecord]")), Err(RecordError::Name { .. })));
}

#[test]
fn a_file_cut_anywhere_loses_at_most_its_last_record_and_goes_on() {
    let (_folder, path) = folder();
    written(&path);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let mut file =
            RepairFile::open(&path, &subject()).unwrap_or_else(|error| panic!("cut at {length}: {error}"));
        file.completed(key("c/later")).unwrap();
        drop(file);
        let again = RepairFile::open(&path, &subject()).unwrap();
        assert!(again.blob(key("c/later")).is_completed, "cut at {length}");
    }
}

#[test]
fn a_file_of_another_repair_or_of_no_repair_is_left_alone() {
    let (_folder, path) = folder();
    written(&path);
    let before = std::fs::read(&path).unwrap();
    for other in [
        Subject { command: "RepairExport", ..subject() },
        Subject { account: "https://b.blob.core.windows.net".to_owned(), ..subject() },
        Subject { input: "0".to_owned(), ..subject() },
        Subject { folder: Some("/elsewhere".to_owned()), ..subject() },
    ] {
        assert!(matches!(RepairFile::open(&path, &other), Err(RecordError::OtherRepair { .. })));
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    for (content, is_text) in [(&b"my letter"[..], true), (b"\x89PNG\r\n", false)] {
        std::fs::write(&path, content).unwrap();
        let error = RepairFile::open(&path, &subject()).unwrap_err();
        assert_eq!(matches!(error, RecordError::NotOurs { .. }), is_text, "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}

#[test]
fn a_second_process_is_kept_out() {
    let (_folder, path) = folder();
    let _first = RepairFile::open(&path, &subject()).unwrap();
    assert!(matches!(RepairFile::open(&path, &subject()), Err(RecordError::InUse { .. })));
}

#[test]
fn a_record_that_we_cannot_have_written_is_named_by_its_line() {
    let (_folder, path) = folder();
    written(&path);
    let text = std::fs::read_to_string(&path).unwrap().replace("Offset: 512", "Offset: many");
    std::fs::write(&path, text).unwrap();
    let error = RepairFile::open(&path, &subject()).unwrap_err();
    assert!(
        matches!(error, RecordError::Broken { line, what: "no usable Offset", .. } if line > 10),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_give_an_error_or_a_state_and_never_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
    ) {
        let (_folder, path) = folder();
        written(&path);
        let mut bytes = std::fs::read(&path).unwrap();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        std::fs::write(&path, &bytes).unwrap();
        // Whatever is taken can be gone on with.
        if let Ok(mut file) = RepairFile::open(&path, &subject()) {
            file.completed(key("c/later")).unwrap();
            drop(file);
            prop_assert!(RepairFile::open(&path, &subject()).unwrap().blob(key("c/later")).is_completed);
        }
    }
}
