//! Every kernel of this processor against `md-5`, one by one.

use md5::digest::common::hazmat::SerializableState;
use md5::{Digest, Md5};
use proptest::prelude::*;

use super::kernel::{BLOCK_BYTES, INITIAL_STATE, LANES_MAX};
use super::lanes::md5_many_with;
use super::*;

fn oracle(message: &[u8]) -> [u8; 16] {
    Md5::digest(message).into()
}

/// Bytes that differ from lane to lane and from block to block.
fn message(lane: usize, length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64.wrapping_mul(lane as u64 + 1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn every_kernel_agrees_with_md_5_at_all_lengths_to_300() {
    let messages: Vec<Vec<u8>> = (0..=300).map(|length| message(length, length)).collect();
    let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    for kernel in Kernel::available() {
        for (message, digest) in slices.iter().zip(md5_many_with(kernel, &slices)) {
            assert_eq!(digest.0, oracle(message), "{} at {} bytes", kernel.name(), message.len());
        }
    }
}

#[test]
fn every_kernel_agrees_with_md_5_for_any_number_of_lanes() {
    for kernel in Kernel::available() {
        for lanes in 1..=LANES_MAX + 2 {
            for length in [0, 1, 55, 56, 63, 64, 65, 119, 120, 127, 128, 129, 4_096] {
                let messages: Vec<Vec<u8>> = (0..lanes).map(|lane| message(lane, length)).collect();
                let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
                for (message, digest) in slices.iter().zip(md5_many_with(kernel, &slices)) {
                    assert_eq!(digest.0, oracle(message), "{}, {lanes} of {length} bytes", kernel.name());
                }
            }
        }
    }
}

#[test]
fn a_kernel_call_advances_each_state_by_the_shortest_message() {
    for kernel in Kernel::available() {
        for lanes in 1..=kernel.lanes() {
            let blocks: Vec<Vec<[u8; BLOCK_BYTES]>> = (0..lanes)
                .map(|lane| {
                    let bytes = message(lane, (5 + lane % 3) * BLOCK_BYTES);
                    bytes.as_chunks().0.to_vec()
                })
                .collect();
            let messages: Vec<&[[u8; BLOCK_BYTES]]> = blocks.iter().map(Vec::as_slice).collect();
            let mut states = vec![INITIAL_STATE; lanes];
            assert_eq!(kernel.compress(&mut states, &messages), 5);
            for (state, message) in states.iter().zip(&messages) {
                let mut expected = INITIAL_STATE;
                md5::block_api::compress(&mut expected, &message[..5]);
                assert_eq!(*state, expected, "{} with {lanes} lanes", kernel.name());
            }
        }
    }
}

#[test]
fn messages_at_odd_addresses_are_read_right() {
    let bytes = message(7, 70_000);
    let slices: Vec<&[u8]> = (0..40).map(|offset| &bytes[offset..offset + 65_000]).collect();
    for kernel in Kernel::available() {
        for (slice, digest) in slices.iter().zip(md5_many_with(kernel, &slices)) {
            assert_eq!(digest.0, oracle(slice), "{}", kernel.name());
        }
    }
}

#[test]
fn a_finished_lane_makes_room_and_its_key_is_refused() {
    let mut lanes = LaneSet::new();
    let first = lanes.add(3);
    lanes.update(&[(first, b"abc")]);
    assert_eq!(lanes.finish(first).to_string(), "900150983CD24FB0D6963F7D28E17F72");
    let second = lanes.add(0);
    assert_ne!(first, second);
    let stale = std::panic::AssertUnwindSafe(|| lanes.abandon(first));
    assert!(std::panic::catch_unwind(stale).is_err());
    assert_eq!(lanes.finish(second).to_string(), "D41D8CD98F00B204E9800998ECF8427E");
}

#[test]
#[should_panic(expected = "finished after 3 of 4 bytes")]
fn a_short_message_has_no_digest() {
    let mut lanes = LaneSet::new();
    let lane = lanes.add(4);
    lanes.update(&[(lane, b"abc")]);
    lanes.finish(lane);
}

#[test]
#[should_panic(expected = "4 bytes for a lane with room for 3")]
fn a_lane_takes_no_more_than_its_length() {
    let mut lanes = LaneSet::new();
    let lane = lanes.add(3);
    lanes.update(&[(lane, b"abcd")]);
}

#[test]
#[should_panic(expected = "each lane once an update")]
fn a_lane_named_twice_in_an_update_is_refused() {
    let mut lanes = LaneSet::new();
    let lane = lanes.add(128);
    lanes.update(&[(lane, &[0; 64]), (lane, &[0; 64])]);
}

/// As if that many zero bytes had been fed already, without the minutes it takes.
#[test]
fn lengths_beyond_32_bits_are_counted_whole() {
    for before_bytes in [1u64 << 29, (1 << 32) - 64, 1 << 32, (1 << 35) + 128, 1 << 61, (1 << 63) + 64] {
        let tail = message(1, 100);
        // md-5's own saved state: four words, the number of blocks, an empty buffer.
        let mut saved = Md5::new().serialize();
        saved[16..24].copy_from_slice(&(before_bytes / 64).to_le_bytes());
        let mut expected = Md5::deserialize(&saved).unwrap();
        expected.update(&tail);
        for kernel in Kernel::available() {
            let mut lanes = LaneSet::with_kernel(kernel);
            let many: Vec<Lane> = (0..17).map(|_| lanes.add(before_bytes + 100)).collect();
            many.iter().for_each(|&lane| lanes.pretend_fed(lane, before_bytes));
            let slices: Vec<(Lane, &[u8])> = many.iter().map(|&lane| (lane, tail.as_slice())).collect();
            lanes.update(&slices);
            for lane in many {
                assert_eq!(
                    lanes.finish(lane).0,
                    <[u8; 16]>::from(expected.clone().finalize()),
                    "{before_bytes}"
                );
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Act {
    /// Begin a message of that many bytes.
    Begin(usize),
    /// Feed every lane up to that many bytes, some of them fewer.
    Feed(usize),
    /// Give up one of the lanes.
    Abandon(prop::sample::Index),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => prop_oneof![0usize..200, 0usize..20_000].prop_map(Act::Begin),
        4 => prop_oneof![0usize..130, (0usize..64).prop_map(|blocks| blocks * 64), 0usize..9_000].prop_map(Act::Feed),
        1 => any::<prop::sample::Index>().prop_map(Act::Abandon),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_digest_depends_on_its_own_bytes_only(acts in prop::collection::vec(act(), 1..120)) {
        for kernel in Kernel::available() {
            let mut lanes = LaneSet::with_kernel(kernel);
            let mut open: Vec<(Lane, Vec<u8>, usize)> = Vec::new();
            let finish_all = [Act::Feed(usize::MAX)];
            for (number, act) in acts.iter().chain(&finish_all).enumerate() {
                match act {
                    Act::Begin(length) => open.push((lanes.add(*length as u64), message(number, *length), 0)),
                    Act::Abandon(which) if !open.is_empty() => {
                        let (lane, ..) = open.swap_remove(which.index(open.len()));
                        lanes.abandon(lane);
                    }
                    Act::Abandon(_) => {}
                    Act::Feed(bytes_max) => {
                        let mut slices = Vec::new();
                        for (index, (lane, message, fed)) in open.iter_mut().enumerate() {
                            let step = if *bytes_max == usize::MAX { usize::MAX } else { bytes_max / (index % 4 + 1) };
                            let end = message.len().min(fed.saturating_add(step));
                            slices.push((*lane, &message[*fed..end]));
                            *fed = end;
                        }
                        lanes.update(&slices);
                        let done: Vec<_> = open.extract_if(.., |(_, message, fed)| *fed == message.len()).collect();
                        for (lane, message, _) in done {
                            prop_assert_eq!(lanes.finish(lane).0, oracle(&message), "{}", kernel.name());
                        }
                    }
                }
            }
            prop_assert!(open.is_empty());
        }
    }

    #[test]
    fn crcs_of_parts_make_the_crc_of_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..5_000), cut: prop::sample::Index) {
        let (a, b) = bytes.split_at(cut.index(bytes.len() + 1));
        let whole = Crc64::of(&bytes);
        prop_assert_eq!(Crc64::combine(Crc64::of(a), Crc64::of(b), b.len() as u64), whole);
        let mut crc = Crc64::new();
        crc.update(a);
        crc.update(b);
        prop_assert_eq!(crc.value(), whole);
        prop_assert_eq!(bitwise_crc64(&bytes), whole);
    }

    #[test]
    fn a_hole_has_the_crc_of_its_zeros(length in 0usize..100_000) {
        prop_assert_eq!(Crc64::zeros(length as u64), Crc64::of(&vec![0; length]));
    }
}

/// The definition, bit by bit: azure-import-export.md §10.
fn bitwise_crc64(bytes: &[u8]) -> u64 {
    let mut crc = !0u64;
    for &byte in bytes {
        crc ^= u64::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x9A6C_9329_AC4B_C9B5 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn a_sum_of_parts_and_holes_is_the_crc_of_the_bytes() {
    let mut bytes = message(3, 5_000);
    bytes[1_000..3_500].fill(0);
    let mut sum = Crc64Sum::default();
    sum.push_zeros(0);
    sum.push(Crc64::of(&bytes[..1_000]), 1_000);
    sum.push_zeros(2_500);
    sum.push(Crc64::of(&bytes[3_500..]), 1_500);
    assert_eq!(sum.value(), Crc64::of(&bytes));
    assert_eq!(md5_of(&bytes).0, oracle(&bytes));
}

#[test]
fn crcs_are_those_of_published_copy_logs() {
    assert_eq!(Crc64::of(b"Hello World"), 7_320_094_093_915_972_193);
    assert_eq!(Crc64::of(&[0; 1_024]), 7_573_843_669_953_104_266);
    assert_eq!(Crc64::zeros(1_024), 7_573_843_669_953_104_266);
    assert_eq!(Crc64::new().value(), 0);
    assert_eq!(Crc64::zeros(0), 0);
}

#[test]
fn the_crc_of_a_terabyte_hole_is_that_of_its_halves() {
    let half = Crc64::zeros(1 << 39);
    assert_eq!(Crc64::combine(half, half, 1 << 39), Crc64::zeros(1 << 40));
    let text = Crc64::of(b"Hello World");
    assert_eq!(Crc64::combine(Crc64::zeros((1 << 40) + 5), text, 11), {
        let five_before = Crc64::combine(Crc64::zeros(5), text, 11);
        Crc64::combine(Crc64::zeros(1 << 40), five_before, 16)
    });
}
