//! A run's records: saved one by one and in batches, and read as a resumed run and the logs do.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use ledger::{Begun, BlobOutcome, Ledger, Record, Recorder, RunKey, RunStart, SaveError};
use model::DriveId;
use model::status::{BlobStatus, ChunkStatus, DispositionStatus};

use crate::latency::{Latencies, say_rate};

/// Callers that save one outcome each and wait, as small blobs do.
const SAVERS: u64 = 256;
/// So many are saved one by one at most; the rest in batches.
const ONE_BY_ONE_MAX: u64 = 250_000;
/// What the recorder takes at most for one transaction.
const BATCH_RECORDS: usize = 4_096;

pub async fn measure(ledger: Arc<dyn Ledger>, records: u64) -> Result<(), Box<dyn Error>> {
    let key = RunKey {
        drive_id: DriveId::new("bench")?,
        job_name: "bench".to_owned(),
        manifest_hash: "0".to_owned(),
        destination: "https://account".to_owned(),
    };
    let start = RunStart { run_id: [7; 16], started_unix_ms: 0, log_timestamp: "0".to_owned() };
    let Begun::Running(run) = ledger.begin(&key, &start).await? else { return Err("it is new".into()) };
    let recorder = Recorder::start(Arc::<dyn Ledger>::clone(&ledger), run.clone());
    let one_by_one = (records / 4).min(ONE_BY_ONE_MAX);
    save_one_by_one(&recorder, one_by_one, records).await?;
    let began = Instant::now();
    let numbers: Vec<u64> = (one_by_one..records).collect();
    for numbers in numbers.chunks(BATCH_RECORDS) {
        recorder.save(numbers.iter().map(|number| outcome(spread(*number, records))).collect()).await?;
    }
    say_rate("outcomes/s in batches of 4,096", records - one_by_one, began);
    let began = Instant::now();
    let present = ledger.outcomes_present(run.no).await?;
    say_rate("outcomes/s to know what is done", present.len(), began);
    let began = Instant::now();
    let totals = ledger.totals(run.no).await?;
    say_rate("outcomes/s to count", totals.blobs(), began);
    let (began, mut from, mut seen) = (Instant::now(), 0, 0);
    loop {
        let page = ledger.outcomes(run.no, from, 10_000).await?;
        let Some((last, _)) = page.last() else { break };
        (from, seen) = (last + 1, seen + page.len() as u64);
    }
    say_rate("outcomes/s to write logs from", seen, began);
    Ok(())
}

async fn save_one_by_one(recorder: &Recorder, count: u64, records: u64) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let savers = (0..SAVERS).map(|saver| {
        let recorder = recorder.clone();
        tokio::spawn(async move {
            let mut saved = 0;
            for number in (saver..count).step_by(SAVERS.try_into().expect("small")) {
                recorder.note(landed(spread(number, records))).await?;
                recorder.save(vec![outcome(spread(number, records))]).await?;
                saved += 1;
            }
            Ok::<u64, SaveError>(saved)
        })
    });
    let mut saved = 0;
    for saver in savers.collect::<Vec<_>>() {
        saved += saver.await??;
    }
    say_rate(&format!("outcomes/s, {SAVERS} callers, one each and wait"), saved, began);
    let mut latencies = Latencies::default();
    for number in 0..200 {
        let began = Instant::now();
        recorder.save(vec![outcome(number)]).await?;
        latencies.add(began);
    }
    latencies.say("one outcome, saved");
    Ok(())
}

/// Blobs end in the drive's order, which is not the manifest's.
fn spread(number: u64, records: u64) -> u64 {
    number * 7_919 % records
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
