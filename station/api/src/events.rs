//! Events for those who watch: a page of them as JSON, or the same as they come, as server-sent events.
//!
//! ```text
//! ledger's outbox ──poll──▶ Feed (newest number) ──watch──▶ every stream, which reads on from where it stands
//! ```
//! Invariant: numbers have no gaps and a stream tells them in order, so whoever reconnects with `Last-Event-ID` (or
//! asks `after=`) misses nothing. What is older than the ledger keeps is said to be missing, not passed over. A
//! customer sees the events of their own jobs only.

mod feed;
mod stream;
mod view;

pub use feed::{Feed, NoSeat};
pub use stream::stream;
pub use view::{EventPage, EventView, Watch, group_of, rfc3339, wants};

use ledger::{Ledger, OfficeError};

/// Events are read in portions of this many, so that a long gap fills no memory.
pub(crate) const PORTION: u32 = 256;
/// A page looks at no more than this many before it answers, even if the caller may see none of them.
const LOOKED_AT_MAX: usize = 4 * PORTION as usize;

/// A page of what the watcher may see.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn page(
    ledger: &dyn Ledger,
    watch: &Watch,
    after: i64,
    limit: usize,
) -> Result<EventPage, OfficeError> {
    let span = ledger.event_span().await?;
    let mut page = EventPage { events: Vec::new(), next: after.max(0), first: span.first, last: span.last };
    let mut looked_at = 0;
    while page.events.len() < limit && looked_at < LOOKED_AT_MAX {
        let events = ledger.events(page.next, PORTION).await?;
        if events.is_empty() {
            break;
        }
        for event in events {
            looked_at += 1;
            page.next = event.no;
            if watch.sees(&event) {
                page.events.push(EventView::of(event));
            }
            if page.events.len() == limit {
                break;
            }
        }
    }
    Ok(page)
}
