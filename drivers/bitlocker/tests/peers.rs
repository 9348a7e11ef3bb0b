//! Volumes of our formatter, opened by the readers that others wrote, where those are installed.

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use bitlocker::format::{Coverage, Formatted, Formatter, Layout, Plan};
use bitlocker::{Method, Password};
use block::WriteAt;
use common::{password, unlock};

const VOLUME_BYTES: u64 = 64 << 20;
const PASSWORD: &str = "Packed-by-us 1";

/// Written at the start of the file system and compared.
const HEAD_BYTES: usize = 2 << 20;

/// Every method and sector size once, both layouts.
const VOLUMES: [(Method, u32, bool); 6] = [
    (Method::AesXts256, 512, false),
    (Method::AesXts256, 4096, true),
    (Method::AesXts128, 512, true),
    (Method::AesXts128, 4096, false),
    (Method::AesCbc256, 512, true),
    (Method::AesCbc128, 512, false),
];

struct Made {
    folder: tempfile::TempDir,
    formatted: Formatted,
    method: Method,
    name: String,
}

impl Made {
    fn image(&self) -> std::path::PathBuf {
        self.folder.path().join("volume.img")
    }

    fn bek(&self) -> std::path::PathBuf {
        self.folder.path().join(&self.formatted.external_key.as_ref().unwrap().name)
    }
}

/// An NTFS boot sector as far as readers look at it, then a pattern.
fn head(sector_bytes: u32, file_system_bytes: u64) -> Vec<u8> {
    let mut head: Vec<u8> =
        (0..HEAD_BYTES as u64 / 8).flat_map(|word| (word * 0x9E37_79B9).to_le_bytes()).collect();
    head[..512].fill(0);
    head[..11].copy_from_slice(b"\xEB\x52\x90NTFS    ");
    head[11..13].copy_from_slice(&u16::try_from(sector_bytes).unwrap().to_le_bytes());
    head[13] = u8::try_from(4096 / sector_bytes).unwrap();
    head[0x15] = 0xF8;
    let sectors = file_system_bytes / u64::from(sector_bytes) - 1;
    head[0x28..0x30].copy_from_slice(&sectors.to_le_bytes());
    head[0x30] = 4;
    head[0x38] = 2;
    head[0x40] = 0xF6;
    head[0x44] = 1;
    head[510..512].copy_from_slice(&[0x55, 0xAA]);
    head
}

fn make(method: Method, sector_bytes: u32, is_behind: bool) -> Made {
    let layout = if is_behind {
        Layout::behind_file_system(VOLUME_BYTES, sector_bytes)
    } else {
        Layout::within_file_system(VOLUME_BYTES, sector_bytes)
    }
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("volume.img")).unwrap();
    file.set_len(VOLUME_BYTES).unwrap();
    let mut head = head(sector_bytes, layout.file_system_bytes());
    let formatter = Formatter::new(Plan {
        layout,
        method,
        description: "STATION PEERS 23/11/2026".to_owned(),
        password: Some(Password::new(PASSWORD).unwrap()),
        recovery_password: None,
        has_external_key: true,
        coverage: Coverage::UsedSpaceOnly,
        first_sector_of_partition: 2048,
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000),
    })
    .unwrap();
    formatter.writer(&file).write_all_at(&mut head, 0).unwrap();
    let formatted = formatter.finish(&file).unwrap();
    let bek = formatted.external_key.as_ref().unwrap();
    fs::write(folder.path().join(&bek.name), &bek.contents).unwrap();
    let name = format!("{method}, {sector_bytes}-byte sectors, areas behind the file system: {is_behind}");
    Made { folder, formatted, method, name }
}

/// Whether a program is there; says so when it is not.
fn is_installed(test: &str, program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path)
            .chain([Path::new("/usr/sbin").to_owned()])
            .any(|folder| folder.join(program).is_file())
    });
    if !found {
        eprintln!("skipped: {test}: {program} is not installed");
    }
    found
}

fn run(program: &str, arguments: &[&str], input: &str) -> Output {
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not ask has closed its input already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn dislocker_decrypts_our_volumes_by_every_protector() {
    let test = "dislocker_decrypts_our_volumes_by_every_protector";
    if !is_installed(test, "dislocker-file") {
        return;
    }
    for (index, (method, sector_bytes, is_behind)) in VOLUMES.into_iter().enumerate() {
        let made = make(method, sector_bytes, is_behind);
        let (image, bek) = (made.image(), made.bek());
        let recovery = made.formatted.recovery_password.reveal();
        // Each decrypts the whole volume, so one protector a volume.
        let secret = match index % 3 {
            0 => format!("-p{}", *recovery),
            1 => format!("-u{PASSWORD}"),
            _ => format!("-f{}", bek.to_str().unwrap()),
        };
        let out = made.folder.path().join("plain.img");
        let output =
            run("dislocker-file", &["-V", image.to_str().unwrap(), &secret, "--", out.to_str().unwrap()], "");
        assert!(output.status.success(), "{}: {}", made.name, text_of(&output));
        let plain = fs::read(&out).unwrap();
        let expected = head(sector_bytes, made.formatted.layout.file_system_bytes());
        assert!(plain[..HEAD_BYTES] == expected, "{} by {}", made.name, &secret[..2]);
        let ours = unlock(&common::open_image(&image), &password(PASSWORD));
        let mut whole = vec![0; plain.len()];
        block::ReadAt::read_exact_at(&ours, &mut whole, 0).unwrap();
        assert!(whole == plain, "{}: the whole volume", made.name);
    }
}

#[test]
fn cryptsetup_takes_our_metadata_and_every_protector() {
    let test = "cryptsetup_takes_our_metadata_and_every_protector";
    if !is_installed(test, "cryptsetup") {
        return;
    }
    for (method, sector_bytes, is_behind) in VOLUMES {
        let made = make(method, sector_bytes, is_behind);
        let image = made.image();
        let dump = text_of(&run("cryptsetup", &["bitlkDump", image.to_str().unwrap()], ""));
        assert!(dump.contains(&made.formatted.volume_id.to_string()), "{}: {dump}", made.name);
        let recovery = made.formatted.recovery_password.reveal();
        for secret in [PASSWORD, &recovery] {
            let arguments = ["open", "--type", "bitlk", "--test-passphrase", image.to_str().unwrap()];
            let output = run("cryptsetup", &arguments, secret);
            assert!(output.status.success(), "{}: {}", made.name, text_of(&output));
        }
        let bek = made.bek();
        let key_file = ["open", "--type", "bitlk", "--test-passphrase", "--key-file", bek.to_str().unwrap()];
        let output = run("cryptsetup", &[&key_file[..], &[image.to_str().unwrap()]].concat(), "");
        assert!(output.status.success(), "{}: {}", made.name, text_of(&output));
    }
}

#[test]
fn libbde_unlocks_our_volumes() {
    let test = "libbde_unlocks_our_volumes";
    if !is_installed(test, "bdeinfo") {
        return;
    }
    // The version in Debian 12 cannot do XTS-256, not even Windows' own.
    for (method, sector_bytes, is_behind) in
        VOLUMES.into_iter().filter(|(method, ..)| *method != Method::AesXts256)
    {
        let made = make(method, sector_bytes, is_behind);
        let (image, recovery) = (made.image(), made.formatted.recovery_password.reveal());
        for (option, secret) in [("-p", PASSWORD), ("-r", &recovery)] {
            let output = run("bdeinfo", &[option, secret, image.to_str().unwrap()], "");
            let shown = text_of(&output);
            assert!(output.status.success(), "{}: {shown}", made.name);
            assert!(shown.contains(&made.formatted.volume_id.to_string()), "{}: {shown}", made.name);
            assert!(!shown.to_lowercase().contains("is locked"), "{} {}: {shown}", made.name, made.method);
        }
    }
}
