//! Numbers cut from real volumes (../shared/fixtures/bitlocker/vectors.json): every step of the key
//! chain and sectors of every method.

use std::path::Path;

use serde_json::Value;

use crate::bytes::{array_at, u16_at};
use crate::ccm::{OpenKeyError, Sealed};
use crate::stretch::stretch;
use crate::{Method, Password, RecoveryPassword, SectorCipher};

fn vectors(test: &str) -> Option<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/bitlocker/vectors.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: {test}: ../shared/fixtures is not there");
        return None;
    };
    let vectors: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(vectors.len() >= 10, "{} volumes", vectors.len());
    Some(vectors)
}

fn bytes_of(value: &Value) -> Vec<u8> {
    let digits: Vec<u8> =
        value.as_str().unwrap().chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

fn array_of<const N: usize>(value: &Value) -> [u8; N] {
    bytes_of(value).try_into().unwrap()
}

fn sealed_of(value: &Value) -> Sealed {
    let (nonce, tag) = (array_of(&value["nonce"]), array_of(&value["mac"]));
    Sealed { nonce, tag, ciphertext: bytes_of(&value["ciphertext"]) }
}

#[test]
fn passwords_hash_as_windows_hashes_them() {
    for vector in vectors("passwords_hash_as_windows_hashes_them").into_iter().flatten() {
        let file = &vector["file"];
        if let Some(text) = vector["password"].as_str() {
            assert_eq!(*Password::new(text).unwrap().hash(), array_of(&vector["password_hash"]), "{file}");
        }
        if let Some(text) = vector["recovery"].as_str() {
            let password = RecoveryPassword::parse(text).unwrap();
            assert_eq!(*password.words(), array_of(&vector["recovery_raw"]), "{file}");
            assert_eq!(*password.hash(), array_of(&vector["recovery_hash"]), "{file}");
            assert_eq!(*password.reveal(), text);
        }
    }
}

#[test]
fn stretched_keys_are_those_of_real_volumes() {
    // Two of them: each costs a million rounds, and the images' test stretches dozens.
    for vector in vectors("stretched_keys_are_those_of_real_volumes").into_iter().flatten().take(2) {
        for kind in ["password", "recovery"] {
            let hash = array_of(&vector[format!("{kind}_hash")]);
            let salt = array_of(&vector[format!("{kind}_salt")]);
            assert_eq!(*stretch(&hash, &salt), array_of(&vector[format!("{kind}_stretched")]), "{kind}");
        }
    }
}

#[test]
fn sealed_keys_open_with_their_key_and_only_with_it() {
    let mut opened = 0;
    for vector in vectors("sealed_keys_open_with_their_key_and_only_with_it").into_iter().flatten() {
        for kind in ["password", "recovery"] {
            let Some(Value::Object(_)) = vector.get(format!("{kind}_ccm")) else { continue };
            let sealed = sealed_of(&vector[format!("{kind}_ccm")]);
            let mut key: [u8; 32] = array_of(&vector[format!("{kind}_stretched")]);
            let plaintext = bytes_of(&vector[format!("{kind}_ccm")]["plaintext"]);
            assert_eq!(*sealed.open(&key).unwrap(), plaintext);
            assert_eq!(*sealed.open_key_256(&key).unwrap(), array_of(&vector["vmk"]));
            let again = Sealed::seal(&key, sealed.nonce, &plaintext);
            assert_eq!(again, sealed);
            assert_eq!(Sealed::parse(&again.to_bytes()), Some(again));
            key[31] ^= 1;
            assert!(matches!(sealed.open_key(&key), Err(OpenKeyError::WrongTag)));
            opened += 1;
        }
    }
    assert!(opened == 0 || opened >= 16, "{opened}");
}

#[test]
fn sectors_of_real_volumes_decrypt_and_encrypt_both_ways() {
    let mut checked = 0;
    for vector in vectors("sectors_of_real_volumes_decrypt_and_encrypt_both_ways").into_iter().flatten() {
        let datum = bytes_of(&vector["fvek_datum_plain"]);
        let method = Method::from_number(u16_at(&datum, 8).unwrap());
        let sector_bytes = u32::try_from(vector["sector_size"].as_u64().unwrap()).unwrap();
        let cipher = SectorCipher::new(method, &datum[12..], sector_bytes).unwrap();
        for sector in vector["sectors"].as_array().unwrap() {
            let physical = sector["physical"].as_u64().unwrap();
            let (encrypted, plain) = (bytes_of(&sector["cipher"]), bytes_of(&sector["plain"]));
            let mut data = encrypted.clone();
            cipher.decrypt(physical, &mut data).unwrap();
            assert_eq!(data, plain, "{} at {physical:#x}", vector["file"]);
            cipher.encrypt(physical, &mut data).unwrap();
            assert_eq!(data, encrypted, "{} at {physical:#x}", vector["file"]);
            checked += 1;
        }
    }
    assert!(checked == 0 || checked >= 20, "{checked}");
}

#[test]
fn what_was_sealed_and_is_no_key_is_known_as_such() {
    let (key, nonce) = ([1; 32], [2; 12]);
    for plaintext in [&[][..], &[0x2C, 0, 0, 0, 9, 0], &[12, 0, 0, 0, 1, 0, 0, 0, 3, 0x20], &[0xFF; 44]] {
        let sealed = Sealed::seal(&key, nonce, plaintext);
        assert!(matches!(sealed.open_key(&key), Err(OpenKeyError::NoKey)), "{plaintext:?}");
    }
    assert_eq!(array_at::<2>(&[1, 2, 3], 2), None);
}
