//! Which operation a request asks for: method, `restype`, `comp` and the shape of the path decide.
//!
//! Owns the names by which faults, the log and the conformance suite speak of operations (those of
//! the REST reference), and what permission each needs. Carries nothing out.

use std::fmt;
use std::str::FromStr;

use hyper::Method;

/// An operation of the blob service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named as in the REST reference")]
pub enum Operation {
    GetAccountInformation,
    GetServiceProperties,
    ListContainers,
    CreateContainer,
    DeleteContainer,
    GetContainerProperties,
    SetContainerMetadata,
    GetContainerAcl,
    SetContainerAcl,
    LeaseContainer,
    ListBlobs,
    PutBlob,
    GetBlob,
    GetBlobProperties,
    GetBlobMetadata,
    SetBlobMetadata,
    SetBlobProperties,
    DeleteBlob,
    PutBlock,
    PutBlockList,
    GetBlockList,
    PutPage,
    GetPageRanges,
    LeaseBlob,
    SnapshotBlob,
    SetBlobTier,
    /// Anything else: answered 501, never carried out in part.
    Unsupported,
}

use Operation::*;

/// Every operation that can be named.
const NAMED: [Operation; 26] = [
    GetAccountInformation,
    GetServiceProperties,
    ListContainers,
    CreateContainer,
    DeleteContainer,
    GetContainerProperties,
    SetContainerMetadata,
    GetContainerAcl,
    SetContainerAcl,
    LeaseContainer,
    ListBlobs,
    PutBlob,
    GetBlob,
    GetBlobProperties,
    GetBlobMetadata,
    SetBlobMetadata,
    SetBlobProperties,
    DeleteBlob,
    PutBlock,
    PutBlockList,
    GetBlockList,
    PutPage,
    GetPageRanges,
    LeaseBlob,
    SnapshotBlob,
    SetBlobTier,
];

/// What a signature must cover: SAS resource types, and the permissions of which one is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// `s`, `c` or `o`.
    pub(crate) resource: char,
    /// Any one of these letters; empty: any valid signature.
    pub(crate) any_of: &'static str,
}

impl Operation {
    /// The operation that a request with these marks asks for.
    pub(crate) fn of(method: &Method, level: Level, restype: &str, comp: &str) -> Operation {
        if restype == "account" && comp == "properties" {
            return GetAccountInformation;
        }
        match level {
            Level::Account => Operation::of_account(method, restype, comp),
            Level::Container => Operation::of_container(method, comp),
            Level::Blob => Operation::of_blob(method, comp),
        }
    }

    fn of_account(method: &Method, restype: &str, comp: &str) -> Operation {
        match (method, restype, comp) {
            (&Method::GET, "", "list") => ListContainers,
            (&Method::GET, "service", "properties") => GetServiceProperties,
            _ => Unsupported,
        }
    }

    fn of_container(method: &Method, comp: &str) -> Operation {
        match (method, comp) {
            (&Method::PUT, "") => CreateContainer,
            (&Method::DELETE, "") => DeleteContainer,
            (&Method::GET | &Method::HEAD, "" | "metadata") => GetContainerProperties,
            (&Method::PUT, "metadata") => SetContainerMetadata,
            (&Method::GET | &Method::HEAD, "acl") => GetContainerAcl,
            (&Method::PUT, "acl") => SetContainerAcl,
            (&Method::PUT, "lease") => LeaseContainer,
            (&Method::GET, "list") => ListBlobs,
            _ => Unsupported,
        }
    }

    fn of_blob(method: &Method, comp: &str) -> Operation {
        match (method, comp) {
            (&Method::PUT, "") => PutBlob,
            (&Method::PUT, "block") => PutBlock,
            (&Method::PUT, "blocklist") => PutBlockList,
            (&Method::PUT, "page") => PutPage,
            (&Method::PUT, "metadata") => SetBlobMetadata,
            (&Method::PUT, "properties") => SetBlobProperties,
            (&Method::PUT, "lease") => LeaseBlob,
            (&Method::PUT, "snapshot") => SnapshotBlob,
            (&Method::PUT, "tier") => SetBlobTier,
            (&Method::GET, "") => GetBlob,
            (&Method::HEAD, "") => GetBlobProperties,
            (&Method::GET | &Method::HEAD, "metadata") => GetBlobMetadata,
            (&Method::GET, "blocklist") => GetBlockList,
            (&Method::GET, "pagelist") => GetPageRanges,
            (&Method::DELETE, "") => DeleteBlob,
            _ => Unsupported,
        }
    }

    /// What a shared access signature must allow: the tables of the account SAS reference.
    pub(crate) fn need(self) -> Need {
        let (resource, any_of) = match self {
            GetAccountInformation | Unsupported => ('*', ""),
            GetServiceProperties => ('s', "r"),
            ListContainers => ('s', "l"),
            CreateContainer => ('c', "cw"),
            DeleteContainer => ('c', "d"),
            GetContainerProperties => ('c', "r"),
            SetContainerMetadata => ('c', "w"),
            GetContainerAcl | SetContainerAcl => ('c', "!"),
            LeaseContainer => ('c', "wd"),
            ListBlobs => ('c', "l"),
            PutBlob | SnapshotBlob => ('o', "cw"),
            // To create is not enough for blocks, even those of a new blob.
            PutBlock | PutBlockList | SetBlobMetadata | SetBlobProperties | PutPage | LeaseBlob
            | SetBlobTier => ('o', "w"),
            GetBlob | GetBlobProperties | GetBlobMetadata | GetBlockList | GetPageRanges => ('o', "r"),
            DeleteBlob => ('o', "d"),
        };
        Need { resource, any_of }
    }

    /// Whether the operation takes a body that is the blob's own bytes.
    pub(crate) fn carries_data(self) -> bool {
        matches!(self, PutBlob | PutBlock | PutPage)
    }
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The account itself.
    Account,
    /// A container.
    Container,
    /// A blob in a container.
    Blob,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl FromStr for Operation {
    type Err = UnknownOperation;

    /// Reads `PutBlock`, `putblock` or `put-block`.
    fn from_str(text: &str) -> Result<Operation, UnknownOperation> {
        let plain = |text: &str| text.replace(['-', '_', ' '], "").to_lowercase();
        let found = NAMED.into_iter().find(|operation| plain(&operation.to_string()) == plain(text));
        found.ok_or_else(|| UnknownOperation(text.to_owned()))
    }
}

/// A name that no operation has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no operation is called {0:?}")]
pub struct UnknownOperation(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_level_and_comp_decide_the_operation() {
        for (method, level, restype, comp, operation) in [
            (Method::PUT, Level::Blob, "", "block", PutBlock),
            (Method::PUT, Level::Blob, "", "", PutBlob),
            (Method::HEAD, Level::Blob, "", "", GetBlobProperties),
            (Method::GET, Level::Container, "container", "list", ListBlobs),
            (Method::GET, Level::Account, "", "list", ListContainers),
            (Method::GET, Level::Blob, "account", "properties", GetAccountInformation),
            (Method::POST, Level::Blob, "", "query", Unsupported),
        ] {
            assert_eq!(Operation::of(&method, level, restype, comp), operation);
        }
    }

    #[test]
    fn every_operation_is_found_by_its_name_however_it_is_written() {
        for operation in NAMED {
            assert_eq!(operation.to_string().parse(), Ok(operation));
        }
        assert_eq!("put-block-list".parse(), Ok(PutBlockList));
        assert_eq!("Frobnicate".parse::<Operation>(), Err(UnknownOperation("Frobnicate".to_owned())));
    }
}
