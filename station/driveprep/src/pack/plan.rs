//! From what was asked for to a session that can begin: what is there, where it goes, whether it fits.
//!
//! Nothing is written to any drive here, and nothing to the journal's folder before everything is
//! known to be possible.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, anyhow};
use indicatif::{DecimalBytes, HumanCount};
use manifest::BitlockerKey;
use model::{DriveId, Exit};
use ntfs::build::FileTime;
use proof::proven::ProvenManifest;
use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::arguments::PackArguments;
use super::blueprint::{Blueprint, Mode};
use super::candidate::{Candidate, Looking};
use super::digest::run_bytes;
use super::distribute::{DistributeError, Distribution, Planner, distribute};
use super::existing::Existing;
use super::in_place;
use super::layout::{Frame, Layout, cluster_bytes, coarsened, fingerprint};
use super::manifest::Manifest;
use super::session::{Frozen, FrozenDrive, Session, absolute};
use super::slab::SLAB_BYTES_MIN;
use super::source::Source;
use crate::console::Console;
use crate::failure::Failure;
use crate::inputs::arguments::TypeWord;
use crate::inputs::{InputError, Inputs};
use crate::journal::{JournalState, Phase, SessionRecord, SessionState};
use crate::lint::{Findings, LintOptions, Severity, lint, report};
use crate::work::{DriveTarget, Encryption, ExistingKey, Formatting, ItemId, Work};

/// Files shorter than this are copied with their holes: looking for them costs more.
const HOLES_FROM_BYTES: u64 = 1 << 20;
/// Most separate ranges of a file with holes.
const RANGES_MAX: usize = 4_096;
/// Items that are named one by one when they do not fit.
const NAMED_MAX: usize = 20;

/// A session that can begin: nothing was written yet.
pub struct Planned {
    work: Work,
    candidates: Vec<Candidate>,
    distribution: Distribution,
    unreadable: u64,
}

/// What there is to be packed.
struct Found {
    inputs: Inputs,
    work: Work,
    unreadable: u64,
}

impl Planned {
    /// Looks at sources and drives and distributes the items.
    ///
    /// # Errors
    /// When something that was named cannot be used, or not everything fits.
    pub fn new(
        arguments: &PackArguments,
        state: &JournalState,
        console: &Console,
    ) -> Result<Planned, Failure> {
        let mut findings = Findings::default();
        let mut inputs = arguments.sources.inputs(&arguments.drives, &mut findings).map_err(usage)?;
        check_session(&inputs, arguments, state)?;
        open_by(&mut inputs, arguments);
        let candidates = candidates(&inputs, arguments, state)?;
        console.note("looking at the sources");
        let planned = if arguments.making.in_place {
            Planned::in_place(inputs, candidates, state, arguments, findings, console)?
        } else {
            // A pack that is resumed may be so from another folder.
            inputs.sources.iter_mut().for_each(|source| source.from = absolute(&source.from));
            let work = inputs.work(&mut findings).map_err(usage)?;
            let unreadable = findings.count(Severity::Error);
            let found = Found { inputs, work, unreadable };
            Planned::distributed(found, candidates, state, arguments, findings, console)?
        };
        planned.check_room(arguments.running.allow_incomplete, console)?;
        Ok(planned)
    }

    /// All items are copied to whichever drives have room.
    fn distributed(
        found: Found,
        candidates: Vec<Candidate>,
        state: &JournalState,
        arguments: &PackArguments,
        findings: Findings,
        console: &Console,
    ) -> Result<Planned, Failure> {
        let Found { inputs, work, unreadable } = found;
        check_rules(&work, arguments, findings, console)?;
        check_apart(&inputs, &candidates)?;
        let planning = Planning::new(&work, &candidates, state, &arguments.making.label)?;
        let distribution = distribute(&work, candidates.len(), &planning);
        let distribution = distribution.map_err(|error| planning_failed(error, &candidates))?;
        Ok(Planned { work, candidates, distribution, unreadable })
    }

    /// All items are on the one drive already.
    fn in_place(
        inputs: Inputs,
        candidates: Vec<Candidate>,
        state: &JournalState,
        arguments: &PackArguments,
        findings: Findings,
        console: &Console,
    ) -> Result<Planned, Failure> {
        let [Candidate { path, key: Some(key), .. }] = candidates.as_slice() else {
            return Err(Failure::usage(anyhow!(
                "--in-place takes one drive with its own BitLocker volume, and what opens it: \
                 --recovery-password-file"
            )));
        };
        let existing = Existing::open(path, key)?;
        let (work, unreadable) = in_place::scan(&inputs, existing.files(), console)?;
        check_rules(&work, arguments, findings, console)?;
        let order = in_place::drive_order(&work, existing.files());
        let mut planning = Planning::new(&work, &candidates, state, &arguments.making.label)?;
        planning.mode_of_existing = Mode::InPlace;
        let planned = planning.plan(0, &order);
        let (blueprint, _) = planned.map_err(|error| planning_failed(error, &candidates))?;
        let distribution = Distribution { drives: vec![Some(blueprint)], nowhere: Vec::new() };
        drop(planning);
        Ok(Planned { work, candidates, distribution, unreadable })
    }

    /// What will be destroyed, and by what it is replaced.
    pub fn tell(&self, console: &Console) {
        for (candidate, blueprint) in self.candidates.iter().zip(&self.distribution.drives) {
            let path = candidate.path.display();
            match (blueprint, &candidate.destroys) {
                (None, _) => console.note(&format!("{path} is not needed and stays as it is")),
                (Some(_), Some(what)) => console.note(&format!("everything on it is destroyed: {what}")),
                (Some(_), None) => {}
            }
        }
        let (count, bytes) = (HumanCount(self.work.len() as u64), DecimalBytes(self.work.length_bytes()));
        let drives = self.distribution.drives.iter().flatten().count();
        console.note(&format!("packing {count} files, {bytes}, onto {drives} drive(s)"));
    }

    /// What opens the drives that have their volumes already.
    pub fn keys(&self) -> Vec<Option<Arc<BitlockerKey>>> {
        let planned = self.candidates.iter().zip(&self.distribution.drives);
        planned
            .filter(|(_, blueprint)| blueprint.is_some())
            .map(|(candidate, _)| candidate.key.clone())
            .collect()
    }

    /// Writes the session down beside its journal.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn save(self, journal: &Path, arguments: &PackArguments) -> Result<Session, Failure> {
        let (mut drives, mut blueprints) = (Vec::new(), Vec::new());
        for (candidate, blueprint) in self.candidates.iter().zip(self.distribution.drives) {
            if let Some(blueprint) = blueprint {
                drives.push(FrozenDrive::from(candidate));
                blueprints.push(blueprint);
            }
        }
        let frozen = Frozen {
            job_out: absolute(&arguments.outputs.job_out),
            drives,
            nowhere: self.distribution.nowhere.iter().map(|item| item.0).collect(),
            unreadable: self.unreadable,
            choices: arguments.frozen_choices(),
        };
        Session::save(journal, self.work, frozen, &blueprints)
    }

    fn check_room(&self, allow_incomplete: bool, console: &Console) -> Result<(), Failure> {
        let nowhere = &self.distribution.nowhere;
        if nowhere.is_empty() {
            return Ok(());
        }
        let items = nowhere.iter().map(|id| self.work.item(*id));
        let missing_bytes: u64 = items.clone().map(|item| item.length_bytes()).sum();
        for item in items.take(NAMED_MAX) {
            let (path, bytes) = (item.source_path(), DecimalBytes(item.length_bytes()));
            console.warn(&format!("fits on no drive: {} ({bytes})", path.display()));
        }
        let (count, bytes) = (HumanCount(nowhere.len() as u64), DecimalBytes(missing_bytes));
        if allow_incomplete && nowhere.len() < self.work.len() {
            console.warn(&format!("{count} files, {bytes}, fit on no drive and are left out"));
            return Ok(());
        }
        Err(Failure::new(
            Exit::NotRetryable,
            anyhow!(
                "{count} files, {bytes}, fit on no drive, and nothing was written. Name more or larger drives, or \
                 pack without them with --allow-incomplete"
            ),
        ))
    }
}

fn usage(error: InputError) -> Failure {
    Failure::usage(anyhow::Error::new(error))
}

fn sector_bytes(found: u32) -> Result<u32, Failure> {
    match found {
        512 | 4_096 => Ok(found),
        _ => Err(Failure::usage(anyhow!("--sector-size {found}: sectors have 512 or 4096 bytes"))),
    }
}

/// A session's name is that of its directory on the drive; in place there is none.
fn check_session(inputs: &Inputs, arguments: &PackArguments, state: &JournalState) -> Result<(), Failure> {
    let is_known =
        |session: &SessionRecord| session.id == inputs.session && session.state == SessionState::Completed;
    if arguments.making.in_place || !state.sessions.iter().any(is_known) {
        return Ok(());
    }
    Err(Failure::usage(anyhow!(
        "the journal's session {} is complete. Give the new one another name with --session, or use another \
         --journal",
        inputs.session
    )))
}

/// With a recovery password, drives are ones that have their volume.
fn open_by(inputs: &mut Inputs, arguments: &PackArguments) {
    let Some(path) = &arguments.making.recovery_password_file else { return };
    for drive in &mut inputs.drives {
        drive.formatting = Formatting::AlreadyFormatted;
        drive.encryption = Encryption::AlreadyEncrypted(ExistingKey::File(path.clone()));
    }
}

/// The drives that were offered; without any, those that the journal's sessions packed.
fn candidates(
    inputs: &Inputs,
    arguments: &PackArguments,
    state: &JournalState,
) -> Result<Vec<Candidate>, Failure> {
    let looking = Looking {
        overwrite: arguments.making.overwrite,
        image_sector_bytes: sector_bytes(arguments.making.sector_size)?,
    };
    let offered = inputs.drives.iter().map(|offered| Candidate::look(offered, looking));
    let mut candidates = offered.collect::<Result<Vec<Candidate>, Failure>>()?;
    if candidates.is_empty() {
        candidates = packed_before(state, looking)?;
    }
    if candidates.is_empty() {
        return Err(Failure::usage(anyhow!("there is no drive to pack onto: name one with --drive")));
    }
    for candidate in candidates.iter().filter(|candidate| candidate.key.is_none()) {
        let known = state.drives.get(&candidate.id).and_then(|record| record.phase);
        if known == Some(Phase::Packed) {
            return Err(Failure::usage(anyhow!(
                "the journal has the drive {} as packed. To add to it, leave out --drive; to make it anew, use \
                 another --journal",
                candidate.id
            )));
        }
    }
    check_distinct(&candidates)?;
    Ok(candidates)
}

/// The drives of the journal's sessions, to which more can be added.
fn packed_before(state: &JournalState, looking: Looking) -> Result<Vec<Candidate>, Failure> {
    let packed = state.drives.iter().filter(|(_, record)| record.phase == Some(Phase::Packed));
    let offered = packed.filter_map(|(id, record)| {
        let key = Zeroizing::new(record.key.as_ref()?.expose().to_owned());
        Some(DriveTarget {
            path: record.path.clone()?,
            size_bytes: None,
            serial: Some(id.clone()),
            formatting: Formatting::AlreadyFormatted,
            encryption: Encryption::AlreadyEncrypted(ExistingKey::Text(key)),
        })
    });
    offered.map(|offered| Candidate::look(&offered, looking)).collect()
}

/// What the station would refuse is not packed.
fn check_rules(
    work: &Work,
    arguments: &PackArguments,
    mut findings: Findings,
    console: &Console,
) -> Result<(), Failure> {
    let before = findings.count(Severity::Error);
    let kinds_by_name = arguments.sources.kind == TypeWord::Auto;
    lint(work, &LintOptions { sas_container: None, kinds_by_name }, &mut findings);
    report::print(&findings, console);
    let broken = findings.count(Severity::Error).saturating_sub(before);
    if broken == 0 {
        return Ok(());
    }
    Err(Failure::usage(anyhow!(
        "{} broken rules are named above: the station would refuse these files. Mend them; nothing was written",
        HumanCount(broken)
    )))
}

/// An image inside a source would be packed into itself.
fn check_apart(inputs: &Inputs, candidates: &[Candidate]) -> Result<(), Failure> {
    for candidate in candidates.iter().filter(|candidate| candidate.is_image) {
        for source in &inputs.sources {
            if is_within(&candidate.path, &source.from) {
                return Err(Failure::usage(anyhow!(
                    "{} lies inside the source {}: put the image elsewhere, or it would be packed into itself",
                    candidate.path.display(),
                    source.from.display()
                )));
            }
        }
    }
    Ok(())
}

/// Whether a path that need not be there leads into that directory, or to that very file.
fn is_within(path: &Path, source: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| absolute(path));
    let path = absolute(path);
    // What stands at the path may be a link, and what its folder is reached by may be one.
    let by_folder = path.parent().zip(path.file_name()).map(|(folder, name)| real(folder).join(name));
    let source = real(source);
    by_folder.is_some_and(|path| path.starts_with(&source)) || real(&path).starts_with(&source)
}

fn check_distinct(candidates: &[Candidate]) -> Result<(), Failure> {
    for (index, candidate) in candidates.iter().enumerate() {
        if let Some(other) = candidates[..index].iter().find(|other| other.id == candidate.id) {
            return Err(Failure::new(
                Exit::WrongDrive,
                anyhow!(
                    "{} and {} have the same serial number {}",
                    other.path.display(),
                    candidate.path.display(),
                    candidate.id
                ),
            ));
        }
    }
    Ok(())
}

fn planning_failed(error: DistributeError, candidates: &[Candidate]) -> Failure {
    let small = candidates.iter().map(|candidate| DecimalBytes(candidate.length_bytes).to_string());
    let small = small.collect::<Vec<_>>().join(", ");
    Failure::usage(anyhow::Error::new(error).context(format!("planning drives of {small}")))
}

/// Makes blueprints and real layouts for the distribution.
struct Planning<'a> {
    work: &'a Work,
    blanks: Vec<Blank>,
    /// What is made of drives that have their volumes already.
    mode_of_existing: Mode,
    stored: BTreeMap<u32, Vec<Range<u64>>>,
    /// The manifests' bounds by drive and the items they are about.
    manifest_bytes: RefCell<BTreeMap<ItemsOfDrive, u64>>,
}

/// A drive, and the items on it as runs.
type ItemsOfDrive = (usize, Vec<(u32, u32)>);

/// A drive without items.
struct Blank {
    id: DriveId,
    blueprint: Blueprint,
    base: Base,
    previous: Option<ProvenManifest>,
}

/// What files are put on.
enum Base {
    New(Box<Frame>),
    Existing(Box<Existing>),
}

impl<'a> Planning<'a> {
    fn new(
        work: &'a Work,
        candidates: &[Candidate],
        state: &JournalState,
        label: &str,
    ) -> Result<Planning<'a>, Failure> {
        let blank = |candidate| blank(candidate, state, label);
        let blanks = candidates.iter().map(blank).collect::<Result<_, _>>()?;
        let mode_of_existing = Mode::Added;
        Ok(Planning {
            work,
            blanks,
            mode_of_existing,
            stored: holes(work),
            manifest_bytes: RefCell::default(),
        })
    }

    fn manifest_bytes(
        &self,
        drive: usize,
        blueprint: &Blueprint,
        items: &[ItemId],
    ) -> Result<u64, DistributeError> {
        let of = (drive, blueprint.items.clone());
        if let Some(known) = self.manifest_bytes.borrow().get(&of) {
            return Ok(*known);
        }
        let Blank { id, previous, .. } = &self.blanks[drive];
        let manifest = Manifest { work: self.work, drive: id, items, previous: previous.as_ref() };
        let bytes = manifest.bytes_max()?;
        self.manifest_bytes.borrow_mut().insert(of, bytes);
        Ok(bytes)
    }
}

impl Planner for Planning<'_> {
    fn plan(&self, drive: usize, items: &[ItemId]) -> Result<(Blueprint, Layout), DistributeError> {
        let Blank { blueprint, base, .. } = &self.blanks[drive];
        let mut blueprint = blueprint.clone();
        blueprint.set_items(items);
        for item in items {
            if let Some(stored) = self.stored.get(&item.0) {
                blueprint.stored.insert(item.0, stored.clone());
            }
            let item = self.work.item(*item);
            let part = item.part_bytes().min(item.length_bytes()).next_multiple_of(64 << 10);
            blueprint.slab_bytes = blueprint.slab_bytes.max(usize::try_from(part).unwrap_or(usize::MAX));
        }
        blueprint.manifest_bytes_max = self.manifest_bytes(drive, &blueprint, items)?;
        let maker = match base {
            Base::New(frame) => frame.maker(&blueprint)?,
            Base::Existing(existing) => {
                blueprint.mode = self.mode_of_existing;
                existing.maker(&blueprint)?
            }
        };
        let layout = Layout::new(self.work, &blueprint, maker)?;
        blueprint.fingerprint = match base {
            Base::Existing(existing) if blueprint.mode == Mode::InPlace => {
                in_place::fingerprint(self.work, existing.files(), blueprint.item_ids())
            }
            Base::New(_) | Base::Existing(_) => fingerprint(&layout),
        };
        Ok((blueprint, layout))
    }

    fn stored_bytes(&self, item: ItemId) -> Option<u64> {
        let stored = self.stored.get(&item.0)?;
        Some(stored.iter().map(|range| range.end - range.start).sum())
    }
}

fn blank(candidate: &Candidate, state: &JournalState, label: &str) -> Result<Blank, Failure> {
    let blueprint = Blueprint {
        number: random()?,
        serial: candidate.id.to_string(),
        drive_bytes: candidate.length_bytes,
        sector_bytes: candidate.sector_bytes,
        cluster_bytes: cluster_bytes(candidate.length_bytes),
        label: label.to_owned(),
        volume_serial: random()?,
        disk_guid: guid()?,
        partition_guid: guid()?,
        time: FileTime::from(SystemTime::now()).0,
        slab_bytes: SLAB_BYTES_MIN,
        ..Blueprint::default()
    };
    let (base, previous) = match &candidate.key {
        None => {
            let frame = Frame::new(&blueprint);
            let frame = frame.with_context(|| format!("laying out {}", candidate.path.display()));
            (Base::New(Box::new(frame.map_err(Failure::usage)?)), None)
        }
        Some(key) => {
            let existing = Existing::open(&candidate.path, key)?;
            let entry = state.drives.get(&candidate.id).and_then(|record| record.entry.as_ref());
            let previous = existing.previous(entry)?;
            (Base::Existing(Box::new(existing)), previous)
        }
    };
    Ok(Blank { id: candidate.id.clone(), blueprint, base, previous })
}

fn random() -> Result<u64, Failure> {
    OsRng.try_next_u64().context("getting random numbers from the operating system").map_err(Failure::fatal)
}

/// A random GUID, of version 4: RFC 9562 §5.4.
fn guid() -> Result<[u8; 16], Failure> {
    let mut guid = [0; 16];
    guid[..8].copy_from_slice(&random()?.to_le_bytes());
    guid[8..].copy_from_slice(&random()?.to_le_bytes());
    guid[7] = guid[7] & 0x0F | 0x40;
    guid[8] = guid[8] & 0x3F | 0x80;
    Ok(guid)
}

/// What is stored of the items that have holes worth leaving out.
///
/// A source that cannot be asked is copied whole; if it is gone, the copy says so.
fn holes(work: &Work) -> BTreeMap<u32, Vec<Range<u64>>> {
    let mut holes = BTreeMap::new();
    for item in work.items().filter(|item| item.is_sparse() && item.length_bytes() >= HOLES_FROM_BYTES) {
        let Ok(stored) = Source::open(&item).and_then(|source| source.stored()) else { continue };
        let length = item.length_bytes();
        let stored = coarsened(&stored, run_bytes(length), RANGES_MAX, length);
        let is_whole = matches!(stored.as_slice(), [all] if (all.start, all.end) == (0, length));
        if !is_whole {
            holes.insert(item.id.0, stored);
        }
    }
    holes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_in_a_source_is_seen_however_both_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("src/sub")).unwrap();
        std::fs::write(path("src/a.img"), "x").unwrap();
        std::os::unix::fs::symlink(path("src"), path("link")).unwrap();
        for image in ["src/a.img", "src/new.img", "src/sub/new.img", "link/new.img", "src/sub/../new.img"] {
            assert!(is_within(&path(image), &path("src")), "{image}");
        }
        assert!(is_within(&path("src/a.img"), &path("src/a.img")), "the source itself");
        assert!(is_within(&path("src/a.img"), &path("link/a.img")));
        assert!(!is_within(&path("a.img"), &path("src")) && !is_within(&path("srcs/a.img"), &path("src")));
        // A bare name lies in the working directory.
        assert!(is_within(Path::new("a.img"), Path::new(".")));
    }
}
