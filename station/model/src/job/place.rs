//! Where a drive lies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a drive of a job is, as far as this side knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Place {
    /// Not here: with the customer, on the way, or never sent.
    Away,
    /// On a shelf, in a named slot or just "the shelf".
    Shelf {
        /// Which station.
        station: String,
        /// Which slot, when slots have names.
        slot: Option<String>,
    },
    /// Given to a bay.
    Bay {
        /// Which station.
        station: String,
        /// Which of its bays.
        bay: String,
    },
    /// In a box that will go back.
    Box {
        /// Which station.
        station: String,
        /// The box's label.
        label: String,
    },
    /// Sent back to the customer.
    SentBack,
    /// Destroyed, because nobody took it back.
    Destroyed,
}

impl Place {
    /// In this station's hands.
    pub fn is_here(&self) -> bool {
        matches!(self, Place::Shelf { .. } | Place::Bay { .. } | Place::Box { .. })
    }

    /// The station that has the drive.
    pub fn station(&self) -> Option<&str> {
        match self {
            Place::Shelf { station, .. } | Place::Bay { station, .. } | Place::Box { station, .. } => {
                Some(station)
            }
            Place::Away | Place::SentBack | Place::Destroyed => None,
        }
    }

    /// The bay that the drive was given to.
    pub fn bay(&self) -> Option<&str> {
        match self {
            Place::Bay { bay, .. } => Some(bay),
            Place::Away | Place::Shelf { .. } | Place::Box { .. } | Place::SentBack | Place::Destroyed => {
                None
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Away => write!(f, "not here"),
            Place::Shelf { slot: Some(slot), .. } => write!(f, "shelf slot {slot}"),
            Place::Shelf { slot: None, .. } => write!(f, "the shelf"),
            Place::Bay { bay, .. } => write!(f, "bay {bay}"),
            Place::Box { label, .. } => write!(f, "box {label}"),
            Place::SentBack => write!(f, "sent back"),
            Place::Destroyed => write!(f, "destroyed"),
        }
    }
}
