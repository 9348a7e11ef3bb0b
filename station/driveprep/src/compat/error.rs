//! Arguments that the tool would not take, or that mean nothing here.

use std::io;

use crate::inputs::InputFault;

/// What is wrong with the tool's arguments. Texts that the tool is known by are its own:
/// azure-import-export.md §2.12. No text shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum CompatError {
    /// Not one of the tool's commands.
    #[error("{found:?} is none of PrepImport, RepairImport, RepairExport, PreviewExport, Unlock")]
    Command {
        /// What stands there.
        found: String,
    },
    /// An argument that is no option.
    #[error(
        "{found:?} is no option; options are /name or /name:value, quoted as a whole if they hold blanks"
    )]
    NotAnOption {
        /// What stands there.
        found: String,
    },
    /// An option that the command does not have.
    #[error("{command} has no option /{name}; it has {known}")]
    Unknown {
        /// The command.
        command: &'static str,
        /// The option.
        name: String,
        /// What there is.
        known: String,
    },
    /// An option twice.
    #[error("/{name} is given twice")]
    Twice {
        /// The option.
        name: &'static str,
    },
    /// An option without its value.
    #[error("/{name} needs a value: /{name}:{value}")]
    NeedsValue {
        /// The option.
        name: &'static str,
        /// What it stands for.
        value: &'static str,
    },
    /// A value for an option that has none.
    #[error("/{name} takes no value")]
    NoValue {
        /// The option.
        name: &'static str,
    },
    /// A value that cannot be used.
    #[error("/{name}: {fault}")]
    Value {
        /// The option.
        name: &'static str,
        /// Why.
        fault: InputFault,
    },
    /// An option that must be there.
    #[error("/{name} is needed{when}")]
    Missing {
        /// The option, or several.
        name: &'static str,
        /// In which case.
        when: &'static str,
    },
    /// Options that exclude each other.
    #[error("/{one} and /{other} cannot be given together{why}")]
    Together {
        /// One.
        one: &'static str,
        /// The other.
        other: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// The options of both generations in one command.
    #[error(
        "/{one} is an option of version 1 of the tool, /{other} of version 2; one command cannot have both"
    )]
    Generations {
        /// An option of version 1.
        one: &'static str,
        /// An option of version 2.
        other: &'static str,
    },
    /// A journal has a name of its own.
    #[error("/j: the journal's name ends with .jrn; {found:?} does not")]
    JournalName {
        /// The name.
        found: String,
    },
    /// The tool's words.
    #[error("When Format is specified, Encrypt must also be specified")]
    FormatNeedsEncrypt,
    /// The tool's words.
    #[error("BitLocker Key should not be specified")]
    KeyNotNeeded,
    /// The tool's words, and what to do.
    #[error("The first copy session cannot be resumed or aborted. Delete the journal and start anew.")]
    FirstSession,
    /// Another session than the journal's last.
    #[error(
        "/id: the journal's last session is {last:?}, not {found:?}; only that one can be resumed or aborted"
    )]
    OtherSession {
        /// The one that was named.
        found: String,
        /// The journal's.
        last: String,
    },
    /// Something that the tool did and that is done otherwise here.
    #[error("/{name} is not done here: {instead}")]
    Refused {
        /// The option.
        name: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// A secret's file.
    #[error("/{name}:@{path}: reading the secret")]
    Secret {
        /// The option.
        name: &'static str,
        /// The file.
        path: String,
        /// Why it cannot be read.
        #[source]
        source: io::Error,
    },
    /// The kernel did not keep a secret for us.
    #[error("keeping a secret in memory")]
    Memory(#[source] io::Error),
}
