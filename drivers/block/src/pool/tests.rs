//! The pool against a simple model, from several threads, and its queue.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;

const PAGE: usize = 4096;

fn pool(page_count: usize) -> BufferPool {
    BufferPool::new(PoolConfig { page_bytes: PAGE, page_count }).unwrap()
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Waits on this thread, without any executor's help.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn a_new_buffer_is_zero_aligned_and_as_long_as_asked() {
    let pool = pool(64);
    for length in [1, 100, PAGE - 1, PAGE, PAGE + 1, 10 * PAGE] {
        let buffer = pool.try_acquire(length).unwrap().unwrap();
        assert_eq!(buffer.len(), length);
        assert!(buffer.as_ptr().addr().is_multiple_of(BUFFER_ALIGNMENT_BYTES));
        assert!(buffer.iter().all(|&byte| byte == 0));
        assert_eq!(pool.in_use_bytes(), length.next_multiple_of(PAGE));
    }
    assert_eq!(pool.in_use_bytes(), 0);
}

#[test]
fn a_buffer_handed_out_again_holds_what_its_last_user_left() {
    let pool = pool(1);
    pool.try_acquire(PAGE).unwrap().unwrap().fill(7);
    assert!(pool.try_acquire(PAGE).unwrap().unwrap().iter().all(|&byte| byte == 7));
}

#[test]
fn what_the_whole_pool_cannot_hold_is_refused_at_once() {
    let pool = pool(4);
    let refused = TooLarge { length_bytes: 4 * PAGE + 1, capacity_bytes: 4 * PAGE };
    assert_eq!(block_on(pool.acquire(4 * PAGE + 1)).unwrap_err(), refused);
    assert_eq!(pool.try_acquire(usize::MAX).unwrap_err().length_bytes, usize::MAX);
    assert_eq!(block_on(pool.acquire(4 * PAGE)).unwrap().len(), 4 * PAGE);
}

#[test]
fn sizes_that_make_no_arena_are_refused() {
    for (page_bytes, page_count) in [(0, 1), (PAGE, 0), (PAGE + 512, 4), (PAGE, usize::MAX)] {
        let refused = BufferPool::new(PoolConfig { page_bytes, page_count });
        assert!(matches!(refused, Err(ArenaError::Sizes { .. })), "{page_bytes} x {page_count}");
    }
}

#[test]
fn an_empty_buffer_needs_no_page_and_no_waiting() {
    let pool = pool(1);
    let _all = pool.try_acquire(PAGE).unwrap().unwrap();
    assert!(block_on(pool.acquire(0)).unwrap().is_empty());
    assert_eq!(pool.in_use_bytes(), PAGE);
}

#[test]
fn a_large_request_is_not_overtaken_by_small_ones() {
    let pool = pool(4);
    let held = pool.try_acquire(PAGE).unwrap().unwrap();
    let mut large = pin!(pool.acquire(4 * PAGE));
    assert!(poll_once(large.as_mut()).is_none());
    let mut small = pin!(pool.acquire(PAGE));
    assert!(poll_once(small.as_mut()).is_none(), "it would fit, but stands behind the large one");
    assert!(pool.try_acquire(PAGE).unwrap().is_none());
    assert_eq!(pool.waiting_count(), 2);
    drop(held);
    let large = poll_once(large.as_mut()).unwrap().unwrap();
    assert!(poll_once(small.as_mut()).is_none());
    drop(large);
    assert_eq!(poll_once(small.as_mut()).unwrap().unwrap().len(), PAGE);
}

#[test]
fn who_gives_up_waiting_lets_the_next_one_through() {
    let pool = pool(4);
    let held = pool.try_acquire(PAGE).unwrap().unwrap();
    let mut large = Box::pin(pool.acquire(4 * PAGE));
    assert!(poll_once(large.as_mut()).is_none());
    let mut small = pin!(pool.acquire(PAGE));
    assert!(poll_once(small.as_mut()).is_none());
    drop(large);
    assert!(poll_once(small.as_mut()).is_some());
    drop(held);
    assert_eq!((pool.in_use_bytes(), pool.waiting_count()), (0, 0));
}

#[test]
fn a_buffer_granted_to_a_wait_that_is_given_up_goes_back() {
    let pool = pool(1);
    let held = pool.try_acquire(PAGE).unwrap().unwrap();
    let mut waiting = Box::pin(pool.acquire(PAGE));
    assert!(poll_once(waiting.as_mut()).is_none());
    drop(held);
    assert_eq!(pool.in_use_bytes(), PAGE, "granted, not yet picked up");
    drop(waiting);
    assert_eq!(pool.in_use_bytes(), 0);
}

#[test]
fn a_buffer_becomes_bytes_without_a_copy_and_returns_when_they_are_dropped() {
    let pool = pool(2);
    let mut buffer = pool.try_acquire(5000).unwrap().unwrap();
    buffer.fill(9);
    let address = buffer.as_ptr();
    let bytes = bytes::Bytes::from_owner(buffer);
    assert_eq!((bytes.as_ptr(), bytes.len()), (address, 5000));
    let part = bytes.slice(4000..);
    drop(bytes);
    assert_eq!(pool.in_use_bytes(), 2 * PAGE);
    drop(part);
    assert_eq!(pool.in_use_bytes(), 0);
}

#[test]
fn a_truncated_buffer_shows_less_and_gives_back_all() {
    let pool = pool(4);
    let mut buffer = pool.try_acquire(4 * PAGE).unwrap().unwrap();
    buffer.truncate(10);
    buffer.truncate(4 * PAGE);
    assert_eq!((buffer.len(), pool.in_use_bytes()), (10, 4 * PAGE));
    drop(buffer);
    assert_eq!(pool.in_use_bytes(), 0);
}

#[test]
fn a_buffer_outlives_its_pool() {
    let mut buffer = pool(2).try_acquire(PAGE).unwrap().unwrap();
    buffer.fill(3);
    assert!(buffer.iter().all(|&byte| byte == 3));
}

#[test]
fn threads_that_take_and_give_never_share_a_byte() {
    const THREADS: u8 = 4;
    let pool = pool(16);
    let grants = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (pool, grants) = (&pool, &grants);
            scope.spawn(move || {
                for round in 0..300_usize {
                    let length = 1 + (round * 7919 + usize::from(thread) * 104_729) % (16 * PAGE);
                    let mut buffer = block_on(pool.acquire(length)).unwrap();
                    let mark = thread.wrapping_mul(61).wrapping_add((round % 61) as u8);
                    buffer.fill(mark);
                    std::thread::yield_now();
                    assert!(buffer.iter().all(|&byte| byte == mark), "somebody else wrote here");
                    grants.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(grants.into_inner(), usize::from(THREADS) * 300);
    assert_eq!((pool.in_use_bytes(), pool.waiting_count()), (0, 0));
    assert!(pool.try_acquire(16 * PAGE).unwrap().is_some(), "all pages are one run again");
}

#[test]
fn works_under_tokio_and_tokio_uring_alike() {
    let pool = pool(1);
    let held = pool.try_acquire(PAGE).unwrap().unwrap();
    let waiting = pool.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(waiting.acquire(PAGE)).unwrap().len()
    });
    while pool.waiting_count() == 0 {
        std::thread::yield_now();
    }
    drop(held);
    assert_eq!(thread.join().unwrap(), PAGE);
    if io_uring::IoUring::new(1).is_err() {
        return eprintln!("skipped: works_under_tokio_and_tokio_uring_alike: io_uring is refused here");
    }
    let length = tokio_uring::start(async {
        let held = pool.try_acquire(PAGE).unwrap();
        let waiting = tokio_uring::spawn(pool.acquire(PAGE));
        tokio::task::yield_now().await;
        drop(held);
        waiting.await.unwrap().unwrap().len()
    });
    assert_eq!(length, PAGE);
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Take(usize),
    Give(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step =
        prop_oneof![(0..40 * PAGE).prop_map(Step::Take), any::<prop::sample::Index>().prop_map(Step::Give),];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a model that knows each page's owner.
    #[test]
    fn buffers_are_disjoint_and_the_gauge_is_their_sum(steps in steps()) {
        let pool = pool(32);
        let mut held: Vec<Buffer> = Vec::new();
        for step in steps {
            match step {
                Step::Take(length) => match pool.try_acquire(length) {
                    Err(refused) => prop_assert!(refused.length_bytes > 32 * PAGE),
                    Ok(Some(buffer)) => held.push(buffer),
                    Ok(None) => prop_assert!(longest_gap(&held, &pool) < length.div_ceil(PAGE)),
                },
                Step::Give(_) if held.is_empty() => {}
                Step::Give(index) => drop(held.swap_remove(index.index(held.len()))),
            }
            let mut runs: Vec<_> = held.iter().filter(|one| one.page_count > 0).map(|one| (one.first_page, one.page_count)).collect();
            runs.sort_unstable();
            prop_assert!(runs.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
            prop_assert_eq!(pool.in_use_bytes(), runs.iter().map(|run| run.1 * PAGE).sum::<usize>());
        }
        held.clear();
        prop_assert_eq!(pool.in_use_bytes(), 0);
        prop_assert!(pool.try_acquire(32 * PAGE).unwrap().is_some());
    }

    /// Random requests that wait: all are granted, in the order in which they queued.
    #[test]
    fn waiting_requests_are_granted_in_their_order(lengths in prop::collection::vec(1..8 * PAGE, 1..40)) {
        let pool = pool(8);
        let order = Arc::new(Mutex::new(Vec::new()));
        let all = pool.try_acquire(8 * PAGE).unwrap().unwrap();
        let mut waiting: Vec<_> = lengths.iter().map(|&length| Box::pin(pool.acquire(length))).collect();
        for wait in &mut waiting {
            prop_assert!(poll_once(wait.as_mut()).is_none());
        }
        drop(all);
        for (index, mut wait) in waiting.into_iter().enumerate() {
            // All before it were granted and given back.
            let buffer = poll_once(wait.as_mut());
            prop_assert!(buffer.is_some(), "request {} still waits", index);
            order.lock().unwrap().push(index);
        }
        prop_assert_eq!(order.lock().unwrap().len(), lengths.len());
        prop_assert_eq!(pool.in_use_bytes(), 0);
    }
}

fn longest_gap(held: &[Buffer], pool: &BufferPool) -> usize {
    let mut used = vec![false; pool.capacity_bytes() / PAGE];
    for buffer in held.iter().filter(|one| one.page_count > 0) {
        used[buffer.first_page..buffer.first_page + buffer.page_count].fill(true);
    }
    used.split(|&used| used).map(<[bool]>::len).max().unwrap_or(0)
}
