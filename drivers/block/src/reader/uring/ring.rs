//! The ring itself: its runtime, the arena's registration, one read on it.
//!
//! Owns the argument why the kernel may write to a job's buffer: what an operation needs (the
//! descriptors, the buffer) is held by the operation, which the runtime keeps until the kernel has
//! answered, even when whoever waited for it is gone.

#![allow(unsafe_code, reason = "the kernel is given addresses, whose validity no type can carry")]

use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use io_uring::{cqueue, opcode, squeue, types};
use tokio_uring::buf::fixed::FixedBufRegistry;
use tokio_uring::buf::{IoBuf, IoBufMut};
use tokio_uring::{OneshotOutputTransform, UnsubmittedOneshot};

use crate::pool::{Buffer, BufferPool};
use crate::reader::ReaderConfig;
use crate::reader::counts::InFlight;
use crate::reader::source::FileSource;
use crate::reader::split::Read;

/// The longest range that Linux registers as one buffer (`io_uring_register(2)`).
const REGISTERED_BYTES_MAX: usize = 1 << 30;

/// A runtime with a ring in it.
pub(in crate::reader) struct Ring {
    runtime: tokio_uring::Runtime,
    pool: BufferPool,
    register: bool,
}

/// Proof that the arena is registered with this thread's ring.
pub(in crate::reader) struct Registration {
    pool: BufferPool,
}

impl Ring {
    /// Sets up a ring on this thread.
    ///
    /// # Errors
    /// When the kernel has no io_uring or refuses it: seccomp, `kernel.io_uring_disabled`.
    pub(in crate::reader) fn new(pool: &BufferPool, config: ReaderConfig) -> io::Result<Ring> {
        let entries = u32::try_from(config.queue_depth().next_power_of_two()).unwrap_or(1);
        // Tried alone first: a runtime that finds no ring leaks its event loop.
        drop(io_uring::IoUring::new(1)?);
        let runtime = tokio_uring::Runtime::new(tokio_uring::builder().entries(entries))?;
        Ok(Ring { runtime, pool: pool.clone(), register: config.ways.registered })
    }

    /// Registers the arena if that is allowed, and runs.
    pub(in crate::reader) fn block_on<F: Future>(
        self,
        body: impl FnOnce(Option<Registration>) -> F,
    ) -> F::Output {
        let Ring { runtime, pool, register } = self;
        runtime.block_on(async move {
            let registration = if register { Registration::new(pool) } else { None };
            body(registration).await
        })
    }
}

impl Registration {
    /// Must run inside the ring's runtime.
    fn new(pool: BufferPool) -> Option<Registration> {
        let segments = Segment::all(&pool);
        // The ring's driver keeps the registry, the registry its segments, and these the pool.
        match FixedBufRegistry::new(segments).register() {
            Ok(()) => Some(Registration { pool }),
            Err(error) => {
                tracing::warn!(%error, "the buffer pool cannot be registered with io_uring; reading without");
                None
            }
        }
    }

    /// The registered segment that holds the whole range, if one does.
    fn index_of(&self, address: *const u8, length_bytes: usize) -> Option<u16> {
        let first = self.pool.arena().offset_of(address)?;
        let last = first.checked_add(length_bytes)?.checked_sub(1)?;
        let index = first.checked_div(REGISTERED_BYTES_MAX)?;
        let whole = last.checked_div(REGISTERED_BYTES_MAX)? == index;
        u16::try_from(index).ok().filter(|_| whole)
    }
}

/// A part of the arena, as the registration wants to see it.
struct Segment {
    pool: BufferPool,
    offset_bytes: usize,
    length_bytes: usize,
}

impl Segment {
    fn all(pool: &BufferPool) -> Vec<Segment> {
        let whole = pool.arena().length_bytes();
        (0..whole)
            .step_by(REGISTERED_BYTES_MAX)
            .map(|offset_bytes| Segment {
                pool: pool.clone(),
                offset_bytes,
                length_bytes: whole.saturating_sub(offset_bytes).min(REGISTERED_BYTES_MAX),
            })
            .collect()
    }

    fn address(&self) -> *mut u8 {
        self.pool.arena().address(self.offset_bytes, self.length_bytes)
    }
}

// SAFETY: the arena is mapped at one address for as long as the pool lives, which the segment
// holds, and anonymous memory is initialised.
unsafe impl IoBuf for Segment {
    fn stable_ptr(&self) -> *const u8 {
        self.address()
    }

    fn bytes_init(&self) -> usize {
        self.length_bytes
    }

    fn bytes_total(&self) -> usize {
        self.length_bytes
    }
}

// SAFETY: as above. No `FixedBuf` is ever checked out of the registry, so nobody writes through a
// segment; reads name addresses inside it that belong to one live buffer.
unsafe impl IoBufMut for Segment {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.address()
    }

    unsafe fn set_init(&mut self, _length_bytes: usize) {}
}

/// A buffer that the kernel may write to: nothing here makes a reference to its bytes.
pub(super) struct Filling {
    buffer: Buffer,
}

impl Filling {
    pub(super) fn new(buffer: Buffer) -> Filling {
        Filling { buffer }
    }

    /// The buffer back; possible only when no operation holds the filling any more.
    pub(super) fn into_buffer(self) -> Buffer {
        self.buffer
    }

    /// Where a read's first byte goes.
    pub(super) fn address(&self, read: &Read) -> *mut u8 {
        let end = read.buffer_offset_bytes.checked_add(read.length_bytes);
        assert!(
            end.is_some_and(|end| end <= self.buffer.length_bytes()),
            "pieces were checked when the job came"
        );
        // SAFETY: checked just above to lie inside the buffer's run.
        unsafe { self.buffer.address().add(read.buffer_offset_bytes) }
    }
}

/// What one operation needs for as long as the kernel works on it.
pub(super) struct Operation {
    source: Rc<FileSource>,
    filling: Rc<Filling>,
    in_flight: Rc<InFlight>,
}

impl Operation {
    pub(super) fn new(source: Rc<FileSource>, filling: Rc<Filling>, in_flight: Rc<InFlight>) -> Operation {
        in_flight.take_off();
        Operation { source, filling, in_flight }
    }

    /// Puts one read on the ring and waits for it; as short as the kernel makes it.
    pub(super) async fn submit(self, read: &Read, registration: Option<&Registration>) -> io::Result<usize> {
        let entry = self.entry(read, registration);
        // The entry's descriptor and address stay valid until the kernel answers: both belong to
        // `self`, which the runtime owns until then, also when this future is dropped before.
        UnsubmittedOneshot::new(self, Count, entry).submit().await
    }

    fn entry(&self, read: &Read, registration: Option<&Registration>) -> squeue::Entry {
        let descriptor = types::Fd(self.source.file(read.descriptor).as_raw_fd());
        let address = self.filling.address(read);
        // Cut to at most 1 GiB before it comes here.
        let length = u32::try_from(read.length_bytes).unwrap_or(u32::MAX);
        match registration.and_then(|registered| registered.index_of(address, read.length_bytes)) {
            Some(index) => opcode::ReadFixed::new(descriptor, address, length, index)
                .offset(read.device_offset_bytes)
                .build(),
            None => opcode::Read::new(descriptor, address, length).offset(read.device_offset_bytes).build(),
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.in_flight.land();
    }
}

/// Turns the kernel's answer into a byte count, letting go of the operation.
struct Count;

impl OneshotOutputTransform for Count {
    type Output = io::Result<usize>;
    type StoredData = Operation;

    fn transform_oneshot_output(self, operation: Operation, answer: cqueue::Entry) -> io::Result<usize> {
        drop(operation);
        match usize::try_from(answer.result()) {
            Ok(count) => Ok(count),
            Err(_) => Err(io::Error::from_raw_os_error(answer.result().saturating_neg())),
        }
    }
}
