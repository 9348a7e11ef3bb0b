//! Every option of the tool, and what it does here.

use Tool::{PrepImport, PreviewExport, RepairExport, RepairImport, Unlock};

/// The tool's commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// Packs a drive.
    PrepImport,
    /// Mends an import.
    RepairImport,
    /// Mends an exported drive.
    RepairExport,
    /// Says how many drives an export needs.
    PreviewExport,
    /// Opens an encrypted drive.
    Unlock,
}

impl Tool {
    /// All commands.
    pub const ALL: [Tool; 5] = [PrepImport, RepairImport, RepairExport, PreviewExport, Unlock];

    /// Its name as the tool writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            PrepImport => "PrepImport",
            RepairImport => "RepairImport",
            RepairExport => "RepairExport",
            PreviewExport => "PreviewExport",
            Unlock => "Unlock",
        }
    }

    /// The command of that name, in any case.
    pub fn named(name: &str) -> Option<Tool> {
        Tool::ALL.into_iter().find(|tool| tool.as_str().eq_ignore_ascii_case(name))
    }
}

/// Which generation of the tool has an option: azure-import-export.md §2.2 and §2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Both, or the command has only one.
    Any,
    /// Version 1: one drive a command.
    One,
    /// Version 2: CSV files.
    Two,
    /// Not the tool's: ours.
    Ours,
}

/// One option of one command.
#[derive(Debug, Clone, Copy)]
pub struct OptionRow {
    /// The command.
    pub tool: Tool,
    /// Its name as the tool writes it.
    pub name: &'static str,
    /// Which generation has it.
    pub generation: Generation,
    /// What its value stands for; empty for an option without one.
    pub value: &'static str,
    /// What it does here.
    pub here: &'static str,
}

const fn row(
    tool: Tool,
    name: &'static str,
    generation: Generation,
    value: &'static str,
    here: &'static str,
) -> OptionRow {
    OptionRow { tool, name, generation, value, here }
}

use Generation::{Any, One, Ours, Two};

/// All of them, in the specification's order.
pub const OPTIONS: &[OptionRow] = &[
    row(PrepImport, "j", Any, "JOURNAL.jrn", "the journal: --journal; the job entry goes beside it"),
    row(PrepImport, "id", Any, "SESSION", "the session: --session"),
    row(PrepImport, "logdir", Any, "DIR", "taken; there are no other logs than the journal"),
    row(
        PrepImport,
        "sk",
        Any,
        "KEY",
        "taken with a warning, and not used: no storage key is written anywhere",
    ),
    row(
        PrepImport,
        "csas",
        One,
        "CONTAINER?TOKEN",
        "as /sk; the container is checked: all blobs must be in it",
    ),
    row(PrepImport, "t", One, "DEVICE", "the drive: a device or an image file, --drive"),
    row(PrepImport, "format", One, "", "make the drive anew; /encrypt is needed with it"),
    row(PrepImport, "silentmode", Any, "", "taken; a device needs /serial, which is asked for at a terminal"),
    row(
        PrepImport,
        "encrypt",
        One,
        "",
        "protect the new volume; its keys are made and written to the job entry",
    ),
    row(PrepImport, "bk", One, "KEY", "the existing volume's recovery password; instead of /format /encrypt"),
    row(PrepImport, "srcdir", One, "DIR", "the directory: --from"),
    row(PrepImport, "dstdir", One, "CONTAINER/PREFIX/", "where it goes: --to"),
    row(PrepImport, "srcfile", One, "FILE", "the file: --from"),
    row(PrepImport, "dstblob", One, "CONTAINER/BLOB", "where it goes: --to"),
    row(
        PrepImport,
        "Disposition",
        One,
        "rename|no-overwrite|overwrite",
        "--disposition; rename when it is not given",
    ),
    row(PrepImport, "BlobType", One, "BlockBlob|PageBlob", "--type; BlockBlob when it is not given"),
    row(PrepImport, "PropertyFile", One, "XML", "--properties-file"),
    row(PrepImport, "MetadataFile", One, "XML", "--metadata-file"),
    row(
        PrepImport,
        "skipwrite",
        One,
        "",
        "the data is on the drive already: --in-place; /srcdir is then a path on the drive",
    ),
    row(PrepImport, "enablecontentmd5", One, "", "--content-md5"),
    row(PrepImport, "ResumeSession", Any, "", "go on with the journal's interrupted session: --resume"),
    row(PrepImport, "AbortSession", Any, "", "give up the journal's latest session, not its first: --abort"),
    row(PrepImport, "InitialDriveSet", Two, "CSV", "the drives: --driveset"),
    row(
        PrepImport,
        "AdditionalDriveSet",
        Two,
        "CSV",
        "the drives of a session with its own /DataSet; refused without: the first plan has all drives",
    ),
    row(PrepImport, "DataSet", Two, "CSV", "the sources: --dataset"),
    row(PrepImport, "ListDrives", Two, "", "list the journal's drives"),
    row(PrepImport, "ListCopySessions", Two, "", "list the journal's sessions"),
    row(PrepImport, "serial", Ours, "SERIAL", "the serial number that the drive must have: --serial"),
    row(PrepImport, "size", Ours, "BYTES", "how large an image file is made: --size"),
    row(RepairImport, "r", Any, "FILE.rep", "the repair file: --repair"),
    row(RepairImport, "logdir", Any, "DIR", "taken; there are no other logs"),
    row(
        RepairImport,
        "d",
        Any,
        "DIR[;DIR...]",
        "where the sources are: --dir; with /bk one is the drive: --from",
    ),
    row(RepairImport, "bk", Any, "KEY", "what opens the drive in /d, as for Unlock; with a warning"),
    row(RepairImport, "sn", Any, "ACCOUNT", "the storage account, or its blob endpoint as a URL: --account"),
    row(RepairImport, "sk", Any, "KEY", "its key, with a warning: --credential-file"),
    row(RepairImport, "csas", Any, "CONTAINER?TOKEN", "its SAS, with a warning: --credential-file"),
    row(RepairImport, "CopyLogFile", Any, "LOG", "the drive's log: --copy-log"),
    row(RepairImport, "PathMapFile", Any, "FILE", "where files are that were not found: --path-map"),
    row(RepairExport, "r", Any, "FILE.rep", "the repair file: --repair"),
    row(RepairExport, "logdir", Any, "DIR", "taken; there are no other logs"),
    row(RepairExport, "d", Any, "DIR", "the drive's folder: --dir"),
    row(RepairExport, "bk", Any, "KEY", "refused: unlock the drive first, and name the folder"),
    row(RepairExport, "sn", Any, "ACCOUNT", "the storage account, or its blob endpoint as a URL: --account"),
    row(RepairExport, "sk", Any, "KEY", "its key, with a warning: --credential-file"),
    row(RepairExport, "csas", Any, "CONTAINER?TOKEN", "its SAS, with a warning: --credential-file"),
    row(RepairExport, "CopyLogFile", Any, "LOG", "the drive's log: --copy-log"),
    row(RepairExport, "ManifestFile", Any, "FILE", "the drive's manifest: --manifest"),
    row(PreviewExport, "logdir", Any, "DIR", "taken; there are no other logs"),
    row(PreviewExport, "sn", Any, "ACCOUNT", "the storage account, or its blob endpoint as a URL: --account"),
    row(PreviewExport, "sk", Any, "KEY", "its key, with a warning: --credential-file"),
    row(PreviewExport, "csas", Any, "CONTAINER?TOKEN", "its SAS, with a warning: --credential-file"),
    row(PreviewExport, "ExportBlobListFile", Any, "XML", "the blob list: --blob-list"),
    row(PreviewExport, "DriveSize", Any, "SIZE", "the drives' size: --drive-size"),
    row(
        PreviewExport,
        "Cloud",
        Any,
        "Public|USGovernment|China",
        "which cloud /sn is in; Public when not given",
    ),
    row(Unlock, "bk", Any, "KEY", "the external key in base64, or a recovery password; with a warning"),
    row(
        Unlock,
        "driveLetter",
        Any,
        "DEVICE",
        "the drive: a device or an image file; its files are listed: --list",
    ),
    row(Unlock, "to", Ours, "DIR", "copy its files into this folder instead: --to"),
];

/// The option of that command and name, in any case.
pub(super) fn option(tool: Tool, name: &str) -> Option<&'static OptionRow> {
    OPTIONS.iter().find(|row| row.tool == tool && row.name.eq_ignore_ascii_case(name))
}

/// All options of a command, for an error.
pub(super) fn known(tool: Tool) -> String {
    let names: Vec<String> =
        OPTIONS.iter().filter(|row| row.tool == tool).map(|row| format!("/{}", row.name)).collect();
    names.join(" ")
}

/// The table as help.
pub(super) fn help() -> String {
    let mut text = "Takes the commands of the WAImportExport tool, and does here:\n".to_owned();
    for tool in Tool::ALL {
        text.push_str(&format!("\n{}\n", tool.as_str()));
        for row in OPTIONS.iter().filter(|row| row.tool == tool) {
            let option = match row.value {
                "" => format!("/{}", row.name),
                value => format!("/{}:{value}", row.name),
            };
            let generation = match row.generation {
                Any => "",
                One => " (v1)",
                Two => " (v2)",
                Ours => " (not the tool's)",
            };
            text.push_str(&format!("  {option:44} {}{generation}\n", row.here));
        }
    }
    text.push_str("\nSecrets may stand in files: /sk:@FILE, /csas:@FILE, /bk:@FILE.\n");
    text + "The same without slashes: driveprep --help"
}
