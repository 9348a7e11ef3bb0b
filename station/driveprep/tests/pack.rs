//! `driveprep pack` as a person starts it: what is on the drive, what is refused, and what survives.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use common::{Bench, Opened, ends_with, kill_when, phase_of, run, said};
use driveprep::journal::Phase;
use manifest::{BlobKind, JobEntry, Properties};
use model::{DriveId, Exit, ImportDisposition};
use proof::bring_up;

#[test]
fn a_directory_is_on_the_drive_with_every_byte_and_every_digest() {
    let bench = Bench::new();
    let names = ["a.txt", "empty", "sub/one block", "sub/more", "sub/Ünïcode/日本語.bin", "edge"];
    let lengths = [10, 0, 4 << 20, (9 << 20) + 1, 70_000, 4_096];
    let contents: Vec<Vec<u8>> =
        names.iter().zip(lengths).map(|(name, length)| bench.source(name, length)).collect();
    ends_with(bench.pack(&["--disposition", "overwrite"]), 0);
    let drive = bench.open();
    assert_eq!(drive.entries.len(), names.len());
    for (name, content) in names.iter().zip(&contents) {
        let (entry, bytes) = drive.blob(&format!("con/pre/{name}"));
        assert!(bytes == *content, "{name} differs");
        assert_eq!(entry.stated_disposition, Some(ImportDisposition::Overwrite));
        assert_eq!(common::parts(entry).len(), content.len().div_ceil(4 << 20));
        let BlobKind::Block(blocks) = &entry.kind else { panic!("{name} is no block blob") };
        assert!(blocks.iter().all(|block| block.id.is_some()));
    }
    assert_eq!(drive.lists[0].id.as_deref(), Some("session#1-0"));
    for secret in ["drive.json", "drive.jrn", "drive.jrn_DriveInfo_S1.xml"] {
        let mode = fs::metadata(bench.path(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
        let entry = JobEntry::parse(&fs::read(bench.path(secret)).unwrap(), None).unwrap();
        assert_eq!(entry.manifest_hash, bench.job().manifest_hash, "{secret}");
    }
    let left = fs::read_dir(bench.path(".")).unwrap().count();
    assert_eq!(left, 5, "sources, image, job entry, journal and its extract are all that is left");
}

#[test]
fn holes_stay_holes_and_zeros_of_page_blobs_are_left_out() {
    let bench = Bench::new();
    let disk = File::create(bench.path("src/disk.vhd")).unwrap();
    disk.set_len(6 << 30).unwrap();
    disk.write_all_at(&[1; 100_000], 5 << 30).unwrap();
    disk.write_all_at(&[0; 1 << 20], 1 << 20).unwrap();
    let file = File::create(bench.path("src/sparse.bin")).unwrap();
    file.set_len(5 << 30).unwrap();
    file.write_all_at(&[2; 10], 3 << 30).unwrap();
    ends_with(bench.pack(&[]), 0);
    let drive = bench.open();
    let find = |path: &str| drive.entries.iter().find(|entry| entry.blob_path == path).unwrap();
    let (disk, file) = (find("con/pre/disk.vhd"), find("con/pre/sparse.bin"));
    assert_eq!((disk.length_bytes, file.length_bytes), (6 << 30, 5 << 30));
    let BlobKind::Page(ranges) = &disk.kind else { panic!("a .vhd becomes a page blob") };
    let places: Vec<(u64, u64)> =
        ranges.iter().map(|range| (range.offset_bytes, range.length_bytes)).collect();
    assert_eq!(places, [(5 << 30, 131_072)]);
    assert_eq!(common::parts(file).len(), 5 << 8, "a block blob's blocks cover its holes");
    assert!(drive.has("\\session#1\\0\\sparse.bin"));
}

#[test]
fn side_files_and_whole_digests_are_on_the_drive_and_in_the_manifest() {
    let bench = Bench::new();
    let (long, short) = (bench.source("long", (9 << 20) + 3), bench.source("short", 5));
    let metadata = "<?xml version=\"1.0\"?><Metadata><owner>me</owner></Metadata>";
    let properties = "<Properties><Content-Type>text/x-test</Content-Type></Properties>";
    fs::write(bench.path("m.xml"), metadata).unwrap();
    fs::write(bench.path("p.xml"), properties).unwrap();
    ends_with(bench.pack(&["--metadata-file", "m.xml", "--properties-file", "p.xml", "--content-md5"]), 0);
    let drive = bench.open();
    let (metadata_ref, list) = (drive.lists[0].metadata.clone().unwrap(), drive.lists[0].properties.clone());
    assert_eq!(drive.file(&metadata_ref.path), metadata.as_bytes());
    assert_eq!(metadata_ref.hash.as_bytes(), digests::md5_of(metadata.as_bytes()).0);
    assert_eq!(drive.file(&list.unwrap().path), properties.as_bytes());
    for (name, content) in [("long", long), ("short", short)] {
        let own = drive.blob(&format!("con/pre/{name}")).0.properties.clone().unwrap();
        let text = drive.file(&own.path);
        assert_eq!(own.hash.as_bytes(), digests::md5_of(&text).0);
        let properties = Properties::parse(&text).unwrap();
        assert_eq!(properties.content_md5, Some(digests::md5_of(&content)));
        assert_eq!(properties.content_type.as_deref(), Some("text/x-test"));
    }
}

#[test]
fn killed_again_and_again_the_same_command_comes_to_the_same_drive() {
    let bench = Bench::new();
    let mut contents = Vec::new();
    for index in 0..40 {
        let name = format!("{index:02}");
        contents.push((name.clone(), bench.source(&name, if index % 10 == 3 { 20 << 20 } else { 200_000 })));
    }
    let pack = || bench.pack(&["--checkpoint-mib", "1", "--buffer-mib", "16"]);
    let is_prepared = || bench.journal_text().contains("State: Prepared");
    let mut kills = u32::from(kill_when(pack(), is_prepared));
    for count in [1, 3, 8, 14] {
        kills += u32::from(kill_when(pack(), || bench.checkpoints().len() >= count));
    }
    kills += u32::from(kill_when(pack(), || bench.journal_text().contains("State: Sealing")));
    kills += u32::from(kill_when(pack(), || bench.journal_text().contains("State: Packed")));
    ends_with(pack(), 0);
    assert!(kills >= 5, "{kills} of 7 kills came before the end");
    let checkpoints = bench.checkpoints();
    assert!(checkpoints.is_sorted(), "what a checkpoint vouches for is not copied again: {checkpoints:?}");
    let drive = bench.open();
    for (name, content) in &contents {
        assert!(drive.blob(&format!("con/pre/{name}")).1 == *content, "{name} differs");
    }
    let text = ends_with(pack(), 0);
    assert!(text.contains("already packed: S1"), "{text}");
    // An undisturbed pack has the same manifest, byte for byte.
    let killed = bench.job().manifest_hash;
    for file in ["drive.img", "drive.jrn", "drive.json"] {
        fs::remove_file(bench.path(file)).unwrap();
    }
    ends_with(pack(), 0);
    assert_eq!(bench.job().manifest_hash, killed);
}

#[test]
fn sigterm_stops_at_a_checkpoint_and_says_how_to_go_on() {
    let bench = Bench::new();
    for index in 0..12 {
        bench.source(&format!("{index}"), 16 << 20);
    }
    let mut command = bench.pack(&["--checkpoint-mib", "1", "--buffer-mib", "16"]);
    let child = command.spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while bench.checkpoints().is_empty() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_micros(300));
    }
    let pid = rustix::process::Pid::from_child(&child);
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(0) {
        println!("skipped: sigterm_stops_at_a_checkpoint_and_says_how_to_go_on: the pack was faster");
        return;
    }
    let text = said(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("--resume"), "{text}");
    ends_with(bench.driveprep(&["pack", "--resume", "--journal", "drive.jrn"]), 0);
    assert_eq!(bench.open().entries.len(), 12);
}

#[test]
fn a_source_that_changed_while_it_was_packed_is_left_out_and_named() {
    let bench = Bench::new();
    let whole = bench.source("whole", 5 << 20);
    for name in ["changed", "gone", "longer"] {
        bench.source(name, 5 << 20);
    }
    let pack = || bench.pack(&["--checkpoint-mib", "4096"]);
    if !kill_when(pack(), || bench.journal_text().contains("State: Prepared")) {
        println!(
            "skipped: a_source_that_changed_while_it_was_packed_is_left_out_and_named: the pack was faster"
        );
        return;
    }
    bench.source("changed", 5 << 20);
    bench.source("longer", 6 << 20);
    fs::remove_file(bench.path("src/gone")).unwrap();
    let text = ends_with(pack(), 10);
    for name in ["changed", "gone", "longer"] {
        assert!(text.contains(&format!("src/{name}: it ")), "{text}");
    }
    let drive = bench.open();
    assert_eq!(drive.entries.len(), 1);
    assert!(drive.blob("con/pre/whole").1 == whole);
    assert!(!drive.has("\\session#1\\0\\changed"));
}

#[test]
fn an_aborted_session_leaves_nothing_that_looks_whole() {
    let bench = Bench::new();
    bench.source("f", 1 << 20);
    let is_sealing = || phase_of(&bench, "S1").is_some_and(|phase| phase >= Phase::Prepared);
    let killed = kill_when(bench.pack(&[]), || bench.journal_text().contains("State: Prepared"));
    if !killed {
        println!("skipped: an_aborted_session_leaves_nothing_that_looks_whole: the pack was faster");
        return;
    }
    assert!(is_sealing());
    ends_with(bench.driveprep(&["pack", "--abort", "--journal", "drive.jrn"]), 0);
    assert_eq!(phase_of(&bench, "S1"), Some(Phase::Wiped));
    if let Ok(image) = fs::read(bench.path("drive.img")) {
        assert!(image[..(1 << 20) + 8_192].iter().all(|byte| *byte == 0), "no table and no boot sector");
    }
    let text = ends_with(bench.driveprep(&["pack", "--abort", "--journal", "drive.jrn"]), 2);
    assert!(text.contains("nothing to abort"), "{text}");
    // The journal takes a new session.
    ends_with(bench.pack(&["--overwrite"]), 0);
    bench.open();
}

#[test]
fn several_drives_share_the_items_and_each_is_whole() {
    let bench = Bench::new();
    for index in 0..10 {
        bench.source(&format!("{index}"), 20 << 20);
    }
    let drives = ["--drive", "one.img", "--serial", "S1", "--drive", "two.img", "--serial", "S2"];
    let pack = |more: &[&str]| {
        let mut command = bench.driveprep(&["pack", "--from", "src", "--to", "con", "--size", "180MB"]);
        command.args(drives).args(more);
        command
    };
    ends_with(pack(&[]), 0);
    let jobs = fs::read(bench.path("drive.json")).unwrap();
    let mut paths = Vec::new();
    for (serial, image) in [("S1", "one.img"), ("S2", "two.img")] {
        let job = JobEntry::parse(&jobs, DriveId::new(serial).ok().as_ref()).unwrap();
        let drive = Opened::new(&bench.path(image), &job);
        assert!(!drive.entries.is_empty());
        for entry in &drive.entries {
            drive.blob(&entry.blob_path);
            paths.push(entry.blob_path.clone());
        }
    }
    paths.sort();
    let all: Vec<String> = (0..10).map(|index| format!("con/{index}")).collect();
    assert_eq!(paths, all, "each item is on one drive");
}

#[test]
fn what_fits_on_no_drive_is_named_and_nothing_is_written() {
    let bench = Bench::new();
    bench.source("small", 1 << 20);
    File::create(bench.path("src/large")).unwrap().set_len(0).unwrap();
    bench.source("large", 400 << 20);
    let text = ends_with(bench.pack(&[]), 6);
    assert!(text.contains("fits on no drive") && text.contains("src/large"), "{text}");
    assert!(!bench.path("drive.img").exists() && !bench.path("drive.jrn").exists());
    let text = ends_with(bench.pack(&["--allow-incomplete"]), 10);
    assert!(text.contains("MISSING"), "{text}");
    assert_eq!(bench.open().entries.len(), 1);
    let text = ends_with(bench.pack(&["--allow-incomplete"]), 10);
    assert!(text.contains("already packed") && text.contains("1 files are MISSING"), "{text}");
}

#[test]
fn a_drive_that_holds_something_and_another_session_are_refused() {
    let bench = Bench::new();
    bench.source("f", 10);
    fs::write(bench.path("drive.img"), "something").unwrap();
    let text = ends_with(bench.pack(&[]), 2);
    assert!(text.contains("--overwrite"), "{text}");
    assert_eq!(fs::read(bench.path("drive.img")).unwrap(), b"something");
    ends_with(bench.pack(&["--overwrite"]), 0);
    let text = ends_with(bench.pack(&["--overwrite", "--label", "OTHER"]), 2);
    assert!(text.contains("session#1 is complete"), "{text}");
    let text = ends_with(bench.driveprep(&["pack", "--resume", "--journal", "drive.jrn"]), 2);
    assert!(text.contains("nothing to resume"), "{text}");
}

#[test]
fn every_cipher_sector_size_and_protector_makes_a_drive_that_opens() {
    for (cipher, sector) in [("xts256", "4096"), ("xts128", "512"), ("cbc256", "512"), ("cbc128", "4096")] {
        let bench = Bench::new();
        let content = bench.source("f", 100_000);
        fs::write(bench.path("pw"), "correct horse\n").unwrap();
        fs::create_dir(bench.path("keys")).unwrap();
        let more =
            ["--cipher", cipher, "--sector-size", sector, "--password-file", "pw", "--bek-out", "keys"];
        ends_with(bench.pack(&more), 0);
        assert!(bench.open().blob("con/pre/f").1 == content, "{cipher}");
        let key = fs::read_dir(bench.path("keys")).unwrap().next().unwrap().unwrap();
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn the_whole_surface_is_encrypted_when_that_is_asked_for() {
    let bench = Bench::new();
    let content = bench.source("f", 9 << 20);
    let mut command = bench.driveprep(&["pack", "--from", "src", "--to", "con", "--whole-surface"]);
    command.args(["--drive", "drive.img", "--size", "100MB", "--serial", "S1"]);
    ends_with(command, 0);
    assert!(bench.open().blob("con/f").1 == content);
    let image = fs::read(bench.path("drive.img")).unwrap();
    let inside = &image[(1 << 20) + 8_192..image.len() - (2 << 20)];
    let zeros = inside.chunks(4_096).filter(|chunk| chunk.iter().all(|byte| *byte == 0)).count();
    assert!(zeros < 64, "{zeros} pages of the volume are plain zeros");
}

#[test]
fn a_program_gets_events_and_no_secret() {
    let bench = Bench::new();
    bench.source("f", 10);
    let output = run(bench.pack(&["--json"]));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let packed = events.iter().find(|event| event["event"] == "packed").unwrap();
    assert_eq!((packed["files"].as_u64(), packed["missing"].as_u64()), (Some(1), Some(0)));
    let key = bench.job().bitlocker_key.unwrap();
    assert!(!text.contains(key.expose()) && !String::from_utf8_lossy(&output.stderr).contains(key.expose()));
}

/// A drive that a first session packed, with what is on it.
fn packed_once(bench: &Bench) -> Vec<(String, Vec<u8>)> {
    let names = ["a", "sub/b", "sub/c"];
    let contents: Vec<Vec<u8>> = names.iter().map(|name| bench.source(name, 5_000_000)).collect();
    ends_with(bench.pack(&[]), 0);
    names.iter().map(|name| format!("con/pre/{name}")).zip(contents).collect()
}

#[test]
fn a_session_is_added_to_a_packed_drive_and_what_was_there_stays() {
    let bench = Bench::new();
    let mut expected = packed_once(&bench);
    fs::rename(bench.path("src"), bench.path("first")).unwrap();
    for index in 0..5 {
        let name = format!("more/{index}");
        expected.push((format!("other/{name}"), bench.source(&name, 3_000_000 + index)));
    }
    let more = ["--job-out", "drive.json", "--session", "second", "--checkpoint-mib", "1"];
    let add = || {
        let mut command = bench.driveprep(&["pack", "--from", "src", "--to", "other"]);
        command.args(more);
        command
    };
    let refused = ends_with(bench.driveprep(&["pack", "--from", "src", "--to", "other"]), 2);
    assert!(refused.contains("--session"), "{refused}");
    let (before, first) = (bench.job().manifest_hash, bench.checkpoints().len());
    if kill_when(add(), || bench.checkpoints().len() >= 4) {
        // Until the last step the drive is what its first session made of it.
        assert_eq!(bench.open().entries.len(), 3);
    }
    ends_with(add(), 0);
    assert_ne!(bench.job().manifest_hash, before);
    let added = &bench.checkpoints()[first..];
    assert!(added.is_sorted(), "a volume that nobody wrote to goes on where it was: {added:?}");
    let drive = bench.open();
    assert_eq!(drive.entries.len(), expected.len());
    for (path, content) in &expected {
        assert!(drive.blob(path).1 == *content, "{path} differs");
    }
    let ids: Vec<Option<&str>> = drive.lists.iter().map(|list| list.id.as_deref()).collect();
    assert_eq!(ids, [Some("session#1-0"), Some("second-0")]);
}

#[test]
fn an_added_session_that_is_aborted_leaves_the_drive_as_it_was() {
    let bench = Bench::new();
    let expected = packed_once(&bench);
    let mut add = bench.driveprep(&["pack", "--from", "src", "--to", "other", "--session", "second"]);
    add.args(["--checkpoint-mib", "1"]);
    if !kill_when(add, || bench.checkpoints().len() >= 2) {
        println!("skipped: an_added_session_that_is_aborted_leaves_the_drive_as_it_was: the pack was faster");
        return;
    }
    ends_with(bench.driveprep(&["pack", "--abort", "--journal", "drive.jrn"]), 0);
    let drive = bench.open();
    for (path, content) in &expected {
        assert!(drive.blob(path).1 == *content, "{path} differs");
    }
    // The same command again, with the same name of the session.
    ends_with(bench.driveprep(&["pack", "--from", "src", "--to", "other", "--session", "second"]), 0);
    assert_eq!(bench.open().entries.len(), 6);
}

#[test]
fn what_does_not_fit_behind_the_first_session_is_refused() {
    let bench = Bench::new();
    packed_once(&bench);
    bench.source("large", 400 << 20);
    let more = ["pack", "--from", "src", "--to", "other", "--session", "second"];
    let text = ends_with(bench.driveprep(&more), 6);
    assert!(text.contains("fits on no drive"), "{text}");
    assert_eq!(bench.open().entries.len(), 3);
}

#[test]
fn data_that_lies_on_the_drive_gets_its_manifest_in_place() {
    let bench = Bench::new();
    let expected = packed_once(&bench);
    fs::write(bench.path("key"), bench.job().bitlocker_key.unwrap().expose()).unwrap();
    let in_place = |journal: &str| {
        let mut command = bench.driveprep(&["pack", "--in-place", "--drive", "drive.img", "--serial", "S1"]);
        command.args(["--recovery-password-file", "key", "--from", "D:\\session#1\\0\\sub", "--to", "new/x"]);
        command.args(["--session", "place", "--journal", journal, "--type", "block"]);
        command
    };
    let text = ends_with(in_place("stranger.jrn"), 30);
    assert!(text.contains("this journal does not know"), "{text}");
    ends_with(in_place("drive.jrn"), 0);
    let drive = bench.open();
    assert_eq!(drive.entries.len(), 5);
    for (path, content) in &expected {
        assert!(drive.blob(path).1 == *content, "{path} differs");
    }
    let (entry, bytes) = drive.blob("new/x/b");
    assert_eq!(entry.file_path, "\\session#1\\0\\sub\\b");
    assert!(bytes == expected[1].1);
}

#[test]
fn a_drive_is_read_back_when_that_is_asked_for() {
    let bench = Bench::new();
    bench.source("f", 5_000_000);
    let text = ends_with(bench.pack(&["--verify"]), 0);
    assert!(text.contains("reading") && text.contains("drive.img back"), "{text}");
    let text = ends_with(bench.pack(&["--verify"]), 0);
    assert!(text.contains("already packed") && text.contains("drive.img back"), "{text}");
}

/// Changes a byte in the middle of the longest stretch of the image that is not zero: file data.
fn damage(image: &Path) {
    let bytes = fs::read(image).unwrap();
    let (mut longest, mut run) = (0..0, 0);
    for (number, page) in bytes.chunks(4_096).enumerate() {
        run = if page.iter().all(|byte| *byte == 0) { 0 } else { run + 1 };
        if run > longest.len() {
            longest = number + 1 - run..number + 1;
        }
    }
    let at = (longest.start + longest.len() / 2) * 4_096;
    let file = File::options().write(true).open(image).unwrap();
    file.write_all_at(&[!bytes[at]], at as u64).unwrap();
}

#[test]
fn a_drive_that_reads_back_wrong_is_not_taken_for_packed_when_it_shall_be_verified() {
    let bench = Bench::new();
    bench.source("f", 20 << 20);
    ends_with(bench.pack(&[]), 0);
    damage(&bench.path("drive.img"));
    let output = run(bench.pack(&["--verify"]));
    let text = said(&output);
    assert!(text.contains("already packed") && text.contains("drive.img back"), "{text}");
    assert_eq!(output.status.code(), Some(Exit::VerificationFailed.code().into()), "{text}");
}

#[test]
fn a_session_is_complete_only_when_it_was_read_back() {
    let bench = Bench::new();
    bench.source("f", 20 << 20);
    let pack = || bench.pack(&["--verify"]);
    if !kill_when(pack(), || bench.journal_text().contains("State: Packed")) {
        println!("skipped: a_session_is_complete_only_when_it_was_read_back: the pack was faster");
        return;
    }
    damage(&bench.path("drive.img"));
    let resume = || bench.driveprep(&["pack", "--resume", "--journal", "drive.jrn"]);
    for _ in 0..2 {
        let text = ends_with(resume(), Exit::VerificationFailed.code().into());
        assert!(text.contains("drive.img back"), "{text}");
    }
    assert!(!bench.journal_text().contains("State: Completed"));
}

#[test]
fn a_pack_that_is_resumed_makes_all_drives_as_they_were_asked_for() {
    let bench = Bench::new();
    for index in 0..4 {
        bench.source(&format!("{index}"), 20 << 20);
    }
    fs::write(bench.path("pw"), "correct horse\n").unwrap();
    fs::create_dir(bench.path("keys")).unwrap();
    let mut pack = bench.driveprep(&["pack", "--from", "src", "--to", "con", "--size", "80MB"]);
    pack.args(["--drive", "one.img", "--serial", "S1", "--drive", "two.img", "--serial", "S2"]);
    pack.args(["--whole-surface", "--cipher", "cbc256", "--password-file", "pw", "--bek-out", "keys"]);
    if !kill_when(pack, || bench.journal_text().contains("State: Prepared")) {
        println!(
            "skipped: a_pack_that_is_resumed_makes_all_drives_as_they_were_asked_for: the pack was faster"
        );
        return;
    }
    fs::create_dir(bench.path("elsewhere")).unwrap();
    let mut resume = bench.driveprep(&["pack", "--resume", "--journal", "../drive.jrn"]);
    resume.current_dir(bench.path("elsewhere"));
    ends_with(resume, 0);
    assert_eq!(fs::read_dir(bench.path("keys")).unwrap().count(), 2, "a startup key for each");
    for image in ["one.img", "two.img"] {
        let device = bring_up::Device::open(&bench.path(image)).unwrap();
        let recognised = bring_up::recognise(device, None).unwrap();
        assert_eq!(recognised.metadata.method, bitlocker::Method::AesCbc256, "{image}");
        let password = bitlocker::Secret::Password(bitlocker::Password::new("correct horse").unwrap());
        recognised.metadata.unlock(&password).unwrap();
        let image = fs::read(bench.path(image)).unwrap();
        let inside = &image[(1 << 20) + 8_192..image.len() - (2 << 20)];
        let zeros = inside.chunks(4_096).filter(|chunk| chunk.iter().all(|byte| *byte == 0)).count();
        assert!(zeros < 64, "{zeros} pages of the volume are plain zeros");
    }
}

#[test]
fn an_added_session_that_does_not_read_back_is_given_up_and_the_job_goes_on() {
    let bench = Bench::new();
    let expected = packed_once(&bench);
    damage(&bench.path("drive.img"));
    let add = |session| {
        let to = format!("con/{session}");
        bench.driveprep(&["pack", "--from", "src/sub", "--to", &to, "--session", session])
    };
    let verified = || {
        let mut command = add("second");
        command.arg("--verify");
        command
    };
    for _ in 0..2 {
        let text = ends_with(verified(), Exit::VerificationFailed.code().into());
        assert!(text.contains("--abort gives it up"), "{text}");
    }
    fs::remove_file(bench.path("drive.json")).unwrap();
    let text = ends_with(bench.driveprep(&["pack", "--abort", "--journal", "drive.jrn"]), 0);
    assert!(text.contains("drive.img (S1) KEEPS the files of session second"), "{text}");
    let again = ends_with(bench.driveprep(&["pack", "--abort", "--journal", "drive.jrn"]), 2);
    assert!(again.contains("nothing to abort"), "{again}");
    // The job entry is that of the drive as it is, and a later session is added to it.
    assert_eq!(bench.open().entries.len(), expected.len() + 2);
    ends_with(add("third"), 0);
    assert_eq!(bench.open().entries.len(), expected.len() + 4);
}

#[test]
fn a_dataset_is_the_same_from_every_folder_and_another_once_it_says_something_else() {
    let bench = Bench::new();
    bench.source("f", 10);
    let rows = |to: &str| {
        let source = bench.path("src");
        fs::write(bench.path("d.csv"), format!("BasePath,DstItemPathOrPrefix\n{}/,{to}/\n", source.display()))
    };
    let pack = |dataset: &str, journal: &str, folder: &str| {
        let mut command = bench.driveprep(&["pack", "--dataset", dataset, "--journal", journal]);
        let (image, job) = (bench.path("drive.img"), bench.path("drive.json"));
        command.arg("--drive").arg(image).args(["--size", "300MB", "--serial", "S1", "--job-out"]).arg(job);
        command.current_dir(bench.path(folder));
        command
    };
    rows("one").unwrap();
    ends_with(pack("d.csv", "drive.jrn", "."), 0);
    fs::create_dir(bench.path("elsewhere")).unwrap();
    let text = ends_with(pack("../d.csv", "../drive.jrn", "elsewhere"), 0);
    assert!(text.contains("already packed"), "{text}");
    rows("two").unwrap();
    for (dataset, journal, folder) in [("d.csv", "drive.jrn", "."), ("../d.csv", "../drive.jrn", "elsewhere")]
    {
        let text = ends_with(pack(dataset, journal, folder), 2);
        assert!(text.contains("session#1 is complete"), "{text}");
    }
}

#[test]
fn the_same_words_in_another_folder_are_another_request() {
    let bench = Bench::new();
    bench.source("f", 10);
    ends_with(bench.pack(&[]), 0);
    fs::create_dir_all(bench.path("elsewhere/src")).unwrap();
    fs::write(bench.path("elsewhere/src/f"), "other").unwrap();
    let mut other = bench.pack(&["--journal", "../drive.jrn", "--job-out", "../drive.json"]);
    other.current_dir(bench.path("elsewhere"));
    let text = ends_with(other, 2);
    assert!(text.contains("session#1 is complete"), "{text}");
}

#[test]
fn an_added_session_that_became_visible_is_ended_and_not_aborted() {
    let bench = Bench::new();
    packed_once(&bench);
    let first = bench.checkpoints().len();
    let add = || {
        let mut command = bench.driveprep(&["pack", "--from", "src", "--to", "other", "--session", "second"]);
        command.args(["--checkpoint-mib", "1"]);
        command
    };
    if !kill_when(add(), || bench.checkpoints().len() > first) {
        println!(
            "skipped: an_added_session_that_became_visible_is_ended_and_not_aborted: the pack was faster"
        );
        return;
    }
    let files = ["drive.jrn.work", "drive.jrn.session", "drive.jrn.0.plan", "drive.jrn.0.hashes"];
    let kept = files.map(|file| fs::read(bench.path(file)).unwrap());
    ends_with(add(), 0);
    let job = bench.job().manifest_hash;
    // As if it had been cut off behind the last write to the drive, before the journal's next record.
    let text = bench.journal_text();
    let sealing = text.rfind("State: Sealing").unwrap();
    let mark = "[EndUpdateRecord]\n";
    let end = sealing + text[sealing..].find(mark).unwrap() + mark.len();
    fs::write(bench.path("drive.jrn"), &text[..end]).unwrap();
    files.iter().zip(kept).for_each(|(file, bytes)| fs::write(bench.path(file), bytes).unwrap());
    fs::remove_file(bench.path("drive.json")).unwrap();
    let text = ends_with(bench.driveprep(&["pack", "--abort", "--journal", "drive.jrn"]), 6);
    assert!(text.contains("--resume"), "{text}");
    ends_with(bench.driveprep(&["pack", "--resume", "--journal", "drive.jrn"]), 0);
    assert_eq!(bench.job().manifest_hash, job);
    assert_eq!(bench.open().entries.len(), 6);
}

/// Makes a drive's blueprint, or what was found on the drive, another one than the last run's.
fn change_fingerprint(bench: &Bench) {
    let path = bench.path("drive.jrn.0.plan");
    let mut plan: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    plan["fingerprint"] = 1.into();
    fs::write(&path, plan.to_string()).unwrap();
}

#[test]
fn what_came_to_an_images_path_since_is_neither_destroyed_nor_wiped() {
    let bench = Bench::new();
    bench.source("f", 20 << 20);
    if !kill_when(bench.pack(&[]), || bench.journal_text().contains("State: Prepared")) {
        println!("skipped: what_came_to_an_images_path_since_is_neither_destroyed_nor_wiped: too fast");
        return;
    }
    fs::rename(bench.path("drive.img"), bench.path("ours")).unwrap_or_default();
    fs::write(bench.path("drive.img"), "theirs").unwrap();
    let text = ends_with(bench.pack(&[]), Exit::WrongDrive.code().into());
    assert!(text.contains("--abort") && text.contains("nothing on it was touched"), "{text}");
    let text = ends_with(bench.driveprep(&["pack", "--abort", "--journal", "drive.jrn"]), 0);
    assert!(text.contains("NOT wiped"), "{text}");
    assert_eq!(fs::read(bench.path("drive.img")).unwrap(), b"theirs");
}

#[test]
fn a_drive_that_cannot_be_wiped_keeps_its_session_from_being_given_up() {
    let bench = Bench::new();
    bench.source("f", 20 << 20);
    if !kill_when(bench.pack(&[]), || bench.journal_text().contains("State: Prepared")) {
        println!("skipped: a_drive_that_cannot_be_wiped_keeps_its_session_from_being_given_up: too fast");
        return;
    }
    let abort = || bench.driveprep(&["pack", "--abort", "--journal", "drive.jrn"]);
    let _ = fs::remove_file(bench.path("drive.img"));
    fs::create_dir(bench.path("drive.img")).unwrap();
    let text = ends_with(abort(), Exit::Retryable.code().into());
    assert!(text.contains("drive.img (S1) was not wiped"), "{text}");
    assert_eq!(phase_of(&bench, "S1"), Some(Phase::Prepared));
    fs::remove_dir(bench.path("drive.img")).unwrap();
    let text = ends_with(abort(), 0);
    assert!(text.contains("not there any more"), "{text}");
}

#[test]
fn a_drive_that_would_be_laid_out_otherwise_is_not_gone_on_with() {
    let bench = Bench::new();
    for index in 0..8 {
        bench.source(&format!("{index}"), 16 << 20);
    }
    let pack = || bench.pack(&["--checkpoint-mib", "1", "--buffer-mib", "16"]);
    if !kill_when(pack(), || bench.checkpoints().len() >= 2) {
        println!("skipped: a_drive_that_would_be_laid_out_otherwise_is_not_gone_on_with: too fast");
        return;
    }
    let path = bench.path("drive.jrn.0.plan");
    let plan = fs::read(&path).unwrap();
    change_fingerprint(&bench);
    let text = ends_with(pack(), Exit::NotRetryable.code().into());
    assert!(text.contains("--abort"), "{text}");
    // Nor is a blueprint followed that cannot be one.
    let wrong = [
        ("slab_bytes", serde_json::json!(0)),
        ("items", serde_json::json!([[0, 9]])),
        ("cluster_bytes", serde_json::json!(0)),
        ("stored", serde_json::json!({ "3": [{ "start": 131_072, "end": 65_536 }] })),
    ];
    for (field, value) in wrong {
        let mut changed: serde_json::Value = serde_json::from_slice(&plan).unwrap();
        changed[field] = value;
        fs::write(&path, changed.to_string()).unwrap();
        let text = ends_with(pack(), Exit::Fatal.code().into());
        assert!(text.contains("is no blueprint"), "{field}: {text}");
    }
    fs::write(&path, plan).unwrap();
    ends_with(pack(), 0);
}

#[test]
fn files_that_changed_in_place_are_not_gone_on_with() {
    let bench = Bench::new();
    packed_once(&bench);
    fs::write(bench.path("key"), bench.job().bitlocker_key.unwrap().expose()).unwrap();
    let in_place = || {
        let mut command = bench.driveprep(&["pack", "--in-place", "--drive", "drive.img", "--serial", "S1"]);
        command.args(["--recovery-password-file", "key", "--from", "session#1", "--to", "new/x"]);
        command.args(["--session", "place", "--type", "block"]);
        command
    };
    let prepared = || bench.journal_text().matches("State: Prepared").count();
    if !kill_when(in_place(), || prepared() >= 2) {
        println!("skipped: files_that_changed_in_place_are_not_gone_on_with: the pack was faster");
        return;
    }
    let path = bench.path("drive.jrn.0.plan");
    let plan = fs::read(&path).unwrap();
    change_fingerprint(&bench);
    let text = ends_with(in_place(), Exit::NotRetryable.code().into());
    assert!(text.contains("--abort"), "{text}");
    fs::write(&path, plan).unwrap();
    ends_with(in_place(), 0);
    assert_eq!(bench.open().entries.len(), 6);
}
