//! Where drives can be sent: this station's own site, and the others that customers may name.

use model::job::{ShippingInformation, fold_location};

/// A site by its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The location, as people read it: `West US`.
    pub location: String,
    /// Where parcels go.
    pub address: ShippingInformation,
}

/// All sites, the station's own first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sites(Vec<Site>);

/// A service without a site of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no site is given: the first one is the station's own")]
pub struct NoSite;

impl Sites {
    /// The sites, the station's own first.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(sites: Vec<Site>) -> Result<Sites, NoSite> {
        if sites.is_empty() { Err(NoSite) } else { Ok(Sites(sites)) }
    }

    /// The site that a customer means by `West US` or `westus`.
    pub fn find(&self, location: &str) -> Option<&Site> {
        let folded = fold_location(location);
        self.0.iter().find(|site| fold_location(&site.location) == folded)
    }

    /// Whether drives of that location belong here.
    pub fn is_own(&self, location: &str) -> bool {
        self.0.first().is_some_and(|own| fold_location(&own.location) == fold_location(location))
    }
}
