//! The reader in all its ways, on files and on devices that misbehave.

#![allow(clippy::cast_possible_truncation, reason = "a test's numbers are its own")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use block::{
    AllowedWays, BufferPool, FaultyDevice, FileDevice, MemoryDevice, PoolConfig, ReadAt, ReadDone, ReadError,
    ReadErrorKind, ReadJob, ReadMode, ReadPiece, ReadTarget, Reader, ReaderConfig, ReaderError, SharedDevice,
};
use proptest::prelude::*;
use tokio::sync::mpsc;

const FILE_BYTES: usize = (2 << 20) + 12_345;

fn content() -> Vec<u8> {
    (0..FILE_BYTES as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 21) as u8).collect()
}

/// In the target directory, which is a real file system where `/tmp` may be none that takes
/// `O_DIRECT`.
fn file() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    file.write_all(&content()).unwrap();
    file
}

fn pool() -> BufferPool {
    BufferPool::new(PoolConfig { page_bytes: 4096, page_count: 2048 }).unwrap()
}

fn target(path: &Path) -> ReadTarget {
    ReadTarget::File(Arc::new(FileDevice::open(path).unwrap()))
}

fn all_ways() -> Vec<AllowedWays> {
    let way = |uring, registered, direct| AllowedWays { uring, registered, direct };
    vec![
        way(true, true, true),
        way(true, true, false),
        way(true, false, true),
        way(true, false, false),
        way(false, false, true),
        way(false, false, false),
    ]
}

fn config(ways: AllowedWays) -> ReaderConfig {
    ReaderConfig { queue_depth: 3, read_bytes_max: 16 << 10, thread_count: 2, ways }
}

fn piece(device_offset_bytes: usize, buffer_offset_bytes: usize, length_bytes: usize) -> ReadPiece {
    ReadPiece { device_offset_bytes: device_offset_bytes as u64, buffer_offset_bytes, length_bytes }
}

/// A job whose buffer is first filled with `0xEE`.
fn job<T>(pool: &BufferPool, tag: T, length: usize, pieces: &[ReadPiece]) -> ReadJob<T> {
    let mut buffer = pool.try_acquire(length).unwrap().expect("the pool is large enough");
    buffer.fill(0xEE);
    ReadJob { tag, buffer, pieces: pieces.to_vec() }
}

/// Runs jobs to their end; the answers by tag.
fn run(
    target: ReadTarget,
    pool: &BufferPool,
    config: ReaderConfig,
    jobs: Vec<ReadJob<usize>>,
) -> (ReadMode, BTreeMap<usize, ReadDone<usize>>) {
    let (job_sender, job_receiver) = mpsc::channel(jobs.len().max(1));
    let (done_sender, mut done) = mpsc::channel(jobs.len().max(1));
    let (job_count, reader) = (jobs.len(), Reader::start(target, pool, config, job_receiver, done_sender));
    for job in jobs {
        job_sender.blocking_send(job).ok().unwrap();
    }
    drop(job_sender);
    let mut answers = BTreeMap::new();
    while let Some(answer) = done.blocking_recv() {
        assert!(answers.insert(answer.tag, answer).is_none(), "answered twice");
    }
    assert_eq!(answers.len(), job_count);
    let mode = reader.mode();
    assert_eq!(reader.join().unwrap().job_count, job_count as u64);
    (mode, answers)
}

#[test]
fn every_way_gives_exactly_the_files_bytes_for_awkward_pieces() {
    let (file, content, pool) = (file(), content(), pool());
    let shapes: Vec<(usize, Vec<ReadPiece>)> = vec![
        (1 << 20, vec![piece(0, 0, 1 << 20)]),
        (FILE_BYTES, vec![piece(0, 0, FILE_BYTES)]),
        (1, vec![piece(FILE_BYTES - 1, 0, 1)]),
        (8192, vec![piece(4096, 0, 4096), piece(65_536, 4096, 4096)]),
        (10_000, vec![piece(4000, 0, 10_000)]),
        (10_416, vec![piece(4000, 416, 10_000)]),
        (100_000, vec![piece(513, 1, 99_999)]),
        (40_960, vec![piece(512, 8192, 512), piece(1536, 512, 6_144)]),
        (0, vec![]),
        (4096, vec![]),
        (4096, vec![piece(100, 50, 0)]),
    ];
    for ways in all_ways() {
        let jobs = shapes.iter().enumerate().map(|(tag, (length, pieces))| job(&pool, tag, *length, pieces));
        let (mode, answers) = run(target(file.path()), &pool, config(ways), jobs.collect());
        for (tag, (length, pieces)) in shapes.iter().enumerate() {
            let answer = &answers[&tag];
            answer.outcome.as_ref().unwrap_or_else(|error| panic!("{mode}: job {tag}: {error}"));
            assert!(answer.buffer[..] == expected(&content, *length, pieces)[..], "{mode}: job {tag}");
        }
    }
    assert_eq!(pool.in_use_bytes(), 0);
}

/// What a buffer must hold after its pieces were read into `0xEE`.
fn expected(content: &[u8], length: usize, pieces: &[ReadPiece]) -> Vec<u8> {
    let mut buffer = vec![0xEE; length];
    for piece in pieces {
        let from = piece.device_offset_bytes as usize;
        buffer[piece.buffer_offset_bytes..][..piece.length_bytes]
            .copy_from_slice(&content[from..from + piece.length_bytes]);
    }
    buffer
}

/// Pieces that lie one behind the other in the buffer, with gaps, from anywhere on the drive.
fn pieces() -> impl Strategy<Value = Vec<ReadPiece>> {
    let aligned = prop_oneof![Just(1_usize), Just(512), Just(4096)];
    prop::collection::vec((0_usize..FILE_BYTES, 0_usize..2_000, 0_usize..60_000, aligned), 0..5).prop_map(
        |parts| {
            let mut at = 0;
            parts
                .into_iter()
                .map(|(offset, gap, length, align)| {
                    let offset = offset / align * align;
                    at = (at + gap).next_multiple_of(align);
                    let length = (length / align * align).min(FILE_BYTES - offset);
                    let piece = piece(offset, at, length);
                    at += length;
                    piece
                })
                .collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn all_ways_give_the_files_bytes_for_random_jobs(jobs in prop::collection::vec(pieces(), 1..12)) {
        let (file, content, pool) = (file(), content(), pool());
        for ways in all_ways() {
            let length = |pieces: &[ReadPiece]| pieces.last().map_or(0, |last| last.buffer_offset_bytes + last.length_bytes);
            let started = jobs.iter().enumerate().map(|(tag, pieces)| job(&pool, tag, length(pieces), pieces)).collect();
            let (mode, answers) = run(target(file.path()), &pool, config(ways), started);
            for (tag, pieces) in jobs.iter().enumerate() {
                prop_assert!(answers[&tag].outcome.is_ok(), "{}: {:?}", mode, answers[&tag].outcome);
                prop_assert!(answers[&tag].buffer[..] == expected(&content, length(pieces), pieces)[..], "{}: {:?}", mode, pieces);
            }
        }
        prop_assert_eq!(pool.in_use_bytes(), 0);
    }
}

#[test]
fn the_way_that_was_chosen_is_told() {
    let (file, pool) = (file(), pool());
    let start = |ways| {
        let (_jobs, job_receiver) = mpsc::channel::<ReadJob<()>>(1);
        let (done_sender, _done) = mpsc::channel(1);
        let reader = Reader::start(target(file.path()), &pool, config(ways), job_receiver, done_sender);
        reader.mode()
    };
    let no_uring = AllowedWays { uring: false, registered: false, direct: false };
    assert_eq!(start(no_uring), ReadMode::Positional { direct: false });
    assert_eq!(start(no_uring).to_string(), "positional reads, through the page cache");
    if io_uring::IoUring::new(1).is_err() {
        return eprintln!("skipped: the_way_that_was_chosen_is_told: io_uring is refused here");
    }
    let unregistered = AllowedWays { registered: false, direct: false, ..AllowedWays::default() };
    assert_eq!(start(unregistered), ReadMode::Uring { registered: false, direct: false });
}

#[test]
fn a_file_on_tmpfs_is_read_in_every_way() {
    let Ok(mut file) = tempfile::NamedTempFile::new_in("/dev/shm") else {
        return eprintln!("skipped: a_file_on_tmpfs_is_read_in_every_way: /dev/shm cannot be written");
    };
    file.write_all(&content()).unwrap();
    let (content, pool) = (content(), pool());
    for ways in all_ways() {
        let pieces = [piece(0, 0, 1 << 20)];
        let (mode, answers) =
            run(target(file.path()), &pool, config(ways), vec![job(&pool, 0, 1 << 20, &pieces)]);
        assert!(answers[&0].buffer[..] == content[..1 << 20], "{mode}");
    }
}

#[test]
fn pieces_outside_the_device_or_the_buffer_fail_their_job_only() {
    let (file, pool) = (file(), pool());
    for ways in all_ways() {
        let jobs = vec![
            job(&pool, 0, 4096, &[piece(FILE_BYTES - 4095, 0, 4096)]),
            job(&pool, 1, 4096, &[piece(usize::MAX, 0, 4096)]),
            job(&pool, 2, 4096, &[piece(0, 1, 4096)]),
            job(&pool, 3, 4096, &[piece(0, usize::MAX, 4096)]),
            job(&pool, 4, 4096, &[piece(0, 0, 4096)]),
        ];
        let (mode, answers) = run(target(file.path()), &pool, config(ways), jobs);
        let kind = |tag| answers[&tag].outcome.as_ref().map_err(|error| error.kind);
        let outside = ReadErrorKind::OutOfRange { device_bytes: FILE_BYTES as u64 };
        assert_eq!((kind(0), kind(1)), (Err(outside), Err(outside)), "{mode}");
        assert_eq!((kind(2), kind(3)), (Err(ReadErrorKind::Other), Err(ReadErrorKind::Other)), "{mode}");
        assert!(answers[&4].outcome.is_ok(), "{mode}");
    }
}

#[test]
fn a_file_that_ends_inside_a_piece_is_an_error_that_says_where() {
    let pool = pool();
    for ways in all_ways() {
        let file = file();
        let opened = target(file.path());
        file.as_file().set_len(100_001).unwrap();
        let jobs = vec![
            job(&pool, 0, 65_536, &[piece(65_536, 0, 65_536)]),
            job(&pool, 1, 4096, &[piece(0, 0, 4096)]),
        ];
        let (mode, answers) = run(opened, &pool, config(ways), jobs);
        let error = answers[&0].outcome.as_ref().unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::OutOfRange { device_bytes: 100_001 }, "{mode}");
        assert_eq!(error.offset_bytes, 100_001, "{mode}");
        assert!(answers[&1].outcome.is_ok(), "{mode}");
    }
}

#[test]
fn bad_sectors_fail_only_the_jobs_that_touch_them() {
    let pool = pool();
    let (device, faults) = FaultyDevice::new(Arc::new(MemoryDevice::new(content(), 512)));
    faults.fail(70_000..70_001);
    let jobs = (0..8).map(|tag| job(&pool, tag, 32 << 10, &[piece(tag * (32 << 10), 0, 32 << 10)])).collect();
    let (mode, answers) =
        run(ReadTarget::Device(Arc::new(device)), &pool, config(AllowedWays::default()), jobs);
    assert_eq!(mode, ReadMode::Device);
    for (tag, answer) in &answers {
        match &answer.outcome {
            Ok(()) => assert!(answer.buffer[..] == content()[tag * (32 << 10)..][..32 << 10]),
            Err(error) => assert_eq!((error.kind, *tag), (ReadErrorKind::Medium, 2)),
        }
    }
    assert!(answers[&2].outcome.is_err());
}

#[test]
fn a_drive_that_is_pulled_fails_the_rest_and_the_reader_ends_cleanly() {
    let pool = pool();
    let (device, faults) = FaultyDevice::new(Arc::new(MemoryDevice::new(content(), 512)));
    faults.vanish_after(3);
    let config = ReaderConfig { thread_count: 1, ..config(AllowedWays::default()) };
    let jobs = (0..6).map(|tag| job(&pool, tag, 4096, &[piece(tag * 4096, 0, 4096)])).collect();
    let (_, answers) = run(ReadTarget::Device(Arc::new(device)), &pool, config, jobs);
    let gone =
        |tag: usize| answers[&tag].outcome.as_ref().is_err_and(|error| error.kind == ReadErrorKind::Gone);
    assert!((0..3).all(|tag| !gone(tag)) && (3..6).all(gone));
    drop(answers);
    assert_eq!(pool.in_use_bytes(), 0);
}

#[test]
fn jobs_end_out_of_order_when_one_of_them_stalls() {
    let pool = pool();
    let (device, faults) = FaultyDevice::new(Arc::new(MemoryDevice::new(content(), 512)));
    let (jobs, job_receiver) = mpsc::channel(4);
    let (done_sender, mut done) = mpsc::channel(4);
    let config = config(AllowedWays::default());
    let reader =
        Reader::start(ReadTarget::Device(Arc::new(device)), &pool, config, job_receiver, done_sender);
    faults.stall();
    jobs.blocking_send(job(&pool, 1, 4096, &[piece(0, 0, 4096)])).ok().unwrap();
    faults.wait_until_stalled(1);
    // An empty job needs no read and overtakes the stalled one.
    jobs.blocking_send(job(&pool, 2, 4096, &[])).ok().unwrap();
    assert_eq!(done.blocking_recv().unwrap().tag, 2);
    faults.release();
    assert_eq!(done.blocking_recv().unwrap().tag, 1);
    drop(jobs);
    assert!(done.blocking_recv().is_none());
    let counts = reader.join().unwrap();
    assert_eq!((counts.job_count, counts.read_count, counts.read_bytes), (2, 1, 4096));
    assert!(counts.busy > std::time::Duration::ZERO);
}

#[test]
fn a_consumer_that_goes_away_ends_the_reader_and_every_buffer_comes_back() {
    let (file, pool) = (file(), pool());
    for ways in all_ways() {
        let (jobs, job_receiver) = mpsc::channel(64);
        let (done_sender, done) = mpsc::channel(1);
        let reader = Reader::start(target(file.path()), &pool, config(ways), job_receiver, done_sender);
        for tag in 0..20 {
            jobs.blocking_send(job(&pool, tag, 65_536, &[piece(0, 0, 65_536)])).ok().unwrap();
        }
        drop(done);
        reader.join().unwrap();
        assert!(jobs.is_closed());
        drop(jobs);
        assert_eq!(pool.in_use_bytes(), 0);
    }
}

#[test]
fn a_panic_below_the_reader_is_reported_and_every_buffer_comes_back() {
    struct Panics;
    impl ReadAt for Panics {
        fn length_bytes(&self) -> u64 {
            1 << 20
        }
        fn sector_bytes(&self) -> u32 {
            512
        }
        fn read_exact_at(&self, _: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
            if offset_bytes == 8192 { panic!("a broken device driver at {offset_bytes}") } else { Ok(()) }
        }
    }
    let pool = pool();
    let (jobs, job_receiver) = mpsc::channel(8);
    let (done_sender, mut done) = mpsc::channel(8);
    let device: SharedDevice = Arc::new(Panics);
    let reader = Reader::start(
        ReadTarget::Device(device),
        &pool,
        config(AllowedWays::default()),
        job_receiver,
        done_sender,
    );
    for tag in 0..4 {
        jobs.blocking_send(job(&pool, tag, 4096, &[piece(tag * 4096, 0, 4096)])).ok().unwrap();
    }
    // The channel of answers closes although `jobs` is still open.
    while let Some(answer) = done.blocking_recv() {
        assert!(answer.outcome.is_ok() && answer.tag != 2);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(reader.finished()) {
        Err(ReaderError::Panicked { message }) => assert_eq!(message, "a broken device driver at 8192"),
        other => panic!("{other:?}"),
    }
    drop(jobs);
    assert_eq!(pool.in_use_bytes(), 0);
}

#[test]
fn a_slow_consumer_stops_the_drive() {
    let (file, pool) = (file(), pool());
    for ways in all_ways() {
        let (jobs, job_receiver) = mpsc::channel(100);
        let (done_sender, mut done) = mpsc::channel(1);
        let config = config(ways);
        let reader = Reader::start(target(file.path()), &pool, config, job_receiver, done_sender);
        for tag in 0..50 {
            jobs.blocking_send(job(&pool, tag, 4096, &[piece(tag * 4096, 0, 4096)])).ok().unwrap();
        }
        drop(jobs);
        let mut received = 0;
        while let Some(answer) = done.blocking_recv() {
            received += 1;
            // What is read but not received: in `done` and in the queue's places, never more.
            let bound = received + 1 + config.queue_depth as u64 + 1;
            assert!(reader.counts().read_count <= bound, "{}", reader.mode());
            assert!(answer.outcome.is_ok());
        }
        assert_eq!((received, reader.join().unwrap().job_count), (50, 50));
    }
}

#[test]
fn buffers_of_another_pool_are_filled_too() {
    let (file, content, pool, other) = (file(), content(), pool(), pool());
    let pieces = [piece(4096, 0, 65_536)];
    let (_, answers) =
        run(target(file.path()), &pool, ReaderConfig::default(), vec![job(&other, 0, 65_536, &pieces)]);
    assert!(answers[&0].outcome.is_ok());
    assert!(answers[&0].buffer[..] == content[4096..4096 + 65_536]);
}
