//! Recovery passwords: eight groups of six digits, each checked by itself, so a typo is located to
//! its group before the costly key derivation (spec §4.2).

use std::fmt;

use zeroize::Zeroizing;

use crate::ccm::Key256;
use crate::stretch::sha256;

const GROUPS: usize = 8;
const GROUP_DIGITS: usize = 6;
const DIGITS: usize = GROUPS * GROUP_DIGITS;

/// Every group is a 16-bit word times this, which makes its last digit a check digit.
const CHECK_FACTOR: u32 = 11;

/// The 16 bytes behind a recovery password. Zeroed when dropped.
pub struct RecoveryPassword {
    words: Zeroizing<[u8; 16]>,
}

/// Text that cannot be a recovery password. Shows no digit of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryPasswordError {
    /// Something other than digits, dashes and spaces.
    #[error("character {position} of the recovery password is neither digit, dash nor space")]
    NotADigit {
        /// Counted from 1.
        position: usize,
    },
    /// Not 48 digits, and no dashes that would tell which group is wrong.
    #[error("a recovery password has {DIGITS} digits, this has {digits}")]
    WrongLength {
        /// How many there are.
        digits: usize,
    },
    /// The groups that contain a typo.
    #[error("mistyped: group {} of the recovery password", list(groups))]
    WrongGroups {
        /// Counted from 1, ascending, never empty.
        groups: Vec<usize>,
    },
}

impl RecoveryPassword {
    /// Reads what a person typed or a job entry carries: with dashes, spaces or neither.
    ///
    /// # Errors
    /// Located as closely as the check digits allow.
    pub fn parse(text: &str) -> Result<RecoveryPassword, RecoveryPasswordError> {
        let groups = split_groups(text)?;
        let words: Vec<Option<u16>> = groups.iter().map(|group| group_word(group)).collect();
        let wrong: Vec<usize> =
            (1..).zip(&words).filter(|(_, word)| word.is_none()).map(|(number, _)| number).collect();
        if !wrong.is_empty() {
            return Err(RecoveryPasswordError::WrongGroups { groups: wrong });
        }
        let mut bytes = Zeroizing::new([0; 16]);
        for (place, word) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(words.into_iter().flatten()) {
            *place = word.to_le_bytes();
        }
        Ok(RecoveryPassword { words: bytes })
    }

    /// A password from its 16 bytes: every value is valid.
    pub fn from_words(words: Zeroizing<[u8; 16]>) -> RecoveryPassword {
        RecoveryPassword { words }
    }

    /// The 48 digits with dashes, for the person who must keep them.
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(DIGITS.saturating_add(GROUPS)));
        for (index, word) in self.words.as_chunks::<2>().0.iter().enumerate() {
            if index > 0 {
                text.push('-');
            }
            let value = u32::from(u16::from_le_bytes(*word)).saturating_mul(CHECK_FACTOR);
            text.push_str(&Zeroizing::new(format!("{value:06}")));
        }
        text
    }

    /// For a reader of the volume that this password was just set on.
    pub(crate) fn duplicate(&self) -> RecoveryPassword {
        RecoveryPassword { words: self.words.clone() }
    }

    /// What is stretched with a protector's salt.
    pub(crate) fn hash(&self) -> Key256 {
        sha256(&self.words[..])
    }

    /// The 16 bytes that a protector stores under the VMK.
    pub(crate) fn words(&self) -> &[u8; 16] {
        &self.words
    }
}

impl fmt::Debug for RecoveryPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RecoveryPassword")
    }
}

/// Cuts at the separators if that gives eight groups; otherwise into sixes, if there are 48 digits.
fn split_groups(text: &str) -> Result<Vec<Zeroizing<String>>, RecoveryPasswordError> {
    let mut parts = vec![Zeroizing::new(String::with_capacity(DIGITS))];
    for (position, character) in (1_usize..).zip(text.trim().chars()) {
        match (character, parts.last_mut()) {
            ('0'..='9', Some(part)) if part.len() < DIGITS => part.push(character),
            ('0'..='9', _) => return Err(RecoveryPasswordError::WrongLength { digits: count_digits(text) }),
            (character, Some(part)) if is_separator(character) => {
                if !part.is_empty() {
                    parts.push(Zeroizing::new(String::with_capacity(DIGITS)));
                }
            }
            _ => return Err(RecoveryPasswordError::NotADigit { position }),
        }
    }
    parts.retain(|part| !part.is_empty());
    if parts.len() == GROUPS {
        return Ok(parts);
    }
    let digits = Zeroizing::new(parts.iter().map(|part| part.as_str()).collect::<String>());
    if digits.len() != DIGITS {
        return Err(RecoveryPasswordError::WrongLength { digits: digits.len() });
    }
    let (sixes, _) = digits.as_bytes().as_chunks::<GROUP_DIGITS>();
    Ok(sixes.iter().map(|six| Zeroizing::new(six.iter().copied().map(char::from).collect())).collect())
}

fn count_digits(text: &str) -> usize {
    text.chars().filter(char::is_ascii_digit).count()
}

/// Dashes as printers and word processors write them, and spaces.
fn is_separator(character: char) -> bool {
    character.is_whitespace() || matches!(character, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// The word behind a group; `None` when the group cannot be right.
fn group_word(group: &str) -> Option<u16> {
    if group.len() != GROUP_DIGITS {
        return None;
    }
    let value: u32 = group.parse().ok()?;
    if !value.is_multiple_of(CHECK_FACTOR) {
        return None;
    }
    u16::try_from(value / CHECK_FACTOR).ok()
}

fn list(groups: &[usize]) -> String {
    groups.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "042647-302313-590458-071500-554323-116567-412181-516978";

    #[test]
    fn dashes_spaces_and_neither_are_the_same_password() {
        let expected = *RecoveryPassword::parse(GOOD).unwrap().words;
        for text in [
            GOOD.replace('-', ""),
            GOOD.replace('-', " "),
            GOOD.replace('-', "\u{2013}"),
            format!(" {GOOD}\n"),
        ] {
            assert_eq!(*RecoveryPassword::parse(&text).unwrap().words, expected, "{text}");
        }
    }

    #[test]
    fn a_typo_is_located_to_its_groups() {
        let cases = [
            (GOOD.replace("302313", "302314"), vec![2]),
            (GOOD.replace("302313", "30231"), vec![2]),
            (GOOD.replace("042647", "024647").replace("516978", "516987"), vec![1, 8]),
            (GOOD.replace("590458", "720896"), vec![3]),
            (GOOD.replace('-', "").replace("071500", "071501"), vec![4]),
        ];
        for (text, groups) in cases {
            let error = RecoveryPassword::parse(&text).unwrap_err();
            assert_eq!(error, RecoveryPasswordError::WrongGroups { groups }, "{text}");
        }
    }

    #[test]
    fn text_of_another_length_or_kind_is_refused_without_showing_it() {
        let wrong_length = RecoveryPassword::parse("123456-789012").unwrap_err();
        assert_eq!(wrong_length, RecoveryPasswordError::WrongLength { digits: 12 });
        let letters = RecoveryPassword::parse(&GOOD.replace("302313", "3O2313")).unwrap_err();
        assert_eq!(letters, RecoveryPasswordError::NotADigit { position: 9 });
        let flood = RecoveryPassword::parse(&"1".repeat(100_000)).unwrap_err();
        assert_eq!(flood, RecoveryPasswordError::WrongLength { digits: 100_000 });
        assert_eq!(
            RecoveryPassword::parse("").unwrap_err(),
            RecoveryPasswordError::WrongLength { digits: 0 }
        );
    }

    proptest! {
        #[test]
        fn every_16_bytes_are_a_password_that_reads_back(words: [u8; 16]) {
            let text = RecoveryPassword::from_words(Zeroizing::new(words)).reveal();
            prop_assert_eq!(*RecoveryPassword::parse(&text).unwrap().words, words);
        }

        #[test]
        fn one_changed_digit_is_always_located(words: [u8; 16], group in 0_usize..8, digit in 0_usize..6, by in 1_u8..10) {
            let mut text = RecoveryPassword::from_words(Zeroizing::new(words)).reveal().as_bytes().to_vec();
            let place = &mut text[group * 7 + digit];
            *place = b'0' + (*place - b'0' + by) % 10;
            let error = RecoveryPassword::parse(std::str::from_utf8(&text).unwrap()).unwrap_err();
            prop_assert_eq!(error, RecoveryPasswordError::WrongGroups { groups: vec![group + 1] });
        }

        #[test]
        fn any_text_is_answered(text in ".{0,200}") {
            let _ = RecoveryPassword::parse(&text);
        }
    }
}
