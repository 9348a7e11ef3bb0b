//! GUIDs as GPT stores them: the first three fields little-endian, the rest as written.

use std::fmt;

/// The 16 bytes as they are on the drive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// An unused entry's type.
    pub const ZERO: Guid = Guid([0; 16]);
    /// Microsoft basic data, `EBD0A0A2-B9E5-4433-87C0-68B6B72699C7`: NTFS, exFAT, BitLocker.
    pub const BASIC_DATA: Guid = Guid::new(0xEBD0_A0A2, 0xB9E5, 0x4433, 0x87C0_68B6_B726_99C7);
    /// Microsoft reserved, `E3C9E316-0B5C-4DB8-817D-F92DF00215AE`.
    pub const MICROSOFT_RESERVED: Guid = Guid::new(0xE3C9_E316, 0x0B5C, 0x4DB8, 0x817D_F92D_F002_15AE);
    /// EFI system, `C12A7328-F81F-11D2-BA4B-00A0C93EC93B`.
    pub const EFI_SYSTEM: Guid = Guid::new(0xC12A_7328, 0xF81F, 0x11D2, 0xBA4B_00A0_C93E_C93B);

    /// From the fields as they are printed.
    pub const fn new(first: u32, second: u16, third: u16, last: u64) -> Guid {
        let ([a, b, c, d], [e, f], [g, h]) = (first.to_le_bytes(), second.to_le_bytes(), third.to_le_bytes());
        let [i, j, k, l, m, n, o, p] = last.to_be_bytes();
        Guid([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g, h, i, j, k, rest @ ..] = self.0;
        let first = u32::from_le_bytes([a, b, c, d]);
        let (second, third) = (u16::from_le_bytes([e, g]), u16::from_le_bytes([h, i]));
        write!(f, "{first:08X}-{second:04X}-{third:04X}-{j:02X}{k:02X}-")?;
        rest.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
