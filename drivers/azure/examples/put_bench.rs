//! What putting costs the client: CPU-seconds per GB for large puts, per request for small ones.
//!
//! `put_bench` starts itself again as a sink that reads and forgets, in another process, and
//! measures its own CPU time only. Digests are computed once beforehand, because the station has
//! them already. Run it in release mode; the budgets are in design §5.

use std::convert::Infallible;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use azure::{Account, AccountConfig, BlobHeaders, Condition, Credential, DEVELOPMENT_KEY, Endpoint};
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response};
use md5::{Digest, Md5};
use model::{BlobPath, Md5Digest};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Requests under way at once, as in azure-storage.md §3.1.
const AT_ONCE: usize = 8;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if std::env::args().nth(1).as_deref() == Some("sink") {
        runtime.block_on(sink());
    } else {
        runtime.block_on(measure());
    }
}

async fn measure() {
    let this = std::env::current_exe().expect("the path of this program");
    let mut process = tokio::process::Command::new(this)
        .arg("sink")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the sink starts");
    let stdout = process.stdout.take().expect("a pipe");
    let port = BufReader::new(stdout).lines().next_line().await.expect("the sink speaks").expect("its port");
    let endpoint =
        Endpoint::parse(&format!("http://127.0.0.1:{port}/devstoreaccount1")).expect("an endpoint");
    let credential = Credential::from_text(DEVELOPMENT_KEY).expect("the development key");
    let account = Account::new(AccountConfig::new(endpoint, credential)).expect("an account");
    run(&account, "warm-up", 16 << 10, 2_000).await;
    for _ in 0..3 {
        run(&account, "4 MiB blocks", 4 << 20, 1_000).await;
        run(&account, "16 KiB blobs", 16 << 10, 40_000).await;
    }
}

/// Puts `count` times `length` bytes and prints what it took.
async fn run(account: &Account, what: &str, length: usize, count: u32) {
    let data = Bytes::from(vec![0xA5u8; length]);
    let digest = Md5Digest(Md5::digest(&data).into());
    let (cpu, wall) = (cpu_time(), Instant::now());
    futures::stream::iter(0..count)
        .map(|number| put(account, number, data.clone(), digest))
        .buffer_unordered(AT_ONCE)
        .collect::<()>()
        .await;
    let (cpu, wall) = ((cpu_time() - cpu).as_secs_f64(), wall.elapsed().as_secs_f64());
    let requests = f64::from(count);
    let gigabytes = requests * f64::from(u32::try_from(length).expect("a small length")) / 1e9;
    println!(
        "{what:>12}: {:6.3} CPU-s/GB  {:6.1} us CPU a request  {:7.0} requests/CPU-s  {:7.0} requests/s  {:6.0} MB/s",
        cpu / gigabytes,
        cpu / requests * 1e6,
        requests / cpu,
        requests / wall,
        gigabytes * 1e3 / wall,
    );
}

async fn put(account: &Account, number: u32, data: Bytes, digest: Md5Digest) {
    let path = BlobPath::new("bench", &format!("folder/blob-{number:08}")).expect("a name");
    if data.len() > 1 << 20 {
        account.put_block(&path, "AAAAAA==", data, digest, None).await.expect("the sink takes it");
    } else {
        let headers = BlobHeaders::default();
        account.put_blob(&path, data, digest, &headers, &Condition::None).await.expect("the sink takes it");
    }
}

/// CPU time of this process, user and system.
fn cpu_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(spent).expect("CPU time is not negative")
}

async fn sink() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address").port());
    std::io::stdout().flush().expect("a pipe");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        let service = hyper::service::service_fn(swallow);
        let stream = hyper_util::rt::TokioIo::new(stream);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
    }
}

/// Reads a body and forgets it.
async fn swallow(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    let response = Response::builder()
        .status(201)
        .header("ETag", "\"0x8DBE5A1B2C3D4E5\"")
        .header("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")
        .header("x-ms-request-id", "5ad1b1d6-001e-0045-4d1e-17f7c4000000")
        .header("x-ms-version", "2023-11-03")
        .header("x-ms-request-server-encrypted", "true")
        .body(Empty::new())
        .expect("fixed headers");
    Ok(response)
}
