//! Reading: boot sector, copies, choice, and the search when that fails.

use block::{ReadAt, ReadError, ReadErrorKind};

use super::boot_sector::{self, BOOT_SECTOR_BYTES, BootSector, Found, VolumeKind};
use super::copy::{AREA_BYTES, Block, CopyHealth, VISTA_AREA_BYTES, read_copy};
use super::scan::scan;
use super::{ConversionState, CopyReport, Metadata, Places, Virtualised, Warning};

/// Bounds of the search for metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    /// How much of a volume is searched when its boot sector is damaged; 0 for no search.
    pub scan_bytes_max: u64,
}

impl Default for ReadOptions {
    /// 512 MiB: Windows puts the first copy near 33 MiB (spec §9.2); a hard disk sweeps this in
    /// three seconds.
    fn default() -> ReadOptions {
        ReadOptions { scan_bytes_max: 512 << 20 }
    }
}

/// No metadata could be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadMetadataError {
    /// The device is shorter than a boot sector.
    #[error("the device has only {length_bytes} bytes: too short for a volume")]
    TooShort {
        /// Its length.
        length_bytes: u64,
    },
    /// The volume is not a BitLocker volume.
    #[error("not a BitLocker volume: {}", found.unwrap_or("neither boot sector nor metadata is there"))]
    NotBitLocker {
        /// What is there instead, if it is something known.
        found: Option<&'static str>,
        /// How much was searched for metadata.
        scanned_bytes: u64,
    },
    /// It was one, and no copy of its metadata can be used.
    #[error("a BitLocker volume without usable metadata: {}", list(copies))]
    AllCopiesDamaged {
        /// Each copy that the boot sector names.
        copies: Vec<CopyReport>,
        /// How much was searched for others.
        scanned_bytes: u64,
    },
    /// The metadata is of a version that nobody knows.
    #[error("BitLocker metadata of unknown version {version}")]
    UnknownVersion {
        /// The version.
        version: u16,
    },
    /// The device could not be read at all.
    #[error("reading the boot sector")]
    Read(#[source] ReadError),
}

fn list(copies: &[CopyReport]) -> String {
    let reports: Vec<String> =
        copies.iter().map(|copy| format!("at {:#x} {}", copy.offset_bytes, copy.health)).collect();
    reports.join("; ")
}

/// A copy of the metadata and what led to it.
struct Chosen {
    block: Block,
    copies: Vec<CopyReport>,
    copy_used: usize,
    warnings: Vec<Warning>,
}

pub(super) fn read(volume: &dyn ReadAt, options: ReadOptions) -> Result<Metadata, ReadMetadataError> {
    let found = read_boot_sector(volume)?;
    let boot = match found {
        Found::Bitlocker(boot) => boot,
        Found::Other(name) => {
            return Err(ReadMetadataError::NotBitLocker { found: Some(name), scanned_bytes: 0 });
        }
        Found::Damaged(_) | Found::Unknown => {
            let copies = Vec::new();
            return search(volume, options, None, copies, matches!(found, Found::Damaged(_)));
        }
    };
    match choose(volume, &boot.metadata_bytes) {
        Ok(chosen) => Ok(assemble(volume, boot, chosen)),
        Err(copies) => search(volume, options, Some(boot), copies, true),
    }
}

/// A boot sector that the medium refuses counts as unknown: the copies lie elsewhere.
fn read_boot_sector(volume: &dyn ReadAt) -> Result<Found, ReadMetadataError> {
    let mut sector = [0; BOOT_SECTOR_BYTES];
    match volume.read_exact_at(&mut sector, 0) {
        Ok(()) => Ok(boot_sector::parse(&sector)),
        Err(error) => match error.kind {
            ReadErrorKind::Medium => Ok(Found::Unknown),
            ReadErrorKind::OutOfRange { device_bytes } => {
                Err(ReadMetadataError::TooShort { length_bytes: device_bytes })
            }
            ReadErrorKind::Gone | ReadErrorKind::Denied | ReadErrorKind::Other => {
                Err(ReadMetadataError::Read(error))
            }
        },
    }
}

/// Reads the copies and takes the first good one, or the newest when good ones differ.
fn choose(volume: &dyn ReadAt, offsets_bytes: &[u64]) -> Result<Chosen, Vec<CopyReport>> {
    let mut offsets = offsets_bytes.to_vec();
    let mut results: Vec<Result<Block, CopyHealth>> =
        offsets.iter().map(|offset| read_copy(volume, *offset)).collect();
    // Vista's boot sector names one copy, and that one the others.
    let others = results.iter().flatten().next().map(|block| block.area_offsets_bytes);
    for other in others.into_iter().flatten() {
        if offsets.len() < 3 && !offsets.contains(&other) {
            offsets.push(other);
            results.push(read_copy(volume, other));
        }
    }
    let copies: Vec<CopyReport> = offsets
        .iter()
        .zip(&results)
        .map(|(offset, result)| CopyReport {
            offset_bytes: *offset,
            health: result.as_ref().err().cloned().unwrap_or(CopyHealth::Good),
        })
        .collect();
    pick(results, copies)
}

fn pick(results: Vec<Result<Block, CopyHealth>>, copies: Vec<CopyReport>) -> Result<Chosen, Vec<CopyReport>> {
    let damaged = results.iter().filter(|result| result.is_err()).count();
    let mut warnings = Vec::new();
    if damaged > 0 {
        warnings.push(Warning::CopiesDamaged { damaged });
    }
    let mut best: Option<(usize, Block)> = None;
    for (index, block) in
        results.into_iter().enumerate().filter_map(|(index, result)| Some((index, result.ok()?)))
    {
        match &best {
            None => best = Some((index, block)),
            Some((_, kept)) if kept.sha256 != block.sha256 => {
                if !warnings.contains(&Warning::CopiesDiffer) {
                    warnings.push(Warning::CopiesDiffer);
                }
                if block.next_nonce > kept.next_nonce {
                    best = Some((index, block));
                }
            }
            Some(_) => {}
        }
    }
    match best {
        Some((copy_used, block)) => Ok(Chosen { block, copies, copy_used, warnings }),
        None => Err(copies),
    }
}

fn search(
    volume: &dyn ReadAt,
    options: ReadOptions,
    boot: Option<BootSector>,
    copies: Vec<CopyReport>,
    was_bitlocker: bool,
) -> Result<Metadata, ReadMetadataError> {
    let scan = scan(volume, options.scan_bytes_max);
    let scanned_bytes = scan.scanned_bytes;
    let found = scan.copy_bytes.and_then(|at| read_copy(volume, at).ok());
    if let Some(mut chosen) = found.and_then(|block| choose(volume, &block.area_offsets_bytes).ok()) {
        chosen.warnings.push(Warning::BootSectorDamaged);
        let boot = boot.unwrap_or_else(|| substitute(&chosen.block, scan.conversion_bytes));
        return Ok(assemble(volume, boot, chosen));
    }
    let version = copies.iter().find_map(|copy| match copy.health {
        CopyHealth::UnknownVersion(version) => Some(version),
        _ => None,
    });
    Err(match version {
        Some(version) => ReadMetadataError::UnknownVersion { version },
        None if was_bitlocker => ReadMetadataError::AllCopiesDamaged { copies, scanned_bytes },
        None => ReadMetadataError::NotBitLocker { found: None, scanned_bytes },
    })
}

/// What the boot sector must have said, as far as the metadata tells.
fn substitute(block: &Block, conversion_bytes: Option<u64>) -> BootSector {
    let kind = match block.version {
        1 => VolumeKind::Vista,
        // Without its information such a volume is refused later: what is encrypted is unknown.
        _ if block.is_encrypt_on_write() => VolumeKind::EncryptOnWrite,
        _ => VolumeKind::Windows7,
    };
    let by_datum = block.virtualisation.and_then(|datum| datum.sector_bytes);
    let by_division = block
        .virtualisation
        .and_then(|datum| datum.size_bytes.checked_div(u64::from(block.virtualised_sectors)))
        .and_then(|size| u32::try_from(size).ok());
    let sector_bytes =
        [by_datum, by_division].into_iter().flatten().find(|size| matches!(size, 512 | 4096)).unwrap_or(512);
    BootSector {
        kind,
        sector_bytes,
        metadata_bytes: block.area_offsets_bytes.to_vec(),
        conversion_bytes: conversion_bytes.into_iter().collect(),
        cluster_bytes: u64::from(sector_bytes),
    }
}

fn assemble(volume: &dyn ReadAt, boot: BootSector, chosen: Chosen) -> Metadata {
    let Chosen { block, copies, copy_used, mut warnings } = chosen;
    let kind = if block.version == 1 { VolumeKind::Vista } else { boot.kind };
    if kind != VolumeKind::Vista && boot.metadata_bytes != block.area_offsets_bytes {
        warnings.push(Warning::OffsetsDiffer);
    }
    if block.broken_protectors > 0 {
        warnings.push(Warning::BrokenProtectors { count: block.broken_protectors });
    }
    let state = ConversionState::from_number(block.state);
    let places = places(kind, &boot, &block, &mut warnings);
    warn_of_length(volume.length_bytes(), kind, state, &block, &mut warnings);
    Metadata {
        kind,
        method: block.method,
        state,
        next_state: ConversionState::from_number(block.next_state),
        watermark_bytes: block.watermark_bytes,
        volume_id: block.volume_id,
        description: block.description,
        created: block.created,
        sector_bytes: boot.sector_bytes,
        copies,
        copy_used,
        warnings,
        protectors: block.protectors,
        places,
        fvek: block.fvek,
        validation: block.validation,
        block_sha256: block.sha256,
        extended_flags: block.virtualisation.and_then(|datum| datum.flags),
    }
}

fn places(kind: VolumeKind, boot: &BootSector, block: &Block, warnings: &mut Vec<Warning>) -> Places {
    let is_vista = kind == VolumeKind::Vista;
    let log = if block.state == 2 { u64::from(block.conversion_log_bytes) } else { 0 };
    Places {
        areas_bytes: block.area_offsets_bytes,
        area_length_bytes: if is_vista {
            VISTA_AREA_BYTES.next_multiple_of(boot.cluster_bytes.max(1))
        } else {
            AREA_BYTES.next_multiple_of(u64::from(boot.sector_bytes))
        },
        virtualised: (!is_vista).then(|| virtualised(boot.sector_bytes, block, warnings)),
        mft_mirror_cluster: is_vista.then_some(block.last_field),
        conversion_log_bytes: log,
        conversion_bytes: boot.conversion_bytes.clone(),
    }
}

fn virtualised(sector_bytes: u32, block: &Block, warnings: &mut Vec<Warning>) -> Virtualised {
    let header_bytes = u64::from(block.virtualised_sectors).saturating_mul(u64::from(sector_bytes));
    let datum_bytes = block.virtualisation.map_or(0, |datum| datum.size_bytes);
    if header_bytes > 0 && datum_bytes > 0 && header_bytes != datum_bytes {
        warnings.push(Warning::VirtualisedSizesDiffer { header_bytes, datum_bytes });
    }
    let length_bytes = if header_bytes > 0 { header_bytes } else { datum_bytes };
    Virtualised { offset_bytes: block.last_field, length_bytes }
}

/// On a fully encrypted volume the watermark is the volume's length; on others it may lie anywhere
/// inside.
fn warn_of_length(
    found_bytes: u64,
    kind: VolumeKind,
    state: ConversionState,
    block: &Block,
    warnings: &mut Vec<Warning>,
) {
    let expected_bytes = block.watermark_bytes;
    if kind != VolumeKind::Vista && expected_bytes > found_bytes {
        warnings.push(Warning::Truncated { expected_bytes, found_bytes });
    }
    let is_whole = state == ConversionState::Encrypted && kind != VolumeKind::Vista;
    if is_whole && expected_bytes > 0 && expected_bytes < found_bytes {
        warnings.push(Warning::LongerThanVolume { expected_bytes, found_bytes });
    }
    let is_whole = matches!(state, ConversionState::Encrypted | ConversionState::Decrypted);
    if !is_whole || (kind == VolumeKind::EncryptOnWrite && state == ConversionState::Encrypted) {
        warnings.push(Warning::ConversionInterrupted { kind });
    }
}
