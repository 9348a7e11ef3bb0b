//! What a process cost, seen from outside: processor time, wall time, peak memory.
//!
//! The times are read from `/proc/<pid>/stat` after the process has ended and before it is waited
//! for, when they are final and still there. Their resolution is a clock tick, 10 ms.

use std::fs;
use std::process::{Child, Command};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rig::process;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// How often peak memory is looked up while the process runs.
const MEMORY_SAMPLE_EVERY: Duration = Duration::from_millis(50);

/// What one process took.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// User and system time of the process and of the children it waited for, in seconds.
    pub cpu_seconds: f64,
    /// From start to end, in seconds.
    pub wall_seconds: f64,
    /// Highest resident memory seen.
    pub peak_bytes: u64,
}

/// A running process that is measured. Dropping it unfinished ends it.
pub struct Measured {
    child: Child,
    pid: Pid,
    name: String,
    start: Instant,
    memory: Option<JoinHandle<u64>>,
}

impl Measured {
    /// Starts `command`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Measured> {
        let name = process::shown(command);
        let start = Instant::now();
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        let id = child.id();
        let pid = Pid::from_child(&child);
        Ok(Measured { child, pid, name, start, memory: Some(thread::spawn(move || watch_memory(id))) })
    }

    /// Asks the process to end, as a service manager would, and waits for it.
    ///
    /// # Errors
    /// When it cannot be signalled or measured.
    pub fn stop(self) -> Result<Usage> {
        kill_process(self.pid, Signal::TERM).with_context(|| format!("stopping {}", self.name))?;
        self.end().map(|(usage, _)| usage)
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    /// When its exit code is not one of `accepted`.
    pub fn wait(self, accepted: &[i32]) -> Result<Usage> {
        let name = self.name.clone();
        let (usage, code) = self.end()?;
        ensure!(code.is_some_and(|code| accepted.contains(&code)), "{name} ended with {code:?}");
        Ok(usage)
    }

    fn end(mut self) -> Result<(Usage, Option<i32>)> {
        waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            .with_context(|| format!("waiting for {}", self.name))?;
        let wall_seconds = self.start.elapsed().as_secs_f64();
        let cpu_seconds = cpu_seconds(self.child.id())?;
        let status = self.child.wait().context("collecting the process")?;
        let sampler = self.memory.take().expect("a process ends once");
        let peak_bytes = sampler.join().expect("the sampler does not panic");
        Ok((Usage { cpu_seconds, wall_seconds, peak_bytes }, status.code()))
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        if self.memory.is_some() {
            // An error is on its way already; the process must not outlive it.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Fields 14 to 17 of proc_pid_stat(5), counted from 1: utime, stime, cutime, cstime.
fn cpu_seconds(id: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).context("reading the process's times")?;
    // The second field is the program's name in brackets, which may contain blanks.
    let (_, fields) = text.rsplit_once(") ").context("an unknown form of /proc/<pid>/stat")?;
    let ticks: f64 = fields.split(' ').skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum();
    let ticks_per_second = u32::try_from(rustix::param::clock_ticks_per_second()).context("clock ticks")?;
    Ok(ticks / f64::from(ticks_per_second))
}

fn watch_memory(id: u32) -> u64 {
    let mut peak_bytes = 0;
    while let Some(high_water_bytes) = memory_high_water(id) {
        peak_bytes = high_water_bytes;
        thread::sleep(MEMORY_SAMPLE_EVERY);
    }
    peak_bytes
}

/// `VmHWM`; a process that has ended has none.
fn memory_high_water(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_charged_to_the_process_that_did_it() {
        let busy = Measured::start(
            Command::new("sh").args(["-c", "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done"]),
        );
        let busy = busy.unwrap().wait(&[0]).unwrap();
        assert!(busy.cpu_seconds > 0.0 && busy.wall_seconds > 0.0, "{busy:?}");
        let idle = Measured::start(Command::new("sleep").arg("600")).unwrap().stop().unwrap();
        assert!(idle.cpu_seconds < 1.0, "{idle:?}");
        assert!(Measured::start(Command::new("sh").args(["-c", "exit 3"])).unwrap().wait(&[0]).is_err());
    }
}
