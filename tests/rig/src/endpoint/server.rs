//! The listening socket and the threads behind it.
//!
//! Owns the door: while a fault keeps it shut, the socket is closed, so that a client's connect is
//! refused by the operating system as it would be by a machine without the service.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::service::{Connection, Shared, answer};
use super::wire::{Socket, Wire};

/// hyper reads ahead up to here: a block of 4 MiB comes in few and large frames.
const READ_BUFFER_BYTES_MAX: usize = 1 << 20;
/// How long accepting rests after an error such as too many open files.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);

/// A running server; it stops when told to or when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens at once, and serves on a thread of its own (which has `workers` of its own).
    pub(crate) fn start(listen: SocketAddr, workers: usize, shared: Arc<Shared>) -> io::Result<Server> {
        let listener = StdListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let runtime = runtime(workers)?;
        let door = Door { listener: Some(listener), address, stopped, shared };
        let serve = move || {
            runtime.block_on(door.serve());
            // Waits for what is being carried out: the next endpoint may be started on the same folder.
            drop(runtime);
        };
        let thread = std::thread::Builder::new().name("rig-endpoint".to_owned()).spawn(serve)?;
        Ok(Server { address, stop, thread: Some(thread) })
    }

    /// Closes the socket and every connection, and waits for the thread's end.
    pub(crate) fn stop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn runtime(workers: usize) -> io::Result<Runtime> {
    let mut builder = if workers <= 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    builder.worker_threads(workers.max(1)).thread_name("rig-endpoint-worker").enable_all().build()
}

/// Where connections come in.
struct Door {
    listener: Option<StdListener>,
    address: SocketAddr,
    stopped: watch::Receiver<bool>,
    shared: Arc<Shared>,
}

impl Door {
    async fn serve(mut self) {
        let mut open = self.shared.faults.door();
        let next_number = AtomicU64::new(1);
        let mut stopped = self.stopped.clone();
        loop {
            let listener = self.listener.take().map_or_else(|| self.listen_again(), Ok);
            let Ok(listener) = listener.and_then(TcpListener::from_std) else {
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                continue;
            };
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, peer)) => self.take(stream, peer, next_number.fetch_add(1, Ordering::Relaxed)),
                        Err(_) => tokio::time::sleep(PAUSE_AFTER_ERROR).await,
                    },
                    _ = open.wait_for(|open| !open) => break,
                    _ = stopped.wait_for(|stopped| *stopped) => return,
                }
            }
            drop(listener);
            tokio::select! {
                _ = open.wait_for(|open| *open) => {}
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
        }
    }

    fn listen_again(&self) -> io::Result<StdListener> {
        let listener = StdListener::bind(self.address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, number: u64) {
        let wire = Arc::new(Wire::default());
        // Replies are small; waiting to fill a segment would only delay them.
        drop(stream.set_nodelay(true));
        let socket = TokioIo::new(Socket::new(stream, Arc::clone(&wire)));
        let connection = Connection { wire: Arc::clone(&wire), peer: peer.ip(), number };
        let shared = Arc::clone(&self.shared);
        let mut stopped = self.stopped.clone();
        let mut open = shared.faults.door();
        let service = service_fn(move |request| answer(Arc::clone(&shared), connection.clone(), request));
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .max_buf_size(READ_BUFFER_BYTES_MAX)
            .pipeline_flush(true)
            .serve_connection(socket, service);
        tokio::spawn(async move {
            tokio::select! {
                // A connection that ends badly is the client's to report.
                ended = serving => drop(ended),
                _ = open.wait_for(|open| !open) => wire.reset(),
                _ = stopped.wait_for(|stopped| *stopped) => wire.reset(),
            }
        });
    }
}
