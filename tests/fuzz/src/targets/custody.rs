//! What a ledger, an auditor's export and a customer's proof are read from. Oracles: an entry that decodes has
//! exactly these bytes; an export or a proof that verifies says exactly what the sound one says.

use std::sync::OnceLock;

use custody::canonical::{decode, encode};
use custody::{
    Draft, Entry, Exporter, FileHash, Hash, Head, ProofWriter, PublicKeys, Row, SigningKey,
    TrustedCheckpoint, job_key, new_salt, verify_export, verify_proof,
};

/// Whose proof it is.
const JOB: &str = "/subscriptions/s/providers/Microsoft.ImportExport/jobs/j1";

/// Six entries of two jobs and of none, what was signed of them, and the texts made of them; the same for a run.
pub struct Station {
    rows: Vec<Row>,
    heads: Vec<Head>,
    key: SigningKey,
    keys: PublicKeys,
}

fn station() -> &'static Station {
    static STATION: OnceLock<Station> = OnceLock::new();
    STATION.get_or_init(Station::new)
}

impl Station {
    fn new() -> Station {
        let key = SigningKey::from_text(SigningKey::generate().as_bytes()).expect("what was generated");
        let keys = PublicKeys::default().with(key.public(None));
        let mut station = Station { rows: Vec::new(), heads: vec![Head::start("dc1")], key, keys };
        for (job, job_no) in [
            (None, None),
            (Some(JOB), Some(1)),
            (Some("/j/2"), Some(1)),
            (Some(JOB), Some(2)),
            (None, None),
            (Some(JOB), Some(3)),
        ] {
            let head = station.heads.last().expect("there is a first");
            let (entry, head) = head.append(draft(job), job_no, new_salt()).expect("a small draft");
            station.rows.push(Row::of(&entry, &head));
            station.heads.push(head);
        }
        station
    }

    fn head(&self) -> &Head {
        self.heads.last().expect("there is a first")
    }

    fn checkpoint(&self) -> TrustedCheckpoint {
        let signed = self.key.checkpoint(self.head(), 1_764_000_000_000);
        signed.check(&self.keys).expect("our own signature")
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.rows.iter().map(|row| row.entry().expect("what was encoded"))
    }
}

fn draft(job: Option<&str>) -> Draft {
    Draft {
        at_unix_ms: 1_764_000_000_000,
        actor: "kim".to_owned(),
        roles: vec!["receiver".to_owned()],
        action: "drive.received".to_owned(),
        job: job.map(str::to_owned),
        drive: Some("WX31A".to_owned()),
        bay: None,
        before: Some("Specified".to_owned()),
        after: Some("Received".to_owned()),
        reason: Some("\"é\" \u{2028}".to_owned()),
        files: vec![FileHash { name: "photo".to_owned(), sha256: Hash([9; 32]) }],
    }
}

/// The canonical bytes of each entry.
pub fn entries() -> Vec<Vec<u8>> {
    station().rows.iter().map(|row| row.entry_bytes.clone()).collect()
}

/// The export of the chain.
pub fn export() -> Vec<u8> {
    let station = station();
    let mut exporter = Exporter::new(Vec::new(), "dc1").expect("memory takes all bytes");
    station.rows.iter().for_each(|row| exporter.row(row).expect("a sound row"));
    exporter.finish(station.head()).expect("memory takes all bytes")
}

/// The proof of one job.
pub fn proof() -> Vec<u8> {
    let station = station();
    let mut writer =
        ProofWriter::new(Vec::new(), JOB, station.heads[1].clone()).expect("memory takes all bytes");
    station.rows[1..].iter().for_each(|row| writer.row(row).expect("a sound row"));
    writer
        .finish(&station.checkpoint(), &station.key, 1_764_000_000_000)
        .expect("the rows end at the checkpoint")
}

/// The bytes are an entry's. Says whether they were.
pub fn custody_entry(data: &[u8]) -> bool {
    let Ok(entry) = decode(data) else { return false };
    assert_eq!(encode(&entry), data, "two byte strings are one entry");
    let json = serde_json::to_string(&entry).expect("an entry has a JSON");
    assert_eq!(serde_json::from_str::<Entry>(&json).expect("our own JSON"), entry);
    true
}

/// The bytes are an export, held against a checkpoint. Says whether they were.
pub fn custody_export(data: &[u8]) -> bool {
    let Ok(verified) = verify_export(data, vec![station().checkpoint()]) else { return false };
    assert_eq!(
        (&verified.head, verified.signed_up_to),
        (station().head(), Some(6)),
        "a forged export passed"
    );
    true
}

/// The bytes are a proof. Says whether they were.
pub fn custody_proof(data: &[u8]) -> bool {
    let Ok(proven) = verify_proof(data, &station().keys) else { return false };
    assert_eq!(job_key(&proven.job), job_key(JOB));
    let own = |entry: &Entry| entry.draft.job.as_deref() == Some(JOB);
    assert_eq!(proven.entries, station().entries().filter(own).collect::<Vec<_>>(), "a forged proof passed");
    true
}
