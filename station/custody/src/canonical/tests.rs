//! The encoding, byte by byte and against itself.

use proptest::prelude::*;

use super::*;
use crate::examples::{any_entry, entry};

/// Written by hand from the module's text, not by the code.
#[test]
fn the_bytes_are_those_that_the_documentation_lists() {
    let mut expected = vec![1];
    expected.extend(*b"\0\0\0\x03dc1");
    expected.extend([0, 0, 0, 0, 0, 0, 0, 2]);
    expected.extend([7; 16]);
    expected.extend([0, 0, 0, 0, 0, 0, 3, 0xe8]);
    expected.extend(*b"\0\0\0\x03kim");
    expected.extend(*b"\0\0\0\x01\0\0\0\x08receiver");
    expected.extend(*b"\0\0\0\x0edrive.received");
    expected.extend(*b"\x01\0\0\0\x04/j/1\0\0\0\0\0\0\0\x01");
    expected.extend(*b"\x01\0\0\0\x02S1");
    expected.extend(*b"\0");
    expected.extend(*b"\x01\0\0\0\x09Specified");
    expected.extend(*b"\x01\0\0\0\x08Received");
    expected.extend(*b"\0");
    expected.extend(*b"\0\0\0\x01\0\0\0\x05photo");
    expected.extend([9; 32]);
    assert_eq!(encode(&entry()), expected);
    assert_eq!(decode(&expected), Ok(entry()));
}

#[test]
fn every_defect_is_named_with_its_place() {
    let bytes = encode(&entry());
    let with = |at: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[at] = byte;
        decode(&changed).unwrap_err()
    };
    assert_eq!(with(0, 2), Undecodable { at: 0, what: Defect::Version(2) });
    assert_eq!(with(5, 0xff), Undecodable { at: 5, what: Defect::NotText("the chain's name") });
    assert_eq!(with(15, 0), Undecodable { at: 8, what: Defect::Zero("the entry's number") });
    let job = bytes.windows(4).position(|window| window == b"/j/1").unwrap() - 5;
    let expected = Defect::Mark { field: "the job", found: 7 };
    assert_eq!(with(job, 7), Undecodable { at: job, what: expected });
    let expected = Undecodable { at: job + 16, what: Defect::Zero("the number among the job's entries") };
    assert_eq!(with(job + 16, 0).what, expected.what);
    for end in 0..bytes.len() {
        assert!(matches!(decode(&bytes[..end]).unwrap_err().what, Defect::Short(_)), "cut to {end}");
    }
    let longer = [bytes.as_slice(), &[0, 0]].concat();
    assert_eq!(decode(&longer), Err(Undecodable { at: bytes.len(), what: Defect::Trailing(2) }));
    let huge = vec![1; ENTRY_BYTES_MAX + 1];
    assert!(matches!(decode(&huge).unwrap_err().what, Defect::Long(_)));
}

#[test]
fn a_count_that_promises_billions_costs_nothing() {
    let mut bytes = encode(&entry());
    let files = bytes.len() - 32 - 9 - 4;
    bytes[files..files + 4].fill(0xff);
    assert_eq!(decode(&bytes).unwrap_err().what, Defect::Short("a file's name"));
}

proptest! {
    #[test]
    fn entries_come_back_as_they_were(entry in any_entry()) {
        prop_assert_eq!(decode(&encode(&entry)), Ok(entry));
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        entry in any_entry(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = encode(&entry);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(decoded) = decode(&bytes) {
            prop_assert_eq!(encode(&decoded), bytes);
        }
    }

    #[test]
    fn json_keeps_every_field(entry in any_entry()) {
        let text = serde_json::to_string(&entry).unwrap();
        prop_assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
    }
}
