//! Properties of the plan: whatever the extents, the buffer ends up with the file's bytes.

use proptest::prelude::*;

use super::*;

const SECTOR: u64 = 512;

/// The stored volume's byte at an offset: any function that differs from place to place.
fn stored_byte(offset: u64) -> u8 {
    u8::try_from((offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) & 0xFF).unwrap()
}

/// BitLocker in small: one region reads as zeros, one lies elsewhere, the rest is in place.
fn segments(volume_bytes: u64) -> impl FnMut(u64, u64, &mut Vec<Part>) {
    move |start, length, parts| {
        let mut position = start;
        while position < start + length {
            let next = (position / SECTOR + 1) * SECTOR;
            let length_bytes = next.min(start + length) - position;
            let source = match position / SECTOR {
                3 => PartSource::Zeros,
                5..=6 => PartSource::Encrypted { offset_bytes: volume_bytes / 2 + (position - 5 * SECTOR) },
                8..=9 => PartSource::Plain { offset_bytes: position },
                _ => PartSource::Encrypted { offset_bytes: position },
            };
            parts.push(Part { length_bytes, source });
            position += length_bytes;
        }
    }
}

/// Carries a span out on the made-up volume; decrypting is XOR with 0x5A.
fn carry_out<C>(span: &Span<C>, geometry: &Geometry) -> Vec<u8> {
    let mut buffer = vec![0xEE; span.buffer_bytes];
    for read in &span.reads {
        assert_eq!(read.device_offset_bytes % SECTOR, geometry.volume_start_bytes % SECTOR);
        assert_eq!(read.buffer_offset_bytes as u64 % SECTOR, 0);
        for index in 0..read.length_bytes {
            let offset = read.device_offset_bytes - geometry.volume_start_bytes + index as u64;
            assert!(offset < geometry.volume_bytes);
            buffer[read.buffer_offset_bytes + index] = stored_byte(offset);
        }
    }
    for run in &span.decrypts {
        assert_eq!(run.volume_offset_bytes % SECTOR, 0);
        assert_eq!(run.length_bytes as u64 % SECTOR, 0);
        buffer[run.buffer_offset_bytes..][..run.length_bytes].iter_mut().for_each(|byte| *byte ^= 0x5A);
    }
    for range in &span.zeros {
        buffer[range.clone()].fill(0);
    }
    buffer
}

/// What a file's byte must be, found one byte at a time.
fn expected(position: u64, extents: &[FileExtent], volume_bytes: u64) -> u8 {
    let extent = extents
        .iter()
        .find(|extent| {
            (extent.file_offset_bytes..extent.file_offset_bytes + extent.length_bytes).contains(&position)
        })
        .unwrap();
    let Some(start) = extent.volume_offset_bytes else { return 0 };
    let mut parts = Vec::new();
    segments(volume_bytes)(start + position - extent.file_offset_bytes, 1, &mut parts);
    match parts[0].source {
        PartSource::Zeros => 0,
        PartSource::Plain { offset_bytes } => stored_byte(offset_bytes),
        PartSource::Encrypted { offset_bytes } => stored_byte(offset_bytes) ^ 0x5A,
    }
}

fn any_extents() -> impl Strategy<Value = Vec<FileExtent>> {
    // Clusters of 1 to 4 sectors, each run at its own cluster of a volume of 4,096 sectors.
    let runs = prop::collection::vec((1u64..6, prop::option::of(0u64..400)), 1..8);
    (1u64..=4, runs, 0.0f64..2.0).prop_map(|(per_cluster, runs, initialized)| {
        let cluster = per_cluster * SECTOR;
        let mut file_offset_bytes = 0;
        let extents = runs
            .into_iter()
            .map(|(length, place)| {
                let extent = FileExtent {
                    file_offset_bytes,
                    length_bytes: length * cluster,
                    volume_offset_bytes: place.map(|place| place * cluster),
                };
                file_offset_bytes += extent.length_bytes;
                extent
            })
            .collect::<Vec<_>>();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a fraction of a small length"
        )]
        let initialized_bytes = (initialized * file_offset_bytes as f64) as u64;
        extents.into_iter().flat_map(|extent| cut_at(extent, initialized_bytes)).collect()
    })
}

/// Past the initialised size a file reads as zeros, and that size need not be aligned.
fn cut_at(extent: FileExtent, initialized_bytes: u64) -> Vec<FileExtent> {
    let kept = initialized_bytes.saturating_sub(extent.file_offset_bytes).min(extent.length_bytes);
    let tail = FileExtent {
        file_offset_bytes: extent.file_offset_bytes + kept,
        length_bytes: extent.length_bytes - kept,
        volume_offset_bytes: None,
    };
    let head = FileExtent { length_bytes: kept, ..extent };
    [head, tail].into_iter().filter(|extent| extent.length_bytes > 0).collect()
}

proptest! {
    #[test]
    fn every_chunk_of_any_file_gets_exactly_its_bytes(
        extents in any_extents(),
        cuts in prop::collection::vec(0.0f64..1.0, 0..6),
    ) {
        let geometry = Geometry { volume_start_bytes: 1 << 20, volume_bytes: 4_096 * SECTOR, sector_bytes: SECTOR };
        let file_bytes = extents.iter().map(|extent| extent.length_bytes).sum::<u64>();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction of a small length")]
        let mut bounds: Vec<u64> = cuts.iter().map(|cut| (cut * file_bytes as f64) as u64).collect();
        bounds.extend([0, file_bytes]);
        bounds.sort_unstable();
        bounds.dedup();
        let mut chunks: Vec<Located<Range<u64>>> = bounds
            .windows(2)
            .map(|pair| pair[0]..pair[1])
            .map(|range| Located {
                parts: locate(range.clone(), &extents, &mut segments(geometry.volume_bytes)).unwrap(),
                tag: range,
            })
            .collect();
        let chunk_count = chunks.len();
        in_drive_order(&mut chunks);
        let spans = lay_out(chunks, &geometry);
        prop_assert_eq!(spans.iter().map(|span| span.chunks.len()).sum::<usize>(), chunk_count);
        for span in &spans {
            let buffer = carry_out(span, &geometry);
            for chunk in &span.chunks {
                let wanted: Vec<u8> =
                    chunk.tag.clone().map(|position| expected(position, &extents, geometry.volume_bytes)).collect();
                prop_assert_eq!(&buffer[chunk.range.clone()], &wanted[..]);
            }
        }
    }
}

fn stored(tag: u32, offset_bytes: u64, length_bytes: u64) -> Located<u32> {
    Located { tag, parts: vec![Part { length_bytes, source: PartSource::Encrypted { offset_bytes } }] }
}

const GEOMETRY: Geometry = Geometry { volume_start_bytes: 0, volume_bytes: 1 << 40, sector_bytes: SECTOR };

#[test]
fn chunks_are_read_in_ascending_position_whatever_the_files_order() {
    let mut chunks =
        vec![stored(0, 9 << 20, 4 << 20), stored(1, 1 << 20, 4 << 20), stored(2, 5 << 20, 4 << 20)];
    in_drive_order(&mut chunks);
    let order: Vec<u32> = lay_out(chunks, &GEOMETRY)
        .iter()
        .flat_map(|span| span.chunks.iter().map(|chunk| chunk.tag))
        .collect();
    assert_eq!(order, [1, 2, 0]);
}

#[test]
fn small_neighbours_share_one_read_and_distant_ones_do_not() {
    let chunks = vec![stored(0, 0, 16 << 10), stored(1, 16 << 10, 16 << 10), stored(2, 10 << 20, 16 << 10)];
    let spans = lay_out(chunks, &GEOMETRY);
    assert_eq!(spans.iter().map(|span| span.chunks.len()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(spans[0].reads.len(), 1);
}

#[test]
fn a_joined_span_never_grows_past_its_limit() {
    let chunks = (0..1_000).map(|index| stored(index, u64::from(index) * (16 << 10), 16 << 10));
    let spans = lay_out(chunks, &GEOMETRY);
    assert!(spans.iter().all(|span| span.buffer_bytes as u64 <= JOINED_SPAN_BYTES_MAX + 2 * SECTOR));
    assert_eq!(spans.iter().map(|span| span.chunks.len()).sum::<usize>(), 1_000);
}

#[test]
fn a_range_that_the_extents_do_not_cover_has_no_place() {
    let extents = [FileExtent { file_offset_bytes: 0, length_bytes: 512, volume_offset_bytes: Some(0) }];
    assert_eq!(locate(0..513, &extents, &mut segments(1 << 20)), None);
}

#[test]
fn a_widened_read_stops_at_the_end_of_the_volume() {
    let geometry = Geometry { volume_bytes: 1_000, ..GEOMETRY };
    let chunk = Located {
        tag: 0,
        parts: vec![Part { length_bytes: 100, source: PartSource::Plain { offset_bytes: 890 } }],
    };
    let span = lone_span(chunk, &geometry);
    let read = span.reads[0];
    assert_eq!(read.device_offset_bytes + read.length_bytes as u64, 1_000);
}

#[test]
fn parts_that_meet_inside_a_sector_cannot_be_read_in_place() {
    let part =
        |offset_bytes, length_bytes| Part { length_bytes, source: PartSource::Encrypted { offset_bytes } };
    let hole = |length_bytes| Part { length_bytes, source: PartSource::Zeros };
    for (parts, in_place) in [
        (vec![part(100, 50)], true),
        (vec![part(100, 412), part(5 * SECTOR, 512)], true),
        (vec![hole(512), part(5 * SECTOR, 100)], true),
        (vec![hole(100), part(5 * SECTOR, 100)], true),
        (vec![part(0, 500), hole(524), part(SECTOR, 10)], true),
        // A hostile file system with clusters smaller than the cipher's sector.
        (vec![part(0, 512), part(100, 512)], false),
        (vec![part(0, 256), part(4 * SECTOR, 256)], false),
        (vec![part(7, 512), part(SECTOR, 512)], false),
    ] {
        assert_eq!(meets_at_boundaries(&parts, SECTOR), in_place, "{parts:?}");
    }
}
