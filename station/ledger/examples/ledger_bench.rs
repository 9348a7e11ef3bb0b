//! What the ledger sustains: outcomes a second, bytes a row, how long a resumed run reads.
//!
//! `cargo run --release -p ledger --example ledger_bench [BLOBS]`; the file goes to the current
//! directory's file system, because `fsync` is part of the figure.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use ledger::{Begun, BlobOutcome, Record, Recorder, RunKey, RunStart, Runs, SqliteLedger};
use model::DriveId;
use model::status::{BlobStatus, ChunkStatus, DispositionStatus};

/// Callers that save one outcome each and wait, as small blobs do.
const SAVERS: u32 = 256;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let blobs: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let directory = std::env::current_dir()?.join("ledger_bench.tmp");
    std::fs::create_dir_all(&directory)?;
    let measured = measure(&directory.join("ledger.sqlite3"), blobs).await;
    std::fs::remove_dir_all(&directory)?;
    measured
}

async fn measure(path: &std::path::Path, blobs: u64) -> Result<(), Box<dyn Error>> {
    let ledger: Arc<dyn Runs> = Arc::new(SqliteLedger::open(path).await?);
    let key = RunKey {
        drive_id: DriveId::new("bench")?,
        job_name: "bench".to_owned(),
        manifest_hash: "0".to_owned(),
        destination: "https://account".to_owned(),
    };
    let start = RunStart { run_id: [7; 16], started_unix_ms: 0, log_timestamp: "0".to_owned() };
    let Begun::Running(run) = ledger.begin(&key, &start).await? else { return Err("it is new".into()) };

    let one_by_one = blobs / 4;
    let clock = Instant::now();
    let recorder = Recorder::start(Arc::clone(&ledger), run.clone());
    let savers = (0..u64::from(SAVERS)).map(|saver| {
        let recorder = recorder.clone();
        tokio::spawn(async move {
            for number in (saver..one_by_one).step_by(SAVERS.try_into().expect("small")) {
                recorder.note(landed(spread(number, blobs))).await?;
                recorder.save(vec![outcome(spread(number, blobs))]).await?;
            }
            Ok::<(), ledger::SaveError>(())
        })
    });
    for saver in savers.collect::<Vec<_>>() {
        saver.await??;
    }
    say(&format!("outcomes/s, {SAVERS} callers, one each and wait"), one_by_one, clock);

    let clock = Instant::now();
    let numbers: Vec<u64> = (one_by_one..blobs).collect();
    for numbers in numbers.chunks(4_096) {
        recorder.save(numbers.iter().map(|number| outcome(spread(*number, blobs))).collect()).await?;
    }
    say("outcomes/s, in batches of 4,096", blobs - one_by_one, clock);

    let clock = Instant::now();
    let present = ledger.outcomes_present(run.no).await?;
    say(
        &format!("outcomes/s to know what is done ({} KiB)", present.size_bytes() >> 10),
        present.len(),
        clock,
    );
    let clock = Instant::now();
    let totals = ledger.totals(run.no).await?;
    say("outcomes/s to count", totals.blobs(), clock);
    let (clock, mut from, mut seen) = (Instant::now(), 0, 0);
    loop {
        let page = ledger.outcomes(run.no, from, 10_000).await?;
        let Some((last, _)) = page.last() else { break };
        (from, seen) = (last + 1, seen + page.len() as u64);
    }
    say("outcomes/s to write logs from", seen, clock);
    let file_bytes = std::fs::metadata(path)?.len();
    println!("{:>10.1} bytes a blob in the file", file_bytes as f64 / blobs as f64);
    Ok(())
}

/// Blobs end in the drive's order, which is not the manifest's.
fn spread(number: u64, blobs: u64) -> u64 {
    number * 7_919 % blobs
}

fn landed(blob_index: u64) -> Record {
    Record::ChunkLanded { blob_index, target_n: 1, chunk_index: 0, crc64: blob_index }
}

fn outcome(blob_index: u64) -> Record {
    let outcome = BlobOutcome {
        status: BlobStatus::Completed,
        disposition: Some(DispositionStatus::Created),
        final_path: None,
        chunk_default: ChunkStatus::Completed,
        chunk_exceptions: Vec::new(),
        metadata: None,
        properties: None,
        crc64: Some(blob_index.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        bytes: 16_384,
        message: None,
        http_status: None,
        code: None,
    };
    Record::Outcome { blob_index, outcome }
}

fn say(what: &str, count: u64, clock: Instant) {
    let seconds = clock.elapsed().as_secs_f64();
    println!("{:>10.0} {what} ({seconds:.2} s)", count as f64 / seconds);
}
