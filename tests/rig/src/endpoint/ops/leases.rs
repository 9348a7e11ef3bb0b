//! Lease Blob and Lease Container: the five actions, and their headers.

use super::super::codes::{self, Refusal};
use super::super::conditions::{Conditions, Version};
use super::super::lease::Lease;
use super::super::reply::Reply;
use super::container::versioned;
use super::{Call, Changed, Outcome};

/// Lease Blob.
pub(crate) fn of_blob(call: &Call<'_>) -> Outcome {
    call.refuse_snapshot()?;
    let cell = call.container()?.existing_cell(&call.head.blob).ok_or(codes::BLOB_NOT_FOUND)?;
    let mut cell = cell.lock();
    let blob = cell.base.as_ref().ok_or(codes::BLOB_NOT_FOUND)?;
    Conditions::of(call.head)?.check_write(Version::from(blob))?;
    let version = Changed::of(blob);
    let done = act(call, &mut cell.lease)?;
    call.account.save_cell(call.place(), cell.record())?;
    Ok(done.reply(version.reply(done.status)))
}

/// Lease Container.
pub(crate) fn of_container(call: &Call<'_>) -> Outcome {
    let container = call.container()?;
    let mut state = container.lock()?;
    let version = Version { etag: state.etag, modified: state.modified };
    Conditions::of(call.head)?.check_write(version)?;
    let done = act(call, &mut state.lease)?;
    call.account.save_container(&call.head.container, &state)?;
    Ok(done.reply(versioned(&state, done.status)))
}

/// What came of a lease action.
struct Done {
    status: u16,
    id: Option<String>,
    remaining_seconds: Option<u64>,
}

impl Done {
    fn with_id(status: u16, id: &str) -> Done {
        Done { status, id: Some(id.to_owned()), remaining_seconds: None }
    }

    fn reply(&self, reply: Reply) -> Reply {
        reply.maybe("x-ms-lease-id", self.id.as_deref()).maybe("x-ms-lease-time", self.remaining_seconds)
    }
}

fn act(call: &Call<'_>, lease: &mut Lease) -> Result<Done, Refusal> {
    let required = |name: &'static str| {
        call.head.header(name).ok_or_else(|| Refusal::from(codes::MISSING_HEADER).detail("HeaderName", name))
    };
    let now = call.now;
    match required("x-ms-lease-action")? {
        "acquire" => {
            let id = match call.head.header("x-ms-proposed-lease-id") {
                Some(id) => checked_id("x-ms-proposed-lease-id", id)?,
                None => new_id(call),
            };
            lease.acquire(&id, duration(required("x-ms-lease-duration")?)?, now)?;
            Ok(Done::with_id(201, &id))
        }
        "renew" => {
            let id = checked_id("x-ms-lease-id", required("x-ms-lease-id")?)?;
            lease.renew(&id, now)?;
            Ok(Done::with_id(200, &id))
        }
        "change" => {
            let id = checked_id("x-ms-lease-id", required("x-ms-lease-id")?)?;
            let proposed = checked_id("x-ms-proposed-lease-id", required("x-ms-proposed-lease-id")?)?;
            lease.change(&id, &proposed, now)?;
            Ok(Done::with_id(200, &proposed))
        }
        "release" => {
            lease.release(&checked_id("x-ms-lease-id", required("x-ms-lease-id")?)?)?;
            Ok(Done { status: 200, id: None, remaining_seconds: None })
        }
        "break" => {
            let remaining = lease.break_it(call.head.number("x-ms-lease-break-period")?, now)?;
            Ok(Done { status: 202, id: None, remaining_seconds: Some(remaining) })
        }
        other => Err(codes::INVALID_HEADER.of_header("x-ms-lease-action", other)),
    }
}

/// Seconds, or none for `-1`, which means for ever.
fn duration(text: &str) -> Result<Option<u64>, Refusal> {
    match text {
        "-1" => Ok(None),
        _ => {
            let seconds = text.parse();
            seconds.map(Some).map_err(|_| codes::INVALID_HEADER.of_header("x-ms-lease-duration", text))
        }
    }
}

/// A lease id is a GUID; case does not count.
fn checked_id(name: &str, id: &str) -> Result<String, Refusal> {
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    let digits = id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if digits && groups == [8, 4, 4, 4, 12] {
        Ok(id.to_lowercase())
    } else {
        Err(codes::INVALID_HEADER.of_header(name, id))
    }
}

fn new_id(call: &Call<'_>) -> String {
    let number = call.account.clock.unique(call.now).etag();
    format!("{:08x}-{:04x}-4000-8000-{number:012x}", number >> 48, (number >> 32) & 0xFFFF)
        .chars()
        .take(36)
        .collect()
}
