//! The provider's operations: their RBAC action names, and how Operations_List shows them.
//!
//! The names are what roles of Azure are written in; [`Operation`] is what the station's own table is written in.

use serde::Serialize;

use crate::people::Operation;

/// One row of Operations_List.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Shown {
    name: &'static str,
    display: Display,
}

#[derive(Clone, Copy, Serialize)]
struct Display {
    provider: &'static str,
    resource: &'static str,
    operation: &'static str,
    description: &'static str,
}

const fn shown(
    name: &'static str,
    resource: &'static str,
    operation: &'static str,
    description: &'static str,
) -> Shown {
    Shown { name, display: Display { provider: "Drayage Import/Export", resource, operation, description } }
}

/// The operations in the order in which the service lists them. It lists one more, to register a subscription with
/// the provider; a station has no such step, so it is not offered.
pub(super) const OPERATIONS: [Shown; 5] = [
    shown(
        "Microsoft.ImportExport/locations/read",
        "Locations",
        "Get or List Locations",
        "Shows the places to which drives can be shipped, or one of them.",
    ),
    shown(
        "Microsoft.ImportExport/jobs/write",
        "Jobs",
        "Create or Update Job",
        "Creates a job, or changes an existing job's properties or tags.",
    ),
    shown("Microsoft.ImportExport/jobs/read", "Jobs", "Get or List Jobs", "Shows jobs, or one of them."),
    shown(
        "Microsoft.ImportExport/jobs/listBitLockerKeys/action",
        "Jobs",
        "List BitLocker Keys",
        "Shows the BitLocker keys of a job's drives.",
    ),
    shown("Microsoft.ImportExport/jobs/delete", "Jobs", "Delete Job", "Deletes a job."),
];

/// The action name that a refusal shows.
pub(super) const fn action(operation: Operation) -> &'static str {
    match operation {
        Operation::LocationsRead => "Microsoft.ImportExport/locations/read",
        Operation::JobsRead => "Microsoft.ImportExport/jobs/read",
        Operation::JobsWrite => "Microsoft.ImportExport/jobs/write",
        Operation::JobsDelete => "Microsoft.ImportExport/jobs/delete",
        Operation::JobsListBitLockerKeys => "Microsoft.ImportExport/jobs/listBitLockerKeys/action",
        _ => "Microsoft.ImportExport/operations/read",
    }
}
