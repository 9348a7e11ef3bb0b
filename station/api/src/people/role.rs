//! The roles of people and programs. What each may do is in [`super::permissions`] and nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What somebody is to the station. One caller may have several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Opens parcels at the dock and scans what is in them.
    Receiver,
    /// Puts drives into bays and packs them again.
    Technician,
    /// Answers for a shift: decides what technicians may not.
    Lead,
    /// Approves that a drive is erased; another person than the one who copied it.
    SanitiseApprover,
    /// Reads everything, the custody chain included, and changes nothing.
    Auditor,
    /// Runs the station: tokens, web-hooks, everything that a lead may.
    Admin,
    /// A program of the station's own side: a bay's worker, a ticket system.
    Service,
    /// Owns jobs. Reaches only what their subscriptions and resource groups name.
    Customer,
}

/// A role's name that this station does not have.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no role {0:?}; the roles are {all}", all = Role::ALL.map(Role::as_str).join(", "))]
pub struct UnknownRole(pub String);

impl Role {
    /// Every role, in the order of the table's columns.
    pub const ALL: [Self; 8] = [
        Self::Receiver,
        Self::Technician,
        Self::Lead,
        Self::SanitiseApprover,
        Self::Auditor,
        Self::Admin,
        Self::Service,
        Self::Customer,
    ];

    /// The spelling in configuration, tokens and custody entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Technician => "technician",
            Self::Lead => "lead",
            Self::SanitiseApprover => "sanitise-approver",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
            Self::Service => "service",
            Self::Customer => "customer",
        }
    }

    /// Reads [`Role::as_str`]'s spelling, and no other: a role is never guessed.
    pub fn parse(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
