//! Commands as the tool's documentation has them, and as customers get them wrong.

use std::ffi::OsString;
use std::fs;

use clap::CommandFactory;
use proptest::prelude::*;

use super::*;
use options::{Generation, OPTIONS};

fn arguments(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn parsed(line: &str) -> Result<Request, CompatError> {
    Request::parse(&arguments(line))
}

fn native(line: &str) -> String {
    parsed(line).unwrap().native().unwrap().shown()
}

#[test]
fn the_tools_name_its_link_and_its_commands_lead_here() {
    for (line, expected) in [
        ("/usr/bin/WAImportExport", Some("")),
        ("WAImportExport.exe PrepImport /j:x.jrn", Some("PrepImport /j:x.jrn")),
        ("waimportexport prepimport", Some("prepimport")),
        ("driveprep WAImportExport unlock", Some("unlock")),
        ("driveprep PrepImport /j:x", Some("PrepImport /j:x")),
        ("driveprep PREPIMPORT", Some("PREPIMPORT")),
        ("driveprep Unlock /bk:x", Some("Unlock /bk:x")),
        ("driveprep unlock /dev/sdb", None),
        ("driveprep pack", None),
        ("driveprep preview-export", None),
        ("driveprep", None),
    ] {
        let all = arguments(line);
        let found = arguments_for_tool(&all).map(<[OsString]>::to_vec);
        assert_eq!(found, expected.map(arguments), "{line}");
    }
}

#[test]
fn no_arguments_print_the_table_of_options() {
    assert_eq!(parsed("").unwrap(), Request::Help);
    let help = options::help();
    for row in OPTIONS {
        assert!(help.contains(&format!("/{}", row.name)) && help.contains(row.here), "{row:?}");
    }
}

/// The options that azure-import-export.md §2.2, §2.4 and §2.7 to §2.10 name.
const SPECIFIED: [(&str, &str); 5] = [
    (
        "PrepImport",
        "j id sk csas t format silentmode encrypt bk logdir srcdir dstdir srcfile dstblob Disposition BlobType \
         PropertyFile MetadataFile skipwrite enablecontentmd5 ResumeSession AbortSession InitialDriveSet \
         AdditionalDriveSet DataSet ListDrives ListCopySessions",
    ),
    ("RepairImport", "r logdir d bk sn sk csas CopyLogFile PathMapFile"),
    ("RepairExport", "r logdir d bk sn sk csas CopyLogFile ManifestFile"),
    ("PreviewExport", "logdir sn sk csas ExportBlobListFile DriveSize Cloud"),
    ("Unlock", "bk driveLetter"),
];

#[test]
fn every_option_of_the_specification_is_in_the_table_and_no_other() {
    for (tool, names) in SPECIFIED {
        let mut specified: Vec<&str> = names.split_whitespace().collect();
        let rows = OPTIONS.iter().filter(|row| row.tool.as_str() == tool);
        let mut known: Vec<&str> =
            rows.filter(|row| row.generation != Generation::Ours).map(|row| row.name).collect();
        specified.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, specified, "{tool}");
    }
}

#[test]
fn every_option_of_the_table_is_read_in_any_case() {
    for row in OPTIONS {
        let name = row.name.to_ascii_uppercase();
        let option = if row.value.is_empty() { format!("/{name}") } else { format!("/{name}:x") };
        let line = format!("{} {option}", row.tool.as_str().to_ascii_lowercase());
        let text = parsed(&line).map_or_else(|error| error.to_string(), |_| String::new());
        // Others are missing, or the value is none; but the option is known.
        assert!(!text.contains("has no option") && !text.contains("is no option"), "{line}: {text}");
        let doubled = parsed(&format!("{line} {option}")).unwrap_err().to_string();
        assert_eq!(doubled, format!("/{} is given twice", row.name));
    }
}

#[test]
fn commands_of_version_1_become_pack() {
    for (line, expected) in [
        (
            "PrepImport /j:a.jrn /id:session#1 /sk:KEY /t:/dev/sdx /format /encrypt /srcdir:/data/Photos /dstdir:photos/2024/",
            "driveprep pack --journal a.jrn --job-out a.json --session 'session#1' --drive /dev/sdx --from \
             /data/Photos --to photos/2024/ --type block --disposition rename",
        ),
        (
            "prepimport /J:a.JRN /ID:s-1 /T:/d.img /FORMAT /Encrypt /silentmode /serial:S1 /size:1GB \
             /SrcFile:/disks/d.vhd /DSTBLOB:disks/d.vhd /blobtype:pageblob /Disposition:no-overwrite \
             /PropertyFile:/p.xml /MetadataFile:/m.xml /enablecontentmd5 /logdir:/logs",
            "driveprep pack --journal a.JRN --job-out a.json --session s-1 --drive /d.img --serial S1 --size \
             1000000000 --from /disks/d.vhd --to disks/d.vhd --type page --disposition no-overwrite \
             --properties-file /p.xml --metadata-file /m.xml --content-md5",
        ),
        (
            "PrepImport /j:a.jrn /id:session1 /t:/dev/sdx /bk:298331-390225 /srcdir:/mnt/ /dstdir:container/ \
             /blobtype:BlockBlob /skipwrite",
            "driveprep pack --journal a.jrn --job-out a.json --session session1 --driveset FILE --from /mnt/ --to \
             container/ --type block --disposition rename --in-place",
        ),
        (
            "PrepImport /j:a.jrn /id:s-1 /ResumeSession",
            "driveprep pack --journal a.jrn --job-out a.json --resume",
        ),
        (
            "PrepImport /j:a.jrn /id:s-1 /AbortSession",
            "driveprep pack --journal a.jrn --job-out a.json --abort",
        ),
    ] {
        assert_eq!(native(line), expected, "{line}");
    }
}

#[test]
fn commands_of_version_2_become_pack() {
    for (line, expected) in [
        (
            "PrepImport /j:a.jrn /id:session#1 /sk:@k /InitialDriveSet:/s.csv /DataSet:/d.csv",
            "driveprep pack --journal a.jrn --job-out a.json --session 'session#1' --driveset /s.csv --dataset /d.csv",
        ),
        (
            "PrepImport /j:a.jrn /id:session#2 DataSet:/d.csv",
            "driveprep pack --journal a.jrn --job-out a.json --session 'session#2' --dataset /d.csv",
        ),
        (
            "PrepImport /j:a.jrn /id:session#2 /AdditionalDriveSet:/s.csv /DataSet:/d.csv",
            "driveprep pack --journal a.jrn --job-out a.json --session 'session#2' --driveset /s.csv --dataset /d.csv",
        ),
    ] {
        assert_eq!(native(line), expected, "{line}");
    }
    let listed = |line| match parsed(line).unwrap() {
        Request::List(list) => (list.journal, list.drives),
        other => panic!("{other:?}"),
    };
    assert_eq!(listed("PrepImport /j:a.jrn /ListDrives"), ("a.jrn".into(), true));
    assert_eq!(listed("PrepImport /j:a.jrn /ListCopySessions"), ("a.jrn".into(), false));
}

#[test]
fn repairs_previews_and_unlocks_become_the_native_commands() {
    for (line, expected) in [
        (
            "RepairImport /r:a.rep /d:/one;/two /sn:acct /sk:@KEYFILE /CopyLogFile:/l.xml /PathMapFile:/m.txt",
            "driveprep repair-import --repair a.rep --dir '/one;/two' --copy-log /l.xml --path-map /m.txt --account \
             https://acct.blob.core.windows.net --credential-file FILE",
        ),
        (
            "RepairImport /r:a.rep /d:/;/d.img /bk:298331-390225 /sn:acct /sk:k /CopyLogFile:/l.xml",
            "driveprep repair-import --repair a.rep --dir / --from /d.img --recovery-password-file FILE --copy-log \
             /l.xml --account https://acct.blob.core.windows.net --credential-file FILE",
        ),
        (
            "RepairExport /r:a.rep /d:/drive /sn:http://127.0.0.1:1/acct /csas:con?sv=1 /ManifestFile:/m",
            "driveprep repair-export --repair a.rep --dir /drive --manifest /m --account http://127.0.0.1:1/acct \
             --credential-file FILE",
        ),
        (
            "PreviewExport /sn:acct /sk:k /ExportBlobListFile:/l.xml /DriveSize:500GB /Cloud:China",
            "driveprep preview-export --blob-list /l.xml --drive-size 500GB --account \
             https://acct.blob.core.chinacloudapi.cn --credential-file FILE",
        ),
        (
            "Unlock /bk:298331-390225 /driveLetter:/d.img",
            "driveprep unlock /d.img --list --recovery-password-file FILE",
        ),
        ("Unlock /bk:AAECAwQFBgc= /driveLetter:/d.img /to:/x", "driveprep unlock /d.img --to /x --bek FILE"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        fs::write(&key, "secret\n").unwrap();
        let line = line.replace("KEYFILE", &key.display().to_string());
        assert_eq!(native(&line), expected, "{line}");
    }
}

#[test]
fn what_becomes_a_native_command_is_one_of_its_command_lines() {
    for line in [
        "PreviewExport /sn:acct /sk:k /ExportBlobListFile:/l.xml /DriveSize:500GB",
        "RepairImport /r:a.rep /d:/one;/two /sn:acct /sk:k /CopyLogFile:/l.xml /PathMapFile:/m.txt",
        "RepairImport /r:a.rep /d:/d.img /bk:AAECAwQFBgc= /sn:acct /sk:k /CopyLogFile:/l.xml",
        "RepairExport /r:a.rep /d:/drive /sn:acct /csas:c?sv=1 /CopyLogFile:/l /ManifestFile:/m",
        "Unlock /bk:298331-390225 /driveLetter:/d.img",
        "Unlock /bk:AAECAwQFBgc= /driveLetter:/d.img /to:/x",
        "PrepImport /j:a.jrn /id:s-1 /t:/d.img /format /encrypt /serial:S /size:1GB /srcdir:/a /dstdir:c/",
        "PrepImport /j:a.jrn /id:s-1 /t:/d.img /bk:1-1 /srcdir:/a /dstdir:c/",
        "PrepImport /j:a.jrn /id:s-1 /t:/d.img /bk:1-1 /srcdir:/a /dstdir:c/ /skipwrite",
        "PrepImport /j:a.jrn /id:s-1 /InitialDriveSet:/s.csv /DataSet:/d.csv",
        "PrepImport /j:a.jrn /id:s-1 /ResumeSession",
        "PrepImport /j:a.jrn /id:s-1 /AbortSession",
    ] {
        let native = parsed(line).unwrap().native().unwrap();
        let name = native.arguments[1].to_str().unwrap();
        let cli = Cli::command();
        let command = cli.find_subcommand(name);
        assert!(command.is_some(), "{line}: {name}");
        let cli = Cli::try_parse_from(&native.arguments);
        assert!(cli.is_ok(), "{line}: {}\n{}", native.shown(), cli.unwrap_err());
    }
}

#[test]
fn wrong_options_are_refused_in_the_tools_words_where_it_has_some() {
    let v1 = "PrepImport /j:a.jrn /id:s-1 /srcdir:/a /dstdir:c/";
    for (line, expected) in [
        ("Prepare".to_owned(), "\"Prepare\" is none of PrepImport, RepairImport"),
        ("PrepImport /id:s-1".to_owned(), "/j is needed"),
        (
            "PrepImport /j:a.txt /id:s-1".to_owned(),
            "/j: the journal's name ends with .jrn; \"a.txt\" does not",
        ),
        ("PrepImport /j:a.jrn".to_owned(), "/id is needed"),
        ("PrepImport /j:a.jrn /id:a/b".to_owned(), "/id: the session id \"a/b\" is not"),
        (format!("{v1} /t:/d /format"), "When Format is specified, Encrypt must also be specified"),
        (format!("{v1} /t:/d /format /encrypt /bk:1"), "BitLocker Key should not be specified"),
        (format!("{v1} /t:/d /encrypt"), "/encrypt is not done here: an existing volume"),
        (format!("{v1} /t:/d"), "/bk is needed, or /format and /encrypt"),
        (format!("{v1} /format /encrypt"), "/t is needed with /format or /bk"),
        (format!("{v1} /t:X /bk:1"), "/t: \"X\" is a Windows path with a drive letter"),
        (format!("{v1} /t:X: /bk:1"), "/t: \"X:\" is a Windows path with a drive letter"),
        (
            format!("{v1} /t:/d /format /encrypt /skipwrite"),
            "/skipwrite and /format cannot be given together",
        ),
        (format!("{v1} /sk:1 /csas:c?2"), "/sk and /csas cannot be given together"),
        (format!("{v1} /Disposition:Rename"), "/Disposition: import disposition \"Rename\""),
        (format!("{v1} /BlobType:file"), "/BlobType: \"file\" is not one of BlockBlob, PageBlob"),
        (
            format!("{v1} /DataSet:/d.csv"),
            "/dstdir is an option of version 1 of the tool, /DataSet of version 2",
        ),
        (format!("{v1} /format:yes"), "/format takes no value"),
        (format!("{v1} /k:1"), "PrepImport has no option /k; it has /j /id"),
        (format!("{v1} extra"), "\"extra\" is no option"),
        (format!("{v1} /PropertyFile:"), "/PropertyFile needs a value: /PropertyFile:XML"),
        (
            "PrepImport /j:a.jrn /id:s-1 /srcdir:C:\\data /dstdir:c/".to_owned(),
            "/srcdir: \"C:\\\\data\" is a Windows path with a drive letter",
        ),
        (
            "PrepImport /j:a.jrn /id:s-1 /srcdir:data /dstdir:c/".to_owned(),
            "/srcdir: \"data\" is not an absolute path",
        ),
        ("PrepImport /j:a.jrn /id:s-1 /srcdir:/a".to_owned(), "/dstdir is needed with /srcdir"),
        (
            "PrepImport /j:a.jrn /id:s-1 /srcfile:/a /dstblob:/c/b".to_owned(),
            "/dstblob: \"/c/b\" does not begin with",
        ),
        ("PrepImport /j:a.jrn /id:s-1".to_owned(), "/srcdir or /srcfile is needed"),
        (
            "PrepImport /j:a.jrn /id:s-1 /ResumeSession /AbortSession".to_owned(),
            "/ResumeSession and /AbortSession cannot",
        ),
        (
            "PrepImport /j:a.jrn /id:s-1 /InitialDriveSet:/s".to_owned(),
            "/DataSet is needed with /InitialDriveSet",
        ),
        (
            "PrepImport /j:a.jrn /id:s-1 /ResumeSession /srcdir:/a".to_owned(),
            "/ResumeSession and /srcdir cannot be given together: the session's sources",
        ),
        (
            "PrepImport /j:a.jrn /id:s-1 /AbortSession /DataSet:/d.csv".to_owned(),
            "/AbortSession and /DataSet cannot be given together",
        ),
        (
            "PrepImport /j:a.jrn /id:s-1 /AbortSession /serial:S".to_owned(),
            "/AbortSession and /serial cannot be given together",
        ),
        (format!("{v1} /serial:S"), "/serial is not done here: without /t the drive is the one"),
        (format!("{v1} /size:1GB"), "/size is not done here: without /t the drive is the one"),
        (format!("{v1} /t:/d /bk:1 /size:1GB"), "/size is not done here: a drive that has its volume"),
        (
            "PrepImport /j:a.jrn /id:s-1 /InitialDriveSet:/s /DataSet:/d /serial:S".to_owned(),
            "/serial is not done here: write it into the columns Serial and Size",
        ),
        ("RepairExport /r:a /d:/x /bk:1 /sn:a /sk:k /CopyLogFile:/l".to_owned(), "/bk is not done here"),
        ("RepairImport /r:a /d:/x /sn:a /CopyLogFile:/l".to_owned(), "/sk or /csas is needed"),
        ("RepairExport /r:a /d:/x /sn:a /sk:k".to_owned(), "/CopyLogFile or /ManifestFile is needed"),
        ("PreviewExport /sn:a /sk:k /ExportBlobListFile:/l".to_owned(), "/DriveSize is needed"),
        (
            "PreviewExport /sn:a /sk:k /ExportBlobListFile:/l /DriveSize:1TB /Cloud:Moon".to_owned(),
            "/Cloud: \"moon\" is not one of",
        ),
        ("Unlock /driveLetter:/d".to_owned(), "/bk is needed"),
        ("Unlock /bk:k".to_owned(), "/driveLetter is needed: a device or an image file"),
    ] {
        let error = parsed(&line).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{line}: {error}");
    }
}

#[test]
fn a_secret_in_the_arguments_is_warned_of_and_never_shown() {
    for line in [
        "PrepImport /j:a.jrn /id:s-1 /sk:TOPSECRET /t:/d /format /encrypt /srcdir:/a /dstdir:c/",
        "PrepImport /j:a.jrn /id:s-1 /csas:c?TOPSECRET /t:/d /bk:TOPSECRET /srcdir:/a /dstdir:c/",
        "PrepImport /j:a.jrn /id:s-1 /sk:TOPSECRET /InitialDriveSet:/s /DataSet:/d",
        "RepairImport /r:a /d:/x /sn:a /sk:TOPSECRET /CopyLogFile:/l",
        "RepairExport /r:a /d:/x /sn:a /csas:c?TOPSECRET /CopyLogFile:/l",
        "PreviewExport /sn:a /sk:TOPSECRET /ExportBlobListFile:/l /DriveSize:1TB",
        "RepairImport /r:a /d:/d.img /bk:TOPSECRET /sn:a /sk:TOPSECRET /CopyLogFile:/l",
        "Unlock /bk:TOPSECRET /driveLetter:/d",
    ] {
        let request = parsed(line).unwrap();
        let warnings = request.warnings();
        assert!(!warnings.is_empty() && warnings[0].contains(":@FILE"), "{line}");
        let native = request.native().unwrap();
        let shown = format!("{request:?} {warnings:?} {native:?} {}", native.shown());
        assert!(!shown.contains("TOPSECRET"), "{shown}");
        let in_file = line.replace("TOPSECRET", "@/f").replace("c?@", "@");
        assert_eq!(parsed(&in_file).unwrap().warnings(), Vec::<String>::new(), "{in_file}");
    }
    for line in ["PrepImport /sk=TOPSECRET", "PrepImport sk:TOPSECRET", "PrepImport /skey:TOPSECRET"] {
        let error = parsed(line).unwrap_err().to_string();
        assert!(!error.contains(":TOPSECRET"), "{error}");
    }
}

#[test]
fn a_secret_is_handed_on_in_a_file_in_memory() {
    let native = parsed("PreviewExport /sn:a /csas:con?sv=1&sig=2 /ExportBlobListFile:/l /DriveSize:1TB")
        .unwrap()
        .native();
    let native = native.unwrap();
    let path = native.arguments.last().unwrap().clone();
    assert_eq!(fs::read_to_string(&path).unwrap(), "sv=1&sig=2");
    let mode = fs::metadata(&path).unwrap();
    assert_eq!(mode.len(), 10);
}

const JOURNAL: &str = "[BeginUpdateRecord][2024/01/01 00:00:00.000][Type:NewJournalFile]\nVocabularyVersion: 2013-02-01\n[EndUpdateRecord]\n\
    [BeginUpdateRecord][2024/01/01 00:00:00.000][Type:ActivityRecord]\nActivityId: CopySession:session#1\nState: Started\n[EndUpdateRecord]\n\
    [BeginUpdateRecord][2024/01/01 00:00:00.000][Type:ActivityRecord]\nActivityId: Drive:S1\nState: Prepared\nPath: /d.img\n[EndUpdateRecord]\n\
    [BeginUpdateRecord][2024/01/01 00:00:00.000][Type:ActivityRecord]\nActivityId: Drive:S1\nState: Packed\n[EndUpdateRecord]\n\
    [BeginUpdateRecord][2024/01/01 00:00:00.000][Type:ActivityRecord]\nActivityId: CopySession:session#1\nState: Completed\n[EndUpdateRecord]\n";

#[test]
fn a_journals_sessions_and_drives_are_known_by_their_last_state() {
    let known = journal::Known::of(JOURNAL);
    assert_eq!(known.sessions, [("session#1".to_owned(), "Completed".to_owned())]);
    let drive = journal::KnownDrive { id: "S1".into(), state: "Packed".into(), path: Some("/d.img".into()) };
    assert_eq!(known.drives, [drive]);
}

#[test]
fn the_first_session_cannot_be_aborted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jrn");
    fs::write(&path, JOURNAL).unwrap();
    let line = format!("PrepImport /j:{} /id:session#1 /AbortSession", path.display());
    let failure = run(&arguments(&line), &Console::new(false)).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    let text = failure.cause.to_string();
    assert!(text.starts_with("The first copy session cannot be resumed or aborted."), "{text}");
}

#[test]
fn only_the_journals_last_session_can_be_resumed_or_aborted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jrn");
    fs::write(&path, format!("{JOURNAL}{}", JOURNAL.replace("session#1", "session#2"))).unwrap();
    for option in ["ResumeSession", "AbortSession"] {
        let line = format!("PrepImport /j:{} /id:session#1 /{option}", path.display());
        let failure = run(&arguments(&line), &Console::new(false)).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        let text = failure.cause.to_string();
        assert!(text.starts_with("/id: the journal's last session is \"session#2\", not"), "{text}");
    }
}

#[test]
fn a_drive_with_its_volume_keeps_the_serial_number_that_it_must_have() {
    let row = |line: &str| {
        let native = parsed(line).unwrap().native().unwrap();
        let at = native.arguments.iter().position(|argument| argument == "--driveset").unwrap();
        let drives = crate::inputs::driveset::read(native.arguments[at + 1].as_ref()).unwrap().drives;
        let serial = drives[0].serial.as_ref().map(|serial| serial.as_str().to_owned());
        (drives[0].path.clone(), serial)
    };
    let line = "PrepImport /j:a.jrn /id:s-1 /t:/d.img /bk:1-1 /srcdir:/a /dstdir:c/";
    assert_eq!(row(&format!("{line} /serial:S-7")), ("/d.img".into(), Some("S-7".to_owned())));
    assert_eq!(row(line), ("/d.img".into(), None));
}

#[test]
fn a_sas_that_cannot_be_read_is_named() {
    let line =
        "PrepImport /j:a.jrn /id:s-1 /csas:@/nonexistent /t:/d /format /encrypt /srcdir:/a /dstdir:other/";
    let failure = run(&arguments(line), &Console::new(false)).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert!(failure.cause.to_string().contains("/csas:@/nonexistent"), "{}", failure.cause);
}

#[test]
fn a_sas_for_another_container_is_refused() {
    let line = "PrepImport /j:a.jrn /id:s-1 /csas:con?sv=1 /t:/d /format /encrypt /srcdir:/a /dstdir:other/";
    let failure = run(&arguments(line), &Console::new(false)).unwrap_err();
    assert!(failure.cause.to_string().contains("the SAS is for another container"), "{}", failure.cause);
}

#[test]
fn a_later_session_needs_its_drive_or_a_journal_that_knows_it() {
    let line = "PrepImport /j:/nonexistent.jrn /id:s-2 /srcdir:/a /dstdir:c/";
    let error = parsed(line).unwrap().native().unwrap_err().to_string();
    assert_eq!(error, "/t is needed in the first session of a drive");
}

proptest! {
    #[test]
    fn no_arguments_upset_the_front(
        words in prop::collection::vec("(/[a-zA-Z]{0,10})?:?[ -~é\u{0}]{0,12}", 0..6), tool in 0_usize..6,
    ) {
        let tools = ["PrepImport", "RepairImport", "RepairExport", "PreviewExport", "Unlock", "x"];
        let all: Vec<OsString> = std::iter::once(tools[tool].to_owned()).chain(words).map(OsString::from).collect();
        match Request::parse(&all) {
            Ok(request) => drop(request.warnings()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
