//! Our programs, started as a person would start them: for exit codes, signals and kills.
//!
//! Built once a test process, with the profile and into the target folder of the tests themselves.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rig::endpoint::Endpoint;
use serde_json::Value;
use tempfile::TempDir;

use crate::drives::TestDrive;
use crate::workspace;

/// No run of a small drive takes longer, however busy the machine.
const RUN_TIME_MAX: Duration = Duration::from_secs(180);

/// Where `station` is; built when this is first asked.
pub fn station() -> &'static Path {
    static STATION: OnceLock<PathBuf> = OnceLock::new();
    STATION.get_or_init(|| build("station").expect("the station can be built"))
}

/// Where `driveprep` is; built when this is first asked.
pub fn driveprep() -> &'static Path {
    static DRIVEPREP: OnceLock<PathBuf> = OnceLock::new();
    DRIVEPREP.get_or_init(|| build("driveprep").expect("driveprep can be built"))
}

fn build(program: &str) -> Result<PathBuf> {
    let test = std::env::current_exe().context("asking for this test's own path")?;
    let profile_folder = test.ancestors().nth(2).context("a test lies in target/PROFILE/deps")?;
    let target = profile_folder.parent().context("a profile's folder lies in the target folder")?;
    let profile = match profile_folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // A test target among the targets makes cargo choose the features that it chose for the tests of
    // the workspace, so a run of the whole suite builds nothing twice.
    build.args(["build", "--quiet", "--workspace", "--bin", program, "--test", "architecture"]);
    build.args(["--profile", profile, "--target-dir"]);
    // What cargo told this test about its own package would make build scripts that ask for it run
    // again, and everything above them with them, in this build and in the next one of the tests.
    let of_test = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.starts_with(start));
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        if of_test(&name) {
            build.env_remove(name);
        }
    }
    let status = build.arg(target).current_dir(workspace::root()).status().context("starting cargo")?;
    if !status.success() {
        bail!("cargo build ended with {status}");
    }
    Ok(profile_folder.join(program))
}

/// Before a bay: state, logs and credential in a scratch folder, one destination.
pub struct Desk {
    scratch: TempDir,
    url: String,
}

/// What a run left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// The events of `--json`.
    ///
    /// # Panics
    /// When a line is no JSON.
    pub fn events(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The last event, which sums up.
    pub fn summary(&self) -> Value {
        self.events().pop().unwrap_or_default()
    }
}

impl Desk {
    /// A desk before an endpoint of ours.
    ///
    /// # Errors
    /// When the scratch folder cannot be made.
    pub fn before(endpoint: &Endpoint) -> Result<Desk> {
        Desk::at(&endpoint.url(), &endpoint.connection_string())
    }

    /// A desk before any destination.
    ///
    /// # Errors
    /// When the scratch folder cannot be made.
    pub fn at(url: &str, credential: &str) -> Result<Desk> {
        let desk = Desk { scratch: TempDir::new()?, url: url.to_owned() };
        fs::write(desk.credential_file(), credential)?;
        fs::set_permissions(desk.credential_file(), Permissions::from_mode(0o600))?;
        Ok(desk)
    }

    /// The file with the credential.
    pub fn credential_file(&self) -> PathBuf {
        self.scratch.path().join("credential")
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    /// The folder of the local logs.
    pub fn logs_dir(&self) -> PathBuf {
        self.scratch.path().join("logs")
    }

    /// `station ingest --json` of this drive into this destination, without a credential.
    pub fn ingest_without_credential(&self, drive: &TestDrive) -> Command {
        let mut command = plain();
        command.args(["ingest", "--json", "--drive"]).arg(&drive.image).arg("--job").arg(&drive.job_file);
        command.arg("--to").arg(&self.url).arg("--state").arg(self.state());
        command.arg("--logs").arg(self.logs_dir()).args(["--buffer-mib", "32"]);
        command
    }

    /// `station ingest --json` of this drive into this destination.
    pub fn ingest(&self, drive: &TestDrive) -> Command {
        let mut command = self.ingest_without_credential(drive);
        command.arg("--credential-file").arg(self.credential_file());
        command
    }

    /// The logs of its runs, see [`logs_in`].
    ///
    /// # Errors
    /// As [`logs_in`].
    pub fn logs(&self) -> Result<Vec<(String, Vec<u8>)>> {
        logs_in(&self.logs_dir())
    }
}

/// The four logs by what kind they are: their names without what differs from run to run.
///
/// # Errors
/// When they cannot be read, or two are of a kind: that would be two runs' logs.
pub fn logs_in(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut logs = Vec::new();
    for path in files(folder)? {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let kinds = ["_error.xml", "_verbose.xml", "_CopyLog_", "_VerboseLog_"];
        let kind = kinds.into_iter().find(|kind| name.contains(kind));
        let kind = kind.with_context(|| format!("{name} is no log"))?;
        logs.push((kind.to_owned(), fs::read(&path)?));
    }
    logs.sort();
    if logs.windows(2).any(|two| two[0].0 == two[1].0) {
        bail!("two logs of a kind: {:?}", files(folder)?);
    }
    Ok(logs)
}

/// The station without any argument, and without what this machine's environment would add.
pub fn plain() -> Command {
    bare(station())
}

/// A program of ours without any argument, and without what this machine's environment would add.
pub fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    for variable in
        ["DRAYAGE_CREDENTIAL", "DRAYAGE_LEDGER_URL", "DRAYAGE_STATE", "DRAYAGE_LOG", "STATE_DIRECTORY"]
    {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

/// Every file below a folder.
///
/// # Errors
/// When one cannot be listed.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started, or does not end.
pub fn run(command: &mut Command) -> Result<Ended> {
    Running::start(command)?.wait()
}

/// A started program, which a hook may kill.
#[derive(Clone)]
pub struct Running(Arc<Inner>);

struct Inner {
    child: Mutex<Child>,
    output: TempDir,
}

/// A test that fails leaves no station behind.
impl Drop for Inner {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It may have ended long ago.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Running {
    /// Starts it; what it says goes to files, so that it never waits for a reader.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Running> {
        let output = TempDir::new()?;
        let file = |name: &str| fs::File::create(output.path().join(name));
        let child =
            command.stdout(file("out")?).stderr(file("err")?).spawn().context("starting the program")?;
        Ok(Running(Arc::new(Inner { child: Mutex::new(child), output })))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child().id()
    }

    /// Ends it with SIGKILL, this instant.
    pub fn kill(&self) {
        // It may have ended by itself.
        let _ = self.child().kill();
    }

    /// Sends it SIGTERM.
    ///
    /// # Errors
    /// When there is no shell to send it with.
    pub fn terminate(&self) -> Result<()> {
        self.signal("TERM")
    }

    /// Sends it SIGHUP.
    ///
    /// # Errors
    /// When there is no shell to send it with.
    pub fn hang_up(&self) -> Result<()> {
        self.signal("HUP")
    }

    fn signal(&self, name: &str) -> Result<()> {
        let id = self.child().id();
        Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status().context("starting sh")?;
        Ok(())
    }

    /// What it has said so far on standard error.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stderr(&self) -> Result<String> {
        self.said("err")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not come.
    pub fn wait(&self) -> Result<Ended> {
        let deadline = Instant::now() + RUN_TIME_MAX;
        loop {
            if let Some(status) = self.child().try_wait()? {
                let (stdout, stderr) = (self.said("out")?, self.said("err")?);
                return Ok(Ended { code: status.code(), stdout, stderr });
            }
            if Instant::now() > deadline {
                self.kill();
                bail!("the program does not end; it said:\n{}{}", self.said("out")?, self.said("err")?);
            }
            sleep(Duration::from_millis(5));
        }
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.0.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn said(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.0.output.path().join(name)).context("reading what the station said")
    }
}
