//! The buffers that a drive's bytes live in: one arena, cut into pages, handed out in runs.
//!
//! Owns the memory budget of a bay. The arena is mapped and faulted in once, at start, so that no
//! read ever pays for a page fault, and so that it can be registered with io_uring once. A
//! [`Buffer`] is a contiguous run of pages; it is filled, decrypted, hashed and sent in place, and
//! dropping it gives its pages back.
//!
//! Invariant: two live buffers never share a page, and what is handed out plus what is free is the
//! whole arena.
//!
//! # Fairness
//! Waiting requests are served strictly in the order in which they were first polled. A request
//! that does not fit yet holds up the smaller ones behind it, so a 100 MiB chunk cannot be starved
//! by 64 KiB ones; [`BufferPool::try_acquire`] does not overtake either. Two requests of one task
//! that holds the first buffer while waiting for the second can therefore wait for each other:
//! take one buffer at a time.
//!
//! # What a buffer holds
//! Every byte of the arena is zero at start. A buffer handed out again holds whatever its last
//! user left there: whoever takes one fills it before showing it to anybody. A pool serves one
//! bay, so leftovers are of the same drive, and the arena is left out of core dumps.

mod arena;
mod runs;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

pub(crate) use arena::Arena;
pub use arena::ArenaError;
use runs::FreeRuns;

/// Alignment of every buffer's first byte: the largest logical sector, hence enough for `O_DIRECT`.
pub const BUFFER_ALIGNMENT_BYTES: usize = 4096;

/// How much memory a pool owns, and in what units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolConfig {
    /// Unit of the hand-out; a multiple of [`BUFFER_ALIGNMENT_BYTES`].
    pub page_bytes: usize,
    /// How many pages the arena has.
    pub page_count: usize,
}

impl Default for PoolConfig {
    /// 256 MiB, the budget of a bay, in pages of 4 KiB.
    ///
    /// Free memory is kept as runs, not page by page, so small pages cost nothing: a buffer takes
    /// 0.1 µs for blocks and 0.2 µs for a mix of files and blocks under every page size. Waste
    /// grows with the page: a pool full of 16.5 KB files holds 81 % payload in pages of 4 KiB, 25 %
    /// in pages of 64 KiB, 1 % in pages of 2 MiB; with chunks from 64 KiB to 100 MiB it is 89 %
    /// under all (`examples/pool_bench.rs`, Sapphire Rapids).
    fn default() -> PoolConfig {
        PoolConfig { page_bytes: BUFFER_ALIGNMENT_BYTES, page_count: 65_536 }
    }
}

impl PoolConfig {
    /// Pages of the default size, as many as fit into `budget_bytes` (at least one).
    pub fn within(budget_bytes: usize) -> PoolConfig {
        let page_bytes = PoolConfig::default().page_bytes;
        let page_count = budget_bytes.checked_div(page_bytes).unwrap_or(0).max(1);
        PoolConfig { page_bytes, page_count }
    }
}

/// A share of the arena was asked for that the whole arena cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a buffer of {length_bytes} bytes was asked of a pool of {capacity_bytes} bytes")]
pub struct TooLarge {
    /// What was asked for.
    pub length_bytes: usize,
    /// What the pool has in all.
    pub capacity_bytes: usize,
}

/// A pool; clones share the same arena.
#[derive(Clone)]
pub struct BufferPool {
    shared: Arc<Shared>,
}

struct Shared {
    arena: Arena,
    page_bytes: usize,
    state: Mutex<State>,
}

struct State {
    free: FreeRuns,
    waiting: VecDeque<Waiter>,
}

struct Waiter {
    page_count: usize,
    length_bytes: usize,
    granted: oneshot::Sender<Buffer>,
}

impl BufferPool {
    /// Maps the arena and faults it in.
    ///
    /// # Errors
    /// When the sizes make no arena, or the operating system gives no memory.
    pub fn new(config: PoolConfig) -> Result<BufferPool, ArenaError> {
        let arena = Arena::new(config.page_bytes, config.page_count)?;
        let state = State { free: FreeRuns::new(config.page_count), waiting: VecDeque::new() };
        let shared = Shared { arena, page_bytes: config.page_bytes, state: Mutex::new(state) };
        Ok(BufferPool { shared: Arc::new(shared) })
    }

    /// Waits for a contiguous run of pages that holds `length_bytes`.
    ///
    /// Takes its place in the queue when first polled, and gives it up when dropped. Works under
    /// any executor. A length of zero gives an empty buffer at once.
    ///
    /// # Errors
    /// [`TooLarge`], at once, when the whole pool could not hold it.
    pub fn acquire(
        &self,
        length_bytes: usize,
    ) -> impl Future<Output = Result<Buffer, TooLarge>> + Send + use<> {
        let pool = self.clone();
        async move {
            // Declared first, so dropped last: when this wait is given up, whoever stood behind it
            // must be looked at again.
            let _queue = ServeOnDrop(&pool.shared);
            let granted = match pool.take_or_queue(length_bytes)? {
                Taken::Now(buffer) => return Ok(buffer),
                Taken::Queued(granted) => granted,
            };
            match granted.await {
                Ok(buffer) => Ok(buffer),
                // The sender lives in the pool, which `pool` keeps alive.
                Err(_) => unreachable!("a queued request outlived its pool"),
            }
        }
    }

    /// A buffer if one can be had without waiting and without overtaking anybody.
    ///
    /// # Errors
    /// [`TooLarge`] when the whole pool could not hold it.
    pub fn try_acquire(&self, length_bytes: usize) -> Result<Option<Buffer>, TooLarge> {
        let page_count = self.page_count_for(length_bytes)?;
        let mut state = self.shared.lock();
        if page_count > 0 && !state.waiting.is_empty() {
            return Ok(None);
        }
        Ok(self.shared.take(&mut state, page_count, length_bytes))
    }

    /// Memory that is handed out now, in whole pages.
    pub fn in_use_bytes(&self) -> usize {
        let free = self.shared.lock().free.page_count();
        self.capacity_bytes().saturating_sub(free.saturating_mul(self.shared.page_bytes))
    }

    /// Memory of the whole arena.
    pub fn capacity_bytes(&self) -> usize {
        self.shared.arena.length_bytes()
    }

    /// How many requests wait now.
    pub fn waiting_count(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    /// The memory, for whoever registers it with the kernel.
    pub(crate) fn arena(&self) -> &Arena {
        &self.shared.arena
    }

    fn take_or_queue(&self, length_bytes: usize) -> Result<Taken, TooLarge> {
        let page_count = self.page_count_for(length_bytes)?;
        let mut state = self.shared.lock();
        if (state.waiting.is_empty() || page_count == 0)
            && let Some(buffer) = self.shared.take(&mut state, page_count, length_bytes)
        {
            return Ok(Taken::Now(buffer));
        }
        let (granted, receiver) = oneshot::channel();
        state.waiting.push_back(Waiter { page_count, length_bytes, granted });
        Ok(Taken::Queued(receiver))
    }

    fn page_count_for(&self, length_bytes: usize) -> Result<usize, TooLarge> {
        let capacity_bytes = self.capacity_bytes();
        if length_bytes > capacity_bytes {
            return Err(TooLarge { length_bytes, capacity_bytes });
        }
        Ok(length_bytes.div_ceil(self.shared.page_bytes))
    }
}

enum Taken {
    Now(Buffer),
    Queued(oneshot::Receiver<Buffer>),
}

struct ServeOnDrop<'a>(&'a Arc<Shared>);

impl Drop for ServeOnDrop<'_> {
    fn drop(&mut self) {
        self.0.serve();
    }
}

impl Shared {
    /// Nothing under the lock can panic half way, so a poisoned lock still guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, state: &mut State, page_count: usize, length_bytes: usize) -> Option<Buffer> {
        let first_page = state.free.take(page_count)?;
        Some(Buffer { shared: Arc::clone(self), first_page, page_count, length_bytes })
    }

    /// Hands pages to the queue's head for as long as it fits.
    fn serve(self: &Arc<Self>) {
        // Sent outside the lock: a receiver that went away meanwhile drops its buffer here, and
        // that takes the lock again.
        while let Some((granted, buffer)) = self.next_grant() {
            let _ = granted.send(buffer);
        }
    }

    fn next_grant(self: &Arc<Self>) -> Option<(oneshot::Sender<Buffer>, Buffer)> {
        let mut state = self.lock();
        while state.waiting.front().is_some_and(|head| head.granted.is_closed()) {
            state.waiting.pop_front();
        }
        let (page_count, length_bytes) =
            state.waiting.front().map(|head| (head.page_count, head.length_bytes))?;
        let buffer = self.take(&mut state, page_count, length_bytes)?;
        // The head is there: it was looked at under this same lock.
        let head = state.waiting.pop_front();
        drop(state);
        head.map(|head| (head.granted, buffer))
    }
}

/// A run of the arena, exactly as long as was asked for, aligned to [`BUFFER_ALIGNMENT_BYTES`].
///
/// Its pages go back to the pool when it is dropped. See the module for what it holds when new.
pub struct Buffer {
    shared: Arc<Shared>,
    first_page: usize,
    page_count: usize,
    length_bytes: usize,
}

impl Buffer {
    /// Shows only the first `length_bytes`; the budget that it takes stays the same.
    pub fn truncate(&mut self, length_bytes: usize) {
        self.length_bytes = self.length_bytes.min(length_bytes);
    }

    /// Length in bytes, told without looking at the bytes: the kernel may be writing to them.
    pub(crate) fn length_bytes(&self) -> usize {
        self.length_bytes
    }

    /// First byte's address, for the kernel to write to while this buffer is kept but not touched.
    pub(crate) fn address(&self) -> *mut u8 {
        self.shared.arena.address(self.offset_bytes(), self.length_bytes)
    }

    fn offset_bytes(&self) -> usize {
        // An existing page's number times its size is an offset of the arena.
        self.first_page.saturating_mul(self.shared.page_bytes)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.shared.lock().free.give(self.first_page, self.page_count);
        self.shared.serve();
    }
}

impl std::fmt::Debug for Buffer {
    /// Never the content: it is a customer's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer").field("length_bytes", &self.length_bytes).finish_non_exhaustive()
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        arena::shared(self)
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        arena::exclusive(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}
