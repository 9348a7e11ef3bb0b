//! What a discarding endpoint costs: requests and bytes a second of its CPU time, in another process.
//!
//! A measurement, not a test: `cargo build --release -p rig && cargo run --release -p rig --example
//! endpoint_throughput -- target/release/rig`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 8;

fn main() {
    let rig = std::env::args_os().nth(1).expect("the path of the rig program");
    let endpoint = Discarding::start(&rig);
    let large = Load { requests: 1_000, body_bytes: 4 << 20, query: "&comp=block&blockid=AAAAAAAA" };
    let small = Load { requests: 60_000, body_bytes: 1 << 10, query: "" };
    let medium = Load { requests: 40_000, body_bytes: 16 << 10, query: "" };
    let container = Load { requests: 1, body_bytes: 0, query: "&restype=container" };
    container.run(&endpoint, "/load");
    println!("Put Block of 4 MiB: {}", large.run(&endpoint, "/load/large"));
    println!("Put Blob of 1 KiB: {}", small.run(&endpoint, "/load/small/NUMBER"));
    println!("Put Blob of 16 KiB: {}", medium.run(&endpoint, "/load/medium/NUMBER"));
}

struct Discarding {
    process: Child,
    address: SocketAddr,
}

impl Discarding {
    fn start(rig: &std::ffi::OsStr) -> Discarding {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let mut command = Command::new(rig);
        command.args(["endpoint", "--discard", "--listen", &address.to_string()]).stdout(Stdio::null());
        let endpoint = Discarding { process: command.spawn().expect("rig runs"), address };
        let patience = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < patience, "the endpoint does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        endpoint
    }

    /// User and system time so far, in seconds: fields 14 and 15 of `stat`, in ticks of 10 ms.
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("Linux");
        let after_name = stat.rsplit(')').next().expect("a name in brackets");
        let ticks: Vec<f64> = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse().expect("a number"))
            .collect();
        ticks.iter().sum::<f64>() / 100.0
    }
}

impl Drop for Discarding {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

struct Load {
    requests: usize,
    body_bytes: usize,
    query: &'static str,
}

struct Measured {
    requests: f64,
    bytes: f64,
    wall_seconds: f64,
    cpu_seconds: f64,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Measured { requests, bytes, wall_seconds, cpu_seconds } = self;
        write!(
            f,
            "wall {:.0} MB/s, {:.0} requests/s; a CPU-second takes {:.0} MB, {:.0} requests",
            bytes / wall_seconds / 1e6,
            requests / wall_seconds,
            bytes / cpu_seconds / 1e6,
            requests / cpu_seconds
        )
    }
}

impl Load {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn run(&self, endpoint: &Discarding, path: &str) -> Measured {
        let (start, cpu) = (Instant::now(), endpoint.cpu_seconds());
        let each = self.requests.div_ceil(CONNECTIONS);
        std::thread::scope(|scope| {
            for connection in 0..CONNECTIONS.min(self.requests) {
                scope.spawn(move || {
                    self.send(endpoint.address, path, connection * each..(connection + 1) * each)
                });
            }
        });
        let requests = (each * CONNECTIONS.min(self.requests)) as f64;
        Measured {
            requests,
            bytes: requests * self.body_bytes as f64,
            wall_seconds: start.elapsed().as_secs_f64(),
            cpu_seconds: endpoint.cpu_seconds() - cpu,
        }
    }

    fn send(&self, address: SocketAddr, path: &str, numbers: std::ops::Range<usize>) {
        let mut stream = TcpStream::connect(address).expect("the endpoint answers");
        stream.set_nodelay(true).expect("a socket");
        let body = vec![7; self.body_bytes];
        let mut reply = [0; 4096];
        for number in numbers {
            let path = path.replace("NUMBER", &number.to_string());
            let mut request = format!(
                "PUT /devstoreaccount1{path}?sv=2022-11-02{} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\
                 x-ms-blob-type: BlockBlob\r\nx-ms-version: 2022-11-02\r\ncontent-md5: 1B2M2Y8AsgTpgAmY7PhCfg==\r\n\
                 x-ms-date: Sun, 22 Nov 2026 08:09:10 GMT\r\nx-ms-client-request-id: load-{number}\r\n\r\n",
                self.query, self.body_bytes
            )
            .into_bytes();
            if self.body_bytes <= 64 << 10 {
                request.extend_from_slice(&body);
                stream.write_all(&request).expect("sent");
            } else {
                stream.write_all(&request).expect("sent");
                stream.write_all(&body).expect("sent");
            }
            // The reply has no body, and comes in one piece.
            let size = stream.read(&mut reply).expect("answered");
            assert!(
                reply[..size].starts_with(b"HTTP/1.1 201"),
                "{}",
                String::from_utf8_lossy(&reply[..size])
            );
        }
    }
}
