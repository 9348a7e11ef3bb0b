//! SIGINT and SIGTERM: the first one asks the pack to stop at a checkpoint, the second one ends it at
//! once, which loses no more than a crash would.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context;
use model::Exit;
use tokio::signal::unix::{SignalKind, signal};

use crate::console::Console;
use crate::failure::Failure;

/// Set by the first signal. One for the process, as signals are.
static STOP: AtomicBool = AtomicBool::new(false);

/// Begins to listen.
///
/// # Errors
/// When the operating system refuses.
pub fn watch(console: &Console) -> Result<&'static AtomicBool, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.context("listening for signals").map_err(Failure::fatal)?;
    let console = console.clone();
    let listening = {
        let _inside = runtime.enter();
        signal(SignalKind::interrupt())
            .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)))
    };
    let (mut interrupt, mut terminate) =
        listening.context("listening for signals").map_err(Failure::fatal)?;
    thread::spawn(move || {
        runtime.block_on(async {
            for is_first in [true, false] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                STOP.store(true, Ordering::Relaxed);
                if is_first {
                    console.note("stopping at the next checkpoint; once more ends at once");
                }
            }
            std::process::exit(Exit::Interrupted.code().into());
        });
    });
    Ok(&STOP)
}
