//! How a bay's bytes are read, from the best way to the one that always works.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// The way that was chosen. Displayed in logs and on the bay's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadMode {
    /// io_uring through `tokio-uring`.
    Uring {
        /// The pool's arena is registered with the ring, so no read pins its pages again.
        registered: bool,
        /// `O_DIRECT`, past the page cache.
        direct: bool,
    },
    /// `pread` on a few threads.
    Positional {
        /// `O_DIRECT`, past the page cache.
        direct: bool,
    },
    /// [`ReadAt`](crate::ReadAt) on a few threads: the target is not a plain file.
    Device,
}

impl fmt::Display for ReadMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (engine, direct) = match *self {
            ReadMode::Uring { registered: true, direct } => ("io_uring with registered buffers", direct),
            ReadMode::Uring { registered: false, direct } => ("io_uring", direct),
            ReadMode::Positional { direct } => ("positional reads", direct),
            ReadMode::Device => return f.write_str("positional reads of a wrapped device"),
        };
        write!(f, "{engine}, {}", if direct { "O_DIRECT" } else { "through the page cache" })
    }
}

impl ReadMode {
    /// The same way, through the page cache.
    pub(super) fn buffered(self) -> ReadMode {
        match self {
            ReadMode::Uring { registered, .. } => ReadMode::Uring { registered, direct: false },
            ReadMode::Positional { .. } => ReadMode::Positional { direct: false },
            ReadMode::Device => ReadMode::Device,
        }
    }
}

/// The ways that the reader may take; the best that works is taken.
///
/// All are allowed by default. An operator may rule one out (a controller with a bad `O_DIRECT`),
/// a test compares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowedWays {
    /// io_uring at all.
    pub uring: bool,
    /// Registering the pool's memory.
    pub registered: bool,
    /// `O_DIRECT`.
    pub direct: bool,
}

impl Default for AllowedWays {
    fn default() -> AllowedWays {
        AllowedWays { uring: true, registered: true, direct: true }
    }
}

/// The mode of a running reader, for those who look at it from outside.
pub(super) struct ModeCell(Mutex<ReadMode>);

impl Default for ModeCell {
    fn default() -> ModeCell {
        ModeCell(Mutex::new(ReadMode::Positional { direct: false }))
    }
}

impl ModeCell {
    pub(super) fn load(&self) -> ReadMode {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn store(&self, mode: ReadMode) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }
}
