//! The protectors of a new volume, as Windows 8 and later write them (spec §4, §9.3).

use zeroize::Zeroizing;

use super::{FormatError, random};
use crate::ccm::{Key256, Sealed};
use crate::metadata::datum::{DatumType, Role, build};
use crate::metadata::protector::{
    METHOD_EXTERNAL, METHOD_PASSWORD, METHOD_RECOVERY, METHOD_STRETCHED_PASSWORD, METHOD_STRETCHED_RECOVERY,
    METHOD_VMK,
};
use crate::stretch::stretch;
use crate::{FileTime, Guid, Password, RecoveryPassword};

/// Flags of every datum on the disk, and of a datum that is sealed.
const ON_DISK: u16 = 1;
const SEALED: u16 = 0;

/// Priorities (spec §4).
const PRIORITY_EXTERNAL: u16 = 0x0200;
const PRIORITY_RECOVERY: u16 = 0x0800;
const PRIORITY_PASSWORD: u16 = 0x2000;

/// Name of an external key, in the metadata and in the file.
const EXTERNAL_KEY: &str = "ExternalKey";

/// A startup key for a USB stick: 156 bytes, the form that every reader takes. Zeroed when dropped.
pub struct BekFile {
    /// What the file must be called.
    pub name: String,
    /// What it must contain.
    pub contents: Zeroizing<Vec<u8>>,
}

/// Nonces of one volume: a pair of time and counter is never used twice under a VMK.
pub(super) struct Nonces {
    time: FileTime,
    last: u32,
}

impl Nonces {
    /// The first nonce has counter 2, as on volumes that Windows made.
    pub(super) fn new(time: FileTime) -> Nonces {
        Nonces { time, last: 1 }
    }

    pub(super) fn next(&mut self) -> [u8; 12] {
        self.next_at(self.time)
    }

    pub(super) fn next_at(&mut self, time: FileTime) -> [u8; 12] {
        self.last = self.last.saturating_add(1);
        let mut nonce = [0; 12];
        let (first, second) = nonce.split_at_mut(8);
        first.copy_from_slice(&time.0.to_le_bytes());
        second.copy_from_slice(&self.last.to_le_bytes());
        nonce
    }

    /// The counter that the next change of the volume will use.
    pub(super) fn upcoming(&self) -> u32 {
        self.last.saturating_add(1)
    }

    pub(super) fn time(&self) -> FileTime {
        self.time
    }
}

/// The VMK datum of a password.
pub(super) fn password(
    vmk: &[u8; 32],
    password: &Password,
    nonces: &mut Nonces,
) -> Result<Vec<u8>, FormatError> {
    let salt: [u8; 16] = random::bytes()?;
    let key = stretch(password.hash(), &salt);
    let kept = sealed_key(Role::PROPERTY, vmk, METHOD_STRETCHED_PASSWORD, &key[..], nonces);
    let properties = [stretch_datum(METHOD_PASSWORD, salt, &kept), sealed_vmk(&key, vmk, nonces)].concat();
    Ok(vmk_datum(random::guid()?, PRIORITY_PASSWORD, &properties, nonces.time()))
}

/// The VMK datum of a recovery password; whoever holds the VMK can read the password back, which is
/// how Windows shows it.
pub(super) fn recovery_password(
    vmk: &[u8; 32],
    password: &RecoveryPassword,
    nonces: &mut Nonces,
) -> Result<Vec<u8>, FormatError> {
    let salt: [u8; 16] = random::bytes()?;
    let key = stretch(&password.hash(), &salt);
    let value = sealed_key(Role::RECOVERY_VALUE, vmk, METHOD_RECOVERY, password.words(), nonces);
    let kept = sealed_key(Role::STRETCHED_KEY, vmk, METHOD_STRETCHED_RECOVERY, &key[..], nonces);
    let properties =
        [stretch_datum(METHOD_RECOVERY, salt, &[value, kept].concat()), sealed_vmk(&key, vmk, nonces)]
            .concat();
    Ok(vmk_datum(random::guid()?, PRIORITY_RECOVERY, &properties, nonces.time()))
}

/// The VMK datum of an external key, and the file that opens it.
pub(super) fn external_key(vmk: &[u8; 32], nonces: &mut Nonces) -> Result<(Vec<u8>, BekFile), FormatError> {
    let (id, key): (Guid, Key256) = (random::guid()?, random::secret()?);
    let kept = sealed_key(Role::PROPERTY, vmk, METHOD_EXTERNAL, &key[..], nonces);
    let use_key = [&METHOD_EXTERNAL.to_le_bytes()[..], &[0, 0], &kept].concat();
    let properties = [
        text(Role::PROPERTY, EXTERNAL_KEY),
        build(Role::PROPERTY, DatumType::USE_KEY, ON_DISK, &use_key),
        sealed_vmk(&key, vmk, nonces),
    ]
    .concat();
    let datum = vmk_datum(id, PRIORITY_EXTERNAL, &properties, nonces.time());
    Ok((datum, bek_file(id, &key, nonces.time())))
}

/// The FVEK datum.
pub(super) fn fvek(vmk: &[u8; 32], method: u16, key: &[u8], nonces: &mut Nonces) -> Vec<u8> {
    sealed_key(Role::FVEK, vmk, method, key, nonces)
}

/// A datum of NUL-terminated text.
pub(super) fn text(role: Role, text: &str) -> Vec<u8> {
    let units = text.encode_utf16().chain([0]);
    build(role, DatumType::TEXT, ON_DISK, &units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
}

/// A key datum as it is sealed: method, 0, key.
pub(super) fn key_datum(method: u16, key: &[u8], flags: u16) -> Zeroizing<Vec<u8>> {
    let body = Zeroizing::new([&method.to_le_bytes()[..], &[0, 0], key].concat());
    Zeroizing::new(build(Role::PROPERTY, DatumType::KEY, flags, &body))
}

fn sealed_key(role: Role, under: &[u8; 32], method: u16, key: &[u8], nonces: &mut Nonces) -> Vec<u8> {
    let sealed = Sealed::seal(under, nonces.next(), &key_datum(method, key, SEALED));
    build(role, DatumType::SEALED, ON_DISK, &sealed.to_bytes())
}

fn sealed_vmk(under: &[u8; 32], vmk: &[u8; 32], nonces: &mut Nonces) -> Vec<u8> {
    sealed_key(Role::PROPERTY, under, METHOD_VMK, vmk, nonces)
}

fn stretch_datum(method: u16, salt: [u8; 16], nested: &[u8]) -> Vec<u8> {
    let body = [&method.to_le_bytes()[..], &[0, 0], &salt, nested].concat();
    build(Role::PROPERTY, DatumType::STRETCH_KEY, ON_DISK, &body)
}

fn vmk_datum(id: Guid, priority: u16, properties: &[u8], time: FileTime) -> Vec<u8> {
    let fixed = [&id.to_bytes()[..], &time.0.to_le_bytes(), &[0, 0], &priority.to_le_bytes()].concat();
    build(Role::VMK, DatumType::VMK, ON_DISK, &[&fixed, properties].concat())
}

/// Layout: spec §4.3, without the volume's GUID, which dislocker 0.7.3 does not take.
pub(super) fn bek_file(id: Guid, key: &[u8; 32], time: FileTime) -> BekFile {
    const HEADER_BYTES: u32 = 48;
    let body = Zeroizing::new(
        [
            &id.to_bytes()[..],
            &time.0.to_le_bytes(),
            &text(Role::PROPERTY, EXTERNAL_KEY),
            &key_datum(METHOD_EXTERNAL, key, ON_DISK),
        ]
        .concat(),
    );
    let datum = Zeroizing::new(build(Role::STARTUP_KEY, DatumType::EXTERNAL, ON_DISK, &body));
    let size = u32::try_from(datum.len()).unwrap_or(0).saturating_add(HEADER_BYTES).to_le_bytes();
    let header = [&size[..], &1_u32.to_le_bytes(), &HEADER_BYTES.to_le_bytes(), &size].concat();
    // Next nonce 1, method 0 twice.
    let rest = [&id.to_bytes()[..], &1_u32.to_le_bytes(), &[0; 4], &time.0.to_le_bytes()].concat();
    let contents = Zeroizing::new([&header[..], &rest, &datum].concat());
    BekFile { name: format!("{}.BEK", id.to_string().to_uppercase()), contents }
}
