//! Scans of real directories, with everything in them that is no file.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::*;
use crate::work::Work;
use crate::work::tests::{builder, dataset};

fn scanned(path: &Path, kind: KindRule, same_file_system: bool) -> (Work, Vec<LeftOut>) {
    let (mut builder, mut left_out) = (builder(), Vec::new());
    let mut source = dataset("", "con/");
    source.source = path.to_owned();
    let root = builder.dataset(source).unwrap();
    let mut take = |found| left_out.push(found);
    let scan = Scan { builder: &mut builder, kind, same_file_system, left_out: &mut take };
    scan.directory(root, path).unwrap();
    left_out.sort_by(|a, b| a.path.cmp(&b.path));
    (builder.finish(), left_out)
}

#[test]
fn files_are_found_with_lengths_times_and_kinds() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("b/c")).unwrap();
    fs::write(folder.path().join("b/c/Disk.VHDX"), b"12345").unwrap();
    fs::write(folder.path().join("ü.txt"), b"").unwrap();
    let sparse = fs::File::create(folder.path().join("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_600_000_000, 123_456_789);
    sparse.set_times(fs::FileTimes::new().set_modified(time).set_accessed(time)).unwrap();
    let (work, left_out) = scanned(folder.path(), KindRule::ByName, true);
    assert!(left_out.is_empty(), "{left_out:?}");
    let items: Vec<_> =
        work.items().map(|item| (item.destination(), item.length_bytes(), item.kind())).collect();
    assert_eq!(
        items,
        [
            ("con/sparse".to_owned(), 64 << 20, ItemKind::Block),
            ("con/ü.txt".to_owned(), 0, ItemKind::Block),
            ("con/b/c/Disk.VHDX".to_owned(), 5, ItemKind::Page),
        ]
    );
    let sparse = work.items().next().unwrap();
    assert!(sparse.is_sparse());
    assert_eq!(sparse.modified_nanoseconds(), 1_600_000_000_123_456_789);
    assert_eq!(sparse.accessed_nanoseconds(), 1_600_000_000_123_456_789);
    for item in work.items() {
        assert_eq!(fs::metadata(item.source_path()).unwrap().len(), item.length_bytes());
    }
}

#[test]
fn what_is_no_file_is_left_out_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), b"x").unwrap();
    symlink(at("file"), at("link")).unwrap();
    symlink(folder.path(), at("loop")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    rustix::fs::mkfifoat(CWD, at("pipe"), Mode::RUSR).unwrap();
    fs::write(at("").join(OsStr::from_bytes(b"caf\xE9.txt")), b"x").unwrap();
    let (work, left_out) = scanned(folder.path(), KindRule::Fixed(ItemKind::File), false);
    assert_eq!(work.items().map(|item| item.destination()).collect::<Vec<_>>(), ["con/file"]);
    let why: Vec<String> = left_out.iter().map(|left_out| left_out.why.to_string()).collect();
    assert_eq!(
        why,
        [
            "its name is not UTF-8: caf\\xE9.txt",
            "it is a symbolic link, which is never followed",
            "it is a symbolic link, which is never followed",
            "it is a symbolic link, which is never followed",
            "it is a named pipe, not a file",
            "it is a socket, not a file",
        ]
    );
}

#[test]
fn what_may_not_be_read_does_not_end_the_scan() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("locked")).unwrap();
    fs::write(at("locked/inside"), b"x").unwrap();
    fs::write(at("secret"), b"x").unwrap();
    fs::write(at("z"), b"x").unwrap();
    for name in ["locked", "secret"] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let is_refused = fs::read_dir(at("locked")).is_err();
    let (work, left_out) = scanned(folder.path(), KindRule::ByName, false);
    fs::set_permissions(at("locked"), fs::Permissions::from_mode(0o700)).unwrap();
    if !is_refused {
        println!("skipped: what_may_not_be_read_does_not_end_the_scan: root may read everything");
        return;
    }
    assert_eq!(work.items().map(|item| item.destination()).collect::<Vec<_>>(), ["con/z"]);
    assert_eq!(
        left_out.iter().map(|found| found.path.clone()).collect::<Vec<_>>(),
        [at("locked"), at("secret")]
    );
    assert!(left_out.iter().all(|found| matches!(found.why, WhyLeftOut::Unreadable { .. })));
}

#[test]
fn a_missing_source_is_left_out_too() {
    let (work, left_out) = scanned(Path::new("/nonexistent/source"), KindRule::ByName, true);
    assert!(work.is_empty());
    assert_eq!(left_out.len(), 1);
    assert!(matches!(left_out[0].why, WhyLeftOut::Unreadable { .. }));
}

#[test]
fn a_link_that_the_customer_named_is_entered() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("real")).unwrap();
    fs::write(folder.path().join("real/file"), b"x").unwrap();
    symlink("real", folder.path().join("named")).unwrap();
    let (work, left_out) = scanned(&folder.path().join("named"), KindRule::ByName, true);
    assert!(left_out.is_empty(), "{left_out:?}");
    assert_eq!(work.len(), 1);
}

#[test]
fn bytes_that_are_not_utf8_are_shown() {
    assert_eq!(shown("naïve".as_bytes()), "naïve");
    assert_eq!(shown(b"\xFFa\xC3"), "\\xFFa\\xC3");
}
