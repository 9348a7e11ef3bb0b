//! io_uring: several reads in flight from one thread, through a `tokio-uring` runtime.
//!
//! Every read is a task of that runtime. A job is answered by whichever of its reads lands last;
//! until then nobody but the kernel touches its buffer.

mod ring;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use rustix::io::Errno;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::counts::{Counts, InFlight};
use super::intake::{self, Accepted, Outlet};
use super::job::{ReadJob, ReadPiece, check_pieces};
use super::mode::{ModeCell, ReadMode};
use super::source::{Descriptor, FileSource, refuses_direct};
use super::split::{Read, cut, split};
use super::{ReaderError, Run};
use crate::ReadAt;
use crate::ReadError;
use crate::file::Shortfall;
pub(super) use ring::Ring;
use ring::{Filling, Operation};

/// How often one read may be told to come again without any byte in between. The kernel retries
/// by itself; this only keeps a kernel that does not from spinning a core for ever.
const RETRIES_MAX: u32 = 1000;

/// Reads until the jobs end.
pub(super) fn run<T: Send + 'static>(ring: Ring, source: FileSource, run: Run<T>) -> Result<(), ReaderError> {
    let in_flight = Rc::new(InFlight::new(Arc::clone(&run.counts)));
    ring.block_on(|registration| async move {
        let direct = source.alignment().is_some();
        run.choose(ReadMode::Uring { registered: registration.is_some(), direct });
        let context = Context {
            source: Rc::new(source),
            registration,
            in_flight: Rc::clone(&in_flight),
            mode: Arc::clone(&run.mode),
            counts: Arc::clone(&run.counts),
        };
        // A task of its own, so that a panic of the dispatcher is caught here, above the reads
        // that are still in flight; the ring must outlive those.
        let ended = tokio_uring::spawn(dispatch(Rc::new(context), run)).await;
        in_flight.all_landed().await;
        ended.map_err(intake::panicked)?
    })
}

/// What every read needs.
struct Context {
    source: Rc<FileSource>,
    registration: Option<ring::Registration>,
    in_flight: Rc<InFlight>,
    mode: Arc<ModeCell>,
    counts: Arc<Counts>,
}

/// A job while its reads are in flight.
struct Job<T> {
    accepted: Accepted<T>,
    filling: Rc<Filling>,
    /// The first error in the job's order, with the position of its read.
    error: RefCell<Option<(usize, ReadError)>>,
}

async fn dispatch<T: Send + 'static>(context: Rc<Context>, run: Run<T>) -> Result<(), ReaderError> {
    let Run { config, mut jobs, done, counts, .. } = run;
    let outlet = Rc::new(Outlet { done, counts });
    let slots = Arc::new(Semaphore::new(config.queue_depth()));
    let mut tasks = JoinSet::new();
    let mut starter = Starter { context, outlet, slots, read_bytes_max: config.read_bytes_max() };
    let outcome = loop {
        let in_flight = Rc::clone(&starter.context.in_flight);
        match intake::next_job(&mut jobs, &starter.outlet, &mut tasks, &in_flight).await {
            Ok(Some(job)) => starter.start(job, &mut tasks).await,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(jobs);
    outcome.and(intake::drain(&mut tasks).await)
}

/// Puts the reads of jobs on the queue, in order.
struct Starter<T> {
    context: Rc<Context>,
    outlet: Rc<Outlet<T>>,
    slots: Arc<Semaphore>,
    read_bytes_max: usize,
}

impl<T: Send + 'static> Starter<T> {
    async fn start(&mut self, job: ReadJob<T>, tasks: &mut JoinSet<()>) {
        let ReadJob { tag, buffer, pieces } = job;
        let accepted = Accepted::new(tag);
        if let Err(error) = self.check(&pieces, buffer.len()) {
            return self.outlet.answer(accepted, buffer, Err(error)).await;
        }
        let job =
            Rc::new(Job { accepted, filling: Rc::new(Filling::new(buffer)), error: RefCell::default() });
        let reads = split(&pieces, self.context.source.alignment(), self.read_bytes_max);
        for (position, read) in reads.enumerate() {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            let task = Task { job: Rc::clone(&job), outlet: Rc::clone(&self.outlet), slot };
            let context = Rc::clone(&self.context);
            tasks.spawn_local(async move { task.run(&context, position, read).await });
        }
        // With no read at all, or all of them landed already, this was the last one to hold it.
        answer_if_last(job, &self.outlet).await;
    }

    fn check(&self, pieces: &[ReadPiece], buffer_bytes: usize) -> Result<(), ReadError> {
        check_pieces(pieces, buffer_bytes, self.context.source.device.length_bytes())
    }
}

struct Task<T> {
    job: Rc<Job<T>>,
    outlet: Rc<Outlet<T>>,
    slot: OwnedSemaphorePermit,
}

impl<T: Send + 'static> Task<T> {
    async fn run(self, context: &Context, position: usize, read: Read) {
        let Task { job, outlet, slot } = self;
        match context.fill(&job.filling, read).await {
            Ok(()) => context.counts.add_read(read.length_bytes),
            Err(shortfall) => job.failed(position, context.source.error(&read, shortfall)),
        }
        answer_if_last(job, &outlet).await;
        drop(slot);
    }
}

impl<T> Job<T> {
    fn failed(&self, position: usize, error: ReadError) {
        let mut first = self.error.borrow_mut();
        if first.as_ref().is_none_or(|(earlier, _)| position < *earlier) {
            *first = Some((position, error));
        }
    }
}

async fn answer_if_last<T>(job: Rc<Job<T>>, outlet: &Outlet<T>) {
    let Some(Job { accepted, filling, error }) = Rc::into_inner(job) else { return };
    // An operation lets go of the filling before its task goes on, so this is the last holder.
    let Some(filling) = Rc::into_inner(filling) else { return };
    let outcome = error.into_inner().map_or(Ok(()), |(_, error)| Err(error));
    outlet.answer(accepted, filling.into_buffer(), outcome).await;
}

impl Context {
    /// Reads until the range is full, changing to the page cache where direct reads end.
    async fn fill(&self, filling: &Rc<Filling>, read: Read) -> Result<(), Shortfall> {
        let mut rest = read;
        let mut retries = 0;
        while rest.length_bytes > 0 {
            rest.descriptor = self.descriptor_for(filling, &rest);
            match self.submit(filling, &rest).await {
                Ok(0) => return Err(Shortfall::Ended { at_bytes: rest.device_offset_bytes }),
                Ok(count) => {
                    self.forget(&rest, count);
                    rest = cut(rest, count, rest.length_bytes);
                    retries = 0;
                }
                Err(error) if is_transient(&error) && retries < RETRIES_MAX => {
                    retries = retries.saturating_add(1);
                    tokio::task::yield_now().await;
                }
                Err(error) if rest.descriptor == Descriptor::Direct && refuses_direct(&error) => {
                    self.give_up_direct(&error);
                }
                Err(error) => return Err(Shortfall::Failed(error)),
            }
        }
        Ok(())
    }

    fn descriptor_for(&self, filling: &Filling, read: &Read) -> Descriptor {
        let address = filling.address(read).addr();
        let fits = self
            .source
            .alignment()
            .is_some_and(|alignment| alignment.fits(read.device_offset_bytes, address, read.length_bytes));
        if read.descriptor == Descriptor::Direct && fits { Descriptor::Direct } else { Descriptor::Buffered }
    }

    async fn submit(&self, filling: &Rc<Filling>, read: &Read) -> io::Result<usize> {
        let operation =
            Operation::new(Rc::clone(&self.source), Rc::clone(filling), Rc::clone(&self.in_flight));
        operation.submit(read, self.registration.as_ref()).await
    }

    fn forget(&self, read: &Read, count: usize) {
        if read.descriptor == Descriptor::Buffered {
            self.source.forget(count);
        }
    }

    fn give_up_direct(&self, error: &io::Error) {
        if self.source.give_up_direct() {
            self.mode.store(self.mode.load().buffered());
            tracing::warn!(%error, "direct reads are refused; reading through the page cache");
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::INTR | Errno::AGAIN))
}
