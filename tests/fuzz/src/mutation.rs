//! Seeded mutations: the same seed gives the same inputs on every machine, so a failure replays.
//!
//! Inputs are megabytes of which little matters, so mutations fall on bytes that are not zero, and
//! numbers are replaced by those that break arithmetic: 0, 1, the largest, the sign bit.

use std::ops::Range;

/// Changes at most this many places of one input.
const CHANGES_MAX: u64 = 6;

/// Values that lengths, counts and offsets go wrong at.
const AWKWARD: [u64; 12] = [
    0,
    1,
    7,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    0x7FFF_FFFF_FFFF_FFFF,
    0xFFFF_FFFF_FFFF_FFFF,
];

/// A source of numbers that follows from its seed: xorshift64* (Vigna 2016).
pub struct Dice(u64);

impl Dice {
    /// Any seed will do.
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = limit.max(1) as u64;
        usize::try_from(self.roll() % limit).unwrap_or_default()
    }

    /// One of `items`, which are not none.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// An input that mutations start from.
pub struct Seed {
    /// What it is, for messages.
    pub name: String,
    /// The sound input.
    pub bytes: Vec<u8>,
    /// Where it is not zero, in lines of [`LINE_BYTES`].
    busy: Vec<usize>,
}

const LINE_BYTES: usize = 64;

impl Seed {
    /// Prepares an input.
    pub fn new(name: &str, bytes: Vec<u8>) -> Seed {
        let lines = bytes.chunks(LINE_BYTES).enumerate();
        let busy =
            lines.filter(|(_, line)| line.iter().any(|byte| *byte != 0)).map(|(index, _)| index).collect();
        Seed { name: name.to_owned(), bytes, busy }
    }

    /// A mutant of this input into `mutant`, whose capacity is used again.
    pub fn mutate(&self, dice: &mut Dice, mutant: &mut Vec<u8>) {
        mutant.clone_from(&self.bytes);
        for _ in 0..=dice.roll() % CHANGES_MAX {
            self.change(dice, mutant);
        }
        if dice.below(16) == 0 {
            mutant.truncate(dice.below(self.bytes.len() + 1));
        }
    }

    fn change(&self, dice: &mut Dice, mutant: &mut [u8]) {
        let at = self.place(dice);
        match dice.below(6) {
            0 => overwrite(mutant, at, &[dice.pick(&[0, 0x7F, 0x80, 0xFF])]),
            1 => mutant[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << (dice.roll() % 8)),
            2 => overwrite(mutant, at & !1, &dice.pick(&AWKWARD).to_le_bytes()[..2]),
            3 => overwrite(mutant, at & !3, &dice.pick(&AWKWARD).to_le_bytes()[..4]),
            4 => overwrite(mutant, at & !7, &dice.pick(&AWKWARD).to_le_bytes()),
            _ => {
                let source = self.place(dice);
                let length = 1 + dice.below(LINE_BYTES);
                let stolen: Vec<u8> = mutant[within(source, length, mutant.len())].to_vec();
                overwrite(mutant, at, &stolen);
            }
        }
    }

    /// A position that is worth changing; past the end only when the input is empty.
    fn place(&self, dice: &mut Dice) -> usize {
        let line = if self.busy.is_empty() { 0 } else { dice.pick(&self.busy) };
        (line * LINE_BYTES + dice.below(LINE_BYTES)).min(self.bytes.len().saturating_sub(1))
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    let range = within(at, with.len(), bytes.len());
    let length = range.len();
    bytes[range].copy_from_slice(&with[..length]);
}

fn within(at: usize, length: usize, end: usize) -> Range<usize> {
    at.min(end)..at.saturating_add(length).min(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_dice_give_the_same_mutants_and_others_do_not() {
        let seed = Seed::new("text", b"<DriveManifest Version=\"2014-11-01\"/>".repeat(9));
        let mutants = |number| {
            let (mut dice, mut mutant) = (Dice::new(number), Vec::new());
            let mut next = || {
                seed.mutate(&mut dice, &mut mutant);
                mutant.clone()
            };
            [next(), next(), next()]
        };
        assert_eq!(mutants(1), mutants(1));
        assert_ne!(mutants(1), mutants(2));
        assert!(mutants(1).iter().any(|mutant| *mutant != seed.bytes));
    }

    #[test]
    fn any_input_can_be_mutated() {
        for length in [0, 1, 7, 63, 64, 65] {
            let seed = Seed::new("x", vec![1; length]);
            let (mut dice, mut mutant) = (Dice::new(length as u64), Vec::new());
            for _ in 0..1_000 {
                seed.mutate(&mut dice, &mut mutant);
                assert!(mutant.len() <= length);
            }
        }
    }
}
