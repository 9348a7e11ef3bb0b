//! Where drives can be sent: the operator's own data, and how each version shows it.
//!
//! A station takes drives at its own site, which is the first location; others are listed so that clients can find
//! out where to send instead. No address is built in: a parcel sent to an invented one is lost.

use std::collections::BTreeSet;

use jobs::{Site, Sites};
use model::job::{ShippingInformation, fold_location};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::version::ApiVersion;

/// A place that takes drives, or that names the ones which do instead.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Its name as people read it: `West US`.
    pub name: String,
    /// Who receives parcels; instructions may stand here where there is no address.
    pub recipient_name: String,
    /// Street.
    #[serde(default)]
    pub street_address1: String,
    /// Second line.
    #[serde(default)]
    pub street_address2: String,
    /// City.
    #[serde(default)]
    pub city: String,
    /// State or province.
    #[serde(default)]
    pub state_or_province: String,
    /// Postal code.
    #[serde(default)]
    pub postal_code: String,
    /// Country.
    #[serde(default)]
    pub country_or_region: String,
    /// Telephone.
    #[serde(default)]
    pub phone: String,
    /// What else to write on the parcel.
    #[serde(default)]
    pub additional_information: String,
    /// Carriers that deliver there.
    #[serde(default)]
    pub supported_carriers: Vec<String>,
    /// Names of the locations that take its drives. Itself where none is given.
    #[serde(default)]
    pub alternate_locations: Vec<String>,
}

/// All of them, the station's own first. Names are unique, and each named alternative is there.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "Vec<Location>")]
pub struct Locations(Vec<Location>);

/// Why locations cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LocationsError {
    /// There must be the station's own.
    #[error("no location is configured: the first one is the station's own")]
    None,
    /// A location without a name cannot be asked for.
    #[error("a location has no name")]
    Nameless,
    /// Two locations that clients cannot tell apart.
    #[error("two locations are named {0:?}, case and blanks apart")]
    Twice(String),
    /// An alternative that is not there.
    #[error("location {name:?} names {alternative:?} as an alternative, which is not configured")]
    UnknownAlternative {
        /// Which location.
        name: String,
        /// What it names.
        alternative: String,
    },
}

impl Location {
    /// Its name in ids: `westus`.
    pub fn short_name(&self) -> String {
        fold_location(&self.name)
    }

    /// The address, as a job shows it.
    pub fn shipping_information(&self) -> ShippingInformation {
        ShippingInformation {
            recipient_name: self.recipient_name.clone(),
            street_address1: self.street_address1.clone(),
            street_address2: self.street_address2.clone(),
            city: self.city.clone(),
            state_or_province: self.state_or_province.clone(),
            postal_code: self.postal_code.clone(),
            country_or_region: self.country_or_region.clone(),
            phone: self.phone.clone(),
            additional_information: self.additional_information.clone(),
        }
    }
}

impl Locations {
    /// Checks them.
    ///
    /// # Errors
    /// When there is none, or they contradict each other.
    pub fn new(locations: Vec<Location>) -> Result<Self, LocationsError> {
        if locations.is_empty() {
            return Err(LocationsError::None);
        }
        let mut names = BTreeSet::new();
        for location in &locations {
            let short = location.short_name();
            if short.is_empty() {
                return Err(LocationsError::Nameless);
            }
            if !names.insert(short) {
                return Err(LocationsError::Twice(location.name.clone()));
            }
        }
        let unknown = |name: &&String| !names.contains(&fold_location(name));
        for Location { name, alternate_locations, .. } in &locations {
            if let Some(alternative) = alternate_locations.iter().find(unknown) {
                let (name, alternative) = (name.clone(), alternative.clone());
                return Err(LocationsError::UnknownAlternative { name, alternative });
            }
        }
        Ok(Self(locations))
    }

    /// The station's own.
    pub fn own(&self) -> &Location {
        self.0.first().expect("a station has a location of its own")
    }

    /// The location that a client means by `West US`, `westus` or the end of an id.
    pub fn find(&self, name: &str) -> Option<&Location> {
        let short = fold_location(name);
        self.0.iter().find(|location| location.short_name() == short)
    }

    /// The same places, as the service knows them.
    pub fn sites(&self) -> Sites {
        let site = |location: &Location| Site {
            location: location.name.clone(),
            address: location.shipping_information(),
        };
        Sites::new(self.0.iter().map(site).collect()).expect("a station has a location of its own")
    }

    /// Each, the own first.
    pub fn iter(&self) -> impl Iterator<Item = &Location> {
        self.0.iter()
    }
}

impl TryFrom<Vec<Location>> for Locations {
    type Error = LocationsError;

    fn try_from(locations: Vec<Location>) -> Result<Self, LocationsError> {
        Self::new(locations)
    }
}

/// A location on the wire.
#[derive(Serialize)]
pub(super) struct LocationBody<'a> {
    properties: Properties<'a>,
    id: String,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Properties<'a> {
    recipient_name: &'a str,
    street_address1: &'a str,
    street_address2: &'a str,
    city: &'a str,
    state_or_province: &'a str,
    postal_code: &'a str,
    country_or_region: &'a str,
    phone: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_shipping_information: Option<&'a str>,
    supported_carriers: &'a [String],
    alternate_locations: Vec<String>,
}

impl<'a> LocationBody<'a> {
    /// A location for a client of a version.
    pub(super) fn of(location: &'a Location, version: ApiVersion) -> Self {
        let additional = version.has_system_data().then_some(location.additional_information.as_str());
        let alternates = match &location.alternate_locations[..] {
            [] => vec![id_of(&location.name)],
            named => named.iter().map(|name| id_of(name)).collect(),
        };
        Self {
            properties: Properties {
                recipient_name: &location.recipient_name,
                street_address1: &location.street_address1,
                street_address2: &location.street_address2,
                city: &location.city,
                state_or_province: &location.state_or_province,
                postal_code: &location.postal_code,
                country_or_region: &location.country_or_region,
                phone: &location.phone,
                additional_shipping_information: additional,
                supported_carriers: &location.supported_carriers,
                alternate_locations: alternates,
            },
            id: id_of(&location.name),
            name: &location.name,
            kind: "Microsoft.ImportExport/locations",
        }
    }
}

fn id_of(name: &str) -> String {
    format!("/providers/Microsoft.ImportExport/locations/{}", fold_location(name))
}
