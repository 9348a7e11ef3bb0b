//! The api-versions of Microsoft.ImportExport, and what differs between them.
//!
//! Everything that depends on the version asks here, so one file says what a client of each sees
//! (spec/azure-import-export.md §5.3): which spelling, which fields, what is required.

/// A version that a request may ask for with `?api-version=`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ApiVersion {
    /// The first one; the PyPI client speaks it.
    V2016_11_01,
    /// The second stable one.
    V2020_08_01,
    /// The preview; the npm client's default.
    V2021_01_01,
}

impl ApiVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 3] = [Self::V2016_11_01, Self::V2020_08_01, Self::V2021_01_01];

    /// The text in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2016_11_01 => "2016-11-01",
            Self::V2020_08_01 => "2020-08-01",
            Self::V2021_01_01 => "2021-01-01",
        }
    }

    /// Reads [`ApiVersion::as_str`]'s text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// How the property naming a blob with the blob list is spelled in answers. Requests may use either.
    pub const fn blob_list_property(self) -> &'static str {
        match self {
            Self::V2016_11_01 => "blobListblobPath",
            Self::V2020_08_01 | Self::V2021_01_01 => "blobListBlobPath",
        }
    }

    /// Whether answers say who made a job and when (`systemData`), and how to address a parcel beyond the
    /// postal fields (`additionalInformation`, `additionalShippingInformation`).
    pub const fn has_system_data(self) -> bool {
        !matches!(self, Self::V2016_11_01)
    }

    /// Whether the provider has `moveResources`: only its first description had.
    pub const fn has_move(self) -> bool {
        matches!(self, Self::V2016_11_01)
    }
}

/// The versions as error messages list them.
pub(super) fn listed() -> String {
    ApiVersion::ALL.map(ApiVersion::as_str).join(", ")
}
