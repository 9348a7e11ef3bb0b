//! A change becomes one transaction.
//!
//! What is refused is found where it would be written, under the lock that keeps it true; leaving the
//! transaction without a commit takes everything back.

use std::collections::BTreeSet;

use super::{Connection, Store, access, claims, custody, outbox, replies, secrets, write};
use crate::error::Fault;
use crate::office::change::{Applied, Change, JobWrite};
use crate::office::job::JobRow;
use crate::office::{ApplyError, SecretWrite};
use crate::sql::storable;

pub(super) async fn apply(store: &Store, change: &Change) -> Result<Applied, ApplyError> {
    check(change)?;
    let mut tries = 0;
    loop {
        match attempt(store, change).await {
            Err(ApplyError::Fault(fault)) if super::again(&fault, tries).await => tries += 1,
            ended => return ended,
        }
    }
}

async fn attempt(store: &Store, change: &Change) -> Result<Applied, ApplyError> {
    super::in_time(async { Ok(once(store, change).await) })
        .await
        .unwrap_or_else(|fault| Err(ApplyError::Fault(fault)))
}

async fn once(store: &Store, change: &Change) -> Result<Applied, ApplyError> {
    let mut held = store.office_writer().await.map_err(ApplyError::Fault)?;
    let mut transaction = super::begin_write(&mut held).await.map_err(ApplyError::Fault)?;
    let applied = steps(&mut transaction, change).await?;
    transaction.commit().await.map_err(|error| ApplyError::Fault(Fault::of(error)))?;
    Ok(applied)
}

/// In the order in which locks are taken, see [`crate::sql`].
async fn steps(connection: &mut Connection, change: &Change) -> Result<Applied, ApplyError> {
    if let Some(reply) = &change.reply {
        replies::keep(connection, reply).await?;
    }
    let version = match &change.job {
        Some(JobWrite::Insert(row)) => Some(write::insert(connection, row).await?),
        Some(JobWrite::Update { row, expected_version }) => {
            Some(write::update(connection, row, *expected_version).await?)
        }
        Some(JobWrite::Delete { key, expected_version }) => {
            write::delete(connection, key, *expected_version).await?;
            None
        }
        None => None,
    };
    if let Some(claim) = &change.claim {
        claims::check(connection, claim).await?;
    }
    for secret in &change.secrets {
        secrets::write(connection, secret).await?;
    }
    for token in &change.tokens {
        access::write(connection, token).await?;
    }
    for hook in &change.hooks {
        outbox::write_hook(connection, hook).await?;
    }
    let head = custody::append(connection, &change.chain, &change.custody).await?;
    let last_event = outbox::append(connection, &change.events).await.map_err(ApplyError::Fault)?;
    Ok(Applied { version, head, last_event })
}

/// What a database cannot hold, said before one is asked.
fn check(change: &Change) -> Result<(), ApplyError> {
    let mut texts: Vec<&str> = vec![&change.chain];
    if let Some(reply) = &change.reply {
        texts.extend([&*reply.caller, &reply.key, &reply.fingerprint]);
    }
    match &change.job {
        Some(JobWrite::Insert(row) | JobWrite::Update { row, .. }) => {
            check_row(row)?;
            texts.extend(row_texts(row));
        }
        Some(JobWrite::Delete { .. }) | None => {}
    }
    for draft in &change.custody {
        texts.extend(draft.job.as_deref());
    }
    for event in &change.events {
        texts.push(&event.kind);
        texts.extend([&event.job, &event.drive, &event.bay].into_iter().filter_map(|text| text.as_deref()));
    }
    for secret in &change.secrets {
        match secret {
            SecretWrite::Put(secret) | SecretWrite::Replace { with: secret, .. } => {
                texts.extend([&*secret.name, &secret.master_key_id])
            }
            SecretWrite::Delete { name } => texts.push(name),
        }
    }
    texts.extend(change.tokens.iter().flat_map(access::texts));
    texts.extend(change.hooks.iter().flat_map(outbox::texts));
    match texts.into_iter().find(|text| !storable(text)) {
        Some(_) => Err(invalid("a text holds a NUL")),
        None if !change.custody.is_empty() && change.chain.is_empty() => {
            Err(invalid("custody without the name of its chain"))
        }
        None => Ok(()),
    }
}

fn row_texts(row: &JobRow) -> Vec<&str> {
    let key = &row.key;
    let mut texts: Vec<&str> = vec![&key.subscription, &key.resource_group, &key.name, &row.document];
    texts.extend([&*row.location, &row.storage_account, &row.job_type, &row.state]);
    texts.extend(row.tracking_numbers.iter().map(String::as_str));
    texts.extend(row.timers.iter().map(|timer| timer.kind.as_str()));
    for drive in &row.drives {
        texts.extend([&*drive.state, &drive.document]);
        texts.extend([&drive.station, &drive.bay].into_iter().filter_map(|text| text.as_deref()));
    }
    texts
}

fn check_row(row: &JobRow) -> Result<(), ApplyError> {
    let drives: BTreeSet<_> = row.drives.iter().map(|drive| &drive.drive_id).collect();
    let timers: BTreeSet<_> = row.timers.iter().map(|timer| &timer.kind).collect();
    if drives.len() != row.drives.len() {
        return Err(invalid("a job has a drive twice"));
    }
    if timers.len() != row.timers.len() {
        return Err(invalid("a job has two timers of one kind"));
    }
    Ok(())
}

pub(super) fn invalid(what: impl Into<String>) -> ApplyError {
    ApplyError::Invalid { what: what.into() }
}
