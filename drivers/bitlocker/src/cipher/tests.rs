//! The batched ciphers against straightforward ones: `xts-mode`, `cbc`, and the diffuser written
//! down sector by sector as in spec §5.1; and against numbers cut from real volumes.

use aes::cipher::{Array, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit};
use aes::{Aes128, Aes256};
use proptest::prelude::*;
use xts_mode::{Xts128, get_tweak_default};

use super::*;

const METHODS: [Method; 6] = [
    Method::AesCbc128Elephant,
    Method::AesCbc256Elephant,
    Method::AesCbc128,
    Method::AesCbc256,
    Method::AesXts128,
    Method::AesXts256,
];

/// One sector at a time, encrypting.
fn encrypt_simply(method: Method, key: &[u8], offset_bytes: u64, sector: &mut [u8]) {
    match method {
        Method::AesXts128 => {
            let [data, tweak] = [&key[..16], &key[16..]].map(|key| Aes128::new_from_slice(key).unwrap());
            let number = u128::from(offset_bytes / sector.len() as u64);
            Xts128::new(data, tweak).encrypt_sector(sector, get_tweak_default(number));
        }
        Method::AesXts256 => {
            let [data, tweak] = [&key[..32], &key[32..]].map(|key| Aes256::new_from_slice(key).unwrap());
            let number = u128::from(offset_bytes / sector.len() as u64);
            Xts128::new(data, tweak).encrypt_sector(sector, get_tweak_default(number));
        }
        Method::AesCbc128 => encrypt_cbc::<Aes128>(&key[..16], offset_bytes, sector),
        Method::AesCbc256 => encrypt_cbc::<Aes256>(&key[..32], offset_bytes, sector),
        Method::AesCbc128Elephant => {
            diffuse_simply(sector_key::<Aes128>(&key[32..48], offset_bytes), sector);
            encrypt_cbc::<Aes128>(&key[..16], offset_bytes, sector);
        }
        Method::AesCbc256Elephant => {
            diffuse_simply(sector_key::<Aes256>(&key[32..64], offset_bytes), sector);
            encrypt_cbc::<Aes256>(&key[..32], offset_bytes, sector);
        }
        Method::None | Method::Unknown(_) => unreachable!(),
    }
}

fn encrypt_one<C>(key: &[u8], number: [u8; 16]) -> [u8; 16]
where
    C: KeyInit + BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
{
    let mut block = Array(number);
    C::new_from_slice(key).unwrap().encrypt_block(&mut block);
    block.0
}

fn encrypt_cbc<C>(key: &[u8], offset_bytes: u64, sector: &mut [u8])
where
    C: KeyInit + BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
    ::cbc::Encryptor<C>: KeyIvInit + BlockModeEncrypt<BlockSize = aes::cipher::consts::U16>,
{
    let iv = encrypt_one::<C>(key, u128::from(offset_bytes).to_le_bytes());
    let mut encryptor = ::cbc::Encryptor::<C>::new_from_slices(key, &iv).unwrap();
    for block in sector.chunks_exact_mut(16) {
        let mut copy = Array::<u8, aes::cipher::consts::U16>::try_from(&*block).unwrap();
        encryptor.encrypt_block(&mut copy);
        block.copy_from_slice(&copy);
    }
}

fn sector_key<C>(key: &[u8], offset_bytes: u64) -> [u8; 32]
where
    C: KeyInit + BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
{
    let mut number = u128::from(offset_bytes).to_le_bytes();
    let first = encrypt_one::<C>(key, number);
    number[15] = 0x80;
    [first, encrypt_one::<C>(key, number)].concat().try_into().unwrap()
}

fn diffuse_simply(sector_key: [u8; 32], sector: &mut [u8]) {
    sector.iter_mut().zip(sector_key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    let mut words: Vec<u32> =
        sector.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect();
    let count = words.len();
    for _ in 0..5 {
        for i in (0..count).rev() {
            let mixed = words[(i + count - 2) % count]
                ^ words[(i + count - 5) % count].rotate_left([9, 0, 13, 0][i % 4]);
            words[i] = words[i].wrapping_sub(mixed);
        }
    }
    for _ in 0..3 {
        for i in (0..count).rev() {
            let mixed = words[(i + 2) % count] ^ words[(i + 5) % count].rotate_left([0, 10, 0, 25][i % 4]);
            words[i] = words[i].wrapping_sub(mixed);
        }
    }
    sector
        .chunks_exact_mut(4)
        .zip(words)
        .for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_le_bytes()));
}

fn filled(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|index| (index as u8).wrapping_mul(31).wrapping_add((index >> 8) as u8) ^ seed).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn many_sectors_at_once_are_the_same_as_one_by_one(
        method in proptest::sample::select(&METHODS),
        key in proptest::collection::vec(any::<u8>(), 64),
        sector_bytes in proptest::sample::select(&[512_usize, 4096]),
        sectors in 0_usize..150,
        first_sector in prop_oneof![0_u64..1000, (1_u64 << 44)..(1_u64 << 50)],
        seed: u8,
    ) {
        let key = &key[..method.key_bytes().unwrap()];
        let cipher = SectorCipher::new(method, key, sector_bytes as u32).unwrap();
        let offset_bytes = first_sector * sector_bytes as u64;
        let plain = filled(sectors * sector_bytes, seed);
        let mut expected = plain.clone();
        for (sector, place) in expected.chunks_mut(sector_bytes).zip((offset_bytes..).step_by(sector_bytes)) {
            encrypt_simply(method, key, place, sector);
        }
        let mut data = plain.clone();
        cipher.encrypt(offset_bytes, &mut data).unwrap();
        prop_assert!(data == expected, "encrypting {} sectors", sectors);
        cipher.decrypt(offset_bytes, &mut data).unwrap();
        prop_assert!(data == plain, "decrypting {} sectors", sectors);
    }
}

#[test]
fn cbc_agrees_with_the_cbc_crate_both_ways() {
    let (key, iv) = ([7; 32], encrypt_one::<Aes256>(&[7; 32], 512_u128.to_le_bytes()));
    let mut sector = filled(512, 9);
    let expected = sector.clone();
    SectorCipher::new(Method::AesCbc256, &key, 512).unwrap().encrypt(512, &mut sector).unwrap();
    let mut decryptor = ::cbc::Decryptor::<Aes256>::new_from_slices(&key, &iv).unwrap();
    for block in sector.chunks_exact_mut(16) {
        let mut copy = Array::<u8, aes::cipher::consts::U16>::try_from(&*block).unwrap();
        decryptor.decrypt_block(&mut copy);
        block.copy_from_slice(&copy);
    }
    assert_eq!(sector, expected);
}

#[test]
fn parts_of_sectors_are_refused_and_left_as_they_are() {
    let cipher = SectorCipher::new(Method::AesXts128, &filled(32, 0), 4096).unwrap();
    let mut data = filled(4096, 1);
    for (offset_bytes, length) in [(512, 4096), (4096, 4095), (0, 512)] {
        let refused = cipher.decrypt(offset_bytes, &mut data[..length]).unwrap_err();
        assert_eq!(refused, Unaligned { offset_bytes, length_bytes: length, sector_bytes: 4096 });
    }
    assert_eq!(data, filled(4096, 1));
}

#[test]
fn a_key_of_another_length_or_a_foreign_sector_size_makes_no_cipher() {
    let key = CipherError::Key { method: Method::AesXts256, key_bytes: 32 };
    assert_eq!(SectorCipher::new(Method::AesXts256, &[0; 32], 512).unwrap_err(), key);
    let unknown = Method::Unknown(0x8006);
    assert!(matches!(SectorCipher::new(unknown, &[0; 32], 512), Err(CipherError::Key { .. })));
    let size = CipherError::SectorSize { sector_bytes: 2048 };
    assert_eq!(SectorCipher::new(Method::AesXts128, &[0; 32], 2048).unwrap_err(), size);
}
