//! Protectors: the encrypted copies of the VMK, one a secret (spec §4).

use std::fmt;

use zeroize::Zeroizing;

use super::datum::{Datum, DatumError, DatumType, nested};
use crate::bytes::{array_at, guid_at, u16_at, u64_at, utf16_text};
use crate::ccm::{Key256, Sealed};
use crate::{FileTime, Guid};

/// What opens a protector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProtectorKind {
    /// A key in the clear: the volume is suspended.
    ClearKey,
    /// 48 digits.
    RecoveryPassword,
    /// What the owner typed.
    Password,
    /// A startup key, a recovery key or an auto-unlock key: a `.BEK` file.
    ExternalKey,
    /// The TPM of the machine that made it.
    Tpm,
    /// That TPM and a PIN.
    TpmAndPin,
    /// That TPM and a startup key.
    TpmAndKey,
    /// That TPM, a PIN and a startup key.
    TpmPinAndKey,
    /// A smart card or certificate.
    SmartCard,
    /// A priority that the specification does not know, or datums that make no protector.
    Unknown {
        /// The priority field.
        priority: u16,
    },
}

/// One way to open the volume.
pub struct Protector {
    /// The key id that Windows shows.
    pub id: Guid,
    /// What opens it.
    pub kind: ProtectorKind,
    /// When it was made or last changed.
    pub modified: FileTime,
    /// A name that was stored with it, such as `ExternalKey` or `DiskPassword`.
    pub name: Option<String>,
    pub(crate) lock: Lock,
}

/// How the VMK comes out of a protector.
pub(crate) enum Lock {
    /// By a key that lies beside it.
    Clear { key: Key256, vmk: Sealed },
    /// By a secret that is stretched with a salt.
    Stretched { salt: [u8; 16], vmk: Sealed },
    /// By an external key, which is also kept here, sealed under the VMK.
    External { vmk: Sealed, kept: Option<Sealed> },
    /// Not by anything that a datacentre has.
    Closed,
}

/// GUID 16, time 8, two 16-bit fields; then the properties.
const PROPERTIES_AT: usize = 28;

impl Protector {
    /// Reads a VMK datum's body. Properties that make no sense give a protector that cannot be
    /// opened, so that one bad protector does not hide the good ones.
    ///
    /// # Errors
    /// When the fixed fields are missing or a nested datum has an impossible size.
    pub(crate) fn parse(body: &[u8]) -> Result<Protector, DatumError> {
        let short = DatumError { at_bytes: 0, size_bytes: body.len() };
        let id = guid_at(body, 0).ok_or(short)?;
        let modified = FileTime(u64_at(body, 16).ok_or(short)?);
        let priority = u16_at(body, 26).ok_or(short)?;
        let properties: Vec<Datum<'_>> =
            nested(body, PROPERTIES_AT).ok_or(short)?.collect::<Result<_, _>>()?;
        let (kind, lock) = sort(&properties, priority);
        let name = property(&properties, DatumType::TEXT)
            .or_else(|| property(&properties, DatumType::HINT))
            .map(|datum| utf16_text(datum.body));
        Ok(Protector { id, kind, modified, name, lock })
    }
}

impl fmt::Debug for Protector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.id, self.kind)
    }
}

impl fmt::Display for ProtectorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ProtectorKind::ClearKey => "clear key",
            ProtectorKind::RecoveryPassword => "recovery password",
            ProtectorKind::Password => "password",
            ProtectorKind::ExternalKey => "external key",
            ProtectorKind::Tpm => "TPM",
            ProtectorKind::TpmAndPin => "TPM and PIN",
            ProtectorKind::TpmAndKey => "TPM and startup key",
            ProtectorKind::TpmPinAndKey => "TPM, PIN and startup key",
            ProtectorKind::SmartCard => "smart card",
            ProtectorKind::Unknown { priority } => {
                return write!(formatter, "unknown protector with priority {priority:#06x}");
            }
        })
    }
}

/// The properties decide what can be opened; the priority names what cannot.
fn sort(properties: &[Datum<'_>], priority: u16) -> (ProtectorKind, Lock) {
    let closed = (kind_of_priority(priority), Lock::Closed);
    if property(properties, DatumType::TPM).is_some() || property(properties, DatumType::ASYMMETRIC).is_some()
    {
        return closed;
    }
    let Some(vmk) = property(properties, DatumType::SEALED).and_then(|datum| Sealed::parse(datum.body))
    else {
        return closed;
    };
    let stretch = property(properties, DatumType::STRETCH_KEY);
    let key = property(properties, DatumType::KEY);
    if let Some((kind, salt)) = stretch.and_then(|datum| stretch_fields(datum.body)) {
        return (kind, Lock::Stretched { salt, vmk });
    }
    if let Some(key) = key.and_then(|datum| clear_key(datum.body)) {
        return (ProtectorKind::ClearKey, Lock::Clear { key, vmk });
    }
    // An external key needs no property of its own: the use-key datum may be missing (spec §8).
    match kind_of_priority(priority) {
        ProtectorKind::ExternalKey => {
            let kept = property(properties, DatumType::USE_KEY).and_then(|datum| kept_key(datum.body));
            (ProtectorKind::ExternalKey, Lock::External { vmk, kept })
        }
        _ => closed,
    }
}

fn kind_of_priority(priority: u16) -> ProtectorKind {
    match priority {
        0x0000 => ProtectorKind::ClearKey,
        0x0100 => ProtectorKind::Tpm,
        0x0200 => ProtectorKind::ExternalKey,
        0x0300 => ProtectorKind::TpmAndKey,
        0x0400 | 0x0500 => ProtectorKind::TpmAndPin,
        0x0700 => ProtectorKind::TpmPinAndKey,
        0x0800 => ProtectorKind::RecoveryPassword,
        0x1000 => ProtectorKind::SmartCard,
        0x2000 => ProtectorKind::Password,
        priority => ProtectorKind::Unknown { priority },
    }
}

/// Method 2, flags 2, salt 16, nested datums.
fn stretch_fields(body: &[u8]) -> Option<(ProtectorKind, [u8; 16])> {
    let kind = match u16_at(body, 0)? {
        METHOD_RECOVERY => ProtectorKind::RecoveryPassword,
        METHOD_PASSWORD => ProtectorKind::Password,
        _ => return None,
    };
    Some((kind, array_at(body, 4)?))
}

/// Method 2, flags 2, nested datums.
fn kept_key(body: &[u8]) -> Option<Sealed> {
    let mut nested = nested(body, 4)?.map_while(Result::ok);
    nested.find(|datum| datum.kind == DatumType::SEALED).and_then(|datum| Sealed::parse(datum.body))
}

/// Method 2, flags 2, key.
fn clear_key(body: &[u8]) -> Option<Key256> {
    (u16_at(body, 0)? == METHOD_CLEAR && body.len() == 36).then(|| array_at(body, 4).map(Zeroizing::new))?
}

/// The first property of a type; a nested datum's role tells nothing here.
fn property<'d, 'a>(properties: &'d [Datum<'a>], kind: DatumType) -> Option<&'d Datum<'a>> {
    properties.iter().find(|datum| datum.kind == kind)
}

/// Key methods (spec §3.3).
pub(crate) const METHOD_RECOVERY: u16 = 0x1000;
pub(crate) const METHOD_PASSWORD: u16 = 0x1001;
pub(crate) const METHOD_CLEAR: u16 = 0x2000;
pub(crate) const METHOD_EXTERNAL: u16 = 0x2002;
pub(crate) const METHOD_VMK: u16 = 0x2003;
pub(crate) const METHOD_SHA256: u16 = 0x2005;
pub(crate) const METHOD_STRETCHED_PASSWORD: u16 = 0x2007;
pub(crate) const METHOD_STRETCHED_RECOVERY: u16 = 0x2008;
