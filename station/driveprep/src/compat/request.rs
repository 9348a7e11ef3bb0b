//! What a command of the tool asks for, checked: azure-import-export.md §2.2 to §2.10.

use std::ffi::OsString;
use std::path::PathBuf;

use model::{DriveId, ImportDisposition};

use super::options::{Generation, Tool};
use super::switches::Switches;
use super::{CompatError, SecretValue};
use crate::inputs::dataset::{self, local_path};
use crate::inputs::size::parse_bytes;
use crate::inputs::{InputFault, driveset};
use crate::work::{ItemKind, SessionId};

/// A checked command of the tool.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// No arguments.
    Help,
    /// `PrepImport` of version 1: one drive.
    Copy(Box<Copy>),
    /// `PrepImport` of version 2: CSV files.
    Distribute(Distribute),
    /// `/ResumeSession` and `/AbortSession`.
    Recover(Recover),
    /// `/ListDrives` and `/ListCopySessions`.
    List(List),
    /// `RepairImport`.
    RepairImport(RepairImport),
    /// `RepairExport`.
    RepairExport(RepairExport),
    /// `PreviewExport`.
    PreviewExport(PreviewExport),
    /// `Unlock`.
    Unlock(Unlock),
}

/// What all of `PrepImport` shares.
#[derive(Debug, PartialEq, Eq)]
pub struct Session {
    /// The journal.
    pub journal: PathBuf,
    /// The session.
    pub id: SessionId,
    /// A credential that was given, and is not used.
    pub credential: Option<AccountSecret>,
}

/// A storage account's key, or a SAS.
#[derive(Debug, PartialEq, Eq)]
pub enum AccountSecret {
    /// The account's key.
    Key(SecretValue),
    /// `container?token`.
    ContainerSas(SecretValue),
}

/// A session of version 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Copy {
    /// The session.
    pub session: Session,
    /// The drive; the journal's when it is not given.
    pub target: Option<Target>,
    /// What is copied.
    pub from: PathBuf,
    /// Where it goes.
    pub to: String,
    /// `/Disposition`.
    pub disposition: ImportDisposition,
    /// `/BlobType`.
    pub kind: ItemKind,
    /// `/PropertyFile`.
    pub properties: Option<PathBuf>,
    /// `/MetadataFile`.
    pub metadata: Option<PathBuf>,
    /// `/skipwrite`.
    pub is_in_place: bool,
    /// `/enablecontentmd5`.
    pub content_md5: bool,
}

/// The drive of a session of version 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// A device or an image file.
    pub path: PathBuf,
    /// The key of its volume; without one the drive is made anew.
    pub existing_key: Option<SecretValue>,
    /// The serial number that it must have.
    pub serial: Option<DriveId>,
    /// How large an image file is made.
    pub size_bytes: Option<u64>,
}

/// A session of version 2.
#[derive(Debug, PartialEq, Eq)]
pub struct Distribute {
    /// The session.
    pub session: Session,
    /// The drives' CSV, of a first session or of more drives.
    pub driveset: Option<PathBuf>,
    /// The sources' CSV.
    pub dataset: Option<PathBuf>,
}

/// What becomes of an interrupted session.
#[derive(Debug, PartialEq, Eq)]
pub struct Recover {
    /// The session.
    pub session: Session,
    /// Whether it is given up; otherwise it goes on.
    pub is_abort: bool,
}

/// What of a journal is listed.
#[derive(Debug, PartialEq, Eq)]
pub struct List {
    /// The journal.
    pub journal: PathBuf,
    /// Its drives; otherwise its sessions.
    pub drives: bool,
}

/// The account of a repair or preview.
#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    /// Its blob endpoint.
    pub endpoint: String,
    /// Its key or SAS.
    pub secret: AccountSecret,
}

/// `RepairImport`.
#[derive(Debug, PartialEq, Eq)]
pub struct RepairImport {
    /// `/r`.
    pub repair: PathBuf,
    /// `/d`: folders separated by `;`, with a key the drive too.
    pub directories: String,
    /// `/bk`.
    pub key: Option<SecretValue>,
    /// The account.
    pub account: Account,
    /// `/CopyLogFile`.
    pub copy_log: PathBuf,
    /// `/PathMapFile`.
    pub path_map: Option<PathBuf>,
}

/// `RepairExport`.
#[derive(Debug, PartialEq, Eq)]
pub struct RepairExport {
    /// `/r`.
    pub repair: PathBuf,
    /// `/d`.
    pub directory: PathBuf,
    /// The account.
    pub account: Account,
    /// `/CopyLogFile`.
    pub copy_log: Option<PathBuf>,
    /// `/ManifestFile`.
    pub manifest: Option<PathBuf>,
}

/// `PreviewExport`.
#[derive(Debug, PartialEq, Eq)]
pub struct PreviewExport {
    /// The account.
    pub account: Account,
    /// `/ExportBlobListFile`.
    pub blob_list: PathBuf,
    /// `/DriveSize`, as it stands there.
    pub drive_size: String,
}

/// `Unlock`.
#[derive(Debug, PartialEq, Eq)]
pub struct Unlock {
    /// The drive.
    pub drive: PathBuf,
    /// Its key.
    pub key: SecretValue,
    /// Where its files are copied; without it they are listed.
    pub to: Option<PathBuf>,
}

impl Request {
    /// Reads the arguments behind the tool's name.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn parse(arguments: &[OsString]) -> Result<Request, CompatError> {
        let Some((command, rest)) = arguments.split_first() else { return Ok(Request::Help) };
        let command = command.to_string_lossy();
        if matches!(&*command, "/?" | "-h" | "--help" | "help") {
            return Ok(Request::Help);
        }
        let tool = Tool::named(&command)
            .ok_or_else(|| CompatError::Command { found: command.clone().into_owned() })?;
        let switches = Switches::parse(tool, rest)?;
        match tool {
            Tool::PrepImport => prep_import(&switches),
            Tool::RepairImport => repair_import(&switches).map(Request::RepairImport),
            Tool::RepairExport => repair_export(&switches).map(Request::RepairExport),
            Tool::PreviewExport => preview_export(&switches).map(Request::PreviewExport),
            Tool::Unlock => unlock(&switches).map(Request::Unlock),
        }
    }

    /// What the customer should know before it is done.
    pub fn warnings(&self) -> Vec<String> {
        let inline = |name: &str, secret: &SecretValue| match secret {
            SecretValue::Text(_) => Some(format!(
                "every user of this machine can read the value of /{name}: in the list of processes, and the \
                 shell keeps it in its history; write it to a file that only you can read and give \
                 /{name}:@FILE"
            )),
            SecretValue::File(_) => None,
        };
        let account = |secret: &AccountSecret| match secret {
            AccountSecret::Key(secret) => inline("sk", secret),
            AccountSecret::ContainerSas(secret) => inline("csas", secret),
        };
        let of_session = |session: &Session| session.credential.as_ref().and_then(account);
        let (one, other) = match self {
            Request::Help | Request::List(_) => (None, None),
            Request::Copy(copy) => {
                let key = copy.target.as_ref().and_then(|target| target.existing_key.as_ref());
                (of_session(&copy.session), key.and_then(|key| inline("bk", key)))
            }
            Request::Distribute(distribute) => (of_session(&distribute.session), None),
            Request::Recover(recover) => (of_session(&recover.session), None),
            Request::RepairImport(repair) => {
                (account(&repair.account.secret), repair.key.as_ref().and_then(|key| inline("bk", key)))
            }
            Request::RepairExport(repair) => (account(&repair.account.secret), None),
            Request::PreviewExport(preview) => (account(&preview.account.secret), None),
            Request::Unlock(unlock) => (inline("bk", &unlock.key), None),
        };
        one.into_iter().chain(other).collect()
    }
}

fn prep_import(switches: &Switches) -> Result<Request, CompatError> {
    one_generation(switches)?;
    let journal = journal(switches)?;
    let lists = [("ListDrives", true), ("ListCopySessions", false)];
    if let Some((_, drives)) = lists.into_iter().find(|(name, _)| switches.has(name)) {
        return Ok(Request::List(List { journal, drives }));
    }
    let id = switches.needed("id", "")?.parse();
    let id = id.map_err(|error| CompatError::Value { name: "id", fault: InputFault::Session(error) })?;
    let credential = account_secret(switches)?;
    let session = Session { journal, id, credential };
    let is_two = ["InitialDriveSet", "AdditionalDriveSet", "DataSet"].iter().any(|name| switches.has(name));
    match (switches.has("ResumeSession"), switches.has("AbortSession")) {
        (true, true) => Err(CompatError::Together { one: "ResumeSession", other: "AbortSession", why: "" }),
        (false, false) if is_two => distribute(switches, session).map(Request::Distribute),
        (false, false) => copy(switches, session).map(|copy| Request::Copy(Box::new(copy))),
        (_, is_abort) => {
            only_recovery(switches, if is_abort { "AbortSession" } else { "ResumeSession" })?;
            Ok(Request::Recover(Recover { session, is_abort }))
        }
    }
}

fn one_generation(switches: &Switches) -> Result<(), CompatError> {
    let of = |generation| switches.rows().find(|row| row.generation == generation);
    match (of(Generation::One), of(Generation::Two)) {
        (Some(one), Some(two)) => Err(CompatError::Generations { one: one.name, other: two.name }),
        _ => Ok(()),
    }
}

/// The journal knows the session's sources and drives: others would be ignored.
fn only_recovery(switches: &Switches, command: &'static str) -> Result<(), CompatError> {
    let may = ["j", "id", "logdir", "sk", "csas", "silentmode", command];
    match switches.rows().find(|row| !may.contains(&row.name)) {
        Some(other) => {
            let why = ": the session's sources and drives are the journal's";
            Err(CompatError::Together { one: command, other: other.name, why })
        }
        None => Ok(()),
    }
}

/// Options of one drive, where there is none that they could be about.
fn refuse_for_drive(
    switches: &Switches,
    names: &[&'static str],
    instead: &'static str,
) -> Result<(), CompatError> {
    match names.iter().find(|name| switches.has(name)) {
        Some(name) => Err(CompatError::Refused { name, instead }),
        None => Ok(()),
    }
}

fn journal(switches: &Switches) -> Result<PathBuf, CompatError> {
    let text = path_text(switches, "j")?.ok_or(CompatError::Missing { name: "j", when: "" })?;
    let is_journal =
        text.len() > 4 && text.get(text.len() - 4..).is_some_and(|end| end.eq_ignore_ascii_case(".jrn"));
    if is_journal { Ok(text.into()) } else { Err(CompatError::JournalName { found: text.to_owned() }) }
}

fn account_secret(switches: &Switches) -> Result<Option<AccountSecret>, CompatError> {
    match (switches.value("sk"), switches.value("csas")) {
        (Some(_), Some(_)) => {
            Err(CompatError::Together { one: "sk", other: "csas", why: ": the account has one credential" })
        }
        (Some(key), None) => Ok(Some(AccountSecret::Key(SecretValue::new(key)))),
        (None, Some(sas)) => Ok(Some(AccountSecret::ContainerSas(SecretValue::new(sas)))),
        (None, None) => Ok(None),
    }
}

fn distribute(switches: &Switches, session: Session) -> Result<Distribute, CompatError> {
    let (initial, additional) = (path(switches, "InitialDriveSet")?, path(switches, "AdditionalDriveSet")?);
    if initial.is_some() && additional.is_some() {
        let why = ": a session begins with one and is extended with the other";
        return Err(CompatError::Together { one: "InitialDriveSet", other: "AdditionalDriveSet", why });
    }
    let instead = "write it into the columns Serial and Size of the drives' CSV";
    refuse_for_drive(switches, &["serial", "size"], instead)?;
    let dataset = path(switches, "DataSet")?;
    if additional.is_some() && dataset.is_none() {
        let instead = "name all drives in /InitialDriveSet: what fits on none of them is named before anything is \
                       written; or pack the rest as a session of its own, with its /DataSet";
        return Err(CompatError::Refused { name: "AdditionalDriveSet", instead });
    }
    if initial.is_some() && dataset.is_none() {
        return Err(CompatError::Missing { name: "DataSet", when: " with /InitialDriveSet" });
    }
    Ok(Distribute { session, driveset: initial.or(additional), dataset })
}

fn copy(switches: &Switches, session: Session) -> Result<Copy, CompatError> {
    let (from, to) = source(switches)?;
    let disposition = switches.value("Disposition").map(str::parse::<ImportDisposition>).transpose();
    let is_in_place = switches.has("skipwrite");
    if is_in_place && switches.has("format") {
        let why = ": formatting destroys what is to be kept";
        return Err(CompatError::Together { one: "skipwrite", other: "format", why });
    }
    Ok(Copy {
        target: target(switches)?,
        from,
        to,
        disposition: disposition
            .map_err(|error| CompatError::Value {
                name: "Disposition",
                fault: InputFault::Disposition(error),
            })?
            .unwrap_or_default(),
        kind: blob_type(switches)?,
        properties: path(switches, "PropertyFile")?,
        metadata: path(switches, "MetadataFile")?,
        is_in_place,
        content_md5: switches.has("enablecontentmd5"),
        session,
    })
}

/// `/srcdir` with `/dstdir`, or `/srcfile` with `/dstblob`.
fn source(switches: &Switches) -> Result<(PathBuf, String), CompatError> {
    let pair = match (switches.has("srcdir"), switches.has("srcfile")) {
        (true, true) => {
            let why = ": a session copies one directory or one file";
            return Err(CompatError::Together { one: "srcdir", other: "srcfile", why });
        }
        (true, false) => ("srcdir", "dstdir", " with /srcdir"),
        (false, true) => ("srcfile", "dstblob", " with /srcfile"),
        (false, false) => {
            let (name, when) =
                ("srcdir or /srcfile", ", or the options of version 2: /DataSet, /InitialDriveSet");
            return Err(CompatError::Missing { name, when });
        }
    };
    let (from, to, when) = pair;
    let source = switches.needed(from, "")?;
    // A path on the drive may have the letter that the drive had.
    if !switches.has("skipwrite") {
        local_path(source).map_err(|fault| CompatError::Value { name: from, fault })?;
    }
    let destination = switches.needed(to, when)?;
    if destination.starts_with('/') {
        let fault = InputFault::Destination { found: destination.to_owned() };
        return Err(CompatError::Value { name: to, fault });
    }
    Ok((source.into(), destination.to_owned()))
}

/// The tool's two words, in the documented case or any other.
fn blob_type(switches: &Switches) -> Result<ItemKind, CompatError> {
    let Some(word) = switches.value("BlobType") else { return Ok(ItemKind::Block) };
    dataset::item_kind(word).filter(|kind| *kind != ItemKind::File).ok_or_else(|| {
        let (found, expected) = (word.to_owned(), "BlockBlob, PageBlob");
        CompatError::Value { name: "BlobType", fault: InputFault::Word { found, expected } }
    })
}

fn target(switches: &Switches) -> Result<Option<Target>, CompatError> {
    let (formats, encrypts) = (switches.has("format"), switches.has("encrypt"));
    let key = switches.value("bk").map(SecretValue::new);
    if formats && !encrypts {
        return Err(CompatError::FormatNeedsEncrypt);
    }
    if encrypts && key.is_some() {
        return Err(CompatError::KeyNotNeeded);
    }
    if encrypts && !formats {
        let instead =
            "an existing volume cannot be encrypted here; add /format, or encrypt it first and give /bk";
        return Err(CompatError::Refused { name: "encrypt", instead });
    }
    let Some(path) = path_text(switches, "t")? else {
        return match formats || key.is_some() {
            true => Err(CompatError::Missing { name: "t", when: " with /format or /bk" }),
            false => {
                let instead = "without /t the drive is the one that the journal knows";
                refuse_for_drive(switches, &["serial", "size"], instead).map(|()| None)
            }
        };
    };
    driveset::drive_letter(path).map_err(|fault| CompatError::Value { name: "t", fault })?;
    if !formats && key.is_none() {
        return Err(CompatError::Missing { name: "bk", when: ", or /format and /encrypt" });
    }
    if key.is_some() {
        refuse_for_drive(switches, &["size"], "a drive that has its volume has its size")?;
    }
    let size = switches.value("size").map(parse_bytes).transpose();
    let serial = switches.value("serial").map(DriveId::new).transpose();
    Ok(Some(Target {
        path: path.into(),
        existing_key: key,
        serial: serial.map_err(|_| CompatError::Value { name: "serial", fault: InputFault::Serial })?,
        size_bytes: size.map_err(|fault| CompatError::Value { name: "size", fault })?,
    }))
}

fn repair_import(switches: &Switches) -> Result<RepairImport, CompatError> {
    Ok(RepairImport {
        repair: needed_path(switches, "r")?,
        directories: switches.needed("d", "")?.to_owned(),
        key: switches.value("bk").map(SecretValue::new),
        account: account(switches)?,
        copy_log: needed_path(switches, "CopyLogFile")?,
        path_map: path(switches, "PathMapFile")?,
    })
}

fn repair_export(switches: &Switches) -> Result<RepairExport, CompatError> {
    if switches.has("bk") {
        let instead = "mount the drive or copy it out with `driveprep unlock`, and give that folder as /d";
        return Err(CompatError::Refused { name: "bk", instead });
    }
    let (copy_log, manifest) = (path(switches, "CopyLogFile")?, path(switches, "ManifestFile")?);
    if copy_log.is_none() && manifest.is_none() {
        return Err(CompatError::Missing { name: "CopyLogFile or /ManifestFile", when: "" });
    }
    Ok(RepairExport {
        repair: needed_path(switches, "r")?,
        directory: needed_path(switches, "d")?,
        account: account(switches)?,
        copy_log,
        manifest,
    })
}

fn preview_export(switches: &Switches) -> Result<PreviewExport, CompatError> {
    Ok(PreviewExport {
        account: account(switches)?,
        blob_list: needed_path(switches, "ExportBlobListFile")?,
        drive_size: switches.needed("DriveSize", "")?.to_owned(),
    })
}

fn unlock(switches: &Switches) -> Result<Unlock, CompatError> {
    let key = SecretValue::new(switches.needed("bk", "")?);
    let drive = path_text(switches, "driveLetter")?;
    let drive =
        drive.ok_or(CompatError::Missing { name: "driveLetter", when: ": a device or an image file" })?;
    driveset::drive_letter(drive).map_err(|fault| CompatError::Value { name: "driveLetter", fault })?;
    Ok(Unlock { drive: drive.into(), key, to: path(switches, "to")? })
}

fn account(switches: &Switches) -> Result<Account, CompatError> {
    let name = switches.needed("sn", "")?;
    let secret = account_secret(switches)?;
    let secret = secret.ok_or(CompatError::Missing { name: "sk or /csas", when: "" })?;
    if name.contains("://") {
        return Ok(Account { endpoint: name.to_owned(), secret });
    }
    let suffix = match switches.value("Cloud").map(str::to_ascii_lowercase).as_deref() {
        None | Some("public") => "blob.core.windows.net",
        Some("usgovernment") => "blob.core.usgovcloudapi.net",
        Some("china") => "blob.core.chinacloudapi.cn",
        Some(found) => {
            let (found, expected) = (found.to_owned(), "Public, USGovernment, China");
            return Err(CompatError::Value { name: "Cloud", fault: InputFault::Word { found, expected } });
        }
    };
    Ok(Account { endpoint: format!("https://{name}.{suffix}"), secret })
}

/// A path of this machine, absolute or not.
fn path_text<'a>(switches: &'a Switches, name: &'static str) -> Result<Option<&'a str>, CompatError> {
    let Some(text) = switches.value(name) else { return Ok(None) };
    match local_path(text) {
        Ok(path) => Ok(Some(path)),
        Err(InputFault::Relative { .. }) => Ok(Some(text)),
        Err(fault) => Err(CompatError::Value { name, fault }),
    }
}

fn path(switches: &Switches, name: &'static str) -> Result<Option<PathBuf>, CompatError> {
    Ok(path_text(switches, name)?.map(PathBuf::from))
}

fn needed_path(switches: &Switches, name: &'static str) -> Result<PathBuf, CompatError> {
    path(switches, name)?.ok_or(CompatError::Missing { name, when: "" })
}
