//! Why a request to the storage service failed, and what that leads to.
//!
//! Owns the one error type of every operation and the table from the service's codes to kinds.
//! Invariant: nothing here can hold a secret. An error carries the blob's path, never its URL, and
//! the cause is stripped of URLs before it gets here. azure-storage.md §7.6.

use std::error::Error;
use std::fmt;

use model::Class;

/// A failed operation. Display names the operation, the blob and the service's answer; the cause
/// (a reset connection, a refused certificate) is the source.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {path}: {kind}{}", Answer(self))]
pub struct StorageError {
    /// What was attempted.
    pub operation: Operation,
    /// `container/blob`, the container, or `the account`.
    pub path: Box<str>,
    /// Status of the last answer; absent when no answer came.
    pub http_status: Option<u16>,
    /// The service's own code (`x-ms-error-code`), for example `ServerBusy`.
    pub code: Option<Box<str>>,
    /// The service's sentence, or ours when the request was not sent.
    pub message: Box<str>,
    /// `x-ms-request-id`: what Microsoft's support asks for.
    pub request_id: Option<Box<str>>,
    /// How many times the request was sent (0: refused before sending).
    pub attempts: u32,
    /// An earlier try may have taken effect although its answer was lost: a conflict or an unmet
    /// condition may then be our own doing, and the caller must read back before reporting it.
    pub ambiguous: bool,
    /// What it means.
    pub kind: ErrorKind,
    /// What the connection or the parser reported.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl StorageError {
    /// What it means.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What it leads to.
    pub fn class(&self) -> Class {
        self.kind.class()
    }

    /// A request that is refused here because the service could only refuse it or misread it.
    pub(crate) fn refused(operation: Operation, path: String, kind: ErrorKind, message: String) -> Self {
        StorageError {
            operation,
            path: path.into(),
            http_status: None,
            code: None,
            message: message.into(),
            request_id: None,
            attempts: 0,
            ambiguous: false,
            kind,
            source: None,
        }
    }
}

/// The parenthesis after the kind: status, code, request id, tries.
struct Answer<'a>(&'a StorageError);

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.0;
        if !error.message.is_empty() {
            write!(f, ": {}", error.message)?;
        }
        let mut facts = Vec::new();
        facts.extend(error.http_status.map(|status| format!("HTTP {status}")));
        facts.extend(error.code.as_deref().map(str::to_owned));
        facts.extend(error.request_id.as_ref().map(|id| format!("request id {id}")));
        if error.attempts > 1 {
            facts.push(format!("{} tries", error.attempts));
        }
        if facts.is_empty() { Ok(()) } else { write!(f, " ({})", facts.join(", ")) }
    }
}

/// The operations of this crate, as messages name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the REST operation of that name, or named by its text below")]
pub enum Operation {
    Probe,
    CreateContainer,
    ListContainers,
    PutBlob,
    PutBlock,
    PutBlockList,
    BlockList,
    CreatePageBlob,
    PutPage,
    ClearPages,
    ResizePageBlob,
    PageRanges,
    SetMetadata,
    SetProperties,
    Properties,
    Snapshot,
    Download,
    Delete,
    List,
    AcquireLease,
    RenewLease,
    ReleaseLease,
    BreakLease,
}

impl Operation {
    /// What is being done, as the beginning of a sentence that goes on with the blob's path.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Probe => "probing",
            Operation::CreateContainer => "creating the container",
            Operation::ListContainers => "listing the containers of",
            Operation::PutBlob => "putting the blob",
            Operation::PutBlock => "putting a block of",
            Operation::PutBlockList => "committing the blocks of",
            Operation::BlockList => "listing the blocks of",
            Operation::CreatePageBlob => "creating the page blob",
            Operation::PutPage => "putting pages of",
            Operation::ClearPages => "clearing pages of",
            Operation::ResizePageBlob => "resizing the page blob",
            Operation::PageRanges => "listing the page ranges of",
            Operation::SetMetadata => "setting the metadata of",
            Operation::SetProperties => "setting the properties of",
            Operation::Properties => "reading the properties of",
            Operation::Snapshot => "taking a snapshot of",
            Operation::Download => "downloading",
            Operation::Delete => "deleting",
            Operation::List => "listing",
            Operation::AcquireLease => "acquiring the lease of",
            Operation::RenewLease => "renewing the lease of",
            Operation::ReleaseLease => "releasing the lease of",
            Operation::BreakLease => "breaking the lease of",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a failed request means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ErrorKind {
    /// 401 or 403: signature, expiry, role, permission, firewall. [`crate::Account::probe`] tells
    /// whether this is so for everything or for one blob.
    #[error("the credential is refused")]
    Forbidden,
    /// The account is disabled, gone, or out of space.
    #[error("the account cannot take the request")]
    AccountUnavailable,
    /// The blob is not there.
    #[error("the blob does not exist")]
    NotFound,
    /// The container is not there.
    #[error("the container does not exist")]
    ContainerNotFound,
    /// The container was deleted a moment ago; its name is free again after half a minute or more.
    #[error("the container is being deleted")]
    ContainerBeingDeleted,
    /// `If-None-Match: *` met an existing blob.
    #[error("it exists already")]
    AlreadyExists,
    /// Another conflict with the blob's present state.
    #[error("it conflicts with the blob's state")]
    Conflict,
    /// The blob there is of another type.
    #[error("the blob has another type")]
    BlobTypeMismatch,
    /// A retention policy or legal hold keeps the blob as it is.
    #[error("the blob is immutable")]
    Immutable,
    /// `If-Match` or another condition did not hold.
    #[error("the condition is not met")]
    ConditionNotMet,
    /// The blob is leased by somebody else.
    #[error("the blob is leased")]
    LeasePresent,
    /// The lease that was named is gone: expired, broken, or another one.
    #[error("the lease is lost")]
    LeaseLost,
    /// 429 or 503: slower, please.
    #[error("the service is throttling")]
    Throttled,
    /// The service received other bytes than those whose digest came along, each time again.
    #[error("the bytes arrived damaged")]
    Md5Mismatch,
    /// The bytes changed in this machine's memory between digest and sending.
    #[error("the buffer changed in memory after its digest was taken")]
    MemoryFault,
    /// The MD5 to be stored with the blob is not that of its data.
    #[error("the MD5 to be stored differs from the data's")]
    StoredMd5Differs,
    /// Put Block List names a block that is not there, or ids of different lengths.
    #[error("the block list names a block that the service does not have")]
    InvalidBlockList,
    /// A range outside the blob.
    #[error("the range is outside the blob")]
    InvalidRange,
    /// The request or the reply is larger than allowed.
    #[error("it is too large")]
    TooLarge,
    /// A header (metadata, property) cannot be carried or is refused by the service.
    #[error("a metadata or property value is not acceptable")]
    InvalidHeader,
    /// Page blobs in an account that has none: hierarchical namespace, or of the wrong kind.
    #[error("this account cannot hold page blobs")]
    PageBlobsUnsupported,
    /// Any other refusal of the request itself.
    #[error("the request is refused")]
    BadRequest,
    /// No answer within the limit for the request's size.
    #[error("no answer in time")]
    Timeout,
    /// No connection, or it broke.
    #[error("the connection failed")]
    Connection,
    /// The server's certificate is not one that this station trusts.
    #[error("the server's certificate is not trusted")]
    TrustFailure,
    /// No token could be had from the identity provider.
    #[error("no token could be had")]
    NoToken,
    /// 500 and its like.
    #[error("the service failed")]
    ServerError,
    /// An answer that is not the service's: a proxy's page, broken XML, missing headers.
    #[error("the answer cannot be understood")]
    UnexpectedReply,
}

impl ErrorKind {
    /// What it leads to when the retries of this crate are used up.
    pub fn class(self) -> Class {
        match self {
            ErrorKind::Throttled
            | ErrorKind::Md5Mismatch
            | ErrorKind::Timeout
            | ErrorKind::Connection
            | ErrorKind::ServerError
            | ErrorKind::ContainerBeingDeleted
            | ErrorKind::UnexpectedReply => Class::RetryRequest,
            ErrorKind::NotFound
            | ErrorKind::ContainerNotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::Conflict
            | ErrorKind::BlobTypeMismatch
            | ErrorKind::Immutable
            | ErrorKind::ConditionNotMet
            | ErrorKind::LeasePresent
            | ErrorKind::LeaseLost
            | ErrorKind::StoredMd5Differs
            | ErrorKind::InvalidBlockList
            | ErrorKind::InvalidRange
            | ErrorKind::TooLarge
            | ErrorKind::InvalidHeader
            | ErrorKind::PageBlobsUnsupported
            | ErrorKind::BadRequest => Class::FailBlob,
            ErrorKind::Forbidden
            | ErrorKind::AccountUnavailable
            | ErrorKind::TrustFailure
            | ErrorKind::NoToken => Class::HoldForCustomer,
            ErrorKind::MemoryFault => Class::StopStation,
        }
    }

    /// Sorts an answer of the service. The code decides where there is one (a HEAD reply has it in
    /// a header only), the status otherwise.
    pub(crate) fn of_answer(operation: Operation, status: u16, code: Option<&str>) -> ErrorKind {
        code.and_then(|code| of_code(operation, code)).unwrap_or_else(|| of_status(status))
    }
}

fn of_code(operation: Operation, code: &str) -> Option<ErrorKind> {
    Some(match code {
        "AccountIsDisabled"
        | "AccountNotFound"
        | "AccountBeingCreated"
        | "InsufficientSpace"
        | "AccountQuotaExceeded"
        | "StorageQuotaExceeded" => ErrorKind::AccountUnavailable,
        // An account that takes no writes. A probe writes nothing, and learns only that it may not ask.
        "InsufficientAccountPermissions" if operation != Operation::Probe => ErrorKind::AccountUnavailable,
        "BlobNotFound" | "ResourceNotFound" => ErrorKind::NotFound,
        "ContainerNotFound" => ErrorKind::ContainerNotFound,
        "ContainerBeingDeleted" => ErrorKind::ContainerBeingDeleted,
        "BlobAlreadyExists" | "ContainerAlreadyExists" | "ResourceAlreadyExists" => ErrorKind::AlreadyExists,
        "InvalidBlobType" | "BlobTypeMismatch" | "ResourceTypeMismatch" => ErrorKind::BlobTypeMismatch,
        "BlobImmutableDueToPolicy" | "BlobImmutableDueToLegalHold" => ErrorKind::Immutable,
        "ConditionNotMet" | "TargetConditionNotMet" => ErrorKind::ConditionNotMet,
        "LeaseIdMissing" | "LeaseAlreadyPresent" | "LeaseIsBreakingAndCannotBeAcquired" => {
            ErrorKind::LeasePresent
        }
        "LeaseIdMismatchWithBlobOperation"
        | "LeaseIdMismatchWithLeaseOperation"
        | "LeaseLost"
        | "LeaseNotPresentWithBlobOperation"
        | "LeaseNotPresentWithLeaseOperation"
        | "LeaseIsBrokenAndCannotBeRenewed"
        | "LeaseIsBreakingAndCannotBeChanged"
        | "LeaseAlreadyBroken" => ErrorKind::LeaseLost,
        "ServerBusy" | "TooManyRequests" => ErrorKind::Throttled,
        "Md5Mismatch" | "Crc64Mismatch" => ErrorKind::Md5Mismatch,
        "InvalidBlockList"
        | "InvalidBlockId"
        | "BlockListTooLong"
        | "BlockCountExceedsLimit"
        | "InvalidBlobOrBlock" => ErrorKind::InvalidBlockList,
        "InvalidRange" | "InvalidPageRange" => ErrorKind::InvalidRange,
        "RequestBodyTooLarge" => ErrorKind::TooLarge,
        "InvalidMetadata" | "EmptyMetadataKey" | "MetadataTooLarge" | "InvalidHeaderValue"
        | "UnsupportedHeader" | "InvalidMd5" => ErrorKind::InvalidHeader,
        "FeatureNotYetSupportedForHierarchicalNamespaceAccounts"
        | "BlobTypeNotSupported"
        | "UnsupportedBlobType"
        | "HierarchicalNamespaceNotSupported"
            if operation == Operation::CreatePageBlob =>
        {
            ErrorKind::PageBlobsUnsupported
        }
        "OperationTimedOut" | "InternalError" => ErrorKind::ServerError,
        _ => return None,
    })
}

fn of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Forbidden,
        404 | 410 => ErrorKind::NotFound,
        408 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        304 | 412 => ErrorKind::ConditionNotMet,
        413 => ErrorKind::TooLarge,
        416 => ErrorKind::InvalidRange,
        429 | 503 => ErrorKind::Throttled,
        501 | 505 => ErrorKind::BadRequest,
        507 => ErrorKind::AccountUnavailable,
        400..=499 => ErrorKind::BadRequest,
        500..=599 => ErrorKind::ServerError,
        _ => ErrorKind::UnexpectedReply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_outweighs_its_status() {
        let kind = |status, code| ErrorKind::of_answer(Operation::PutBlockList, status, Some(code));
        assert_eq!(kind(409, "BlobAlreadyExists"), ErrorKind::AlreadyExists);
        assert_eq!(kind(412, "LeaseIdMissing"), ErrorKind::LeasePresent);
        assert_eq!(kind(412, "ConditionNotMet"), ErrorKind::ConditionNotMet);
        assert_eq!(kind(404, "ContainerNotFound"), ErrorKind::ContainerNotFound);
        assert_eq!(kind(400, "Md5Mismatch"), ErrorKind::Md5Mismatch);
        assert_eq!(kind(400, "InvalidBlobOrBlock"), ErrorKind::InvalidBlockList);
        assert_eq!(kind(409, "AccountIsDisabled"), ErrorKind::AccountUnavailable);
        assert_eq!(kind(403, "InsufficientAccountPermissions"), ErrorKind::AccountUnavailable);
        assert_eq!(kind(503, "SomethingNew"), ErrorKind::Throttled);
    }

    #[test]
    fn without_a_code_the_status_decides() {
        for (status, expected) in [
            (401, ErrorKind::Forbidden),
            (403, ErrorKind::Forbidden),
            (404, ErrorKind::NotFound),
            (409, ErrorKind::Conflict),
            (412, ErrorKind::ConditionNotMet),
            (416, ErrorKind::InvalidRange),
            (429, ErrorKind::Throttled),
            (503, ErrorKind::Throttled),
            (500, ErrorKind::ServerError),
            (504, ErrorKind::ServerError),
            (418, ErrorKind::BadRequest),
            (302, ErrorKind::UnexpectedReply),
        ] {
            assert_eq!(ErrorKind::of_answer(Operation::Properties, status, None), expected, "{status}");
        }
    }

    #[test]
    fn the_text_names_operation_blob_answer_and_tries_but_not_the_source() {
        let error = StorageError {
            operation: Operation::PutBlock,
            path: "backups/a b.vhd".into(),
            http_status: Some(503),
            code: Some("ServerBusy".into()),
            message: "Ingress is over the account limit.".into(),
            request_id: Some("1-2-3".into()),
            attempts: 8,
            ambiguous: true,
            kind: ErrorKind::Throttled,
            source: Some("secret cause".into()),
        };
        assert_eq!(
            error.to_string(),
            "putting a block of backups/a b.vhd: the service is throttling: Ingress is over the account \
             limit. (HTTP 503, ServerBusy, request id 1-2-3, 8 tries)"
        );
    }
}
