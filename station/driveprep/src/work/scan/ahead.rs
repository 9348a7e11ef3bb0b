//! Directories listed ahead of the scan, by several threads.
//!
//! On a network share each look at a file is a round trip, and one after the other is hours for
//! millions of files. The scan still takes directories one by one, in its own order, so what it finds
//! does not depend on the threads: they only have the listing ready.
//!
//! Invariant: nobody waits for a listing that nobody makes. A directory that no thread has begun when
//! the scan comes to it is listed by the scan itself; memory is [`ENTRIES_AHEAD_MAX`] entries.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

use rustix::fs::{Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, accessat, openat, statat};

/// Threads that list: round trips that are under way at once.
const LISTERS: usize = 8;
/// Entries that may wait for the scan; a directory that is begun is listed to its end.
const ENTRIES_AHEAD_MAX: usize = 100_000;

/// One name in a directory.
pub struct Entry {
    /// The name.
    pub name: OsString,
    /// What it is, links not followed; for a file only if it can be read.
    pub found: io::Result<Stat>,
}

/// What a directory holds, as far as it could be read.
pub struct Listing {
    /// In the file system's order.
    pub entries: Vec<Entry>,
    /// What ended the listing early.
    pub fault: Option<io::Error>,
}

/// A directory that the scan will come to.
pub struct Slot {
    path: PathBuf,
    follow: OFlags,
    state: Mutex<State>,
    listed: Condvar,
}

enum State {
    Waiting,
    Begun,
    Listed(Listing),
    Taken,
}

/// The directories that wait, the next one last.
#[derive(Default)]
pub struct Ahead {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Arc<Slot>>,
    entries_ahead: usize,
    is_over: bool,
}

/// The threads that list.
pub struct Threads<'a>(&'a Ahead);

impl Drop for Threads<'_> {
    fn drop(&mut self) {
        lock(&self.0.queue).is_over = true;
        self.0.changed.notify_all();
    }
}

impl Ahead {
    /// Starts the threads; they end when what is given back is dropped, whatever ends the scan.
    pub fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Threads<'scope> {
        for _ in 0..LISTERS {
            scope.spawn(|| {
                while let Some(slot) = self.next() {
                    self.list_ahead(&slot);
                }
            });
        }
        Threads(self)
    }

    /// Has a directory listed when there is time for it.
    pub fn expect(&self, path: PathBuf, follow: OFlags) -> Arc<Slot> {
        let slot = Arc::new(Slot { path, follow, state: Mutex::new(State::Waiting), listed: Condvar::new() });
        lock(&self.queue).waiting.push(Arc::clone(&slot));
        self.changed.notify_one();
        slot
    }

    /// The directory's listing, made now if nobody has begun it.
    pub fn take(&self, slot: &Slot) -> Listing {
        let mut state = lock(&slot.state);
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Listed(listing) => {
                    lock(&self.queue).entries_ahead -= listing.entries.len();
                    self.changed.notify_all();
                    return listing;
                }
                State::Begun => {
                    *state = State::Begun;
                    state = slot.listed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                State::Waiting | State::Taken => {
                    drop(state);
                    return list(&slot.path, slot.follow);
                }
            }
        }
    }

    fn next(&self) -> Option<Arc<Slot>> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.is_over {
                return None;
            }
            if queue.entries_ahead < ENTRIES_AHEAD_MAX
                && let Some(slot) = queue.waiting.pop()
            {
                return Some(slot);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn list_ahead(&self, slot: &Slot) {
        let mut state = lock(&slot.state);
        if !matches!(*state, State::Waiting) {
            return;
        }
        *state = State::Begun;
        drop(state);
        let listing = list(&slot.path, slot.follow);
        lock(&self.queue).entries_ahead += listing.entries.len();
        *lock(&slot.state) = State::Listed(listing);
        slot.listed.notify_one();
    }
}

/// Nothing is left half done by a thread that panics: what it held was replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn list(path: &Path, follow: OFlags) -> Listing {
    let mut entries = Vec::new();
    let fault = fill(path, follow, &mut entries).err();
    Listing { entries, fault }
}

fn fill(path: &Path, follow: OFlags, entries: &mut Vec<Entry>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | follow;
    let opened = openat(CWD, path, flags, Mode::empty())?;
    for entry in Dir::read_from(&opened)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            entries.push(Entry { name: name.to_owned(), found: look(&opened, name) });
        }
    }
    Ok(())
}

/// What is there; an error for a file that this user cannot read.
pub fn look(parent: impl std::os::fd::AsFd, name: &OsStr) -> io::Result<Stat> {
    let found = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
        accessat(parent, name, Access::READ_OK, AtFlags::empty())?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_that_no_thread_has_begun_is_listed_by_whoever_wants_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), b"").unwrap();
        let ahead = Ahead::default();
        let slot = ahead.expect(folder.path().to_owned(), OFlags::empty());
        let listing = ahead.take(&slot);
        assert_eq!(listing.entries.len(), 1);
        assert!(listing.fault.is_none());
    }

    #[test]
    fn threads_that_list_ahead_give_what_listing_at_once_gives() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..200).map(|n| folder.path().join(n.to_string())).collect();
        for (count, path) in paths.iter().enumerate() {
            fs::create_dir(path).unwrap();
            (0..count % 7).for_each(|n| fs::write(path.join(n.to_string()), b"").unwrap());
        }
        let ahead = Ahead::default();
        std::thread::scope(|scope| {
            let _threads = ahead.start(scope);
            let slots: Vec<_> =
                paths.iter().map(|path| ahead.expect(path.clone(), OFlags::NOFOLLOW)).collect();
            for (count, slot) in slots.iter().enumerate() {
                assert_eq!(ahead.take(slot).entries.len(), count % 7);
            }
        });
        assert_eq!(lock(&ahead.queue).entries_ahead, 0);
    }

    #[test]
    fn a_directory_that_is_gone_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let ahead = Ahead::default();
        let slot = ahead.expect(folder.path().join("gone"), OFlags::empty());
        assert_eq!(ahead.take(&slot).fault.map(|fault| fault.kind()), Some(io::ErrorKind::NotFound));
    }
}
