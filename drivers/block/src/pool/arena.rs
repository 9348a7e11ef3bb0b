//! The one mapping below all buffers, and the only place that makes slices of it.
//!
//! Mapped at a 2 MiB boundary with huge-page advice, because a run of huge pages is one segment
//! for the block layer and one entry of the registered-buffer table instead of 512. Left out of
//! core dumps (it holds customers' bytes) and of forked children (whose copy-on-write would move
//! pages under a read in flight).

#![allow(
    unsafe_code,
    reason = "memory that the kernel fills and that is handed out in runs cannot be expressed as a Vec"
)]

use std::io;
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::{BUFFER_ALIGNMENT_BYTES, Buffer};

/// Size of a huge page on x86-64 and on arm64 with 4 KiB base pages.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// No arena could be made.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// The sizes asked for make no arena.
    #[error(
        "a pool of {page_count} pages of {page_bytes} bytes: a page is a multiple of {BUFFER_ALIGNMENT_BYTES} bytes, and there is at least one"
    )]
    Sizes {
        /// Page size asked for.
        page_bytes: usize,
        /// Page count asked for.
        page_count: usize,
    },
    /// The operating system gave no memory.
    #[error("mapping {length_bytes} bytes for a buffer pool")]
    Map {
        /// How much was asked for.
        length_bytes: usize,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// An anonymous mapping, unmapped on drop.
pub(crate) struct Arena {
    mapping: NonNull<u8>,
    mapping_bytes: usize,
    first: NonNull<u8>,
    length_bytes: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; `Arena` itself only computes
// addresses. Who may touch which bytes is settled by `Buffer`, whose runs are disjoint.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// Maps and faults in `page_count` pages.
    ///
    /// # Errors
    /// See [`ArenaError`].
    pub(super) fn new(page_bytes: usize, page_count: usize) -> Result<Arena, ArenaError> {
        let whole = page_bytes.checked_mul(page_count).filter(|&length| {
            length > 0
                && page_bytes.is_multiple_of(BUFFER_ALIGNMENT_BYTES)
                && length < isize::MAX as usize / 2
        });
        let length_bytes = whole.ok_or(ArenaError::Sizes { page_bytes, page_count })?;
        let failed = |source: rustix::io::Errno| ArenaError::Map { length_bytes, source: source.into() };
        // Room to move the first byte up to a huge page's boundary.
        let mapping_bytes = length_bytes.saturating_add(HUGE_PAGE_BYTES);
        // SAFETY: a new anonymous mapping at an address of the kernel's choice replaces nothing.
        let mapping = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                mapping_bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }
        .map_err(failed)?;
        let mapping = NonNull::new(mapping.cast::<u8>()).ok_or(failed(rustix::io::Errno::NOMEM))?;
        let shift = mapping.as_ptr().align_offset(HUGE_PAGE_BYTES);
        // SAFETY: `shift` is below HUGE_PAGE_BYTES, and the mapping has that much to spare.
        let first = unsafe { mapping.add(shift) };
        let arena = Arena { mapping, mapping_bytes, first, length_bytes };
        arena.advise().map_err(failed)?;
        Ok(arena)
    }

    /// Length in bytes.
    pub(crate) fn length_bytes(&self) -> usize {
        self.length_bytes
    }

    /// Address of `[offset, offset + length)`, checked to lie inside.
    pub(crate) fn address(&self, offset_bytes: usize, length_bytes: usize) -> *mut u8 {
        let end = offset_bytes.checked_add(length_bytes);
        assert!(end.is_some_and(|end| end <= self.length_bytes), "a buffer's run lies inside its arena");
        // SAFETY: checked just above.
        unsafe { self.first.as_ptr().add(offset_bytes) }
    }

    /// Where in the arena an address lies; `None` outside.
    pub(crate) fn offset_of(&self, address: *const u8) -> Option<usize> {
        let offset = address.addr().checked_sub(self.first.as_ptr().addr())?;
        (offset < self.length_bytes).then_some(offset)
    }

    /// Faults everything in now, as huge pages where the system allows them. Only the population
    /// can fail; advice that is not understood leaves a slower but correct arena.
    fn advise(&self) -> Result<(), rustix::io::Errno> {
        let address = self.first.as_ptr().cast();
        for advice in [Advice::LinuxHugepage, Advice::LinuxDontDump, Advice::LinuxDontFork] {
            // SAFETY: advice on our own mapping; none of the three changes what the bytes hold.
            let _ = unsafe { madvise(address, self.length_bytes, advice) };
        }
        // SAFETY: as above; populating writes nothing.
        match unsafe { madvise(address, self.length_bytes, Advice::LinuxPopulateWrite) } {
            // Before Linux 5.14 the advice is unknown: touch the pages by hand.
            Err(rustix::io::Errno::INVAL) => {
                // SAFETY: the whole range is mapped, writable and not shared with anybody yet.
                unsafe { std::ptr::write_bytes(self.first.as_ptr(), 0, self.length_bytes) };
                Ok(())
            }
            populated => populated,
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped; every buffer holds the arena, so none is left.
        let _ = unsafe { munmap(self.mapping.as_ptr().cast(), self.mapping_bytes) };
    }
}

/// The bytes of a buffer's run, for as long as the buffer is borrowed.
pub(super) fn shared(owner: &Buffer) -> &[u8] {
    // SAFETY: `address` checked the range; anonymous memory is initialised; the owner's run is
    // nobody else's, the owner is borrowed, and it keeps the arena alive.
    unsafe { std::slice::from_raw_parts(owner.address(), owner.length_bytes) }
}

/// The same for writing.
pub(super) fn exclusive(owner: &mut Buffer) -> &mut [u8] {
    // SAFETY: as in `shared`, and the owner is borrowed exclusively.
    unsafe { std::slice::from_raw_parts_mut(owner.address(), owner.length_bytes) }
}
