//! How each reader is asked for ranges of a volume.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bitlocker::SectorCipher;
use serde_json::{Value, json};

use crate::common::open_image;
use crate::made::{Made, Protector, sha256};

/// A reader that others wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// `dislocker-file` of Debian.
    Dislocker,
    /// `bdemount` of Debian's libbde.
    Bdemount,
    /// Debian's cryptsetup; gives the key, which is proven on the volume's own bytes.
    Cryptsetup,
    /// The current libbde, `pybde`.
    Libbde,
    /// dissect.fve.
    Dissect,
}

/// One case's outcome; an error says what the reader said.
pub type Answer = Result<(), String>;

impl Reader {
    pub const ALL: [Reader; 5] =
        [Reader::Dislocker, Reader::Bdemount, Reader::Cryptsetup, Reader::Libbde, Reader::Dissect];

    /// Whether it is there; says so when it is not.
    pub fn is_installed(self, test: &str) -> bool {
        let lacking = match self {
            Reader::Dislocker => lacking_program("dislocker-file"),
            Reader::Cryptsetup => lacking_program("cryptsetup"),
            Reader::Bdemount if !Path::new("/dev/fuse").exists() => Some("/dev/fuse is not there".to_owned()),
            Reader::Bdemount => lacking_program("bdemount"),
            Reader::Libbde => lacking_module("pybde"),
            Reader::Dissect => lacking_module("dissect.fve"),
        };
        if let Some(lacking) = &lacking {
            eprintln!("skipped: {test}: {self:?}: {lacking}");
        }
        lacking.is_none()
    }

    /// Opens each volume by its protector and compares what it gives.
    pub fn open_all(self, cases: &[(&Made, Protector)]) -> Vec<Answer> {
        let each = |open: fn(&Made, Protector) -> Answer| {
            cases.iter().map(|(made, protector)| open(made, *protector)).collect()
        };
        match self {
            Reader::Dislocker => each(dislocker),
            Reader::Bdemount => each(bdemount),
            Reader::Cryptsetup => each(cryptsetup),
            Reader::Libbde => python("libbde", cases),
            Reader::Dissect => python("dissect", cases),
        }
    }
}

fn dislocker(made: &Made, protector: Protector) -> Answer {
    let secret = made.secret(protector);
    let option = match protector {
        Protector::Password => format!("-u{secret}"),
        Protector::RecoveryPassword => format!("-p{secret}"),
        Protector::StartupKey => format!("-f{secret}"),
    };
    let (image, plain) = (made.image(), made.scratch("dislocker"));
    let arguments = ["-V", text(&image), &option, "--", text(&plain)];
    said_well(&run("dislocker-file", &arguments, ""))?;
    let compared = compare(made, &plain);
    fs::remove_file(&plain).unwrap();
    compared
}

fn bdemount(made: &Made, protector: Protector) -> Answer {
    let option = match protector {
        Protector::Password => "-p",
        Protector::RecoveryPassword => "-r",
        Protector::StartupKey => "-s",
    };
    let (image, folder) = (made.image(), made.scratch("bdemount"));
    fs::create_dir_all(&folder).unwrap();
    // Goes on in the background once it has mounted.
    let output = run("bdemount", &[option, &made.secret(protector), text(&image), text(&folder)], "");
    said_well(&output)?;
    let compared = compare(made, &folder.join("bde1"));
    let unmounted = run("umount", &[text(&folder)], "");
    assert!(unmounted.status.success(), "{}", text_of(&unmounted));
    compared
}

/// cryptsetup decrypts in the kernel only, so it is asked for the key: what lies where it should,
/// decrypted with it, is the file system.
fn cryptsetup(made: &Made, protector: Protector) -> Answer {
    let (image, secret) = (made.image(), made.secret(protector));
    let mut arguments = vec!["bitlkDump", "--batch-mode", "--dump-volume-key"];
    let mut input = "";
    match protector {
        Protector::StartupKey => arguments.extend(["--key-file", &secret]),
        Protector::Password | Protector::RecoveryPassword => input = &secret,
    }
    arguments.push(text(&image));
    let output = run("cryptsetup", &arguments, input);
    said_well(&output)?;
    let said = text_of(&output);
    let volume_id = made.formatted.volume_id.to_string();
    if !said.contains(&volume_id) {
        return Err(format!("it does not name the volume: {said}"));
    }
    let key = dumped_key(&said).ok_or(format!("no key in: {said}"))?;
    let cipher = SectorCipher::new(made.recipe.method, &key, made.recipe.sector_bytes);
    let cipher = cipher.map_err(|error| error.to_string())?;
    prove(made, &cipher)
}

/// The lines that begin with `MK dump:` or follow it hold the key in hexadecimal.
fn dumped_key(said: &str) -> Option<Vec<u8>> {
    let (_, dump) = said.split_once("MK dump:").or_else(|| said.split_once("Volume key:"))?;
    let digits: Vec<u8> =
        dump.split_whitespace().map(|byte| u8::from_str_radix(byte, 16)).map_while(Result::ok).collect();
    (!digits.is_empty()).then_some(digits)
}

/// Decrypts the image's raw bytes by our map with somebody else's key.
fn prove(made: &Made, cipher: &SectorCipher) -> Answer {
    let device = open_image(&made.image());
    // Only for the map, which no key is needed for.
    let map = bitlocker::Metadata::read(&device).unwrap().map(&device).unwrap();
    let mut found = Vec::new();
    for (range, _) in made.expected() {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        for segment in map.segments(range.start, range.end - range.start) {
            let at = usize::try_from(segment.logical_offset_bytes - range.start).unwrap();
            let length = usize::try_from(segment.length_bytes).unwrap();
            if let bitlocker::Source::Encrypted { physical_offset_bytes } = segment.source {
                let part = &mut bytes[at..at + length];
                device.read_exact_at(part, physical_offset_bytes).unwrap();
                cipher.decrypt(physical_offset_bytes, part).unwrap();
            }
        }
        found.push(sha256(&bytes));
    }
    made.compare(&found)
}

/// One process for all cases: importing the library takes longer than opening a volume.
fn python(library: &str, cases: &[(&Made, Protector)]) -> Vec<Answer> {
    let tasks: Vec<Value> = cases
        .iter()
        .map(|(made, protector)| {
            let ranges: Vec<(u64, u64)> = made
                .expected()
                .into_iter()
                .map(|(range, _)| (range.start, range.end - range.start))
                .collect();
            json!({
                "image": made.image(),
                "protector": format!("{protector:?}"),
                "secret": made.secret(*protector),
                "ranges": ranges,
            })
        })
        .collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/read_volumes.py");
    let interpreter = interpreter();
    let output = run(text(&interpreter), &[script, library], &Value::from(tasks).to_string());
    assert!(output.status.success(), "{}", text_of(&output));
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let answer = |((made, _), answer): (&(&Made, Protector), &Value)| {
        let Some(digests) = answer["sha256"].as_array() else { return Err(answer["error"].to_string()) };
        let digests: Vec<String> =
            digests.iter().map(|digest| digest.as_str().unwrap_or_default().to_owned()).collect();
        made.compare(&digests)?;
        match answer["size"].as_u64() {
            Some(size) => check_size(library, made, size),
            None => Err("it shows no size".to_owned()),
        }
    };
    cases.iter().zip(&answers).map(answer).collect()
}

/// libbde takes the volume's size from the file system's boot sector, dissect the device's.
fn check_size(library: &str, made: &Made, size: u64) -> Answer {
    let layout = &made.formatted.layout;
    let expected = match library {
        "libbde" => layout.file_system_bytes(),
        _ => layout.volume_bytes(),
    };
    if size == expected { Ok(()) } else { Err(format!("it shows {size} bytes instead of {expected}")) }
}

/// Our own test environment's interpreter, which `cargo rig setup` makes.
fn interpreter() -> PathBuf {
    let by_setup = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../rig/python/bin/python");
    std::env::var_os("DRAYAGE_PYTHON").map_or(by_setup, PathBuf::from)
}

fn lacking_module(module: &str) -> Option<String> {
    let output = Command::new(interpreter()).args(["-c", &format!("import {module}")]).output();
    let is_there = output.is_ok_and(|output| output.status.success());
    (!is_there).then(|| format!("no interpreter (DRAYAGE_PYTHON) that imports {module}"))
}

fn lacking_program(program: &str) -> Option<String> {
    let found = search_path().split(':').any(|folder| Path::new(folder).join(program).is_file());
    (!found).then(|| format!("{program} is not installed"))
}

/// Root's programs are not on everybody's path.
fn search_path() -> String {
    format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Hashes the expected ranges of a file that a reader decrypted.
fn compare(made: &Made, plain: &Path) -> Answer {
    let file = File::open(plain).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for (range, _) in made.expected() {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        file.read_exact_at(&mut bytes, range.start).map_err(|error| format!("{range:#x?}: {error}"))?;
        found.push(sha256(&bytes));
    }
    made.compare(&found)
}

fn run(program: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", search_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not ask has closed its input already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn said_well(output: &Output) -> Answer {
    if output.status.success() { Ok(()) } else { Err(text_of(output)) }
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
