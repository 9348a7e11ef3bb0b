//! From what was asked for to a session that can begin: what is there, where it goes, whether it fits.
//!
//! Nothing is written to any drive here, and nothing to the journal's folder before everything is
//! known to be possible.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, anyhow};
use indicatif::{DecimalBytes, HumanCount};
use model::Exit;
use ntfs::build::FileTime;
use rand::TryRngCore;
use rand::rngs::OsRng;

use super::arguments::PackArguments;
use super::blueprint::Blueprint;
use super::candidate::{Candidate, Looking};
use super::digest::run_bytes;
use super::distribute::{DistributeError, Distribution, Planner, distribute};
use super::layout::{Frame, Layout, cluster_bytes, coarsened};
use super::manifest::Manifest;
use super::session::{Frozen, FrozenDrive, Session, absolute};
use super::slab::{SLAB_BYTES_MIN, part_bytes};
use super::source::Source;
use crate::console::Console;
use crate::failure::Failure;
use crate::inputs::InputError;
use crate::inputs::arguments::TypeWord;
use crate::lint::{Findings, LintOptions, Severity, lint, report};
use crate::work::{ItemId, Work};

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

impl Planned {
    /// Looks at sources and drives and distributes the items.
    ///
    /// # Errors
    /// When something that was named cannot be used, or not everything fits.
    pub fn new(arguments: &PackArguments, console: &Console) -> Result<Planned, Failure> {
        let mut findings = Findings::default();
        let mut inputs = arguments.sources.inputs(&arguments.drives, &mut findings).map_err(usage)?;
        // A pack that is resumed may be so from another folder.
        inputs.sources.iter_mut().for_each(|source| source.from = absolute(&source.from));
        if inputs.drives.is_empty() {
            return Err(Failure::usage(anyhow!("there is no drive to pack onto: name one with --drive")));
        }
        console.note("looking at the sources");
        let work = inputs.work(&mut findings).map_err(usage)?;
        let unreadable = findings.count(Severity::Error);
        let kinds_by_name = arguments.sources.kind == TypeWord::Auto;
        lint(&work, &LintOptions { sas_container: None, kinds_by_name }, &mut findings);
        report::print(&findings, console);
        let broken = findings.count(Severity::Error).saturating_sub(unreadable);
        if broken > 0 {
            return Err(Failure::usage(anyhow!(
                "{} broken rules are named above: the station would refuse these files. Mend them; nothing was \
                 written",
                HumanCount(broken)
            )));
        }
        let looking = Looking {
            overwrite: arguments.making.overwrite,
            image_sector_bytes: sector_bytes(arguments.making.sector_size)?,
        };
        let candidates = inputs
            .drives
            .iter()
            .map(|offered| Candidate::look(offered, looking))
            .collect::<Result<Vec<Candidate>, Failure>>()?;
        check_distinct(&candidates)?;
        let planning = Planning::new(&work, &candidates, &arguments.making.label)?;
        let distribution = distribute(&work, candidates.len(), &planning);
        let distribution = distribution.map_err(|error| planning_failed(error, &candidates))?;
        let planned = Planned { work, candidates, distribution, unreadable };
        planned.check_room(arguments.running.allow_incomplete, console)?;
        Ok(planned)
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

    /// Writes the session down beside its journal.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn save(self, journal: &Path, job_out: &Path) -> Result<Session, Failure> {
        let (mut drives, mut blueprints) = (Vec::new(), Vec::new());
        for (candidate, blueprint) in self.candidates.iter().zip(self.distribution.drives) {
            if let Some(blueprint) = blueprint {
                drives.push(FrozenDrive::from(candidate));
                blueprints.push(blueprint);
            }
        }
        let frozen = Frozen {
            job_out: absolute(job_out),
            drives,
            nowhere: self.distribution.nowhere.iter().map(|item| item.0).collect(),
            unreadable: self.unreadable,
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
    blanks: Vec<(Blueprint, Frame)>,
    stored: BTreeMap<u32, Vec<Range<u64>>>,
    /// The manifests' bounds by the items they are about.
    manifest_bytes: RefCell<BTreeMap<Vec<(u32, u32)>, u64>>,
}

impl<'a> Planning<'a> {
    fn new(work: &'a Work, candidates: &[Candidate], label: &str) -> Result<Planning<'a>, Failure> {
        let blanks = candidates.iter().map(|candidate| blank(candidate, label)).collect::<Result<_, _>>()?;
        Ok(Planning { work, blanks, stored: holes(work), manifest_bytes: RefCell::default() })
    }

    fn manifest_bytes(&self, blueprint: &Blueprint) -> Result<u64, DistributeError> {
        if let Some(known) = self.manifest_bytes.borrow().get(&blueprint.items) {
            return Ok(*known);
        }
        let items: Vec<ItemId> = blueprint.item_ids().collect();
        let drive = model::DriveId::new(&blueprint.serial).expect("a candidate has a serial number");
        let bytes = Manifest { work: self.work, drive: &drive, items: &items }.bytes_max()?;
        self.manifest_bytes.borrow_mut().insert(blueprint.items.clone(), bytes);
        Ok(bytes)
    }
}

impl Planner for Planning<'_> {
    fn plan(&self, drive: usize, items: &[ItemId]) -> Result<(Blueprint, Layout), DistributeError> {
        let (blank, frame) = &self.blanks[drive];
        let mut blueprint = blank.clone();
        blueprint.set_items(items);
        for item in items {
            if let Some(stored) = self.stored.get(&item.0) {
                blueprint.stored.insert(item.0, stored.clone());
            }
            let item = self.work.item(*item);
            let part = part_bytes(item.kind(), item.length_bytes());
            let part = usize::try_from(part.min(item.length_bytes()).next_multiple_of(64 << 10))
                .unwrap_or(usize::MAX);
            blueprint.slab_bytes = blueprint.slab_bytes.max(part);
        }
        blueprint.manifest_bytes_max = self.manifest_bytes(&blueprint)?;
        let layout = Layout::new(self.work, &blueprint, frame)?;
        Ok((blueprint, layout))
    }

    fn stored_bytes(&self, item: ItemId) -> Option<u64> {
        let stored = self.stored.get(&item.0)?;
        Some(stored.iter().map(|range| range.end - range.start).sum())
    }
}

/// A drive without items.
fn blank(candidate: &Candidate, label: &str) -> Result<(Blueprint, Frame), Failure> {
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
    let frame = Frame::new(&blueprint).with_context(|| format!("laying out {}", candidate.path.display()));
    Ok((blueprint, frame.map_err(Failure::usage)?))
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
