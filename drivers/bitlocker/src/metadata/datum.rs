//! Datums: the records that a metadata block, a protector and a BEK file consist of (spec §3.3).
//!
//! Flags are ignored, unknown roles and types are skipped by their size; a size below the header's
//! 8 bytes or past the parent is an error with its place.

use crate::bytes::u16_at;

const HEADER_BYTES: usize = 8;

/// What a datum is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Role(pub(crate) u16);

impl Role {
    pub(crate) const PROPERTY: Role = Role(0);
    pub(crate) const VMK: Role = Role(2);
    pub(crate) const FVEK: Role = Role(3);
    pub(crate) const STARTUP_KEY: Role = Role(6);
    pub(crate) const DESCRIPTION: Role = Role(7);
    pub(crate) const VIRTUALISATION: Role = Role(0xF);
    pub(crate) const RECOVERY_VALUE: Role = Role(0x12);
    pub(crate) const STRETCHED_KEY: Role = Role(0x13);
}

/// What a datum's body looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DatumType(pub(crate) u16);

impl DatumType {
    pub(crate) const KEY: DatumType = DatumType(1);
    pub(crate) const TEXT: DatumType = DatumType(2);
    pub(crate) const STRETCH_KEY: DatumType = DatumType(3);
    pub(crate) const USE_KEY: DatumType = DatumType(4);
    pub(crate) const SEALED: DatumType = DatumType(5);
    pub(crate) const TPM: DatumType = DatumType(6);
    pub(crate) const VMK: DatumType = DatumType(8);
    pub(crate) const EXTERNAL: DatumType = DatumType(9);
    pub(crate) const ASYMMETRIC: DatumType = DatumType(0xC);
    pub(crate) const VIRTUALISATION: DatumType = DatumType(0xF);
    pub(crate) const HINT: DatumType = DatumType(0x18);
}

/// One record; the body is what follows its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Datum<'a> {
    pub(crate) role: Role,
    pub(crate) kind: DatumType,
    pub(crate) body: &'a [u8],
}

/// A datum whose size is impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("datum at {at_bytes:#x} of its parent has size {size_bytes}")]
pub(crate) struct DatumError {
    pub(crate) at_bytes: usize,
    pub(crate) size_bytes: usize,
}

/// The datums of a parent, in their order; ends at the first impossible one.
#[derive(Debug, Clone)]
pub(crate) struct Datums<'a> {
    parent: &'a [u8],
    at: usize,
}

impl<'a> Datums<'a> {
    pub(crate) fn new(parent: &'a [u8]) -> Datums<'a> {
        Datums { parent, at: 0 }
    }

    fn cut(&self, size: usize) -> Option<Datum<'a>> {
        let datum = self.parent.get(self.at..self.at.checked_add(size)?)?;
        let body = datum.get(HEADER_BYTES..)?;
        Some(Datum { role: Role(u16_at(datum, 2)?), kind: DatumType(u16_at(datum, 4)?), body })
    }
}

impl<'a> Iterator for Datums<'a> {
    type Item = Result<Datum<'a>, DatumError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.parent.len() {
            return None;
        }
        let size = u16_at(self.parent, self.at).map_or(0, usize::from);
        let at_bytes = self.at;
        let Some(datum) = self.cut(size) else {
            self.at = self.parent.len();
            return Some(Err(DatumError { at_bytes, size_bytes: size }));
        };
        self.at = self.at.saturating_add(size);
        Some(Ok(datum))
    }
}

/// The datums inside a body, behind `skip` bytes of fixed fields.
pub(crate) fn nested(body: &[u8], skip: usize) -> Option<Datums<'_>> {
    body.get(skip..).map(Datums::new)
}

/// Builds a datum; `flags` are 1 on the disk and 0 in what is sealed.
pub(crate) fn build(role: Role, kind: DatumType, flags: u16, body: &[u8]) -> Vec<u8> {
    // Bodies that we build are a few hundred bytes; one that does not fit would be cut by every
    // reader, so it is saturated to a size that they refuse.
    let size = u16::try_from(body.len().saturating_add(HEADER_BYTES)).unwrap_or(0);
    let header = [size, role.0, kind.0, flags];
    let mut datum: Vec<u8> = header.iter().flat_map(|field| field.to_le_bytes()).collect();
    datum.extend_from_slice(body);
    datum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unknown_datums_are_passed_over_by_their_size() {
        let bytes =
            [build(Role(0x77), DatumType(0x99), 0x105, &[1, 2, 3]), build(Role::VMK, DatumType::VMK, 1, &[])];
        let roles: Vec<Role> = Datums::new(&bytes.concat()).map(|datum| datum.unwrap().role).collect();
        assert_eq!(roles, [Role(0x77), Role::VMK]);
    }

    #[test]
    fn an_impossible_size_ends_the_list_with_its_place() {
        let mut bytes = build(Role::VMK, DatumType::VMK, 1, &[0; 4]);
        bytes.extend_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0, 0]);
        let found: Vec<_> = Datums::new(&bytes).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[1], Err(DatumError { at_bytes: 12, size_bytes: 7 }));
    }

    proptest! {
        #[test]
        fn any_bytes_give_datums_that_lie_inside(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let total: usize = Datums::new(&bytes).flatten().map(|datum| datum.body.len() + HEADER_BYTES).sum();
            prop_assert!(total <= bytes.len());
        }
    }
}
