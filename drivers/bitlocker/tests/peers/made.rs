//! Volumes of our own, and what a reader must find on them.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bitlocker::format::{Coverage, Formatted, Formatter, Layout, Plan, ReservedKind, Unwritten};
use bitlocker::{Method, Password};
use block::{Target, WriteAt};
use sha2::{Digest, Sha256};

use crate::common::hex;

const VOLUME_BYTES: u64 = 64 << 20;

/// What the file system writes: its head, and a piece in the middle.
const HEAD: Range<u64> = 0..1 << 20;
const MIDDLE: Range<u64> = 40 << 20..(40 << 20) + (64 << 10);

/// Never written by the file system.
const FREE: Range<u64> = 20 << 20..(20 << 20) + (64 << 10);

/// What a volume shall be.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    pub method: Method,
    pub sector_bytes: u32,
    pub coverage: Coverage,
    /// Whether BitLocker's areas lie behind the file system.
    pub is_behind: bool,
    pub password: &'static str,
}

/// What opens a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protector {
    Password,
    RecoveryPassword,
    StartupKey,
}

/// A volume in a folder of its own, with its startup key beside it.
pub struct Made {
    pub recipe: Recipe,
    pub formatted: Formatted,
    folder: tempfile::TempDir,
}

impl Made {
    pub fn new(recipe: &Recipe) -> Made {
        let Recipe { method, sector_bytes, coverage, is_behind, password } = *recipe;
        let layout = if is_behind {
            Layout::behind_file_system(VOLUME_BYTES, sector_bytes)
        } else {
            Layout::within_file_system(VOLUME_BYTES, sector_bytes)
        };
        let layout = layout.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let target =
            Target::create_image(&folder.path().join("volume.img"), VOLUME_BYTES, sector_bytes).unwrap();
        let mut head = head(sector_bytes, layout.file_system_bytes());
        let formatter = Formatter::new(Plan {
            layout,
            method,
            description: "STATION PEERS 23/11/2026".to_owned(),
            password: Some(Password::new(password).unwrap()),
            recovery_password: None,
            has_external_key: true,
            coverage,
            first_sector_of_partition: 2048,
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000),
        })
        .unwrap();
        if coverage == Coverage::WholeSurface {
            let unwritten = Unwritten { keep: &[HEAD, MIDDLE], from_bytes: 0 };
            formatter.fill(&target, unwritten, &|_| ()).unwrap();
        }
        let writer = formatter.writer(&target);
        writer.write_all_at(&mut head, HEAD.start).unwrap();
        writer.write_all_at(&mut pattern(MIDDLE), MIDDLE.start).unwrap();
        let formatted = formatter.finish(&target).unwrap();
        let bek = formatted.external_key.as_ref().unwrap();
        fs::write(folder.path().join(&bek.name), &bek.contents).unwrap();
        Made { recipe: *recipe, formatted, folder }
    }

    pub fn image(&self) -> PathBuf {
        self.folder.path().join("volume.img")
    }

    pub fn bek(&self) -> PathBuf {
        self.folder.path().join(&self.formatted.external_key.as_ref().unwrap().name)
    }

    /// A path for what a reader writes.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The secret as it is typed; for a startup key, its file.
    pub fn secret(&self, protector: Protector) -> String {
        match protector {
            Protector::Password => self.recipe.password.to_owned(),
            Protector::RecoveryPassword => self.formatted.recovery_password.reveal().to_string(),
            Protector::StartupKey => self.bek().to_str().unwrap().to_owned(),
        }
    }

    /// Ranges of the file system with the SHA-256 of what they must hold.
    pub fn expected(&self) -> Vec<(Range<u64>, String)> {
        let file_system_bytes = self.formatted.layout.file_system_bytes();
        let mut expected = vec![
            (HEAD, sha256(&head(self.recipe.sector_bytes, file_system_bytes))),
            (MIDDLE, sha256(&pattern(MIDDLE))),
        ];
        let mut zeros: Vec<Range<u64>> = Vec::new();
        if self.recipe.coverage == Coverage::WholeSurface {
            zeros.push(FREE);
        }
        // Areas behind the file system are beyond the end that libbde shows.
        if !self.recipe.is_behind {
            let reserved = self.formatted.layout.reserved().into_iter();
            let areas = reserved.filter(|area| area.kind != ReservedKind::Spare);
            zeros.extend(areas.map(|area| area.offset_bytes..area.offset_bytes + area.length_bytes));
        }
        expected.extend(zeros.into_iter().map(|range| {
            let length = usize::try_from(range.end - range.start).unwrap();
            (range, sha256(&vec![0; length]))
        }));
        expected
    }

    /// Compares what a reader found in the ranges of [`Made::expected`].
    pub fn compare(&self, found: &[String]) -> Result<(), String> {
        let expected = self.expected();
        if found.len() != expected.len() {
            return Err(format!("{} of {} ranges were read", found.len(), expected.len()));
        }
        match expected.iter().zip(found).find(|((_, expected), found)| expected != *found) {
            Some(((range, _), _)) => Err(format!("wrong bytes in {range:#x?}")),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recipe { method, sector_bytes, coverage, is_behind, password } = self.recipe;
        write!(formatter, "{method}, {sector_bytes}-byte sectors, {coverage:?}, ")?;
        write!(formatter, "areas behind the file system: {is_behind}, password {password:?}")
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn pattern(range: Range<u64>) -> Vec<u8> {
    range.step_by(8).flat_map(|at| (at ^ 0x5A).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).collect()
}

/// An NTFS boot sector as far as readers look at it, then a pattern.
fn head(sector_bytes: u32, file_system_bytes: u64) -> Vec<u8> {
    let mut head = pattern(HEAD);
    head[..512].fill(0);
    head[..11].copy_from_slice(b"\xEB\x52\x90NTFS    ");
    head[11..13].copy_from_slice(&u16::try_from(sector_bytes).unwrap().to_le_bytes());
    head[13] = u8::try_from(4096 / sector_bytes).unwrap();
    head[0x15] = 0xF8;
    let sectors = file_system_bytes / u64::from(sector_bytes) - 1;
    head[0x28..0x30].copy_from_slice(&sectors.to_le_bytes());
    head[0x30] = 4;
    head[0x38] = 2;
    head[0x40] = 0xF6;
    head[0x44] = 1;
    head[510..512].copy_from_slice(&[0x55, 0xAA]);
    head
}
