//! Slabs cover what they must, once and in its place.

use manifest::BlockLength;
use manifest::limits::RANGE_BYTES_MAX;
use proptest::prelude::*;

use super::*;

fn shape(item: u32, kind: ItemKind, length_bytes: u64, data: Option<&[Range<u64>]>) -> Shape<'_> {
    let part_bytes = match kind {
        ItemKind::Block => BlockLength::default().of_blob(length_bytes),
        ItemKind::Page | ItemKind::File => RANGE_BYTES_MAX,
    };
    Shape { item: ItemId(item), kind, length_bytes, part_bytes, data }
}

fn place(file_offset_bytes: u64, volume_offset_bytes: u64, length_bytes: u64) -> Place {
    Place { file_offset_bytes, volume_offset_bytes, length_bytes }
}

fn cut(slab_bytes: usize, files: &[(Shape<'_>, Vec<Place>)]) -> Vec<Slab> {
    let mut cutter = Cutter::new(slab_bytes, 4_096);
    let mut slabs = Vec::new();
    for (shape, places) in files {
        assert!(cutter.file(*shape, places, |slab| {
            slabs.push(slab);
            true
        }));
    }
    slabs.extend(cutter.finish());
    slabs
}

#[test]
fn small_files_that_lie_together_become_one_write() {
    let files = [
        (shape(0, ItemKind::Block, 1, None), vec![place(0, 0x10000, 4_096)]),
        (shape(1, ItemKind::Block, 0, None), vec![]),
        (shape(2, ItemKind::Block, 5_000, None), vec![place(0, 0x11000, 8_192)]),
        (shape(3, ItemKind::Block, 4_096, None), vec![place(0, 0x20000, 4_096)]),
    ];
    let slabs = cut(SLAB_BYTES_MIN, &files);
    assert_eq!(slabs.len(), 1);
    assert_eq!(slabs[0].length, 4 * 4_096);
    let at: Vec<(usize, usize)> = slabs[0].pieces.iter().map(|piece| (piece.at, piece.length)).collect();
    assert_eq!(at, [(0, 1), (4_096, 0), (4_096, 5_000), (12_288, 4_096)]);
    let expected = [
        Write { at: 0, length: 12_288, volume_offset_bytes: 0x10000 },
        Write { at: 12_288, length: 4_096, volume_offset_bytes: 0x20000 },
    ];
    assert_eq!(slabs[0].writes, expected);
}

#[test]
fn a_block_that_lies_around_a_reserved_region_is_one_piece_and_two_writes() {
    let places = vec![place(0, 1 << 20, 1 << 20), place(1 << 20, 5 << 20, 5 << 20)];
    let slabs = cut(SLAB_BYTES_MIN, &[(shape(7, ItemKind::Block, (6 << 20) - 1, None), places)]);
    assert_eq!(slabs.len(), 2);
    assert_eq!(slabs[0].pieces.len(), 1);
    let expected = [
        Write { at: 0, length: 1 << 20, volume_offset_bytes: 1 << 20 },
        Write { at: 1 << 20, length: 3 << 20, volume_offset_bytes: 5 << 20 },
    ];
    assert_eq!(slabs[0].writes, expected);
    assert_eq!(slabs[1].pieces[0].file_offset_bytes, 4 << 20);
    assert_eq!(slabs[1].pieces[0].length, (2 << 20) - 1);
    let tail = Write { at: 0, length: 2 << 20, volume_offset_bytes: 8 << 20 };
    assert_eq!(slabs[1].writes, [tail]);
}

#[test]
fn blocks_cover_holes_without_storing_them_and_ranges_leave_them_out() {
    let data = Vec::from_iter(Some((8 << 20)..(8 << 20) + 65_536));
    let places = vec![place(8 << 20, 1 << 20, 65_536)];
    let block = shape(0, ItemKind::Block, 16 << 20, Some(&data));
    let slabs = cut(SLAB_BYTES_MIN, &[(block, places.clone())]);
    let holes: Vec<bool> = slabs.iter().flat_map(|slab| &slab.pieces).map(|piece| piece.is_hole).collect();
    assert_eq!(holes, [true, true, false, true]);
    let writes: Vec<Write> = slabs.iter().flat_map(|slab| slab.writes.clone()).collect();
    assert_eq!(writes, [Write { at: 0, length: 65_536, volume_offset_bytes: 1 << 20 }]);
    let page = shape(0, ItemKind::Page, 16 << 20, Some(&data));
    let slabs = cut(SLAB_BYTES_MIN, &[(page, places)]);
    assert_eq!(slabs.len(), 1);
    assert_eq!((slabs[0].pieces[0].file_offset_bytes, slabs[0].pieces[0].length), (8 << 20, 65_536));
    let nothing = shape(0, ItemKind::Page, 16 << 20, Some(&[]));
    let slabs = cut(SLAB_BYTES_MIN, &[(nothing, vec![])]);
    assert_eq!((slabs.len(), slabs[0].pieces.len(), slabs[0].pieces[0].length), (1, 1, 0));
}

#[test]
fn whoever_takes_slabs_may_stop_the_cut() {
    let mut cutter = Cutter::new(SLAB_BYTES_MIN, 4_096);
    let big = shape(0, ItemKind::Block, 64 << 20, None);
    let mut taken = 0;
    let went_on = cutter.file(big, &[place(0, 0, 64 << 20)], |_| {
        taken += 1;
        taken < 3
    });
    assert!(!went_on);
    assert_eq!(taken, 3);
}

fn any_file() -> impl Strategy<Value = (u64, bool, Vec<u64>)> {
    (0_u64..20 << 20, any::<bool>(), proptest::collection::vec(1_u64..2_000, 0..4))
}

proptest! {
    /// Every byte of a file goes to the place that its extents say, once, and nothing else is written.
    #[test]
    fn every_stored_byte_is_written_once_where_it_belongs(
        files in proptest::collection::vec(any_file(), 1..12),
    ) {
        let mut volume = 1_u64 << 20;
        let mut cut_files = Vec::new();
        for (index, (length, is_page, breaks)) in files.iter().enumerate() {
            let clusters = length.div_ceil(4_096);
            let mut ends: Vec<u64> = breaks.iter().copied().filter(|end| *end < clusters).collect();
            ends.extend([clusters]);
            ends.sort_unstable();
            ends.dedup();
            let (mut places, mut from) = (Vec::new(), 0);
            for end in ends.into_iter().filter(|end| *end > 0) {
                places.push(place(from * 4_096, volume, (end - from) * 4_096));
                volume += (end - from + 3) * 4_096;
                from = end;
            }
            let kind = if *is_page { ItemKind::Page } else { ItemKind::Block };
            cut_files.push((shape(u32::try_from(index).unwrap(), kind, *length, None), places));
        }
        let slabs = cut(SLAB_BYTES_MIN, &cut_files);
        let mut last_end = 0;
        let mut written = 0;
        for (number, slab) in slabs.iter().enumerate() {
            prop_assert_eq!(slab.number, number as u64);
            prop_assert!(slab.length <= SLAB_BYTES_MIN);
            for write in &slab.writes {
                prop_assert!(write.volume_offset_bytes >= last_end);
                prop_assert!(write.at + write.length <= slab.length);
                last_end = write.volume_offset_bytes + write.length as u64;
                written += write.length as u64;
            }
            for piece in &slab.pieces {
                let (_, places) = &cut_files[piece.item.0 as usize];
                for step in (0..piece.length).step_by(4_096) {
                    let offset = piece.file_offset_bytes + step as u64;
                    let home = places.iter().find(|place| {
                        (place.file_offset_bytes..place.file_offset_bytes + place.length_bytes).contains(&offset)
                    }).unwrap();
                    let goal = home.volume_offset_bytes + (offset - home.file_offset_bytes);
                    let at = piece.at + step;
                    let found = slab.writes.iter().any(|write| {
                        (write.at..write.at + write.length).contains(&at)
                            && write.volume_offset_bytes + (at - write.at) as u64 == goal
                    });
                    prop_assert!(found, "{:?} at {}", piece, step);
                }
            }
        }
        let expected: u64 = files.iter().map(|(length, ..)| length.next_multiple_of(4_096)).sum();
        prop_assert_eq!(written, expected);
        let read: u64 = slabs.iter().flat_map(|slab| &slab.pieces).map(|piece| piece.length as u64).sum();
        prop_assert_eq!(read, files.iter().map(|(length, ..)| *length).sum::<u64>());
    }
}
