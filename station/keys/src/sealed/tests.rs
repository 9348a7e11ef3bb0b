//! The format, byte by byte, and everything that is malformed about it.

use super::*;
use proptest::prelude::*;

fn sealed(customer_key: Option<&str>) -> Sealed {
    let wrapped = if customer_key.is_some() { OVERHEAD_BYTES + 256 } else { OVERHEAD_BYTES + 32 };
    Sealed {
        master: KeyId([7; 16]),
        customer_key: customer_key.map(str::to_owned),
        wrapped_key: vec![1; wrapped],
        secret: vec![2; OVERHEAD_BYTES + 3],
    }
}

#[test]
fn the_bytes_are_those_that_the_documentation_lists() {
    let mut expected = b"DRYS\x01\0".to_vec();
    expected.extend([7; 16]);
    expected.extend([0, 0, 0, 60]);
    expected.extend([1; 60]);
    expected.extend([0, 0, 0, 31]);
    expected.extend([2; 31]);
    assert_eq!(sealed(None).to_bytes(), expected);
    assert_eq!(Sealed::from_bytes(&expected), Ok(sealed(None)));
    let customers = sealed(Some("https://v.example/keys/k/1"));
    let bytes = customers.to_bytes();
    assert_eq!(&bytes[4..6], [1, 1]);
    assert_eq!(&bytes[22..50], b"\0\x1ahttps://v.example/keys/k/1");
    assert_eq!(Sealed::from_bytes(&bytes), Ok(customers));
}

#[test]
fn every_malformed_blob_is_a_clear_error() {
    let bytes = sealed(None).to_bytes();
    let with = |at: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[at] = byte;
        Sealed::from_bytes(&changed).unwrap_err()
    };
    assert_eq!(with(0, b'X'), Malformed::Magic);
    assert_eq!(Sealed::from_bytes(b""), Err(Malformed::Magic));
    assert_eq!(with(4, 2), Malformed::Version(2));
    assert_eq!(with(5, 2), Malformed::Kind(2));
    assert_eq!(with(5, 1), Malformed::Length { field: "the customer's key id", found: 0, min: 1, max: 600 });
    assert_eq!(with(23, 9), Malformed::Length { field: "the customer's key id", found: 9, min: 0, max: 0 });
    assert_eq!(with(25, 59), Malformed::Length { field: "the wrapped key", found: 59, min: 60, max: 60 });
    assert!(matches!(with(86, 0xff), Malformed::Length { field: "the secret", .. }));
    for end in 4..bytes.len() {
        let error = Sealed::from_bytes(&bytes[..end]).unwrap_err();
        assert!(matches!(error, Malformed::Short { at, .. } if at == end), "cut to {end}: {error}");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    assert_eq!(Sealed::from_bytes(&longer), Err(Malformed::Trailing(1)));
    let mut customers = sealed(Some("k")).to_bytes();
    customers[24] = b'\n';
    assert_eq!(Sealed::from_bytes(&customers), Err(Malformed::KeyText));
}

#[test]
fn a_sealed_secret_in_a_log_shows_nothing_of_it() {
    let text = format!("{:?}", sealed(None));
    assert_eq!(text, "Sealed(master key 07070707070707070707070707070707, 31 bytes)");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_what_it_takes_it_writes_again(
        kind in 0u8..3, tail in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [b"DRYS\x01".as_slice(), &[kind], &tail].concat();
        if let Ok(sealed) = Sealed::from_bytes(&bytes) {
            prop_assert_eq!(sealed.to_bytes(), bytes);
        }
    }
}
