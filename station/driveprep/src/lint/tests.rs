//! Works with one thing wrong each, and the findings they must and must not give.

use model::ImportDisposition;
use proptest::prelude::*;

use super::*;
use crate::work::tests::{builder, dataset, facts};
use crate::work::{Builder, Dataset, DirectoryId, FileFacts, ItemKind};

/// One file of a kind and length below a destination.
struct File {
    path: &'static str,
    kind: ItemKind,
    length_bytes: u64,
}

fn file(path: &'static str) -> File {
    File { path, kind: ItemKind::Block, length_bytes: 1 }
}

fn add(builder: &mut Builder, root: DirectoryId, file: &File) {
    let mut names: Vec<&str> = file.path.split('/').collect();
    let name = names.pop().unwrap();
    let directory = names.iter().fold(root, |parent, name| builder.directory(parent, name).unwrap());
    let facts = FileFacts { kind: file.kind, ..facts(file.length_bytes) };
    builder.file(directory, name, &facts).unwrap();
}

fn work(destination: &str, files: &[File]) -> Work {
    let mut builder = builder();
    let root = builder.dataset(dataset("/d", destination)).unwrap();
    files.iter().for_each(|file| add(&mut builder, root, file));
    builder.finish()
}

/// `severity code` of each kind of finding.
fn found(work: &Work, options: &LintOptions) -> Vec<String> {
    let mut findings = Findings::default();
    lint(work, options, &mut findings);
    let groups = findings.groups().map(|group| {
        let first = &group.kept[0];
        format!("{} {} {}: {}", first.rule.severity.as_str(), first.code, group.count, first.rule.rule)
    });
    groups.collect()
}

#[test]
fn blocks_that_have_to_be_longer_than_was_asked_for_are_noted() {
    let mut builder = builder();
    let block_length = manifest::BlockLength::new(4 << 10).unwrap();
    let root = builder.dataset(Dataset { block_length, ..dataset("/d", "files/") }).unwrap();
    for (path, length_bytes) in [("limit", 50_000 << 12), ("beyond", (50_000 << 12) + 1)] {
        add(&mut builder, root, &File { path, kind: ItemKind::Block, length_bytes });
    }
    let found = found(&builder.finish(), &LintOptions::default());
    assert!(matches!(&found[..], [one] if one.starts_with("note LongerBlocks 1: ")), "{found:?}");
}

#[test]
fn a_sound_work_has_no_findings() {
    let page = File { path: "disk.img", kind: ItemKind::Page, length_bytes: 1 << 20 };
    let sound = work("files/in/", &[file("a/b/c.txt"), file("Ünï.txt"), file(".profile"), page, file("c")]);
    assert_eq!(found(&sound, &LintOptions::default()), Vec::<String>::new());
}

#[test]
fn each_broken_rule_is_found_once_with_the_stations_code() {
    let long: &'static str = Box::leak("x".repeat(256).into_boxed_str());
    let page = |length_bytes| File { path: "disk", kind: ItemKind::Page, length_bytes };
    let share = |path| File { path, kind: ItemKind::File, length_bytes: 1 };
    let huge = |kind, length_bytes| File { path: "f", kind, length_bytes };
    for (destination, files, expected) in [
        ("Files/", vec![file("a")], "error Failed 1: the destination must be a name"),
        ("$root/", vec![file("a/b"), file("c")], "error Failed 1: the destination must be a name"),
        ("files/", vec![file("name.")], "error Failed 1: the destination must be a name"),
        ("share/", vec![share("a?b")], "error Failed 1: the destination must be a name"),
        ("files/", vec![file("a\\b")], "error FileNameInvalid 1: the path on the drive"),
        ("files/", vec![file("a:b")], "error FileNameInvalid 1: the path on the drive"),
        ("files/", vec![file("d/nul")], "error FileNameInvalid 1: the path on the drive"),
        ("files/", vec![file(long)], "error FileNameTooLong 1: the path on the drive"),
        ("files/", vec![file("a\u{FFFE}")], "error ManifestFormatInvalid 1: the manifest is XML"),
        ("files/", vec![page(513)], "error ManifestFormatInvalid 1: a page blob's length"),
        ("files/", vec![page((8 << 40) + 512)], "error ManifestFormatInvalid 1: a page blob's length"),
        (
            "files/",
            vec![huge(ItemKind::Block, 50_000 * (100 << 20) + 1)],
            "error ManifestFormatInvalid 1: a block blob has at most",
        ),
        ("share/", vec![huge(ItemKind::File, (4 << 40) + 1)], "error Failed 1: a file of a share has"),
        ("files/", vec![file("A.txt"), file("a.TXT")], "error FileNameInvalid 1: NTFS does not tell"),
        ("files/", vec![file("D/x"), file("d")], "error FileNameInvalid 1: NTFS does not tell"),
        ("files/", vec![file("aux.c")], "warning WindowsName 1: Windows' own programs"),
        ("files/", vec![file("a?b")], "warning WindowsName 1: Windows' own programs"),
        ("files/", vec![file("d /x")], "warning WindowsName 1: Windows' own programs"),
        ("files/a\\b/", vec![file("x")], "warning Backslash 1: a destination's directories"),
        ("files/", vec![], "error NothingToPack 1: there must be something"),
    ] {
        let work = work(destination, &files);
        let found = found(&work, &LintOptions::default());
        let files: Vec<&str> = files.iter().map(|file| file.path).collect();
        assert!(found.iter().any(|found| found.starts_with(expected)), "{destination} {files:?}: {found:?}");
    }
}

#[test]
fn directories_that_differ_only_in_case_clash_on_the_drive() {
    let work = work("files/", &[file("Dir/a"), file("dir/b")]);
    assert_eq!(
        found(&work, &LintOptions::default()),
        ["error FileNameInvalid 1: NTFS does not tell names of one directory apart that differ only in case"]
    );
}

fn two_datasets(one: (&str, &[File]), other: (&str, &[File])) -> Work {
    let mut builder = builder();
    for (destination, files) in [one, other] {
        let root = builder.dataset(dataset("/d", destination)).unwrap();
        files.iter().for_each(|file| add(&mut builder, root, file));
    }
    builder.finish()
}

#[test]
fn two_sources_may_not_meet_at_the_destination() {
    let share = |path| File { path, kind: ItemKind::File, length_bytes: 1 };
    let options = LintOptions::default();
    let blobs = two_datasets(("files/a/", &[file("b")]), ("files/", &[file("a/b"), file("c")]));
    assert_eq!(found(&blobs, &options), ["error Collision 1: two files cannot have the same destination"]);
    let shares = two_datasets(("share/a/", &[share("b")]), ("share/", &[share("A/B")]));
    assert_eq!(
        found(&shares, &options),
        ["error Collision 1: a file share does not tell names apart that differ only in case"]
    );
    let directory = two_datasets(("share/", &[share("a")]), ("share/A/", &[share("b")]));
    assert_eq!(
        found(&directory, &options),
        ["error Collision 1: a file of a share cannot have the path of a directory"]
    );
    // A container and a share of one name are different places, and blobs are told apart by case.
    let apart = two_datasets(("files/", &[file("a"), share("b")]), ("files/", &[file("A"), file("b")]));
    assert_eq!(found(&apart, &options), Vec::<String>::new());
}

#[test]
fn a_sas_reaches_its_container_only() {
    let options = LintOptions { sas_container: Some("files".to_owned()), ..LintOptions::default() };
    let work = two_datasets(("files/", &[file("a")]), ("photos/", &[file("b")]));
    assert_eq!(
        found(&work, &options),
        ["error BlobRequestForbidden 1: a container SAS reaches its own container only"]
    );
}

#[test]
fn a_type_that_was_chosen_by_name_is_said() {
    let options = LintOptions { kinds_by_name: true, ..LintOptions::default() };
    let disk = File { path: "disk.VHD", kind: ItemKind::Page, length_bytes: 512 };
    let work = work("files/", &[disk, file("a")]);
    assert_eq!(
        found(&work, &options),
        ["note PageBlob 1: .vhd and .vhdx become page blobs unless a type is given"]
    );
}

#[test]
fn in_place_the_drives_own_files_are_not_data() {
    for path in ["DriveManifest.XML", "System Volume Information/x", "session#1/0.metadata.xml"] {
        let mut builder = builder();
        let metadata = Some(crate::work::SideFile::new(b"<Metadata/>"));
        let disposition = ImportDisposition::Rename;
        let source = Dataset { metadata, disposition, ..dataset("/mnt", "files/") };
        let root = builder.dataset_in_place(source, "").unwrap();
        add(&mut builder, root, &file(path));
        let expected = "error Reserved 1: the drive's manifest, side files and system directories";
        let found = found(&builder.finish(), &LintOptions::default());
        assert!(found.len() == 1 && found[0].starts_with(expected), "{path}: {found:?}");
    }
}

proptest! {
    #[test]
    fn what_passes_is_taken_by_the_stations_own_rules(
        names in prop::collection::hash_set("[ -~é\u{212A}\u{1F600}&&[^/]]{1,8}", 1..6), prefix in "[a-zA-Z$-]{2,5}/",
    ) {
        let mut builder = builder();
        let root = builder.dataset(dataset("/d", &prefix)).unwrap();
        for name in &names {
            builder.file(root, name, &facts(1)).unwrap();
        }
        let work = builder.finish();
        let mut findings = Findings::default();
        lint(&work, &LintOptions::default(), &mut findings);
        let is_taken = work.items().all(|item| {
            let (destination, on_drive) = (item.destination(), item.drive_path());
            // Doubled separators are read as one, which would be another file.
            model::BlobPath::parse(&destination).is_ok()
                && manifest::DrivePath::parse(&on_drive)
                    .is_ok_and(|path| path.names().count() == 3 && path.to_string() == *on_drive)
        });
        let folded: std::collections::HashSet<_> = names.iter().map(|name| ntfs::folded_name(name)).collect();
        prop_assert_eq!(findings.has_errors(), !is_taken || folded.len() < names.len());
    }
}
