//! `$skiptoken`: where the next page of a list begins, opaque to the client.
//!
//! It holds a position and a fingerprint of the list that the position is of, so that a token taken to another list
//! is refused instead of silently leaving jobs out. It is no permission: what a caller may see is decided anew for
//! each page.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::error::ArmError;
use super::filter::Filter;
use super::path::Group;

/// First byte of a token: what follows is read as below.
const FORM: u8 = 1;
const TOKEN_BYTES: usize = 1 + 8 + 8;

/// Which list a token is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'a> {
    /// Its subscription.
    pub(super) subscription: &'a str,
    /// Its resource group, if it is of one.
    pub(super) group: Option<&'a Group>,
    /// What it is restricted to.
    pub(super) filter: &'a Filter,
}

impl List<'_> {
    /// The token of a position.
    pub(super) fn token(&self, position: i64) -> String {
        let bytes = [&[FORM][..], &position.to_be_bytes(), &self.fingerprint()].concat();
        bytes.iter().fold(String::with_capacity(2 * TOKEN_BYTES), |mut text, byte| {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The position of a token of this very list.
    pub(super) fn position(&self, token: &str) -> Result<i64, ArmError> {
        let refused = || ArmError::invalid_query("$skiptoken", "The '$skiptoken' is not one of this list.");
        let bytes = unhex(token).ok_or_else(refused)?;
        let (form, rest) = bytes.split_first().ok_or_else(refused)?;
        let (position, fingerprint) = rest.split_first_chunk::<8>().ok_or_else(refused)?;
        if *form != FORM || fingerprint != self.fingerprint() {
            return Err(refused());
        }
        Ok(i64::from_be_bytes(*position))
    }

    fn fingerprint(&self) -> [u8; 8] {
        let Filter { state, job_type, tracking_number } = self.filter;
        let group = self.group.map(|group| &group.name);
        let parts = [
            Some(&self.subscription.to_owned()),
            group,
            state.as_ref(),
            job_type.as_ref(),
            tracking_number.as_ref(),
        ]
        .map(|part| part.map(|part| part.to_lowercase()));
        let mut digest = Sha256::new();
        for part in parts {
            // Lengths keep one part's end from being another's beginning; a missing part is not an empty one.
            let length = part.as_ref().map_or(u64::MAX, |part| part.len() as u64);
            digest.update(length.to_be_bytes());
            digest.update(part.unwrap_or_default());
        }
        let mut first = [0; 8];
        first.copy_from_slice(&digest.finalize()[..8]);
        first
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let fits = digits.len() == 2 * TOKEN_BYTES && digits.iter().all(u8::is_ascii_hexdigit);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    fits.then(|| digits.chunks(2).map(byte).collect()).flatten()
}
