//! What the handbook gives to customers and operators: the program deploy/verify-custody-proof.py, which was
//! written from the format's documentation and must come to the same verdict as this crate, and its commands.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use custody::{
    Draft, FileHash, Hash, Head, ProofWriter, PublicKeys, Row, SigningKey, TrustedCheckpoint, job_key,
    new_salt, verify_proof,
};

struct Chain {
    rows: Vec<Row>,
    heads: Vec<Head>,
    key: SigningKey,
    keys: PublicKeys,
}

fn draft(job: Option<&str>, number: u8) -> Draft {
    Draft {
        at_unix_ms: 1_764_000_000_000 + i64::from(number),
        actor: "kim".to_owned(),
        roles: vec!["receiver".to_owned(), "bay technician".to_owned()],
        action: "drive.received".to_owned(),
        job: job.map(str::to_owned),
        drive: Some(format!("S{number}")),
        bay: number.is_multiple_of(2).then(|| "7".to_owned()),
        before: Some("Specified".to_owned()),
        after: Some("Received".to_owned()),
        // Characters at which a careless reader of lines would break.
        reason: number.is_multiple_of(3).then(|| "Würfel \u{2028}\u{85} \"x\" \n".to_owned()),
        files: vec![FileHash { name: "photo".to_owned(), sha256: Hash([number; 32]) }],
    }
}

fn chain() -> Chain {
    let key =
        SigningKey::from_text(SigningKey::generate().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let keys = PublicKeys::default().with(key.public(Some(0)));
    let (mut rows, mut heads, mut counts) = (Vec::new(), vec![Head::start("dc1")], HashMap::new());
    for number in 1..=9 {
        let job = [None, Some("/Jobs/A"), Some("/jobs/a"), Some("/jobs/B")][usize::from(number % 4)];
        let job_no = job.map(job_key).map(|job| {
            let count = counts.entry(job).or_insert(0);
            *count += 1;
            *count
        });
        let (entry, head) = heads.last().unwrap().append(draft(job, number), job_no, new_salt()).unwrap();
        rows.push(Row::of(&entry, &head));
        heads.push(head);
    }
    Chain { rows, heads, key, keys }
}

impl Chain {
    fn checkpoint(&self) -> TrustedCheckpoint {
        self.key.checkpoint(self.heads.last().unwrap(), 1_764_000_100_000).check(&self.keys).unwrap()
    }

    fn proof(&self, job: &str) -> String {
        let first = self.rows.iter().position(|row| row.job.as_deref() == Some(&job_key(job))).unwrap();
        let mut writer = ProofWriter::new(Vec::new(), job, self.heads[first].clone()).unwrap();
        self.rows[first..].iter().for_each(|row| writer.row(row).unwrap());
        let text = writer.finish(&self.checkpoint(), &self.key, 1_764_000_200_000).unwrap();
        String::from_utf8(text).unwrap()
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/verify-custody-proof.py")
}

/// What is missing to run the program, if anything.
fn obstacle() -> Option<&'static str> {
    let runs = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    match () {
        () if !runs("python3", &["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]) => {
            Some("python3 of version 3.11 is not here")
        }
        () if !runs("openssl", &["version"]) => Some("openssl is not here"),
        () => None,
    }
}

fn ask_python(chain: &Chain, folder: &Path, proof: &str) -> Output {
    let (keys, text) = (folder.join("keys"), folder.join("proof"));
    std::fs::write(&keys, format!("# ours\n{}\n", chain.key.public(Some(0)))).unwrap();
    std::fs::write(&text, proof).unwrap();
    Command::new("python3").arg(script()).args([&keys, &text]).output().unwrap()
}

#[test]
fn a_program_written_from_the_documentation_comes_to_the_same_verdicts() {
    let test = "a_program_written_from_the_documentation_comes_to_the_same_verdicts";
    if let Some(obstacle) = obstacle() {
        return println!("skipped: {test}: {obstacle}");
    }
    let (chain, folder) = (chain(), tempfile::tempdir().unwrap());
    let proof = chain.proof("/jobs/a");
    let lines: Vec<&str> = proof.lines().collect();
    let sound = ask_python(&chain, folder.path(), &proof);
    assert!(sound.status.success(), "{}", String::from_utf8_lossy(&sound.stderr));
    let said = String::from_utf8(sound.stdout).unwrap();
    assert!(said.starts_with("proven: all 5 entries of /jobs/a, up to entry 9 of dc1"), "{said}");

    let join = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let digest = |row: usize| format!("{{\"digest\":\"{}\"}}", chain.rows[row].entry().unwrap().digest());
    let hide = |line: usize, row: usize| {
        let digest = digest(row);
        let mut hidden = lines.clone();
        hidden[line] = &digest;
        join(&hidden)
    };
    let worthless = [
        ("a changed value", proof.replacen("kim", "tom", 1)),
        ("an unhashed field", proof.replacen("\"actor\"", "\"note\":1,\"actor\"", 1)),
        ("another job", proof.replacen("\"job\":\"/jobs/a\"", "\"job\":\"/jobs/b\"", 1)),
        ("a smaller count", proof.replace("\"entries\":5", "\"entries\":4")),
        ("a later time", proof.replace("\"at_unix_ms\":1764000100000", "\"at_unix_ms\":1764000100001")),
        ("the first entry hidden", hide(1, 0)),
        ("the last entry hidden", hide(9, 8)),
        ("a line less", join(&[&lines[..3], &lines[4..]].concat())),
        ("no end", join(&lines[..lines.len() - 1])),
        ("half an end", proof.trim_end().to_owned()),
        ("more after the end", join(&[lines.as_slice(), &lines[1..2]].concat())),
    ];
    for (what, text) in worthless {
        assert_ne!(text, proof, "{what}: nothing was changed");
        let output = ask_python(&chain, folder.path(), &text);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.starts_with("not proven: "), "{what}: {said}");
        assert!(verify_proof(text.as_bytes(), &chain.keys).is_err(), "{what}");
    }
}

#[test]
fn the_handbooks_commands_make_a_signing_key_and_its_public_line() {
    let test = "the_handbooks_commands_make_a_signing_key_and_its_public_line";
    if Command::new("xxd").arg("-v").output().is_err() || obstacle().is_some() {
        return println!("skipped: {test}: xxd or openssl is not here");
    }
    let handbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/custody.md");
    let text = std::fs::read_to_string(handbook).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let blocks = text.split("```sh\n").skip(1).take(2).map(|rest| rest.split_once("```").unwrap().0);
    let script: String = blocks
        .flat_map(str::lines)
        .filter(|line| !line.starts_with("chown "))
        .fold(String::new(), |script, line| {
            script + &line.replace("/etc/drayage", folder.path().to_str().unwrap()) + "\n"
        });
    let output = Command::new("sh").args(["-euc", &script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    let secret = std::fs::read(folder.path().join("custody.key")).unwrap();
    let key = SigningKey::from_text(&secret).unwrap_or_else(|error| panic!("{error}"));
    let line = std::fs::read_to_string(folder.path().join("custody.pub")).unwrap();
    assert_eq!(line.trim(), key.public(Some(1_767_225_600_000)).to_string());
    assert!(PublicKeys::from_text(&line).is_ok());
}
