//! The job API's vocabularies, spelled as the API spells them.
//!
//! azure-import-export.md §4.1, §4.3, §5.3. Requests are read without regard to case and answered in the
//! canonical one (§9, row 31); what is stored is the canonical spelling.

use std::fmt;

/// A word that the vocabulary does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a {vocabulary}")]
pub struct UnknownWord {
    /// Which vocabulary was asked.
    pub vocabulary: &'static str,
    /// The word.
    pub found: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[derive(serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every word, in the specification's order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word as the API writes it.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => stringify!($variant),)+ }
            }

            /// Reads the word in whatever case a request has it.
            ///
            /// # Errors
            /// When it is none of this vocabulary.
            pub fn parse(text: &str) -> Result<$name, UnknownWord> {
                $name::ALL.iter().copied().find(|word| word.as_str().eq_ignore_ascii_case(text))
                    .ok_or_else(|| UnknownWord { vocabulary: stringify!($name), found: text.to_owned() })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Where a job is: azure-import-export.md §4.1.
    JobState {
        /// Ordered; the customer may still change anything.
        Creating,
        /// The customer says that the drives are on their way.
        Shipping,
        /// Every drive is booked in, or known not to have come.
        Received,
        /// The first drive has started.
        Transferring,
        /// No drive has work left; drives are being packed.
        Packaging,
        /// Over, without errors, or cancelled.
        Completed,
        /// Over, with some error, or never begun.
        Closed,
        /// Cannot go on until an operator puts it back.
        Faulted,
    }
}

words! {
    /// Where a drive is: azure-import-export.md §4.3.
    DriveState {
        /// On the list, not here.
        Specified,
        /// Booked in.
        Received,
        /// The parcel came without it, or no parcel came.
        NeverReceived,
        /// Being copied, or stopped in between.
        Transferring,
        /// All of it went well.
        Completed,
        /// Errors, warnings or notices: its logs tell.
        CompletedMoreInfo,
        /// It left the datacentre.
        ShippedBack,
        /// Cannot go on until an operator puts it back. Internal: see [`super::JobDrive::shown_state`].
        Faulted,
    }
}

words! {
    /// Which way the data goes.
    JobType {
        /// From the customer's drives to the storage account.
        Import,
        /// From the storage account to empty drives of the customer.
        Export,
    }
}

words! {
    /// Which of the logs are written.
    LogLevel {
        /// The error log only.
        Error,
        /// The verbose log as well.
        Verbose,
    }
}

words! {
    /// Whose key protects the drives' recovery passwords.
    KekType {
        /// The station's master key.
        MicrosoftManaged,
        /// The customer's key in Azure Key Vault.
        CustomerManaged,
    }
}

words! {
    /// The job's identity towards Key Vault.
    IdentityKind {
        /// It has none.
        None,
        /// Its own.
        SystemAssigned,
        /// One that the customer made.
        UserAssigned,
    }
}

words! {
    /// What a job waits for: azure-import-export.md §4.1, §4.2.
    TimerKind {
        /// Two weeks without an update in `Creating`.
        CreatingIdle,
        /// Two weeks on the way without arriving.
        ShippingOverdue,
        /// Thirty days in which the customer does not answer.
        NoReply,
        /// Ninety days in which nobody takes the drives back.
        Undeliverable,
        /// Ninety days after the end.
        Retention,
    }
}

impl JobState {
    /// Over: nothing but deletion is left.
    pub fn is_over(self) -> bool {
        matches!(self, JobState::Completed | JobState::Closed)
    }
}
