//! One name for each thing that the two surfaces do. A route declares its operation, and the table decides.
//! Whether an operation is about the whole station, and so nothing for a caller who is limited to a part, is said here.

/// What a request asks for, as far as permission goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Operation {
    /// List the operations of the ARM provider.
    OperationsRead,
    /// List the ARM provider's locations, or get one.
    LocationsRead,
    /// List jobs, or get one.
    JobsRead,
    /// Create, update or move a job; cancelling is an update.
    JobsWrite,
    /// Delete a job.
    JobsDelete,
    /// Be told the BitLocker keys of a job's drives.
    JobsListBitLockerKeys,
    /// Book a parcel in at the dock.
    ReceivePackage,
    /// Scan a drive: book it in, or ask what it is and what to do next.
    ScanDrive,
    /// Say which bay a drive goes into.
    AssignBay,
    /// Stop a drive or a job where it is.
    Hold,
    /// Go on with what was held.
    Resume,
    /// Take a drive out of its bay, done or not.
    Release,
    /// Put a drive or a job back into work that had faulted.
    PutBackFaulted,
    /// Say that a drive is of no supported kind, so that it goes back as it came.
    SetAside,
    /// Give a faulty drive up.
    GiveUp,
    /// Scan a drive into the box that goes back.
    Pack,
    /// Say that a box left, and under which number.
    Ship,
    /// Say that a parcel went back as it came, or that drives cannot be sent back.
    SettleReturn,
    /// Approve that a drive is erased, or say that drives were destroyed.
    ApproveSanitise,
    /// Say how far a drive is, and how it ended.
    ReportProgress,
    /// List drives, or get one.
    ReadDrives,
    /// List bays, or get one.
    ReadBays,
    /// Read the events, at once or as they come.
    ReadEvents,
    /// Read the metrics page.
    ReadMetrics,
    /// Read entries of the custody chain.
    ReadCustody,
    /// Export a part of the custody chain with its proof.
    ExportCustody,
    /// See which API tokens there are (never the tokens).
    ReadTokens,
    /// Issue and revoke API tokens.
    ManageTokens,
    /// See which storage accounts the station has a way into (never the credentials).
    ReadAccounts,
    /// Give the station a way into a storage account, or take it away.
    ManageAccounts,
    /// See which web-hooks there are.
    ReadWebHooks,
    /// Add, change and remove web-hooks.
    ManageWebHooks,
}

impl Operation {
    /// Whether it cannot be done for some jobs only: who is limited to a scope may not do it at all.
    pub const fn is_station_wide(self) -> bool {
        matches!(
            self,
            Self::ReadMetrics
                | Self::ReadTokens
                | Self::ManageTokens
                | Self::ReadAccounts
                | Self::ManageAccounts
                | Self::ReadWebHooks
                | Self::ManageWebHooks
        )
    }
}
