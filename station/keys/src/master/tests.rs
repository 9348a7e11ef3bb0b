//! The key file.

use super::*;

fn why(text: &str) -> KeyFileError {
    parse(text.as_bytes()).err().unwrap()
}

/// A key that is no secret, and its line: the id was computed with Python's hashlib.
const ZERO: &str = "master-key 86b827d19f079f39677a69411e444a7e AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn ids(path: &Path) -> Vec<KeyId> {
    KeyFile::list(path).unwrap().iter().map(|listed| listed.id).collect()
}

#[test]
fn a_file_lists_keys_and_comments_and_the_first_seals() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("keys");
    let first = KeyFile::generate(&path).unwrap();
    let second = KeyFile::add(&path).unwrap();
    assert_eq!(ids(&path), [second, first]);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# Master keys"), "a person who finds the file learns what it is");
    assert!(matches!(KeyFile::generate(&path), Err(KeyFileChangeError::File(_))));
    assert!(matches!(KeyFile::retire(&path, second), Err(KeyFileChangeError::Sealing(_))));
    assert!(matches!(KeyFile::retire(&path, KeyId([0; 16])), Err(KeyFileChangeError::Unknown(_))));
    KeyFile::retire(&path, first).unwrap();
    assert_eq!(ids(&path), [second]);
}

#[test]
fn a_key_behind_the_others_only_opens_until_it_is_put_in_front() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("keys");
    let first = KeyFile::generate(&path).unwrap();
    let behind = KeyFile::add_behind(&path).unwrap();
    assert!(matches!(KeyFile::retire(&path, first), Err(KeyFileChangeError::Sealing(_))));
    KeyFile::put_first(&path, behind).unwrap();
    assert!(matches!(KeyFile::retire(&path, behind), Err(KeyFileChangeError::Sealing(_))));
    assert!(matches!(KeyFile::put_first(&path, KeyId([0; 16])), Err(KeyFileChangeError::Unknown(_))));
    KeyFile::retire(&path, first).unwrap();
}

#[test]
fn a_key_line_is_checked_against_its_id() {
    let lines = parse(ZERO.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let by_hand = ZERO.split_whitespace().step_by(2).collect::<Vec<_>>().join(" ");
    let without_id = parse(by_hand.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(without_id[0].id(), lines[0].id());
    assert_eq!(why(&ZERO.replace(" AAAA", " BAAA")), KeyFileError::Id { line: 1 });
}

#[test]
fn every_defect_is_located_and_no_key_is_quoted() {
    assert_eq!(why("# nothing\n\n"), KeyFileError::Empty);
    assert_eq!(why("\nkey 1"), KeyFileError::Line { line: 2 });
    assert_eq!(why(&format!("{ZERO}\n{ZERO}")), KeyFileError::Twice { line: 2 });
    assert!(matches!(why("master-key xyz AAAA"), KeyFileError::Field { line: 1, field: "the key", .. }));
    let bad_id = ZERO.replace("key ", "key x");
    assert!(matches!(why(&bad_id), KeyFileError::Field { field: "the key's id", .. }));
    assert_eq!(parse(&[0xff]).err(), Some(KeyFileError::NotText));
    for text in ["master-key plantedsecret plantedsecret", "plantedsecret"] {
        assert!(!why(text).to_string().contains("plantedsecret"));
    }
}

#[test]
fn a_file_holds_only_as_many_keys_as_rotations_leave() {
    let line = |n: usize| format!("wrapped-key {n:032x} https://v.example/keys/k/1 AAAA\n");
    let text: String = (1..=KEYS_MAX).map(line).collect();
    assert_eq!(parse(text.as_bytes()).map(|lines| lines.len()).ok(), Some(KEYS_MAX));
    assert_eq!(why(&(text + &line(99))), KeyFileError::TooMany);
}

#[test]
fn ids_read_back_and_nothing_else_is_one() {
    let id = KeyId([0xab; 16]);
    assert_eq!(id.to_string().parse(), Ok(id));
    for text in ["", "ab", "+0000000000000000000000000000000", "0000000000000000000000000000000g"] {
        assert_eq!(text.parse::<KeyId>(), Err(NoKeyId), "{text}");
    }
}
