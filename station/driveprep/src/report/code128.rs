//! Code 128 by ISO/IEC 15417: a text becomes bars.
//!
//! Ours, because the one crate that does it takes code sets as odd letters inside the text. Code
//! sets B (printable ASCII) and C (two digits a symbol) are enough for a serial number; what is not
//! printable ASCII has no barcode.

/// Widths of bars and spaces of each symbol, in modules; bars first. Table 1 of the standard.
const SYMBOLS: [&str; 106] = [
    "212222", "222122", "222221", "121223", "121322", "131222", "122213", "122312", "132212", "221213",
    "221312", "231212", "112232", "122132", "122231", "113222", "123122", "123221", "223211", "221132",
    "221231", "213212", "223112", "312131", "311222", "321122", "321221", "312212", "322112", "322211",
    "212123", "212321", "232121", "111323", "131123", "131321", "112313", "132113", "132311", "211313",
    "231113", "231311", "112133", "112331", "132131", "113123", "113321", "133121", "313121", "211331",
    "231131", "213113", "213311", "213131", "311123", "311321", "331121", "312113", "312311", "332111",
    "314111", "221411", "431111", "111224", "111422", "121124", "121421", "141122", "141221", "112214",
    "112412", "122114", "122411", "142112", "142211", "241211", "221114", "413111", "241112", "134111",
    "111242", "121142", "121241", "114212", "124112", "124211", "411212", "421112", "421211", "212141",
    "214121", "412121", "111143", "111341", "131141", "114113", "114311", "411113", "411311", "113141",
    "114131", "311141", "411131", "211412", "211214", "211232",
];
const STOP: &str = "2331112";
const CODE_C: usize = 99;
const CODE_B: usize = 100;
const START_B: usize = 104;
const START_C: usize = 105;
/// The check symbol is a sum modulo this.
const MODULUS: usize = 103;
/// Blank modules on either side: the standard's least.
pub const QUIET_MODULES: u32 = 10;
/// Longer ones no hand scanner takes in one sweep.
const CHARACTERS_MAX: usize = 48;

/// A bar: where it begins and how wide it is, in modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Modules from the symbol's left, the quiet zone not counted.
    pub at: u32,
    /// Modules.
    pub width: u32,
}

/// A barcode: its bars, and its whole width in modules without the quiet zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barcode {
    /// The bars from left to right.
    pub bars: Vec<Bar>,
    /// Modules.
    pub width: u32,
}

/// The barcode of a text; `None` when it has characters, or more of them, than Code 128 is for.
pub fn encode(text: &str) -> Option<Barcode> {
    let is_printable = |byte: u8| (0x20..0x7f).contains(&byte);
    if text.is_empty() || text.len() > CHARACTERS_MAX || !text.bytes().all(is_printable) {
        return None;
    }
    let mut values = values(text.as_bytes());
    values.push(check(&values));
    Some(draw(&values))
}

/// Start, data and switches. Four digits in a row are worth the switch to code set C.
fn values(text: &[u8]) -> Vec<usize> {
    let mut values = Vec::with_capacity(text.len() + 4);
    let mut rest = text;
    while let Some(first) = rest.first() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits >= 4 || (digits == rest.len() && digits == 2 && values.is_empty()) {
            values.push(if values.is_empty() { START_C } else { CODE_C });
            let (pairs, after) = rest.split_at(digits / 2 * 2);
            values.extend(pairs.chunks_exact(2).map(|pair| number(pair[0]) * 10 + number(pair[1])));
            rest = after;
            if !rest.is_empty() {
                values.push(CODE_B);
            }
            continue;
        }
        if values.is_empty() {
            values.push(START_B);
        }
        values.push(usize::from(first - 0x20));
        rest = &rest[1..];
    }
    values
}

fn number(digit: u8) -> usize {
    usize::from(digit - b'0')
}

fn check(values: &[usize]) -> usize {
    let weighed = values.iter().enumerate().map(|(place, value)| place.max(1) * value);
    weighed.sum::<usize>() % MODULUS
}

fn draw(values: &[usize]) -> Barcode {
    let mut barcode = Barcode { bars: Vec::new(), width: 0 };
    for symbol in values.iter().map(|value| SYMBOLS[*value]).chain([STOP]) {
        for (index, width) in symbol.bytes().map(|byte| u32::from(byte - b'0')).enumerate() {
            if index % 2 == 0 {
                barcode.bars.push(Bar { at: barcode.width, width });
            }
            barcode.width += width;
        }
    }
    barcode
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_symbol_has_eleven_modules_and_its_own_pattern() {
        let sum = |symbol: &str| symbol.bytes().map(|byte| u32::from(byte - b'0')).sum::<u32>();
        assert!(SYMBOLS.iter().all(|symbol| symbol.len() == 6 && sum(symbol) == 11));
        assert_eq!(SYMBOLS.iter().collect::<BTreeSet<_>>().len(), SYMBOLS.len());
        // Bars take an even number of modules: the standard's own parity.
        let bars = |symbol: &str| symbol.bytes().step_by(2).map(|byte| u32::from(byte - b'0')).sum::<u32>();
        assert!(SYMBOLS.iter().all(|symbol| bars(symbol) % 2 == 0));
    }

    #[test]
    fn digits_are_packed_two_by_two_and_switches_are_paid_for() {
        assert_eq!(values(b"AB"), [START_B, 33, 34]);
        assert_eq!(values(b"123456"), [START_C, 12, 34, 56]);
        assert_eq!(values(b"A123456"), [START_B, 33, CODE_C, 12, 34, 56]);
        assert_eq!(values(b"12345X"), [START_C, 12, 34, CODE_B, 21, 56]);
        assert_eq!(values(b"A12B"), [START_B, 33, 17, 18, 34]);
        assert_eq!(values(b"12"), [START_C, 12]);
    }

    #[test]
    fn the_check_symbol_is_the_weighted_sum() {
        // "PJJ123C" is the usual worked example; its check value is 54 in code set A and 55 in B.
        assert_eq!(check(&[START_B, 48, 42, 42, 17, 18, 19, 35]), 55);
    }

    #[test]
    fn what_code_128_is_not_for_has_no_barcode() {
        for text in ["", "Ä1", "a\nb", &"1".repeat(49)] {
            assert_eq!(encode(text), None, "{text:?}");
        }
        let barcode = encode("9WM35C2V").unwrap();
        assert_eq!(barcode.width, 11 * 10 + 13);
    }
}
