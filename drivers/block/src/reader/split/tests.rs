//! Splitting a piece at alignment and length limits: every byte once, in place.

use proptest::prelude::*;

use super::*;

fn piece(device_offset_bytes: u64, buffer_offset_bytes: usize, length_bytes: usize) -> ReadPiece {
    ReadPiece { device_offset_bytes, buffer_offset_bytes, length_bytes }
}

fn reads(piece: ReadPiece, alignment: Option<Alignment>) -> Vec<(u64, usize, usize, Descriptor)> {
    split(&[piece], alignment, 1 << 20)
        .map(|read| (read.device_offset_bytes, read.buffer_offset_bytes, read.length_bytes, read.descriptor))
        .collect()
}

#[test]
fn an_aligned_piece_is_direct_and_cut() {
    use Descriptor::Direct;
    let sector = Some(Alignment::new(512, 512));
    assert_eq!(
        reads(piece(512, 0, (2 << 20) + 512), sector),
        [
            (512, 0, 1 << 20, Direct),
            (512 + (1 << 20), 1 << 20, 1 << 20, Direct),
            (512 + (2 << 20), 2 << 20, 512, Direct)
        ]
    );
}

#[test]
fn the_edges_of_an_unaligned_piece_go_through_the_page_cache() {
    use Descriptor::{Buffered, Direct};
    let sector = Some(Alignment::new(4096, 512));
    assert_eq!(
        reads(piece(4000, 416, 10_000), sector),
        [(4000, 416, 96, Buffered), (4096, 512, 8192, Direct), (12_288, 8704, 1712, Buffered)]
    );
    // Position and address disagree: no part of it can be direct.
    assert_eq!(reads(piece(4000, 0, 10_000), sector), [(4000, 0, 10_000, Buffered)]);
    // No whole sector in it.
    assert_eq!(reads(piece(4097, 513, 4095), sector), [(4097, 513, 4095, Buffered)]);
    assert_eq!(reads(piece(4096, 0, 0), sector), []);
    assert_eq!(reads(piece(4096, 0, 8192), None), [(4096, 0, 8192, Buffered)]);
}

#[test]
fn an_alignment_that_no_device_has_becomes_the_careful_one() {
    assert_eq!(Alignment::new(0, 3), Alignment::new(4096, 4096));
    assert_eq!(Alignment::new(1 << 20, 8192), Alignment::new(4096, 4096));
}

proptest! {
    #[test]
    fn the_reads_of_a_piece_are_exactly_its_bytes(
        offset in 0_u64..40_000, buffer_offset in 0_usize..10_000, length in 0_usize..60_000,
        align_shift in 9_u32..13, memory_shift in 2_u32..13, read_pages in 1_usize..5, is_direct: bool,
    ) {
        let alignment = is_direct.then(|| Alignment::new(1 << align_shift, 1 << memory_shift));
        let pieces = [piece(offset, buffer_offset, length)];
        let read_bytes_max = read_pages * 4096;
        let mut at = 0;
        for read in split(&pieces, alignment, read_bytes_max) {
            prop_assert_eq!(read.device_offset_bytes, offset + at as u64);
            prop_assert_eq!(read.buffer_offset_bytes, buffer_offset + at);
            prop_assert!((1..=read_bytes_max).contains(&read.length_bytes));
            if read.descriptor == Descriptor::Direct {
                let fits = alignment.unwrap().fits(read.device_offset_bytes, read.buffer_offset_bytes, read.length_bytes);
                prop_assert!(fits);
            }
            at += read.length_bytes;
        }
        prop_assert_eq!(at, length);
    }

    #[test]
    fn offsets_at_the_end_of_the_numbers_do_no_harm(offset: u64, length: usize) {
        let alignment = Some(Alignment::new(512, 512));
        let count = split(&[piece(offset, usize::MAX - 5, length)], alignment, 1 << 30).take(4).count();
        prop_assert!(count <= 4);
    }
}
