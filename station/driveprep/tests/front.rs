//! `driveprep check` and the front for the WAImportExport tool, as a person starts them.

#[allow(dead_code, reason = "shared with the tests of pack, which need more of it")]
mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use common::{Bench, ends_with, run, said};
use manifest::BlobKind;
use model::ImportDisposition;
use serde_json::Value;

/// The program under the tool's name.
fn tool(bench: &Bench, arguments: &[&str]) -> Command {
    let link = bench.path("WAImportExport");
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_driveprep"), &link).unwrap();
    }
    let mut command = Command::new(link);
    command.current_dir(bench.path(".")).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_command_of_version_1_packs_a_drive_and_keeps_no_storage_key() {
    let bench = Bench::new();
    let photo = bench.source("2024/a b.jpg", 5 << 20);
    let source = format!("/srcdir:{}/", bench.path("src").display());
    let arguments = [
        "PrepImport",
        "/j:drive.jrn",
        "/id:session#1",
        "/sk:STORAGEKEY",
        "/t:drive.img",
        "/serial:S1",
        "/size:300MB",
        "/format",
        "/encrypt",
        "/silentmode",
        &source,
        "/dstdir:photos/in/",
        "/Disposition:no-overwrite",
    ];
    let text = ends_with(tool(&bench, &arguments), 0);
    assert!(text.contains("/sk:@FILE"), "no warning of the key: {text}");
    assert!(text.contains("as: driveprep pack --journal drive.jrn"), "{text}");
    assert!(!text.contains("STORAGEKEY"), "the key is shown: {text}");
    for file in ["drive.jrn", "drive.json", "drive.jrn_DriveInfo_S1.xml"] {
        assert!(!fs::read_to_string(bench.path(file)).unwrap().contains("STORAGEKEY"), "{file}");
    }
    let drive = bench.open();
    let (entry, bytes) = drive.blob("photos/in/2024/a b.jpg");
    assert!(bytes == photo);
    assert_eq!(entry.stated_disposition, Some(ImportDisposition::NoOverwrite));
    let drives = ends_with(tool(&bench, &["PrepImport", "/j:drive.jrn", "/ListDrives"]), 0);
    assert!(drives.contains("Drive #1:\tS1\tPacked\t"), "{drives}");
    let sessions = ends_with(tool(&bench, &["PrepImport", "/j:drive.jrn", "/ListCopySessions"]), 0);
    assert!(sessions.contains("Copy session #1:\tsession#1\tCompleted"), "{sessions}");
    let abort = ends_with(tool(&bench, &["PrepImport", "/j:drive.jrn", "/id:session#1", "/AbortSession"]), 2);
    assert!(abort.contains("The first copy session cannot be resumed or aborted."), "{abort}");
}

#[test]
fn later_sessions_find_their_drive_in_the_journal_and_may_find_their_data_on_it() {
    let bench = Bench::new();
    let photo = bench.source("sub/a.jpg", 300_000);
    let source = format!("/srcdir:{}/", bench.path("src").display());
    let first = ["PrepImport", "/j:drive.jrn", "/id:s-1", "/t:drive.img", "/serial:S1", "/size:300MB"];
    let first = first.into_iter().chain(["/format", "/encrypt", &source, "/dstdir:one/"]);
    ends_with(tool(&bench, &first.collect::<Vec<_>>()), 0);
    let more = ["PrepImport", "/j:drive.jrn", "/id:s-2", &source, "/dstdir:two/"];
    ends_with(tool(&bench, &more), 0);
    let on_it = bench.open().blob("one/sub/a.jpg").0.file_path.clone();
    let folder = on_it.strip_suffix("\\a.jpg").unwrap();
    let source = format!("/srcdir:D:{folder}");
    let in_place = ["PrepImport", "/j:drive.jrn", "/id:s-3", "/skipwrite", &source, "/dstdir:three/"];
    ends_with(tool(&bench, &in_place), 0);
    let drive = bench.open();
    for blob in ["one/sub/a.jpg", "two/sub/a.jpg", "three/a.jpg"] {
        assert!(drive.blob(blob).1 == photo, "{blob}");
    }
    assert_eq!(drive.blob("three/a.jpg").0.file_path, on_it);
    let other = ends_with(tool(&bench, &["PrepImport", "/j:drive.jrn", "/id:s-2", "/ResumeSession"]), 2);
    assert!(other.contains("the journal's last session is \"s-3\", not \"s-2\""), "{other}");
}

#[test]
fn a_command_of_version_2_packs_its_csv_files() {
    let bench = Bench::new();
    let (disk, text) = (bench.source("disk.vhd", 1 << 20), bench.source("notes.txt", 77));
    let source = bench.path("src").display().to_string();
    let dataset = format!(
        "BasePath,DstItemPathOrPrefix,ItemType,Disposition,MetadataFile,PropertiesFile\n\
         {source}/disk.vhd,disks/d.vhd,PageBlob,overwrite,None,None\n\
         \"{source}/notes.txt\",notes/,BlockBlob,rename,None,None\n"
    );
    fs::write(bench.path("dataset.csv"), dataset).unwrap();
    let image = bench.path("drive.img").display().to_string();
    let driveset = format!(
        "DriveLetter,FormatOption,SilentOrPromptOnFormat,Encryption,ExistingBitLockerKey,Serial,Size\n\
         {image},Format,SilentMode,Encrypt,,S1,300MB\n"
    );
    fs::write(bench.path("driveset.csv"), driveset).unwrap();
    let arguments =
        ["PrepImport", "/j:drive.jrn", "/id:s-1", "/InitialDriveSet:driveset.csv", "DataSet:dataset.csv"];
    ends_with(tool(&bench, &arguments), 0);
    let drive = bench.open();
    let (entry, bytes) = drive.blob("disks/d.vhd");
    assert!(bytes == disk && matches!(entry.kind, BlobKind::Page(_)));
    let (entry, bytes) = drive.blob("notes/notes.txt");
    assert!(bytes == text && matches!(entry.kind, BlobKind::Block(_)));
    assert_eq!(entry.file_path, "\\s-1\\1\\notes.txt");
}

#[test]
fn the_tool_without_arguments_prints_its_options_and_mistakes_are_usage() {
    let bench = Bench::new();
    let help = ends_with(tool(&bench, &[]), 0);
    assert!(help.contains("/InitialDriveSet:CSV") && help.contains("/sk:@FILE"), "{help}");
    let same = ends_with(bench.driveprep(&["WAImportExport"]), 0);
    assert_eq!(same, help);
    let wrong = ends_with(bench.driveprep(&["PrepImport", "/j:a.jrn", "/id:s-1", "/t:X", "/format"]), 2);
    assert!(wrong.contains("driveprep: "), "{wrong}");
}

#[test]
fn check_says_in_json_what_is_wrong_and_how_many_drives() {
    let bench = Bench::new();
    bench.source("a.txt", 10);
    bench.source("A.TXT", 20);
    bench.source("aux.c", 30);
    let check = ["--json", "check", "--from", "src", "--to", "con", "--size", "1TB"];
    let output = run(bench.driveprep(&check));
    assert_eq!(output.status.code(), Some(10), "{}", said(&output));
    let events: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let of = |event: &str| events.iter().filter(|found| found["event"] == event).collect::<Vec<_>>();
    let found: Vec<(&str, &str)> = of("finding")
        .iter()
        .map(|finding| (finding["severity"].as_str().unwrap(), finding["code"].as_str().unwrap()))
        .collect();
    assert!(found.contains(&("error", "FileNameInvalid")), "{found:?}");
    assert!(found.contains(&("warning", "WindowsName")), "{found:?}");
    assert_eq!(of("contents")[0]["bytes"], 60);
    assert_eq!(of("drives")[0]["needed"], 1);
    assert_eq!(of("estimate")[0]["sample_files"], 3);
    assert_eq!(of("check")[0]["errors"], 1);
}

#[test]
fn check_writes_nothing() {
    let bench = Bench::new();
    bench.source("a.txt", 10);
    let check = ["check", "--from", "src", "--to", "con", "--drive", "drive.img", "--size", "300MB"];
    let text = ends_with(bench.driveprep(&check), 0);
    assert!(text.contains("drives needed: 1"), "{text}");
    assert_eq!(fs::read_dir(bench.path(".")).unwrap().count(), 1, "only the sources are there");
}
