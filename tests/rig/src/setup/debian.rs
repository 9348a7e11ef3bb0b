//! Debian packages: which program or library is missing, and which package brings it.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::{Purpose, say};
use crate::process;

/// Something that has to be on the machine.
struct Need {
    /// What it is for, in the words that set-up says.
    what: &'static str,
    /// Whether it is there already, from wherever.
    is_met: fn() -> bool,
    /// The Debian 12 packages that bring it.
    packages: &'static [&'static str],
    /// Who needs it.
    purposes: &'static [Purpose],
}

use Purpose::{Bench, Demo, Test};

const NEEDS: &[Need] = &[
    Need {
        what: "C compiler, for the SQLite that the ledger embeds",
        is_met: || process::on_path("cc").is_some(),
        packages: &["gcc", "libc6-dev"],
        purposes: &[Demo, Test, Bench],
    },
    Need {
        what: "mkntfs and ntfs-3g, which make the NTFS volumes of packed drives",
        is_met: || all_on_path(&["mkntfs", "ntfs-3g"]),
        packages: &["ntfs-3g"],
        purposes: &[Demo, Test, Bench],
    },
    Need {
        what: "fusermount, which unmounts them",
        is_met: || process::on_path("fusermount3").is_some() || process::on_path("fusermount").is_some(),
        packages: &["fuse3"],
        purposes: &[Demo, Test, Bench],
    },
    Need {
        what: "dislocker, which reads BitLocker volumes independently",
        is_met: || all_on_path(&["dislocker-file", "dislocker-fuse"]),
        packages: &["dislocker"],
        purposes: &[Test, Bench],
    },
    Need {
        what: "zstd, xz, bzip2, gzip, unzip and tar, which unpack the fixtures",
        is_met: || all_on_path(&["zstd", "xz", "bzip2", "gzip", "unzip", "tar"]),
        packages: &["zstd", "xz-utils", "bzip2", "gzip", "unzip", "tar"],
        purposes: &[Test],
    },
    Need {
        what: "libbde and cryptsetup, which judge our BitLocker volumes",
        is_met: || all_on_path(&["bdemount", "cryptsetup"]),
        packages: &["libbde-utils", "cryptsetup-bin"],
        purposes: &[Test],
    },
    Need {
        what: "The Sleuth Kit and 7-Zip, which judge the NTFS volumes that we make",
        is_met: || all_on_path(&["fls", "icat", "fsstat", "7z"]),
        packages: &["sleuthkit", "p7zip-full"],
        purposes: &[Test],
    },
    Need {
        what: "rsvg-convert and zbarimg, which draw the drive's label and read its barcodes",
        is_met: || all_on_path(&["rsvg-convert", "zbarimg"]),
        packages: &["librsvg2-bin", "zbar-tools"],
        purposes: &[Test],
    },
    Need {
        what: "sfdisk and sgdisk, which judge our partition tables",
        is_met: || all_on_path(&["sfdisk", "sgdisk"]),
        packages: &["fdisk", "gdisk"],
        purposes: &[Test],
    },
    Need {
        what: "wimlib, which compresses what the NTFS reader decompresses",
        is_met: || all_on_path(&["wimlib-imagex"]),
        packages: &["wimtools"],
        purposes: &[Test],
    },
    Need {
        what: "Node.js 18 or later with npm, which runs Azurite and fetches azcopy",
        is_met: node_is_recent,
        packages: &["nodejs", "npm"],
        purposes: &[Test, Bench],
    },
    Need {
        what: "PostgreSQL, whose servers of its own the suite starts for ledgers that stations share",
        is_met: postgres_is_there,
        packages: &["postgresql"],
        purposes: &[Test],
    },
    Need {
        what: "libsecret, which azcopy is linked with",
        is_met: || library_is_there("libsecret-1.so.0"),
        packages: &["libsecret-1-0"],
        purposes: &[Test, Bench],
    },
    Need {
        what: "Python with venv, for the official storage client and readers of BitLocker volumes",
        is_met: python_makes_environments,
        packages: &["python3", "python3-venv"],
        purposes: &[Test],
    },
];

/// Installs the packages that `purpose` lacks.
///
/// # Errors
/// Without root, with the command to run; or when apt fails.
pub fn ensure(purpose: Purpose) -> Result<()> {
    let missing: Vec<&Need> =
        NEEDS.iter().filter(|need| need.purposes.contains(&purpose) && !(need.is_met)()).collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    if !Path::new("/dev/fuse").exists() {
        say("note: /dev/fuse is not there, so drives cannot be packed here.");
        say("      In a container, start it with `--device /dev/fuse --cap-add SYS_ADMIN`.");
    }
    Ok(())
}

fn install(missing: &[&Need]) -> Result<()> {
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    let by_hand = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    for need in missing {
        say(&format!("missing: {} (Debian: {})", need.what, need.packages.join(" ")));
    }
    if process::on_path("apt-get").is_none() {
        bail!("this is not a Debian; install the equivalents of these packages: {}", packages.join(" "));
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "installing Debian packages needs root. Run this, then the same command again:\n  sudo {by_hand}"
        );
    }
    say(&format!("installing Debian packages: {}", packages.join(" ")));
    // Package lists of a fresh image are empty or stale; a failure to refresh shows in the install.
    if let Err(stale) = process::output(apt().arg("update").arg("-qq")) {
        say(&format!("package lists could not be refreshed: {stale:#}"));
    }
    let mut install = apt();
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(&packages);
    process::output(&mut install)?;
    match missing.iter().find(|need| !(need.is_met)()) {
        Some(need) => bail!("apt installed {}, and still missing: {}", need.packages.join(" "), need.what),
        None => Ok(()),
    }
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    // Another installation on this machine, as fresh ones run at their start, is waited for.
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=300"]);
    command
}

fn all_on_path(programs: &[&str]) -> bool {
    programs.iter().all(|program| process::on_path(program).is_some())
}

/// Azurite 3.37 asks for Node.js 18 and later in its package description.
fn node_is_recent() -> bool {
    let version = process::output(Command::new("node").arg("--version")).unwrap_or_default();
    let major = version.trim().trim_start_matches('v').split('.').next().unwrap_or_default().parse::<u32>();
    major.is_ok_and(|major| major >= 18) && process::on_path("npm").is_some()
}

fn python_makes_environments() -> bool {
    process::output(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_ok()
}

/// Debian keeps the server's programs off the path, by version.
fn postgres_is_there() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin/initdb")).any(|initdb| initdb.exists())
}

fn library_is_there(name: &str) -> bool {
    process::output(Command::new("/sbin/ldconfig").arg("-p")).is_ok_and(|list| list.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_machine_has_all_that_the_demo_needs() {
        for need in NEEDS {
            assert!(!need.purposes.contains(&Demo) || need.purposes.contains(&Test), "{}", need.what);
            assert!(!need.packages.is_empty(), "{}", need.what);
        }
    }
}
