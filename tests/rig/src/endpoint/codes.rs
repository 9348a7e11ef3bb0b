//! The service's refusals: status, code, and a sentence of our own; and the XML body they travel in.
//!
//! One constant a code, so that a grep for a code finds who gives it. The statuses and codes are
//! those of the REST reference (blob service error codes, common error codes).

use std::fmt;

/// A refusal's identity: HTTP status, error code, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// HTTP status.
    pub status: u16,
    /// The value of `x-ms-error-code`.
    pub code: &'static str,
    /// One sentence for a person.
    pub message: &'static str,
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// Further elements of the error body, name and text.
    pub(crate) details: Vec<(&'static str, String)>,
    /// Further headers of the reply.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Refusal {
    /// A refusal with an element that tells more.
    pub(crate) fn detail(mut self, name: &'static str, text: impl fmt::Display) -> Refusal {
        self.details.push((name, text.to_string()));
        self
    }

    /// A refusal whose reply carries one more header.
    pub(crate) fn header(mut self, name: &'static str, value: impl fmt::Display) -> Refusal {
        self.headers.push((name, value.to_string()));
        self
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Refusal {
        let Code { status, code, message } = code;
        let (details, headers) = (Vec::new(), Vec::new());
        Refusal { status, code: code.to_owned(), message: message.to_owned(), details, headers }
    }
}

impl Code {
    /// The refusal with one more element in its body.
    pub(crate) fn detail(self, name: &'static str, text: impl fmt::Display) -> Refusal {
        Refusal::from(self).detail(name, text)
    }

    /// The refusal of a header, which the service names.
    pub(crate) fn of_header(self, name: &str, value: &str) -> Refusal {
        self.detail("HeaderName", name).detail("HeaderValue", value)
    }

    /// The refusal of a query parameter, which the service names.
    pub(crate) fn of_query(self, name: &str, value: &str) -> Refusal {
        self.detail("QueryParameterName", name).detail("QueryParameterValue", value)
    }
}

macro_rules! codes {
    ($($name:ident $status:literal $code:literal $message:literal;)*) => {
        $(pub(crate) const $name: Code = Code { status: $status, code: $code, message: $message };)*
        /// Every refusal that the endpoint can give by itself.
        #[cfg(test)]
        pub(crate) const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    NOT_MODIFIED 304 "ConditionNotMet" "Nothing newer than the condition names.";
    AUTHENTICATION_FORMAT 400 "InvalidAuthenticationInfo" "The Authorization header cannot be read.";
    BLOCK_LIST_TOO_LONG 400 "BlockListTooLong" "A block list holds at most 50,000 blocks.";
    BOTH_CHECKSUMS 400 "BothCrc64AndMd5HeaderPresent" "A request carries an MD5 or a CRC64, not both.";
    CRC64_MISMATCH 400 "Crc64Mismatch" "The body does not have the CRC64 that came with it.";
    INVALID_BLOB_OR_BLOCK 400 "InvalidBlobOrBlock" "The block id does not have the length of this blob's other block ids.";
    INVALID_BLOCK_LIST 400 "InvalidBlockList" "The list names a block that is not there.";
    INVALID_HEADER 400 "InvalidHeaderValue" "A header's value is not in its format.";
    INVALID_MD5 400 "InvalidMd5" "An MD5 is 16 bytes in base64.";
    INVALID_METADATA 400 "InvalidMetadata" "A metadata name is not an identifier.";
    INVALID_NAME 400 "InvalidResourceName" "The name has characters that a name cannot have.";
    INVALID_QUERY 400 "InvalidQueryParameterValue" "A query parameter's value is not valid.";
    INVALID_URI 400 "InvalidUri" "The path does not name anything on this service.";
    INVALID_XML 400 "InvalidXmlDocument" "The body is not the XML that this operation takes.";
    MD5_MISMATCH 400 "Md5Mismatch" "The body does not have the MD5 that came with it.";
    METADATA_TOO_LARGE 400 "MetadataTooLarge" "Metadata is limited to 8 KiB.";
    MISSING_HEADER 400 "MissingRequiredHeader" "A header that this operation needs is missing.";
    MISSING_QUERY 400 "MissingRequiredQueryParameter" "A query parameter that this operation needs is missing.";
    OUT_OF_RANGE 400 "OutOfRangeInput" "An input is outside its range.";
    OUT_OF_RANGE_QUERY 400 "OutOfRangeQueryParameterValue" "A query parameter is outside its range.";
    UNSATISFIABLE 400 "UnsatisfiableCondition" "The condition can never be met for this operation.";
    UNSUPPORTED_HEADER 400 "UnsupportedHeader" "The service does not know this header.";
    NO_TOKEN 401 "NoAuthenticationInformation" "The request carries no credential.";
    TOKEN_REFUSED 401 "InvalidAuthenticationInfo" "The token is not one that this account accepts.";
    ACCOUNT_FULL 403 "InsufficientAccountPermissions" "The account takes no more data: write operations are not allowed.";
    AUTHENTICATION_FAILED 403 "AuthenticationFailed" "The signature does not fit the request.";
    AUTHORIZATION_FAILURE 403 "AuthorizationFailure" "The credential does not cover this operation.";
    PERMISSION_MISMATCH 403 "AuthorizationPermissionMismatch" "The signature does not have the permission for this operation.";
    PROTOCOL_MISMATCH 403 "AuthorizationProtocolMismatch" "The signature is for https only.";
    RESOURCE_TYPE_MISMATCH 403 "AuthorizationResourceTypeMismatch" "The signature does not cover this kind of resource.";
    SERVICE_MISMATCH 403 "AuthorizationServiceMismatch" "The signature does not cover the blob service.";
    SOURCE_IP_MISMATCH 403 "AuthorizationSourceIPMismatch" "The signature is for other addresses.";
    BLOB_NOT_FOUND 404 "BlobNotFound" "There is no such blob.";
    CONTAINER_NOT_FOUND 404 "ContainerNotFound" "There is no such container.";
    RESOURCE_NOT_FOUND 404 "ResourceNotFound" "There is no such resource.";
    BLOB_EXISTS 409 "BlobAlreadyExists" "There is such a blob already.";
    BLOCK_COUNT 409 "BlockCountExceedsLimit" "A blob may have 100,000 uncommitted blocks.";
    CONTAINER_EXISTS 409 "ContainerAlreadyExists" "There is such a container already.";
    HNS_UNSUPPORTED 409 "FeatureNotYetSupportedForHierarchicalNamespaceAccounts" "An account with a hierarchical namespace does not do this.";
    PUBLIC_ACCESS 409 "PublicAccessNotPermitted" "The account does not allow public access.";
    INVALID_BLOB_TYPE 409 "InvalidBlobType" "The blob's type does not fit the operation.";
    LEASE_ALREADY_PRESENT 409 "LeaseAlreadyPresent" "There is a lease already.";
    LEASE_BREAKING_ACQUIRE 409 "LeaseIsBreakingAndCannotBeAcquired" "The lease is breaking.";
    LEASE_BREAKING_CHANGE 409 "LeaseIsBreakingAndCannotBeChanged" "The lease is breaking.";
    LEASE_BROKEN_RENEW 409 "LeaseIsBrokenAndCannotBeRenewed" "The lease was broken.";
    LEASE_MISMATCH_LEASE 409 "LeaseIdMismatchWithLeaseOperation" "That is not the lease's id.";
    LEASE_NONE_LEASE 409 "LeaseNotPresentWithLeaseOperation" "There is no lease.";
    PATH_CONFLICT 409 "PathConflict" "The path, or a part of it, is a file where a directory is meant or the reverse.";
    BLOB_ARCHIVED 409 "BlobArchived" "An archived blob has to be brought back before it is read.";
    SNAPSHOTS_PRESENT 409 "SnapshotsPresent" "The blob has snapshots.";
    NO_LENGTH 411 "MissingContentLengthHeader" "A body needs its Content-Length.";
    CONDITION_NOT_MET 412 "ConditionNotMet" "The condition does not hold.";
    LEASE_LOST 412 "LeaseLost" "The lease has run out.";
    LEASE_MISSING 412 "LeaseIdMissing" "There is a lease, and the request does not name it.";
    LEASE_MISMATCH_BLOB 412 "LeaseIdMismatchWithBlobOperation" "That is not the blob's lease.";
    LEASE_MISMATCH_CONTAINER 412 "LeaseIdMismatchWithContainerOperation" "That is not the container's lease.";
    LEASE_NONE_BLOB 412 "LeaseNotPresentWithBlobOperation" "The blob has no lease.";
    LEASE_NONE_CONTAINER 412 "LeaseNotPresentWithContainerOperation" "The container has no lease.";
    SEQUENCE_NOT_MET 412 "SequenceNumberConditionNotMet" "The sequence number condition does not hold.";
    BODY_TOO_LARGE 413 "RequestBodyTooLarge" "The body is larger than this operation takes.";
    INVALID_PAGE_RANGE 416 "InvalidPageRange" "A page range begins and ends at multiples of 512, inside the blob.";
    INVALID_RANGE 416 "InvalidRange" "The range does not lie inside the blob.";
    INTERNAL 500 "InternalError" "The endpoint could not carry it out.";
    NOT_IMPLEMENTED 501 "NotImplemented" "This test double does not do that operation.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_status_of_a_refusal_and_its_own_pair_of_status_and_code() {
        for (position, code) in ALL.iter().enumerate() {
            assert!(code.status == 304 || (400..600).contains(&code.status), "{code:?}");
            let twins = ALL.iter().filter(|other| (other.status, other.code) == (code.status, code.code));
            assert_eq!(twins.count(), 1, "{code:?} at {position}");
        }
    }
}
