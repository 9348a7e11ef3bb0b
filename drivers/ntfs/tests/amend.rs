//! Files added to volumes in use: ours, ntfs-3g's and Windows' own.

#![allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]

#[path = "common/built.rs"]
mod built;
mod common;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};

use block::{ReadAt, ReadError, SharedDevice, WriteAt, WriteError, WriteErrorKind, check_range};
use built::{File, TIME, Tree, noise, settings};
use ntfs::amend::{AmendError, AmendPlan, AmendSettings, AmendWriteError, Amended, Amendment, ReplaceError};
use ntfs::build::{DirectoryId, DirectorySpec, FileId, FileSpec, PlacedFile, PlanError, Settings, Times};
use ntfs::check::{CheckOptions, FaultKind, Report, check};
use ntfs::{Limits, Volume};

const MIB: u64 = 1 << 20;

/// A device in memory that can be told to fail after so many writes.
#[derive(Clone)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    writes_left: Arc<Mutex<Option<usize>>>,
}

impl Disk {
    fn new(bytes: Vec<u8>) -> Disk {
        Disk { bytes: Arc::new(Mutex::new(bytes)), writes_left: Arc::default() }
    }

    fn failing_after(bytes: Vec<u8>, writes: usize) -> Disk {
        Disk { writes_left: Arc::new(Mutex::new(Some(writes))), ..Disk::new(bytes) }
    }

    fn device(&self) -> SharedDevice {
        Arc::new(self.clone())
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }
}

impl WriteAt for Disk {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        assert!(offset_bytes.is_multiple_of(512) && data.len().is_multiple_of(512), "whole sectors");
        if let Some(left) = self.writes_left.lock().unwrap().as_mut() {
            *left = left.checked_sub(1).ok_or(WriteError {
                offset_bytes,
                length_bytes: data.len(),
                kind: WriteErrorKind::Gone,
                source: None,
            })?;
        }
        self.bytes.lock().unwrap()[offset_bytes as usize..][..data.len()].copy_from_slice(data);
        // As the contract has it: a layer may have encrypted in place.
        data.fill(0xdb);
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        Ok(())
    }
}

impl ReadAt for Disk {
    fn length_bytes(&self) -> u64 {
        self.bytes.lock().unwrap().len() as u64
    }

    fn sector_bytes(&self) -> u32 {
        512
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        check_range(offset_bytes, buffer.len(), self.length_bytes())?;
        buffer.copy_from_slice(&self.bytes.lock().unwrap()[offset_bytes as usize..][..buffer.len()]);
        Ok(())
    }
}

const SETTINGS: AmendSettings = AmendSettings { time: TIME, limits: LIMITS };
/// As in production; a constant, which [`Limits::default`] is not.
const LIMITS: Limits = Limits {
    records_max: 64 << 20,
    index_bytes_max: 1 << 30,
    resident_kept_bytes: 16 << 20,
    names_max: 64 << 20,
    streams_max: 64 << 20,
    extents_max: 1 << 20,
    path_depth_max: 16_384,
    problems_max: 1_000,
    attribute_list_bytes_max: 256 << 10,
    decompressed_bytes_max: 16 << 40,
};

fn amendment(disk: &Disk) -> Result<Amendment, AmendError> {
    Amendment::new(disk.device(), SETTINGS)
}

fn directory() -> DirectorySpec {
    DirectorySpec { times: Times::all(TIME), ..DirectorySpec::default() }
}

fn file(length: usize) -> FileSpec {
    FileSpec { length_bytes: length as u64, times: Times::all(TIME), ..FileSpec::default() }
}

/// The caller's part of the work.
fn write_content(plan: &AmendPlan, id: FileId, content: &[u8], target: &dyn WriteAt) {
    for extent in plan.extents(id) {
        let from = extent.file_offset_bytes as usize;
        let mut bytes = content[from..from + extent.length_bytes as usize].to_vec();
        bytes.resize(bytes.len().next_multiple_of(plan.cluster_bytes() as usize), 0);
        target.write_all_at(&mut bytes, extent.volume_offset_bytes).unwrap();
    }
}

type Contents = BTreeMap<String, Vec<u8>>;

/// All files and what is in them, as the reader has it.
fn contents(device: SharedDevice) -> Contents {
    let volume = Volume::open(device, Limits::default(), &mut |_| {}).unwrap();
    let files = volume.files().filter(|entry| !entry.is_directory && entry.reparse_tag.is_none());
    files
        .map(|entry| {
            let stream = volume.stream(entry.file, None).unwrap();
            let mut bytes = vec![0; stream.length_bytes as usize];
            volume.read_at(&stream, 0, &mut bytes).unwrap();
            (entry.path.to_string(), bytes)
        })
        .collect()
}

fn checked(disk: &Disk) -> Report {
    let options = CheckOptions { case_twins_allowed: true, ..CheckOptions::default() };
    check(disk.device(), &options, &mut |_| {}).unwrap()
}

/// What a second copy session adds, and the manifest that takes the old one's place.
fn additions() -> Contents {
    let mut added = Contents::new();
    for nth in 0..700 {
        let path = format!("session#2\\folder {:02}\\file number {nth:04}.dat", nth % 7);
        added.insert(path, noise(nth, (nth as usize * 61) % 20_000));
    }
    added.insert("session#2\\top".to_owned(), noise(9, 300_000));
    added.insert("DriveManifest.xml".to_owned(), noise(10, 70_001));
    added
}

/// Adds everything and writes it.
fn amend(disk: &Disk, added: &Contents) -> Result<Amended, AmendWriteError> {
    let (plan, ids) = plan(disk, added).unwrap();
    // Data goes to its place whatever is cut off later.
    let quiet = Disk { bytes: disk.bytes.clone(), writes_left: Arc::default() };
    for (path, id) in &ids {
        write_content(&plan, *id, &added[path], &quiet);
    }
    plan.write(disk, &mut |_| {})
}

fn plan(disk: &Disk, added: &Contents) -> Result<(AmendPlan, BTreeMap<String, FileId>), AmendError> {
    let mut amendment = amendment(disk)?;
    let mut directories = BTreeMap::from([(String::new(), DirectoryId::ROOT)]);
    let mut ids = BTreeMap::new();
    for (path, content) in added {
        let (parent, name) = path.rsplit_once('\\').unwrap_or(("", path));
        let mut at = String::new();
        for part in parent.split('\\').filter(|part| !part.is_empty()) {
            let above = directories[&at];
            at = if at.is_empty() { part.to_owned() } else { format!("{at}\\{part}") };
            if !directories.contains_key(&at) {
                directories.insert(at.clone(), amendment.directory(above, part, &directory()).unwrap());
            }
        }
        let id = match parent {
            "" => amendment.replace(name, &file(content.len())).unwrap(),
            _ => amendment.file(directories[parent], name, &file(content.len())).unwrap(),
        };
        ids.insert(path.clone(), id);
    }
    Ok((amendment.plan()?, ids))
}

/// A volume of the builder with a manifest, a session and pre-placed files.
fn packed(volume_bytes: u64, cluster_bytes: u32) -> Disk {
    let mut tree = Tree::default();
    tree.directory("session#1");
    for nth in 0..300 {
        tree.file(&format!("session#1/file {nth}"), File::new(noise(nth, nth as usize * 17)));
    }
    for nth in 0..40 {
        tree.file(&format!("a file in the root, number {nth:02}"), File::new(noise(nth, 5_000)));
    }
    tree.file("DriveManifest.xml", File::new(noise(77, 30_000)));
    let disk = Disk::new(vec![0; volume_bytes as usize]);
    let placed = |nth: u64| PlacedFile {
        name: format!("cover.{nth}"),
        offset_bytes: (nth * 9 + 3) * MIB,
        length_bytes: 65_536,
    };
    let settings = Settings {
        cluster_bytes: Some(cluster_bytes),
        placed: (0..2).map(placed).collect(),
        ..settings(volume_bytes)
    };
    tree.build(settings, &disk);
    disk
}

#[test]
fn a_session_is_added_to_a_packed_drive() {
    for (cluster_bytes, volume_bytes) in [(512, 64 * MIB), (4096, 64 * MIB), (65_536, 192 * MIB)] {
        let disk = packed(volume_bytes, cluster_bytes);
        assert_eq!(checked(&disk).faults, [], "{cluster_bytes}");
        let (mut expected, added) = (contents(disk.device()), additions());
        let amended = amend(&disk, &added).unwrap();
        assert!(amended.added_bytes > 7_000_000 && amended.freed_bytes >= 30_000, "{amended:?}");
        assert_eq!(checked(&disk).faults, [], "{cluster_bytes}");
        expected.extend(added);
        assert!(contents(disk.device()) == expected, "{cluster_bytes}");
    }
}

#[test]
fn sessions_are_added_again_and_again() {
    let disk = packed(64 * MIB, 4096);
    let mut expected = contents(disk.device());
    for session in 2..9 {
        let mut added = Contents::new();
        for nth in 0..50 {
            added.insert(format!("session#{session}\\{nth}.bin"), noise(session * 100 + nth, 40_000));
        }
        added.insert("DriveManifest.xml".to_owned(), noise(session, 20_000 + session as usize));
        amend(&disk, &added).unwrap();
        expected.extend(added);
        assert_eq!(checked(&disk).faults, [], "{session}");
    }
    assert!(contents(disk.device()) == expected);
}

#[test]
fn files_are_added_to_volumes_of_windows() {
    // Files, as far as there is room: one of the volumes has clusters of 2 MiB, one is small.
    for (name, count) in [("ntfs-2m", 80), ("ntfs-ptrn", 702), ("ntfs-lastaccess", 702), ("charlie", 300)] {
        let Some(path) = common::whole(name).path("files_are_added_to_volumes_of_windows") else { return };
        let disk = Disk::new(std::fs::read(path).unwrap());
        let mut expected = contents(disk.device());
        let added: Contents = additions().into_iter().take(count).collect();
        amend(&disk, &added).unwrap();
        assert_eq!(checked(&disk).faults, [], "{name}");
        expected.extend(added);
        assert!(contents(disk.device()) == expected, "{name}");
    }
}

/// Cut off after each of the writes: what was there is there, and at most space is lost.
#[test]
fn a_power_cut_between_two_writes_loses_nothing_that_was_there() {
    let before = packed(24 * MIB, 4096);
    let (old, added) = (contents(before.device()), additions());
    let kept = |now: &Contents| {
        old.iter().all(|(path, content)| path == "DriveManifest.xml" || now.get(path) == Some(content))
    };
    let mut is_visible = false;
    for writes in 0.. {
        let disk = Disk::failing_after(before.bytes(), writes);
        let result = amend(&disk, &added);
        let now = contents(disk.device());
        assert!(kept(&now), "{writes}");
        let whole = added.iter().all(|(path, content)| now.get(path) == Some(content));
        // All of it at once, and never less afterwards.
        let untouched = now == old;
        assert!(whole || untouched && !is_visible, "{writes}");
        is_visible = whole;
        let report = checked(&disk);
        match result {
            Ok(_) => {
                assert!(is_visible && writes > 8);
                assert_eq!(report.faults, []);
                return;
            }
            Err(AmendWriteError::Metadata(_)) => {}
            Err(error) => panic!("{error}"),
        }
        // Until the replaced manifest's record is freed no name leads to it, the mirror waits for its
        // own write, and Windows is told to look.
        let allowed = |kind: &FaultKind| {
            let seen = matches!(
                kind,
                FaultKind::Dirty { .. }
                    | FaultKind::Mirror { .. }
                    | FaultKind::NotListed { .. }
                    | FaultKind::RecordMarkedFree
            );
            kind.is_leak() || is_visible && seen
        };
        assert!(report.faults.iter().all(|fault| allowed(&fault.kind)), "{writes}: {:#?}", report.faults);
    }
}

#[test]
fn what_is_omitted_or_shorter_leaves_no_trace() {
    let disk = packed(64 * MIB, 4096);
    let mut expected = contents(disk.device());
    let added = additions();
    let (mut plan, ids) = plan(&disk, &added).unwrap();
    for (nth, (path, id)) in ids.iter().enumerate() {
        if path == "DriveManifest.xml" || nth % 3 == 0 {
            plan.omit(*id);
            continue;
        }
        let length = if nth % 3 == 1 { added[path].len() / 2 } else { added[path].len() };
        plan.set_length(*id, length as u64).unwrap();
        write_content(&plan, *id, &added[path][..length], &disk);
        expected.insert(path.clone(), added[path][..length].to_vec());
    }
    plan.write(&disk, &mut |_| {}).unwrap();
    assert_eq!(checked(&disk).faults, []);
    // The old manifest, too, because the new one was left out.
    assert!(contents(disk.device()) == expected);
}

#[test]
fn everyone_elses_tools_accept_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let mut images = vec![("built", packed(64 * MIB, 4096))];
    if let Some(path) = common::whole("ntfs-lastaccess").path("everyone_elses_tools") {
        // The fixture goes on behind the volume, where ntfsfix looks for the boot sector's copy.
        let mut bytes = std::fs::read(path).unwrap();
        bytes.truncate(518_144 * 512);
        images.push(("windows", Disk::new(bytes)));
    }
    for (name, disk) in images {
        amend(&disk, &additions()).unwrap();
        let image = folder.path().join(name);
        std::fs::write(&image, disk.bytes()).unwrap();
        accepted(name, "ntfsresize", &["--info", "--force"], &image);
        accepted(name, "ntfsfix", &["--no-action"], &image);
        accepted(name, "7z", &["t", "-tntfs"], &image);
        if let Some(listed) = accepted(name, "fls", &["-r", "-f", "ntfs"], &image) {
            assert_eq!(listed.matches("file number").count(), 700, "{name}");
        }
    }
}

/// What a tool prints, which must end well; `None` where it is missing.
fn accepted(name: &str, tool: &str, arguments: &[&str], image: &std::path::Path) -> Option<String> {
    let Ok(output) = Command::new(tool).args(arguments).arg(image).output() else {
        eprintln!("skipped: everyone_elses_tools_accept_the_result: {tool} is missing");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{tool} on {name}: {text}{}", String::from_utf8_lossy(&output.stderr));
    Some(text)
}

#[test]
fn volumes_that_are_not_at_rest_are_refused_with_the_reason() {
    for name in ["dirty-big-win", "tiny", "ntfs-links"] {
        let Some(path) = common::whole(name).path("volumes_that_are_not_at_rest") else { continue };
        let error = amendment(&Disk::new(std::fs::read(path).unwrap())).err().unwrap();
        assert!(matches!(error, AmendError::LogOpen), "{name}: {error}");
    }
    if let Some(path) = common::whole("ntfs-ramslack").path("volumes_that_are_not_at_rest") {
        // Its root compresses what is put into it.
        let error = amendment(&Disk::new(std::fs::read(path).unwrap())).err().unwrap();
        assert!(matches!(error, AmendError::Unsupported { .. }), "{error}");
    }
    let disk = packed(24 * MIB, 4096);
    let mut volume = common::patch::Patched::new(disk.bytes());
    volume.change(3, |record| {
        let flags = common::patch::attribute(record, 0x70).unwrap();
        record[flags.start + 24 + 10] |= 1;
    });
    assert!(matches!(amendment(&Disk::new(volume.bytes)), Err(AmendError::Dirty)));
    let mut volume = common::patch::Patched::new(disk.bytes());
    let (at, mut block) = volume.leaf();
    let first = common::patch::index_entries(&block)[0].start;
    block[first + 8] ^= 0xff;
    volume.put_block(at, &block);
    // The builder puts the root's index before all others.
    assert!(matches!(amendment(&Disk::new(volume.bytes)), Err(AmendError::Damaged(_))));
}

#[test]
fn a_hibernated_windows_is_refused() {
    let mut tree = Tree::default();
    tree.file("hiberfil.sys", File::new(b"HIBR and then some".to_vec()));
    let disk = Disk::new(vec![0; 16 << 20]);
    tree.build(settings(16 * MIB), &disk);
    assert!(matches!(amendment(&disk), Err(AmendError::Hibernated)));
}

#[test]
fn names_that_are_taken_are_refused() {
    let disk = packed(24 * MIB, 4096);
    let mut clashing = amendment(&disk).unwrap();
    clashing.directory(DirectoryId::ROOT, "SESSION#1", &directory()).unwrap();
    assert!(matches!(clashing.plan(), Err(AmendError::Clash { existing }) if existing == "session#1"));
    let mut twice = amendment(&disk).unwrap();
    twice.file(DirectoryId::ROOT, "new", &file(1)).unwrap();
    twice.file(DirectoryId::ROOT, "NEW", &file(1)).unwrap();
    assert!(matches!(twice.plan(), Err(AmendError::Plan(PlanError::Clashes { total: 1, .. }))));
    let replaced = amendment(&disk).unwrap().replace("Session#1", &file(1));
    assert!(matches!(replaced, Err(ReplaceError::Old(AmendError::IsDirectory { .. }))));
    let mut other_case = amendment(&disk).unwrap();
    other_case.replace("DRIVEMANIFEST.XML", &file(1)).unwrap();
    other_case.plan().unwrap();
}

#[test]
fn what_does_not_fit_is_refused_with_both_numbers() {
    let disk = packed(24 * MIB, 4096);
    let mut large = amendment(&disk).unwrap();
    let free = large.free_bytes();
    large.file(DirectoryId::ROOT, "large", &file(free as usize)).unwrap();
    let error = large.plan().err().unwrap();
    assert!(
        matches!(error, AmendError::Plan(PlanError::Full { needed_bytes, free_bytes })
            if free_bytes == free && needed_bytes > free),
        "{error}"
    );
    let mut fits = amendment(&disk).unwrap();
    let id = fits.file(DirectoryId::ROOT, "large", &file(free as usize - (256 << 10))).unwrap();
    let plan = fits.plan().unwrap();
    assert!(plan.extents(id).count() < 5);
    plan.write(&disk, &mut |_| {}).unwrap();
    assert_eq!(checked(&disk).faults, []);
}

#[test]
fn a_volume_that_changed_meanwhile_is_left_alone() {
    let disk = packed(24 * MIB, 4096);
    let (plan, _) = plan(&disk, &additions()).unwrap();
    amend(&disk, &additions().into_iter().filter(|(path, _)| !path.contains("session")).collect()).unwrap();
    let before = contents(disk.device());
    assert!(matches!(plan.write(&disk, &mut |_| {}), Err(AmendWriteError::Changed)));
    assert!(contents(disk.device()) == before);
}
