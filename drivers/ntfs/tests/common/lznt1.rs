//! A plain LZNT1 compressor, written from \[MS-XCA\] §2.5 and not from the decompressor: greedy, slow.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "numbers of a test are small"
)]

/// Compresses in chunks of 4 KiB; a chunk that does not shrink is stored as it is.
pub fn compress(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in data.chunks(4096) {
        let body = compress_chunk(chunk);
        let (flag, body) = if body.len() < chunk.len() { (0xb000, &body[..]) } else { (0x3000, chunk) };
        out.extend((flag | (body.len() as u16 - 1)).to_le_bytes());
        out.extend(body);
    }
    out
}

fn compress_chunk(chunk: &[u8]) -> Vec<u8> {
    let (mut out, mut group, mut flags, mut items) = (Vec::new(), Vec::new(), 0_u8, 0);
    let mut at = 0;
    while at < chunk.len() {
        // As many bits of distance as the position needs, but four at least.
        let distance_bits = (4..=12).find(|bits| at <= 1 << bits).unwrap();
        let length_max = (1 << (16 - distance_bits)) + 2;
        let (length, distance) = longest(chunk, at, length_max);
        if length >= 3 {
            let token = ((distance - 1) << (16 - distance_bits) | (length - 3)) as u16;
            group.extend(token.to_le_bytes());
            flags |= 1 << items;
            at += length;
        } else {
            group.push(chunk[at]);
            at += 1;
        }
        items += 1;
        if items == 8 || at == chunk.len() {
            out.push(flags);
            out.append(&mut group);
            (flags, items) = (0, 0);
        }
    }
    out
}

/// Longest match before `at`, and its distance.
fn longest(chunk: &[u8], at: usize, length_max: usize) -> (usize, usize) {
    let length_from = |start: usize| {
        (0..length_max.min(chunk.len() - at)).take_while(|&n| chunk[start + n] == chunk[at + n]).count()
    };
    (0..at)
        .map(|start| (length_from(start), at - start))
        .max_by_key(|&(length, distance)| (length, usize::MAX - distance))
        .unwrap_or((0, 0))
}
