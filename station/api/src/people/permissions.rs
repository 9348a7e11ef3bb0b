//! The table: every operation, every role, one letter.
//!
//! `A` all of it, `O` only what the caller's own scope names, `N` no. What is not in the table is denied.
//! The test beside it holds a second table, written from the other side, and walks both.

use super::{Operation, Role};

/// What one role may do with one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cell {
    /// Denied.
    No,
    /// Allowed for what the caller's scope names: a customer's own jobs.
    Own,
    /// Allowed for everything that the caller's scope leaves.
    All,
}

use Cell::{All as A, No as N, Own as O};
use Operation as Op;

/// One operation: its cells stand in [`Role::ALL`]'s order.
pub type Row = (Operation, [Cell; Role::ALL.len()]);

/// Why some rows are as they are:
/// * Keys (`JobsListBitLockerKeys`) go to their owner, and to the admin for the day the owner lost them; nobody at
///   the bays needs to see one, because the station opens the drives itself.
/// * An admin does not approve erasing: the approver is a second person by rule, and who makes tokens would be both.
///   The same for drives that were destroyed.
/// * What gives a customer's drive or parcel up for good is the lead's to decide.
/// * Bays, metrics and web-hooks are about every customer at once, so no customer sees them.
/// * Auditors read all and change nothing; exporting the chain is reading.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    //                            receiver
    //                            |  technician
    //                            |  |  lead
    //                            |  |  |  sanitise-approver
    //                            |  |  |  |  auditor
    //                            |  |  |  |  |  admin
    //                            |  |  |  |  |  |  service
    //                            |  |  |  |  |  |  |  customer
    (Op::OperationsRead,         [A, A, A, A, A, A, A, A]),
    (Op::LocationsRead,          [A, A, A, A, A, A, A, A]),
    (Op::JobsRead,               [A, A, A, A, A, A, A, O]),
    (Op::JobsWrite,              [N, N, A, N, N, A, N, O]),
    (Op::JobsDelete,             [N, N, N, N, N, A, N, O]),
    (Op::JobsListBitLockerKeys,  [N, N, N, N, N, A, N, O]),
    (Op::ReceivePackage,         [A, N, A, N, N, A, N, N]),
    (Op::ScanDrive,              [A, A, A, A, N, A, N, N]),
    (Op::AssignBay,              [N, A, A, N, N, A, N, N]),
    (Op::Hold,                   [A, A, A, N, N, A, A, N]),
    (Op::Resume,                 [N, A, A, N, N, A, N, N]),
    (Op::Release,                [N, A, A, N, N, A, N, N]),
    (Op::PutBackFaulted,         [N, N, A, N, N, A, N, N]),
    (Op::SetAside,               [A, A, A, N, N, A, N, N]),
    (Op::GiveUp,                 [N, N, A, N, N, A, N, N]),
    (Op::Pack,                   [N, A, A, N, N, A, N, N]),
    (Op::Ship,                   [N, A, A, N, N, A, N, N]),
    (Op::SettleReturn,           [N, N, A, N, N, A, N, N]),
    (Op::ApproveSanitise,        [N, N, N, A, N, N, N, N]),
    (Op::ReportProgress,         [N, N, N, N, N, N, A, N]),
    (Op::ReadDrives,             [A, A, A, A, A, A, A, O]),
    (Op::ReadBays,               [A, A, A, A, A, A, A, N]),
    (Op::ReadEvents,             [A, A, A, A, A, A, A, O]),
    (Op::ReadMetrics,            [N, N, A, N, A, A, A, N]),
    (Op::ReadCustody,            [N, N, A, A, A, A, N, O]),
    (Op::ExportCustody,          [N, N, N, N, A, A, N, O]),
    (Op::ReadTokens,             [N, N, N, N, A, A, N, N]),
    (Op::ManageTokens,           [N, N, N, N, N, A, N, N]),
    (Op::ReadAccounts,           [N, N, N, N, A, A, N, N]),
    (Op::ManageAccounts,         [N, N, N, N, N, A, N, N]),
    (Op::ReadWebHooks,           [N, N, A, N, A, A, N, N]),
    (Op::ManageWebHooks,         [N, N, N, N, N, A, N, N]),
];

/// What the table says of one role and one operation; an operation without a row is denied.
pub fn cell(role: Role, operation: Operation) -> Cell {
    let column = Role::ALL.iter().position(|of| *of == role);
    let row = TABLE.iter().find(|(of, _)| *of == operation);
    match (row, column) {
        (Some((_, cells)), Some(column)) => cells.get(column).copied().unwrap_or(Cell::No),
        _ => Cell::No,
    }
}
