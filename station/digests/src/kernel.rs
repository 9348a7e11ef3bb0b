//! Which MD5 compression this processor can do best, and one safe door to all of them.
//!
//! Invariant: a kernel that the processor lacks cannot be named; [`Kernel`]'s only constructors ask
//! the processor. What a lane is and when it is padded is the scheduler's ([`super::lanes`]).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod rounds;

/// What MD5 eats at a time, in bytes: RFC 1321 §3.4.
pub(super) const BLOCK_BYTES: usize = 64;
/// The most lanes that any kernel takes at once.
pub(super) const LANES_MAX: usize = 32;

/// One block of a message.
pub(super) type Block = [u8; BLOCK_BYTES];
/// The four chaining words of one message.
pub(super) type State = [u32; 4];

/// The chaining words before the first block: RFC 1321 §3.3.
pub(super) const INITIAL_STATE: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// A way to compute MD5 that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Scalar,
}

impl Kernel {
    /// The fastest.
    pub fn best() -> Kernel {
        Kernel::available().into_iter().next().unwrap_or(Kernel::SCALAR)
    }

    /// All of them, the fastest first; the last is always [`Kernel::SCALAR`].
    pub fn available() -> Vec<Kernel> {
        let mut kernels = Vec::with_capacity(3);
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                kernels.push(Kernel(Kind::Avx512));
            }
            if is_x86_feature_detected!("avx2") {
                kernels.push(Kernel(Kind::Avx2));
            }
        }
        kernels.push(Kernel::SCALAR);
        kernels
    }

    /// One message at a time, everywhere.
    pub const SCALAR: Kernel = Kernel(Kind::Scalar);

    /// Its name, for logs and benchmarks.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            Kind::Scalar => "scalar",
        }
    }

    /// How many messages it advances at once; so many chunks a worker should have in hand.
    pub fn lanes(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => LANES_MAX,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => 16,
            Kind::Scalar => 1,
        }
    }

    /// From how many messages on the lanes beat one message at a time.
    ///
    /// Measured with `examples/digest_bench.rs`: a chain's time does not depend on how many of its
    /// lanes are used; it is that of 1.8 (AVX-512) or 2.1 (AVX2) messages done by `md-5`.
    pub(super) fn worth_from_lanes(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => 2,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => 3,
            Kind::Scalar => usize::MAX,
        }
    }

    /// Advances each state over its message's blocks, all by the same number: the shortest's.
    ///
    /// Returns that number. `states` and `messages` go together by index, at most [`LANES_MAX`].
    pub(super) fn compress(self, states: &mut [State], messages: &[&[Block]]) -> usize {
        assert!(states.len() == messages.len() && states.len() <= LANES_MAX, "one message a state");
        let blocks = messages.iter().map(|message| message.len()).min().unwrap_or(0);
        if blocks == 0 {
            return 0;
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => avx512::compress(self, states, messages, blocks),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => avx2::compress(self, states, messages, blocks),
            Kind::Scalar => compress_scalar(states, messages, blocks),
        }
        blocks
    }
}

fn compress_scalar(states: &mut [State], messages: &[&[Block]], blocks: usize) {
    for (state, message) in states.iter_mut().zip(messages) {
        md5::block_api::compress(state, &message[..blocks]);
    }
}

/// Words of up to `N` states, sorted as vectors want them: all first words, all second words, …
#[cfg(target_arch = "x86_64")]
fn spread<const N: usize>(states: &[State]) -> [[u32; N]; 4] {
    let mut words = [[0; N]; 4];
    for (lane, state) in states.iter().enumerate() {
        for (row, word) in words.iter_mut().zip(state) {
            row[lane] = *word;
        }
    }
    words
}

/// Undoes [`spread`].
#[cfg(target_arch = "x86_64")]
fn collect<const N: usize>(words: &[[u32; N]; 4], states: &mut [State]) {
    for (lane, state) in states.iter_mut().enumerate() {
        for (word, row) in state.iter_mut().zip(words) {
            *word = row[lane];
        }
    }
}
