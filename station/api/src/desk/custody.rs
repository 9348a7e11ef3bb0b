//! `/v1/custody`: what is on the chain, whether it is whole, and a customer's part of it with its proof.
//!
//! An export is a stream: of a job's first entry to the newest checkpoint, which is signed for it. When it breaks
//! off it has no end line, and without that it proves nothing, so half an export is never taken for a whole one.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use ::custody::proof::ProofWriter;
use ::custody::{
    Checkpoint, CheckpointError, Head, KeyTextError, ProofWriteError, PublicKeys, Row, SigningKey,
    TrustedCheckpoint, Verified, Verifier,
};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use jobs::watch::{Watch, WatchError};
use ledger::{ChainRow, Ledger, OfficeError, PAGE_ROWS_MAX, StoredCheckpoint};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::Semaphore;
use tracing::error;
use utoipa::{IntoParams, ToSchema};

use super::Desk;
use super::ask::{Asked, Command};
use super::cursor::{ForeignCursor, Pages};
use super::once::Answer;
use super::refused::{Refused, chain, internal, invalid, lengths, out_of_range, unknown};
use crate::events::{group_of, rfc3339};
use crate::people::Reach;
use crate::problem::Problem;

/// How many rows a stream reads at a time.
const PORTION: u32 = 256;

/// Who signs for this station's chain.
pub struct Signer {
    /// Signs checkpoints, of what it has verified.
    pub watch: Arc<Watch>,
    /// Signs how many entries a job has. The watch's key, too.
    pub key: SigningKey,
}

/// What signs the chain, and what others check that with.
pub struct Keys {
    signer: Option<Signer>,
    public: PublicKeys,
    text: String,
    verifying: Semaphore,
}

impl Keys {
    /// Who signs now, if this station has a key, and the text of all keys that ever did.
    ///
    /// # Errors
    /// When the text is none of public keys.
    pub fn new(signer: Option<Signer>, public_text: &str) -> Result<Self, KeyTextError> {
        let mut text = public_text.trim().to_owned();
        let own = signer.as_ref().map(|signer| signer.key.public(None));
        let mut public = if text.is_empty() { PublicKeys::default() } else { PublicKeys::from_text(&text)? };
        if let Some(own) = own.filter(|own| !public_text.contains(&own.id().to_string())) {
            text = format!("{text}\n{own}").trim().to_owned();
            public = public.with(own);
        }
        Ok(Self { signer, public, text, verifying: Semaphore::new(1) })
    }
}

/// A custody entry at its place in the chain.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CustodyEntry)]
pub(super) struct EntryView {
    /// The chain: the station's name.
    chain: String,
    /// Its number in it.
    no: u64,
    /// Its number among its job's entries.
    job_no: Option<u64>,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// Who.
    actor: String,
    /// In which roles.
    roles: Vec<String>,
    /// What was done.
    action: String,
    /// The job's ARM id.
    job: Option<String>,
    /// The drive's serial number.
    drive: Option<String>,
    /// The bay.
    bay: Option<String>,
    /// The state before.
    before: Option<String>,
    /// The state after.
    after: Option<String>,
    /// Why.
    reason: Option<String>,
    /// Papers that belong to it, by name and SHA-256.
    files: Vec<FileView>,
    /// The hash of the chain up to and with it, in hexadecimal digits.
    hash: String,
}

/// A paper that belongs to an entry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CustodyFile)]
pub(super) struct FileView {
    name: String,
    sha256: String,
}

/// A part of the chain.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CustodyPage)]
pub(super) struct EntryPage {
    entries: Vec<EntryView>,
    /// Ask with this as `cursor` for the next part; absent at the end. A part may be empty and the list go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Of the job with this ARM id, on all chains. Who may not see everything must name one.
    #[param(min_length = 1, max_length = 512)]
    job: Option<String>,
    /// Of this chain; this station's without it.
    #[param(min_length = 1, max_length = 128)]
    chain: Option<String>,
    /// Where the part before ended.
    #[param(min_length = 1, max_length = 1024)]
    cursor: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Entries of the chain, in order.
#[utoipa::path(get, path = "/v1/custody/entries", tag = "custody", operation_id = "custodyEntries", params(Which), responses((status = 200, body = EntryPage)))]
pub(super) async fn entries(
    State(desk): State<Desk>,
    reach: Reach,
    Asked(which): Asked<Which>,
) -> Result<Json<EntryPage>, Refused> {
    let limit = match which.limit.unwrap_or(50) {
        limit @ 1..=200 => limit,
        _ => return Err(out_of_range("limit is 1 to 200").into()),
    };
    lengths(&[("job", which.job.as_deref(), 512), ("chain", which.chain.as_deref(), 128)])?;
    let pages = Pages::new("custody", &[which.job.as_deref(), which.chain.as_deref()]);
    let after = which.cursor.as_deref().map(|cursor| pages.after(cursor)).transpose()?;
    let after = after.as_deref().map(|place| place_of(place).ok_or(ForeignCursor)).transpose()?;
    let rows = match &which.job {
        Some(job) => {
            covered(&reach, job)?;
            desk.ledger().custody_of_job(job, after, limit).await?
        }
        None if reach.is_everything() => {
            of_chain(&desk, &which, after.map_or(0, |(_, no)| no), limit).await?
        }
        None => return Err(job_needed().into()),
    };
    let is_full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next = rows.last().filter(|_| is_full).map(|last| format!("{} {}", last.row.no, last.chain));
    // Where the list goes on is said before what is asked for is picked out of it.
    let is_asked = |row: &&ChainRow| which.chain.as_ref().is_none_or(|chain| row.chain == *chain);
    let entries = rows.iter().filter(is_asked).map(EntryView::of).collect::<Result<_, _>>()?;
    Ok(Json(EntryPage { entries, next_cursor: next.map(|next| pages.cursor(next)) }))
}

async fn of_chain(desk: &Desk, which: &Which, above: u64, limit: u32) -> Result<Vec<ChainRow>, Refused> {
    let chain = which.chain.as_ref().unwrap_or(&desk.parts().station);
    let rows = desk.ledger().custody_rows(chain, above, limit).await?;
    Ok(rows.into_iter().map(|row| ChainRow { chain: chain.clone(), row }).collect())
}

/// A place in a cursor: the number, then the chain, which may have blanks.
fn place_of(text: &str) -> Option<(&str, u64)> {
    let (no, chain) = text.split_once(' ')?;
    Some((chain, no.parse().ok()?))
}

impl EntryView {
    fn of(row: &ChainRow) -> Result<Self, Refused> {
        let entry = row.row.entry().map_err(|error| internal("reading a custody entry", &error))?;
        let draft = entry.draft;
        let files = draft.files.into_iter();
        Ok(Self {
            chain: entry.chain,
            no: entry.no,
            job_no: entry.job_no,
            at: rfc3339(draft.at_unix_ms),
            actor: draft.actor,
            roles: draft.roles,
            action: draft.action,
            job: draft.job,
            drive: draft.drive,
            bay: draft.bay,
            before: draft.before,
            after: draft.after,
            reason: draft.reason,
            files: files.map(|file| FileView { name: file.name, sha256: file.sha256.to_string() }).collect(),
            hash: row.row.hash.to_string(),
        })
    }
}

/// Which job's part.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportOf {
    /// The job's ARM id.
    #[param(min_length = 1, max_length = 512)]
    job: String,
}

/// A job's part of this station's chain, as JSON lines that anybody can verify from the station's public keys.
#[utoipa::path(get, path = "/v1/custody/export", tag = "custody", operation_id = "custodyExport", params(ExportOf), responses((status = 200, body = String, content_type = "application/jsonl")))]
pub(super) async fn export(
    State(desk): State<Desk>,
    reach: Reach,
    Asked(of): Asked<ExportOf>,
) -> Result<Response, Refused> {
    lengths(&[("job", Some(&of.job), 512)])?;
    covered(&reach, &of.job)?;
    let first = first_of(&desk, &of.job).await?.ok_or_else(|| nothing_of(&of.job))?;
    let before = head_before(&desk, first).await?;
    let checkpoint = sign_now(&desk).await?;
    let writer = Shared::default();
    let proof = ProofWriter::new(writer.clone(), &of.job, before.clone())
        .map_err(|error| internal("beginning a proof", &error))?;
    let export = Export { desk, proof: Some(proof), written: writer, above: before.no, checkpoint };
    let body = stream::try_unfold(export, |mut export| async move {
        match export.portion().await {
            Ok(portion) => Ok(portion.map(|bytes| (bytes, export))),
            Err(error) => {
                error!(event = "export_broke_off", err = chain(&error));
                Err(error)
            }
        }
    });
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"))];
    Ok((kind, Body::from_stream(body)).into_response())
}

/// An export that is under way.
struct Export {
    desk: Desk,
    proof: Option<ProofWriter<Shared>>,
    written: Shared,
    above: u64,
    checkpoint: TrustedCheckpoint,
}

/// Why an export broke off.
#[derive(Debug, Error)]
enum BrokeOff {
    /// The ledger failed.
    #[error("reading the chain")]
    Ledger(#[from] OfficeError),
    /// The chain is not whole.
    #[error("writing the proof")]
    Proof(#[from] ProofWriteError),
    /// Rows are missing before the checkpoint.
    #[error("the chain ends before its checkpoint")]
    Short,
    /// The key went.
    #[error("the station has no signing key")]
    NoKey,
}

impl Export {
    /// The next bytes; none after the end.
    async fn portion(&mut self) -> Result<Option<Bytes>, BrokeOff> {
        let Some(mut proof) = self.proof.take() else { return Ok(None) };
        let parts = self.desk.parts();
        let end = self.checkpoint.get().no;
        let left = u32::try_from(end.saturating_sub(self.above)).unwrap_or(PORTION).min(PORTION);
        if left == 0 {
            let signer = parts.custody.signer.as_ref().ok_or(BrokeOff::NoKey)?;
            proof.finish(&self.checkpoint, &signer.key, self.desk.now())?;
            return Ok(Some(self.written.take()));
        }
        let rows = parts.ledger.custody_rows(&parts.station, self.above, left).await?;
        self.above = rows.last().ok_or(BrokeOff::Short)?.no;
        rows.iter().try_for_each(|row| proof.row(row))?;
        self.proof = Some(proof);
        Ok(Some(self.written.take()))
    }
}

/// Where a proof is written to, and taken from a portion at a time.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The job's first row on this station's chain.
async fn first_of(desk: &Desk, job: &str) -> Result<Option<Row>, Refused> {
    let mut after: Option<(String, u64)> = None;
    loop {
        let place = after.as_ref().map(|(chain, no)| (chain.as_str(), *no));
        let rows = desk.ledger().custody_of_job(job, place, PORTION).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        after = Some((last.chain.clone(), last.row.no));
        if let Some(found) = rows.into_iter().find(|row| row.chain == desk.parts().station) {
            return Ok(Some(found.row));
        }
    }
}

async fn head_before(desk: &Desk, first: Row) -> Result<Head, Refused> {
    let station = &desk.parts().station;
    let Some(above) = first.no.checked_sub(2) else { return Ok(Head::start(station)) };
    let row = desk.ledger().custody_rows(station, above, 1).await?.into_iter().next();
    let hash = row.filter(|row| row.no + 1 == first.no).ok_or_else(|| broken(first.no - 1))?.hash;
    Ok(Head { chain: station.clone(), no: first.no - 1, hash })
}

/// The chain as it is now, signed: by the watch, which signs nothing that it has not verified.
async fn sign_now(desk: &Desk) -> Result<TrustedCheckpoint, Refused> {
    let parts = desk.parts();
    let signer = parts.custody.signer.as_ref().ok_or_else(no_key)?;
    let signed = signer.watch.checkpoint(desk.now()).await.map_err(not_signed)?;
    let checkpoint = match signed {
        Some(checkpoint) => checkpoint,
        // Nothing is new since the last one.
        None => {
            let last = desk.ledger().last_checkpoint(&parts.station).await?;
            let last = last.ok_or_else(|| unknown("chain", &parts.station))?;
            Checkpoint::from_text(&last.text).map_err(|error| internal("reading a checkpoint", &error))?
        }
    };
    checkpoint.check(&parts.custody.public).map_err(|error| internal("checking a checkpoint", &error))
}

fn not_signed(error: WatchError) -> Refused {
    match error {
        WatchError::Ledger(source) => source.into(),
        WatchError::Broken { ref broken, .. } => {
            error!(event = "custody_broken", err = chain(&error));
            self::broken(broken.no).into()
        }
        WatchError::Checkpoint { .. } | WatchError::Folder(_) => internal("signing the chain", &error),
    }
}

/// What a chain shall be held against.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VerifyWhat {
    /// The chain; this station's without it.
    #[schema(min_length = 1, max_length = 128)]
    chain: Option<String>,
    /// Signed checkpoints that were kept outside, each as the text it was given out as. Those inside count, too.
    #[serde(default)]
    #[schema(max_items = 64, max_length = 2048)]
    checkpoints: Vec<String>,
}

/// Whether a chain is whole.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CustodyVerified)]
pub(super) struct VerifiedView {
    /// The chain.
    chain: String,
    /// Whether nothing was changed, added, left out or cut off.
    intact: bool,
    /// How many entries it has, as far as it is whole.
    entries: u64,
    /// What they come to.
    hash: Option<String>,
    /// Up to which entry a signed checkpoint vouches for it.
    signed_up_to: Option<u64>,
    /// How many jobs have entries.
    jobs: Option<u64>,
    /// The first entry that is not as it was written.
    broken_at: Option<u64>,
    /// What is wrong with it.
    damage: Option<String>,
}

/// Verifies a chain from its first entry to its last, now. One at a time.
#[utoipa::path(post, path = "/v1/custody/verify", tag = "custody", operation_id = "custodyVerify", request_body = VerifyWhat, responses((status = 200, body = VerifiedView)))]
pub(super) async fn verify(
    State(desk): State<Desk>,
    reach: Reach,
    command: Command<VerifyWhat>,
) -> Result<Answer, Refused> {
    lengths(&[("chain", command.body.chain.as_deref(), 128)])?;
    if command.body.checkpoints.len() > 64 {
        return Err(invalid("checkpoints", "at most 64 at a time").into());
    }
    let chain = command.body.chain.clone().unwrap_or_else(|| desk.parts().station.clone());
    let heads = desk.ledger().heads().await?;
    // Who may not see the whole chain has none: an export of their job's part is what they can verify.
    let head = heads.into_iter().find(|head| head.chain == chain && reach.is_everything());
    let head = head.ok_or_else(|| unknown("chain", &chain))?;
    let _one = desk.parts().custody.verifying.try_acquire().map_err(|_| verifying_already())?;
    let mut checkpoints = kept_checkpoints(&desk, &chain).await?;
    for text in &command.body.checkpoints {
        let checked =
            Checkpoint::from_text(text).and_then(|checkpoint| checkpoint.check(&desk.parts().custody.public));
        checkpoints.push(checked.map_err(|error| foreign_checkpoint(&error))?);
    }
    let verified = walk(desk.ledger(), &head, checkpoints).await?;
    let view = match verified {
        Ok(verified) => VerifiedView::whole(verified),
        Err(broken) => VerifiedView {
            chain,
            intact: false,
            entries: broken.no.saturating_sub(1),
            hash: None,
            signed_up_to: None,
            jobs: None,
            broken_at: Some(broken.no),
            damage: Some(broken.what.to_string()),
        },
    };
    Ok(Answer::ok(view))
}

impl VerifiedView {
    fn whole(verified: Verified) -> Self {
        Self {
            chain: verified.head.chain,
            intact: true,
            entries: verified.head.no,
            hash: Some(verified.head.hash.to_string()),
            signed_up_to: verified.signed_up_to,
            jobs: u64::try_from(verified.jobs).ok(),
            broken_at: None,
            damage: None,
        }
    }
}

/// The checkpoints in the ledger. One that is not genuine is damage, but not the chain's: it is told to the log.
async fn kept_checkpoints(desk: &Desk, of: &str) -> Result<Vec<TrustedCheckpoint>, Refused> {
    let mut found = Vec::new();
    let mut above = 0;
    loop {
        let rows = desk.ledger().checkpoints(of, above, PAGE_ROWS_MAX).await?;
        let Some(last) = rows.last() else { return Ok(found) };
        above = last.no;
        for row in rows {
            let checked =
                Checkpoint::from_text(&row.text).and_then(|read| read.check(&desk.parts().custody.public));
            match checked {
                Ok(checkpoint) => found.push(checkpoint),
                Err(error) => error!(event = "checkpoint_not_genuine", no = row.no, err = chain(&error)),
            }
        }
    }
}

/// Walks a chain up to the head that was read before: what is appended meanwhile is not looked at.
async fn walk(
    ledger: &dyn Ledger,
    head: &Head,
    checkpoints: Vec<TrustedCheckpoint>,
) -> Result<Result<Verified, ::custody::Broken>, OfficeError> {
    let mut verifier = match Verifier::new(&head.chain, checkpoints) {
        Ok(verifier) => verifier,
        Err(broken) => return Ok(Err(broken)),
    };
    let mut above = 0;
    while above < head.no {
        let left = u32::try_from(head.no - above).unwrap_or(PORTION).min(PORTION);
        let rows = ledger.custody_rows(&head.chain, above, left).await?;
        let Some(last) = rows.last() else { break };
        above = last.no;
        for row in &rows {
            if let Err(broken) = verifier.push(row) {
                return Ok(Err(broken));
            }
        }
    }
    Ok(verifier.finish(head))
}

/// A signed checkpoint.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CustodyCheckpoint)]
pub(super) struct CheckpointView {
    /// The last entry that it covers.
    no: u64,
    /// When it was signed.
    #[schema(format = DateTime)]
    at: String,
    /// The whole signed checkpoint, as it is kept outside.
    text: String,
}

/// A part of the checkpoints.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CustodyCheckpointPage)]
pub(super) struct CheckpointPage {
    checkpoints: Vec<CheckpointView>,
    /// Ask with this as `cursor` for the next part; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// This station's signed checkpoints, in order: keep them where the station cannot write.
#[utoipa::path(get, path = "/v1/custody/checkpoints", tag = "custody", operation_id = "custodyCheckpoints", params(super::webhooks::Part), responses((status = 200, body = CheckpointPage)))]
pub(super) async fn checkpoints(
    State(desk): State<Desk>,
    Asked(part): Asked<super::webhooks::Part>,
) -> Result<Json<CheckpointPage>, Refused> {
    let pages = Pages::new("checkpoints", &[]);
    let after = part.cursor.as_deref().map(|cursor| pages.after(cursor)).transpose()?;
    let above = after.map(|after| after.parse().map_err(|_| ForeignCursor)).transpose()?.unwrap_or(0);
    let limit = part.limit()?;
    let rows = desk.ledger().checkpoints(&desk.parts().station, above, limit).await?;
    let is_full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = rows.last().filter(|_| is_full).map(|last| pages.cursor(last.no));
    let view =
        |row: StoredCheckpoint| CheckpointView { no: row.no, at: rfc3339(row.at_unix_ms), text: row.text };
    Ok(Json(CheckpointPage { checkpoints: rows.into_iter().map(view).collect(), next_cursor }))
}

/// The public keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CustodyKeys)]
pub(super) struct KeysView {
    /// One a line: `custody-public-key ID KEY [from TIME] [until TIME]`.
    text: String,
}

/// The public keys with which this station's checkpoints, exports and proofs are verified.
#[utoipa::path(get, path = "/v1/custody/keys", tag = "custody", operation_id = "custodyKeys", responses((status = 200, body = KeysView)))]
pub(super) async fn keys(State(desk): State<Desk>) -> Json<KeysView> {
    Json(KeysView { text: desk.parts().custody.text.clone() })
}

/// A job outside the reach is as unknown as one that does not exist.
fn covered(reach: &Reach, job: &str) -> Result<(), Refused> {
    let is_covered =
        reach.is_everything() || group_of(job).is_some_and(|(of, group)| reach.covers(of, group));
    if is_covered { Ok(()) } else { Err(nothing_of(job).into()) }
}

fn nothing_of(job: &str) -> Problem {
    unknown("job", job)
        .with("job", job)
        .detail("There is no custody entry of this job on this station's chain.")
}

fn job_needed() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "job-needed", "Say which job's entries.")
        .detail("Who may not see everything must name a job of theirs.")
        .with("retryable", false)
}

fn no_key() -> Problem {
    Problem::new(StatusCode::CONFLICT, "no-signing-key", "This station has no key to sign a proof with.")
        .with("retryable", false)
        .with("next", "Configure a custody signing key.")
}

fn broken(no: u64) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "custody-broken",
        "The chain is broken, so nothing can be proven from it.",
    )
    .detail(format!("Entry {no} is not as it was written, or is missing."))
    .with("retryable", false)
    .with("next", "Verify the chain and call the auditor.")
}

fn verifying_already() -> Refused {
    let problem =
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "verifying-already", "A chain is being verified.");
    Refused::Later(Box::new(problem.with("retryable", true)), 10)
}

fn foreign_checkpoint(error: &CheckpointError) -> Refused {
    Problem::new(
        StatusCode::CONFLICT,
        "checkpoint-not-genuine",
        "A checkpoint is not one that this station signed.",
    )
    .detail(chain(error))
    .with("field", "checkpoints")
    .with("retryable", false)
    .into()
}
