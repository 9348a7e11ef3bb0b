//! How many drives it takes: first-fit decreasing.
//!
//! The largest goes first, each onto the first drive that has room. Eight bytes a blob are kept, and
//! finding the first drive with room takes steps in the logarithm of the drives, so ten million
//! blobs are 80 MB and some seconds.

/// What one drive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// How many blobs.
    pub blob_count: u64,
    /// What they take, everything included.
    pub occupied_bytes: u64,
}

/// Distributes blobs of these costs over drives with that much room each.
///
/// # Panics
/// When a cost is larger than a drive: those cannot be exported and are sorted out before.
pub fn first_fit_decreasing(mut costs: Vec<u64>, room_bytes: u64) -> Vec<Load> {
    costs.sort_unstable_by(|one, other| other.cmp(one));
    let mut drives = Drives::new(room_bytes);
    for cost in costs {
        assert!(cost <= room_bytes, "a blob larger than a drive was to be packed");
        drives.put(cost);
    }
    drives.loads
}

/// The drives in use, and over them a tree of the largest room that is left below each node.
struct Drives {
    room_bytes: u64,
    loads: Vec<Load>,
    /// A complete binary tree in an array, root at 1, leaves at `leaves..`; a power of two of them.
    largest: Vec<u64>,
    leaves: usize,
}

impl Drives {
    fn new(room_bytes: u64) -> Drives {
        Drives { room_bytes, loads: Vec::new(), largest: vec![room_bytes; 2], leaves: 1 }
    }

    fn put(&mut self, cost: u64) {
        if self.largest[1] < cost {
            self.grow();
        }
        let mut node = 1;
        while node < self.leaves {
            node *= 2;
            // The left half has the earlier drives.
            if self.largest[node] < cost {
                node += 1;
            }
        }
        let drive = node - self.leaves;
        if drive == self.loads.len() {
            self.loads.push(Load::default());
        }
        self.loads[drive].blob_count += 1;
        self.loads[drive].occupied_bytes += cost;
        self.largest[node] -= cost;
        while node > 1 {
            node /= 2;
            self.largest[node] = self.largest[2 * node].max(self.largest[2 * node + 1]);
        }
    }

    /// Twice as many leaves; drives that are not in use yet have all their room.
    fn grow(&mut self) {
        let left: Vec<u64> = self.largest[self.leaves..].to_vec();
        self.leaves *= 2;
        self.largest = vec![self.room_bytes; 2 * self.leaves];
        self.largest[self.leaves..self.leaves + left.len()].copy_from_slice(&left);
        for node in (1..self.leaves).rev() {
            self.largest[node] = self.largest[2 * node].max(self.largest[2 * node + 1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule as it is written in books.
    fn plainly(mut costs: Vec<u64>, room: u64) -> Vec<Load> {
        costs.sort_by(|one, other| other.cmp(one));
        let mut drives: Vec<Load> = Vec::new();
        for cost in costs {
            match drives.iter_mut().find(|drive| drive.occupied_bytes + cost <= room) {
                Some(drive) => {
                    drive.blob_count += 1;
                    drive.occupied_bytes += cost;
                }
                None => drives.push(Load { blob_count: 1, occupied_bytes: cost }),
            }
        }
        drives
    }

    #[test]
    fn nothing_needs_no_drive_and_full_drives_are_full() {
        assert_eq!(first_fit_decreasing(Vec::new(), 10), []);
        let full = Load { blob_count: 1, occupied_bytes: 10 };
        assert_eq!(first_fit_decreasing(vec![10, 10, 10], 10), [full; 3]);
        let zeros = first_fit_decreasing(vec![0; 1_000], 10);
        assert_eq!(zeros, [Load { blob_count: 1_000, occupied_bytes: 0 }]);
    }

    #[test]
    fn the_tree_finds_the_drive_that_a_plain_search_finds() {
        let mut state = 7_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for room in [1, 7, 100, 1_000] {
            let costs: Vec<u64> = (0..500).map(|_| next(room + 1)).collect();
            assert_eq!(first_fit_decreasing(costs.clone(), room), plainly(costs, room), "room {room}");
        }
    }
}
