//! The drive header hash: azure-import-export.md §1.9, "Drive header hash (gen C)".

use model::digest::{HashText, HashTextError};

/// Most regions taken; two are seen.
const REGIONS_MAX: usize = 64;

/// What a job says about the drive's first bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderHash {
    /// Nothing: no check.
    Absent,
    /// Regions to check before unlocking.
    Regions(Vec<HeaderRegion>),
    /// Something that is no header hash. Published tutorials pass nonsense here, so it is a
    /// warning, never a refusal.
    Unparsable {
        /// What stands there, shortened.
        text: String,
        /// Why it is none.
        reason: HeaderHashError,
    },
}

/// One region of the drive and the hash of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderRegion {
    /// Where on the drive it begins.
    pub offset_bytes: u64,
    /// How long it is.
    pub length_bytes: u64,
    /// The hash.
    pub hash: HashText,
}

/// Why a text is no header hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderHashError {
    /// A region is not `offset:length:hash`.
    #[error("region {region} is not an offset, a length and a hash joined with colons")]
    Shape {
        /// Which one, from 0.
        region: usize,
    },
    /// Offset or length is no number, or the region has no bytes or no end.
    #[error("region {region} has an offset or a length that is not a number of bytes of a drive")]
    Number {
        /// Which one, from 0.
        region: usize,
    },
    /// The hash is none.
    #[error("the hash of region {region}: {reason}")]
    Hash {
        /// Which one, from 0.
        region: usize,
        /// Why.
        reason: HashTextError,
    },
    /// More regions than anybody writes.
    #[error("there are more than {REGIONS_MAX} regions")]
    Count,
}

impl HeaderHash {
    /// Reads the field; an empty one means that there is nothing to check.
    pub fn parse(text: &str) -> HeaderHash {
        let text = text.trim();
        if text.is_empty() {
            return HeaderHash::Absent;
        }
        match text.trim_end_matches(';').split(';').enumerate().map(region).collect() {
            Ok(regions) => HeaderHash::Regions(regions),
            Err(reason) => HeaderHash::Unparsable { text: crate::xml::shortened(text).to_owned(), reason },
        }
    }
}

fn region((region, text): (usize, &str)) -> Result<HeaderRegion, HeaderHashError> {
    if region >= REGIONS_MAX {
        return Err(HeaderHashError::Count);
    }
    let shape = HeaderHashError::Shape { region };
    let mut fields = text.split(':');
    let (Some(offset), Some(length), Some(hash), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(shape);
    };
    let number = |field: &str| field.trim().parse::<u64>().map_err(|_| HeaderHashError::Number { region });
    let (offset_bytes, length_bytes) = (number(offset)?, number(length)?);
    if length_bytes == 0 || offset_bytes.checked_add(length_bytes).is_none() {
        return Err(HeaderHashError::Number { region });
    }
    let hash = hash.parse().map_err(|reason| HeaderHashError::Hash { region, reason })?;
    Ok(HeaderRegion { offset_bytes, length_bytes, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_shape_gives_its_two_regions() {
        let (first, second) = ("FB".repeat(64), "c9".repeat(64));
        let HeaderHash::Regions(regions) =
            HeaderHash::parse(&format!(" 0:1048576:{first};135266304:143360:{second} "))
        else {
            panic!("not taken");
        };
        assert_eq!(regions.len(), 2);
        assert_eq!((regions[1].offset_bytes, regions[1].length_bytes), (129 << 20, 35 * 4096));
        assert_eq!(regions[1].hash, HashText::Sha512([0xC9; 64]));
    }

    #[test]
    fn an_empty_field_means_no_check_and_nonsense_is_a_warning() {
        assert_eq!(HeaderHash::parse("  "), HeaderHash::Absent);
        let many = vec!["0:1:D863FE44F861AE0DA4DCEAEEFFCCCE68"; REGIONS_MAX + 1].join(";");
        let digit = HashTextError::Length { digit_count: 2 };
        for (text, expected) in [
            ("9CA995BB", HeaderHashError::Shape { region: 0 }),
            ("0:1:2:3", HeaderHashError::Shape { region: 0 }),
            ("0:x:ab", HeaderHashError::Number { region: 0 }),
            ("0:0:ab", HeaderHashError::Number { region: 0 }),
            ("18446744073709551615:1:ab", HeaderHashError::Number { region: 0 }),
            ("0:1:ab", HeaderHashError::Hash { region: 0, reason: digit }),
            ("0:1:D863FE44F861AE0DA4DCEAEEFFCCCE68;;", HeaderHashError::Count),
            (&many, HeaderHashError::Count),
        ] {
            match HeaderHash::parse(text) {
                HeaderHash::Unparsable { reason, .. } => assert_eq!(reason, expected, "{text}"),
                HeaderHash::Regions(regions) => assert_eq!(regions.len(), 1, "{text}"),
                HeaderHash::Absent => panic!("{text}"),
            }
        }
    }
}
