//! A PostgreSQL server for tests: Debian's, made new, in a folder that goes away with it.
//!
//! ```text
//! test process ─ pipe ─▶ sh: starts postgres, waits for the pipe's end, stops it, removes the folder
//! ```
//!
//! It listens on a Unix socket in its folder and nowhere else. However the test process ends, also by
//! a panic or SIGKILL, the pipe ends with it, and the server and its folder go. One server serves
//! a test process, and each test has a database of its own.
//!
//! PostgreSQL refuses to run as root: then it runs as Debian's user `postgres`, who gets the folder.
//! The shared server runs without `fsync`, which is for the tests' speed alone: it is what
//! [`PostgresOptions::scratch`] is for. A killed test or station loses nothing by that, only a power
//! cut would. [`Cluster::start`] makes one that syncs.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::PostgresOptions;

/// Where Debian keeps the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Whom it runs as when we are root.
const USER: &str = "postgres";
/// A server that has not come up by then will not.
const START_WAIT: Duration = Duration::from_secs(60);

/// Starts the server named by `$1` in the folder `$2` with the remaining arguments, until standard
/// input ends.
const SUPERVISOR: &str = r#"
postgres=$1 folder=$2; shift 2
"$postgres" -D "$folder/data" -k "$folder" "$@" </dev/null >"$folder/log" 2>&1 &
server=$!
read -r _
kill -INT "$server"
wait "$server"
rm -rf "$folder"
"#;

/// A running server; it stops when this is dropped, and when the process ends.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    is_synced: bool,
    supervisor: Child,
    stop: Option<ChildStdin>,
    databases: AtomicU32,
}

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// As in production.
    On,
    /// Faster.
    Off,
}

impl Cluster {
    /// The server that all tests of this process share; the reason why there is none.
    pub fn shared() -> Result<&'static Cluster, &'static str> {
        static SHARED: OnceLock<Result<Cluster, String>> = OnceLock::new();
        let started = SHARED.get_or_init(|| Cluster::start(Sync::Off));
        started.as_ref().map_err(String::as_str)
    }

    /// A server of one's own.
    ///
    /// # Errors
    /// Why there is none, in words for `skipped: …`.
    pub fn start(sync: Sync) -> Result<Cluster, String> {
        let programs = programs().ok_or("PostgreSQL is not installed (Debian: postgresql)")?;
        let folder = make_folder().map_err(|error| format!("no folder for PostgreSQL: {error}"))?;
        let mut initdb = Command::new(programs.join("initdb"));
        as_user(&mut initdb);
        initdb.args(["-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D"]);
        initdb.arg(folder.join("data")).current_dir(&folder).env("LC_ALL", "C.UTF-8");
        made("initdb", &mut initdb).inspect_err(|_| drop(fs::remove_dir_all(&folder)))?;
        Cluster::run(programs, folder, sync)
    }

    /// Another server with everything that this one has acknowledged so far, by `pg_basebackup`.
    ///
    /// # Errors
    /// What the backup or the new server said.
    pub fn backed_up(&self) -> Result<Cluster, String> {
        let folder = make_folder().map_err(|error| format!("no folder for PostgreSQL: {error}"))?;
        let mut backup = self.program("pg_basebackup");
        backup.args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "-D"]).arg(folder.join("data"));
        made("pg_basebackup", &mut backup).inspect_err(|_| drop(fs::remove_dir_all(&folder)))?;
        Cluster::run(self.programs.clone(), folder, if self.is_synced { Sync::On } else { Sync::Off })
    }

    fn run(programs: PathBuf, folder: PathBuf, sync: Sync) -> Result<Cluster, String> {
        let started = supervise(&programs, &folder, sync);
        let mut supervisor = started.map_err(|error| format!("starting PostgreSQL: {error}"))?;
        let stop = supervisor.stdin.take();
        let databases = AtomicU32::new(0);
        let cluster = Cluster { folder, programs, is_synced: sync == Sync::On, supervisor, stop, databases };
        cluster.wait_until_up()?;
        Ok(cluster)
    }

    /// A new, empty database: its URL.
    ///
    /// # Panics
    /// When the server does not make it.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut connection = self.maintenance().connect().await.expect("the server is up");
        let create = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"));
        sqlx::query(create).execute(&mut connection).await.expect("a new database");
        connection.close().await.expect("an idle connection");
        self.url(&name)
    }

    /// The URL of the database with that name.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://{USER}@localhost/{name}?host={}", self.folder.display())
    }

    /// How a ledger is opened in that database.
    ///
    /// # Panics
    /// When it is no URL.
    pub fn options(&self, url: &str) -> PostgresOptions {
        let options = PostgresOptions::parse(url).expect("a URL of this server");
        if self.is_synced { options } else { options.scratch() }
    }

    /// One of the server's programs, such as `pg_dump`, to be run as its user and against it.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        as_user(&mut command);
        command.env_clear().env("LC_ALL", "C.UTF-8").env("PGHOST", &self.folder).env("PGUSER", USER);
        command.current_dir(&self.folder);
        command
    }

    /// A folder that the server's user may write to; it goes with the server.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn maintenance(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.folder).username(USER).database("postgres")
    }

    fn wait_until_up(&self) -> Result<(), String> {
        let deadline = Instant::now() + START_WAIT;
        loop {
            let mut ready = self.program("pg_isready");
            let answer = ready.args(["-q", "-d", "postgres"]).status();
            if answer.map_err(|error| format!("asking PostgreSQL: {error}"))?.success() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(format!("PostgreSQL did not come up: {log}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Its shell stops the server; there is nothing to do about one that does not.
        let _ = self.supervisor.wait();
    }
}

/// The newest version's.
fn programs() -> Option<PathBuf> {
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let found = fs::read_dir(VERSIONS).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let newest = found.filter(|path| path.join("bin/initdb").exists()).max_by_key(version)?;
    Some(newest.join("bin"))
}

/// With a short name: a socket's path has fewer than 108 bytes.
fn make_folder() -> io::Result<PathBuf> {
    let name = format!("drayage-pg-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let preferred = std::env::temp_dir().join(&name);
    let folder = if preferred.as_os_str().len() < 80 { preferred } else { Path::new("/tmp").join(name) };
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    if let Some((uid, gid)) = server_user() {
        chown(&folder, Some(uid), Some(gid))?;
    }
    Ok(folder)
}

/// Runs one of the server's programs to its end.
fn made(name: &str, command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(made) if made.status.success() => Ok(()),
        Ok(made) => Err(format!("{name}: {}", String::from_utf8_lossy(&made.stderr))),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

fn supervise(programs: &Path, folder: &Path, sync: Sync) -> io::Result<Child> {
    let mut command = Command::new("sh");
    as_user(&mut command);
    command.args(["-c", SUPERVISOR, "drayage-postgres"]).arg(programs.join("postgres")).arg(folder);
    for setting in ["listen_addresses=", "max_connections=200", "shared_buffers=64MB", "max_wal_senders=4"] {
        command.args(["-c", setting]);
    }
    if sync == Sync::Off {
        command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
    }
    // In a group of its own: a terminal's Ctrl-C would end the shell before it has removed the folder.
    command.process_group(0).current_dir(folder).env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()
}

fn as_user(command: &mut Command) {
    if let Some((uid, gid)) = server_user() {
        command.uid(uid).gid(gid);
    }
}

/// Whom to become, when we are root.
fn server_user() -> Option<(u32, u32)> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| {
        use std::os::unix::fs::MetadataExt;
        process.uid() == 0
    });
    let mut users = String::new();
    let read = fs::File::open("/etc/passwd").and_then(|mut file| file.read_to_string(&mut users));
    if !is_root || read.is_err() {
        return None;
    }
    let mut line = users.lines().find(|line| line.split(':').next() == Some(USER))?.split(':').skip(2);
    Some((line.next()?.parse().ok()?, line.next()?.parse().ok()?))
}
