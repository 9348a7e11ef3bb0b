//! Data runs: the mapping pairs of a non-resident attribute. spec/ntfs.md §3.4, §5 "Runs".
//!
//! A pair is a header byte (low nibble: bytes of the length, high nibble: bytes of the distance),
//! the signed length in clusters, and the signed distance from the cluster where the run before
//! began. A hole has no distance bytes at all; a distance of zero is a place like any other (the
//! boot file begins at cluster 0).

use crate::bytes::slice_at;

/// Consecutive clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// First cluster on the volume; `None` for a hole.
    pub(crate) lcn: Option<u64>,
    /// How many; never 0.
    pub(crate) clusters: u64,
}

/// Why mapping pairs cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RunFault {
    /// The header byte asks for no length or for more than eight bytes.
    #[error("a data run's header byte is {found:#04x}")]
    Header {
        /// The byte.
        found: u8,
    },
    /// The pairs end within one.
    #[error("the data runs end within one")]
    Truncated,
    /// A run of no or a negative number of clusters.
    #[error("a data run has {found} clusters")]
    Length {
        /// The length as stored.
        found: i64,
    },
    /// A run that begins or ends outside the volume.
    #[error("a data run of {clusters} clusters at {lcn} is outside the volume")]
    Outside {
        /// First cluster, as it came out.
        lcn: i64,
        /// How many clusters.
        clusters: u64,
    },
    /// The runs are together longer than any file can be.
    #[error("the data runs are longer than a file can be")]
    TooLong,
}

/// Decodes mapping pairs; ends after the first fault.
pub(crate) struct Runs<'a> {
    bytes: &'a [u8],
    at: usize,
    lcn: i64,
    volume_clusters: u64,
    done: bool,
}

impl<'a> Runs<'a> {
    /// `volume_clusters` bounds every run.
    pub(crate) fn new(bytes: &'a [u8], volume_clusters: u64) -> Runs<'a> {
        Runs { bytes, at: 0, lcn: 0, volume_clusters, done: false }
    }

    fn decode(&mut self) -> Result<Option<Run>, RunFault> {
        // Pairs may fill the attribute to its last byte, and then have no end mark.
        let header = self.bytes.get(self.at).copied().unwrap_or(0);
        if header == 0 {
            return Ok(None);
        }
        let (length_bytes, distance_bytes) = (usize::from(header & 15), usize::from(header >> 4_u32));
        if length_bytes == 0 || length_bytes > 8 || distance_bytes > 8 {
            return Err(RunFault::Header { found: header });
        }
        let length_at = self.at.saturating_add(1);
        let distance_at = length_at.saturating_add(length_bytes);
        let length = signed(self.bytes, length_at, length_bytes)?;
        let clusters = u64::try_from(length).ok().filter(|&clusters| clusters > 0);
        let clusters = clusters.ok_or(RunFault::Length { found: length })?;
        let lcn = match distance_bytes {
            0 => None,
            _ => Some(self.place(signed(self.bytes, distance_at, distance_bytes)?, clusters)?),
        };
        self.at = distance_at.saturating_add(distance_bytes);
        Ok(Some(Run { lcn, clusters }))
    }

    fn place(&mut self, distance: i64, clusters: u64) -> Result<u64, RunFault> {
        let outside = |lcn| RunFault::Outside { lcn, clusters };
        self.lcn = self.lcn.checked_add(distance).ok_or(outside(distance))?;
        u64::try_from(self.lcn)
            .ok()
            .filter(|lcn| lcn.checked_add(clusters).is_some_and(|end| end <= self.volume_clusters))
            .ok_or(outside(self.lcn))
    }
}

impl Iterator for Runs<'_> {
    type Item = Result<Run, RunFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let run = self.decode().transpose();
        self.done = !matches!(run, Some(Ok(_)));
        run
    }
}

/// A little-endian integer of 1 to 8 bytes, sign-extended.
fn signed(bytes: &[u8], at: usize, length: usize) -> Result<i64, RunFault> {
    let field = slice_at(bytes, at, length).ok_or(RunFault::Truncated)?;
    let negative = field.last().is_some_and(|last| last & 0x80 != 0);
    let mut whole = if negative { [0xff; 8] } else { [0; 8] };
    for (to, from) in whole.iter_mut().zip(field) {
        *to = *from;
    }
    Ok(i64::from_le_bytes(whole))
}

/// What checked mapping pairs amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measure {
    /// Bytes of the pairs, without the end mark.
    pub(crate) encoded_bytes: usize,
    /// Clusters in all, holes included.
    pub(crate) clusters: u64,
}

/// Follows all pairs once.
///
/// # Errors
/// The first fault.
pub(crate) fn measure(bytes: &[u8], volume_clusters: u64) -> Result<Measure, RunFault> {
    let mut runs = Runs::new(bytes, volume_clusters);
    let mut clusters = 0_u64;
    while let Some(run) = runs.next().transpose()? {
        let sum = clusters.checked_add(run.clusters);
        clusters = sum.filter(|&sum| i64::try_from(sum).is_ok()).ok_or(RunFault::TooLong)?;
    }
    Ok(Measure { encoded_bytes: runs.at, clusters })
}

/// Length in bytes of checked pairs up to and including their end mark.
pub(crate) fn encoded_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    loop {
        let header = *bytes.get(at)?;
        let fields = usize::from(header & 15).checked_add(usize::from(header >> 4_u32))?;
        at = at.checked_add(1)?.checked_add(fields)?;
        if header == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLUSTERS: u64 = 1 << 40;

    /// The shortest two's complement form, as Windows writes it.
    fn minimal(value: i64) -> Vec<u8> {
        let bytes = value.to_le_bytes();
        let enough = (1..8).find(|&n| signed(&bytes[..n], 0, n) == Ok(value)).unwrap_or(8);
        bytes[..enough].to_vec()
    }

    fn encode(runs: &[Run]) -> Vec<u8> {
        let (mut out, mut before) = (Vec::new(), 0_i64);
        for run in runs {
            let length = minimal(run.clusters.try_into().unwrap());
            let distance = run.lcn.map_or(Vec::new(), |lcn| {
                let lcn = i64::try_from(lcn).unwrap();
                let distance = minimal(lcn - before);
                before = lcn;
                distance
            });
            out.push(u8::try_from(length.len() | distance.len() << 4).unwrap());
            out.extend(length);
            out.extend(distance);
        }
        out.push(0);
        out
    }

    fn run() -> impl Strategy<Value = Run> {
        (proptest::option::of(0..CLUSTERS - (1 << 20)), 1_u64..1 << 20)
            .prop_map(|(lcn, clusters)| Run { lcn, clusters })
    }

    proptest! {
        #[test]
        fn runs_decode_to_what_a_simple_model_encoded(runs in proptest::collection::vec(run(), 0..40)) {
            let bytes = encode(&runs);
            let decoded: Result<Vec<_>, _> = Runs::new(&bytes, CLUSTERS).collect();
            prop_assert_eq!(decoded.unwrap(), runs.clone());
            let measured = measure(&bytes, CLUSTERS).unwrap();
            prop_assert_eq!(measured.encoded_bytes + 1, bytes.len());
            prop_assert_eq!(encoded_length(&bytes), Some(bytes.len()));
            prop_assert_eq!(measured.clusters, runs.iter().map(|run| run.clusters).sum::<u64>());
        }

        #[test]
        fn any_bytes_give_runs_inside_the_volume_or_a_fault(bytes: Vec<u8>, clusters in 1_u64..1 << 50) {
            for run in Runs::new(&bytes, clusters).map_while(Result::ok) {
                prop_assert!(run.clusters > 0);
                prop_assert!(run.lcn.is_none_or(|lcn| lcn + run.clusters <= clusters));
            }
        }
    }

    #[test]
    fn a_distance_of_zero_is_a_place_and_no_distance_is_a_hole() {
        let runs: Vec<_> = Runs::new(&[0x11, 2, 0, 0x01, 3, 0], 100).map(Result::unwrap).collect();
        assert_eq!(runs, [Run { lcn: Some(0), clusters: 2 }, Run { lcn: None, clusters: 3 }]);
    }

    #[test]
    fn faults_name_what_is_wrong() {
        let fault = |bytes: &[u8]| Runs::new(bytes, 100).find_map(Result::err).unwrap();
        assert_eq!(fault(&[0x10, 1]), RunFault::Header { found: 0x10 });
        assert_eq!(fault(&[0x19, 1]), RunFault::Header { found: 0x19 });
        assert_eq!(fault(&[0x11, 1]), RunFault::Truncated);
        assert_eq!(fault(&[0x11, 0x80, 1]), RunFault::Length { found: -128 });
        assert_eq!(fault(&[0x11, 0, 1]), RunFault::Length { found: 0 });
        assert_eq!(fault(&[0x11, 1, 0xff]), RunFault::Outside { lcn: -1, clusters: 1 });
        assert_eq!(fault(&[0x11, 1, 100]), RunFault::Outside { lcn: 100, clusters: 1 });
        let mut endless = vec![0x08; 9];
        endless[1..].copy_from_slice(&i64::MAX.to_le_bytes());
        let twice = [&endless[..], &endless, &[0]].concat();
        assert_eq!(measure(&twice, 100), Err(RunFault::TooLong));
    }
}
