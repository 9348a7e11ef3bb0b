//! A manifest of any size is read in the memory of its largest blob: azure-import-export.md §1.1.
//!
//! The manifests come from a generator, never from a file, and every allocation is counted.
#![allow(missing_docs, reason = "test names are sentences")]
#![allow(unsafe_code, reason = "a global allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{BufReader, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use manifest::{ManifestEvent, ManifestFault, ManifestReader, Rule};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The counters are the process', so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

// SAFETY: every call is passed on to the system's allocator unchanged; only sizes are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Text made piece by piece while it is read.
struct Generated<F> {
    piece: Vec<u8>,
    taken: usize,
    next: F,
}

impl<F: FnMut(&mut Vec<u8>)> Read for Generated<F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.taken == self.piece.len() {
            self.piece.clear();
            self.taken = 0;
            (self.next)(&mut self.piece);
        }
        let count = buffer.len().min(self.piece.len() - self.taken);
        buffer[..count].copy_from_slice(&self.piece[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

/// Reads a manifest of `blobs` pieces between head and tail; gives the entries, the bytes and the
/// most memory that was in use.
fn measured(
    blobs: u64,
    mut blob: impl FnMut(u64, &mut Vec<u8>),
) -> (Result<u64, manifest::ManifestError>, u64, usize) {
    let head = b"<DriveManifest Version=\"2014-11-01\"><Drive><DriveId>S1</DriveId><BlobList>\n";
    let tail = b"</BlobList></Drive></DriveManifest>\n";
    let (mut step, mut bytes) = (0, 0);
    let next = |piece: &mut Vec<u8>| {
        match step {
            0 => piece.extend_from_slice(head),
            n if n <= blobs => blob(n - 1, piece),
            n if n == blobs + 1 => piece.extend_from_slice(tail),
            _ => {}
        }
        step += 1;
        bytes += piece.len() as u64;
    };
    let source = Generated { piece: Vec::with_capacity(64 << 10), taken: 0, next };
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let mut reader = ManifestReader::new(BufReader::with_capacity(64 << 10, source));
    let mut entries = 0;
    let result = loop {
        match reader.next() {
            Ok(Some(ManifestEvent::Blob(_))) => entries += 1,
            Ok(Some(_)) => {}
            Ok(None) => break Ok(entries),
            Err(error) => break Err(error),
        }
    };
    drop(reader);
    (result, bytes, PEAK.load(Ordering::Relaxed) - before)
}

const BLOCK: &str = "Id=\"MD5/cAzn4h7VVSWXf696qp5Uaw==\" Hash=\"700CE7E21ED55525977FAF7AAA9E546B\"/>\n";

fn open_blob(n: u64, length_bytes: u64, piece: &mut Vec<u8>) {
    let path = format!(
        "<Blob><BlobPath>files/dir{n}/name{n}.bin</BlobPath><FilePath>\\dir{n}\\name{n}.bin</FilePath>"
    );
    piece.extend_from_slice(path.as_bytes());
    piece.extend_from_slice(format!("<Length>{length_bytes}</Length>").as_bytes());
}

/// A blob of `blocks` blocks of 4 MiB, all alike.
fn block_blob(n: u64, blocks: u64, piece: &mut Vec<u8>) {
    const LENGTH: u64 = 4 << 20;
    open_blob(n, blocks * LENGTH, piece);
    piece.extend_from_slice(b"<BlockList>\n");
    for block in 0..blocks {
        let offset = block * LENGTH;
        piece.extend_from_slice(format!("<Block Offset=\"{offset}\" Length=\"{LENGTH}\" {BLOCK}").as_bytes());
    }
    piece.extend_from_slice(b"</BlockList></Blob>\n");
}

#[test]
fn a_manifest_of_200_mb_is_read_in_less_than_a_megabyte() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let started = Instant::now();
    // 1,000 blocks a blob: 4 GB files.
    let (entries, bytes, peak) = measured(1_700, |n, piece| block_blob(n, 1_000, piece));
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(entries.unwrap(), 1_700);
    assert!(bytes > 200_000_000, "{bytes}");
    assert!(peak < 1 << 20, "{peak} bytes");
    println!(
        "{bytes} bytes, generated and read at {:.0} MB/s, peak {peak} bytes",
        bytes as f64 / seconds / 1e6
    );
}

#[test]
fn small_blobs_are_read_in_memory_that_does_not_grow() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let started = Instant::now();
    let (entries, bytes, peak) = measured(100_000, |n, piece| block_blob(n, 1, piece));
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(entries.unwrap(), 100_000);
    assert!(peak < 256 << 10, "{peak} bytes");
    println!("{bytes} bytes of small blobs at {:.0} MB/s, peak {peak} bytes", bytes as f64 / seconds / 1e6);
}

#[test]
fn a_blob_of_most_ranges_is_bounded_and_one_more_is_refused() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let ranges_max = manifest::limits::RANGES_MAX as u64;
    for (count, allowed) in [(ranges_max, true), (ranges_max + 1, false)] {
        // The blob's ranges come in pieces of 1,000.
        let pieces = count.div_ceil(1_000);
        let (entries, _, peak) = measured(pieces, |n, piece| {
            if n == 0 {
                open_blob(0, 8 << 40, piece);
                piece.extend_from_slice(b"<PageRangeList>");
            }
            for range in n * 1_000..count.min((n + 1) * 1_000) {
                let range = format!(
                    "<PageRange Offset=\"{}\" Length=\"512\" Hash=\"700CE7E21ED55525977FAF7AAA9E546B\"/>",
                    range * 512
                );
                piece.extend_from_slice(range.as_bytes());
            }
            if n + 1 == pieces {
                piece.extend_from_slice(b"</PageRangeList></Blob>");
            }
        });
        match entries {
            Ok(entries) => assert_eq!((entries, allowed), (1, true)),
            Err(error) => {
                assert!(matches!(error.fault(), ManifestFault::Rule(Rule::RangeCount)), "{error}");
                assert!(!allowed);
            }
        }
        // 32 bytes a range, and the copy that growing makes.
        assert!(peak < 128 << 20, "{peak} bytes");
    }
}

#[test]
fn endless_markup_is_refused_in_bounded_memory() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for start in ["<!-- ", "<Blob><BlobPath>", "<Blob x=\"", "<![CDATA[", "<Blob ", "&", "<?pi "] {
        let (result, _, peak) = measured(10_000, |n, piece| {
            if n == 0 {
                piece.extend_from_slice(start.as_bytes());
            }
            piece.resize(piece.len() + (32 << 10), b'a');
        });
        assert!(result.is_err(), "{start}");
        assert!(peak < 2 << 20, "{start}: {peak} bytes");
    }
    // Many small texts in one element add up to one text.
    let (result, _, peak) = measured(10_000, |n, piece| {
        if n == 0 {
            piece.extend_from_slice(b"<Blob><BlobPath>");
        }
        piece.extend_from_slice("a<!-- -->&amp;<![CDATA[b]]>".repeat(100).as_bytes());
    });
    assert!(result.is_err());
    assert!(peak < 2 << 20, "{peak} bytes");
}
