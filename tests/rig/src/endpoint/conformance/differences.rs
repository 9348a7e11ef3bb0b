//! Where Azurite 3.37 is known to differ from the service: spec/azure-storage.md §4.2 and what the
//! suite itself found. Data, not skips: the suite asserts each of these values.

/// A point at which a server is known to give something else than the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// The check's name.
    pub check: &'static str,
    /// The point's label.
    pub label: &'static str,
    /// What the server gives.
    pub observed: &'static str,
    /// Why it is not held against it.
    pub reason: &'static str,
}

/// Azurite 3.37.0's differences.
pub const AZURITE_3_37: &[Difference] = &[
    differs(
        "the account tells its kind",
        "header x-ms-version",
        "2026-06-06",
        "tells its own version, whatever the request speaks",
    ),
    differs(
        "put blob checks what it is sent",
        "no type",
        "400",
        "a missing parameter is refused without a code",
    ),
    differs(
        "a blob is read whole and in ranges",
        "outside",
        "206",
        "a range that begins at the end gives nothing instead of a refusal",
    ),
    differs(
        "a blob is read whole and in ranges",
        "with crc64",
        "-",
        "does not do x-ms-range-get-content-crc64 (spec §4.2)",
    ),
    differs(
        "a blob is read whole and in ranges",
        "md5 of more than 4 MiB",
        "206",
        "does not limit the range (spec §4.2)",
    ),
    differs("metadata is replaced as a whole", "more than 8 KiB", "200", "does not limit metadata"),
    differs("a blob's name is taken exactly", "1,025 characters", "201", "does not limit names"),
    differs("an overwritten blob is the new one", "by a page blob", "201", "lets a blob change its type"),
    differs(
        "what is not known is refused",
        "a header",
        "201",
        "ignores headers that it does not know (spec §4.2)",
    ),
    differs(
        "what is not known is refused",
        "a version that is no date",
        "201",
        "runs here without its version check",
    ),
    differs(
        "what is not known is refused",
        "a blob type",
        "400",
        "a parameter outside its list is refused without a code",
    ),
    differs(
        "put block checks what it is sent",
        "header content-md5",
        "-",
        "does not give the MD5 back (spec §4.2)",
    ),
    differs("put block checks what it is sent", "empty", "201", "takes empty blocks (spec §4.2)"),
    differs(
        "uncommitted blocks are invisible",
        "it does not exist for a condition",
        "409 BlobAlreadyExists",
        "to a Put Blob with if-none-match, uncommitted blocks are a blob",
    ),
    differs(
        "uncommitted blocks are invisible",
        "delete",
        "202",
        "deletes uncommitted blocks as if they were a blob",
    ),
    differs(
        "a block list that names what is not there changes nothing",
        "not XML",
        "400",
        "XML that cannot be read is refused without a code",
    ),
    differs(
        "a block list that names what is not there changes nothing",
        "wrong md5 of the list",
        "201",
        "ignores the list's MD5 (spec §4.2)",
    ),
    differs(
        "a block list that names what is not there changes nothing",
        "50,001 blocks",
        "201",
        "does not limit lists",
    ),
    differs(
        "blocks that are not named are dropped",
        "after a put blob",
        "201",
        "keeps uncommitted blocks when a Put Blob lands",
    ),
    differs("blocks that are not named are dropped", "content", "three", "follows from the point before"),
    differs("a page blob begins as zeros", "unaligned", "400 InvalidOperation", "another code (spec §4.2)"),
    differs("a page blob begins as zeros", "more than 8 TiB", "201", "does not limit page blobs (spec §4.2)"),
    differs(
        "a page blob begins as zeros",
        "no length",
        "400",
        "a missing parameter is refused without a code",
    ),
    differs(
        "put page checks what it is sent",
        "unaligned",
        "416 Requested Range Not Satisfiable",
        "another code (spec §4.2)",
    ),
    differs(
        "put page checks what it is sent",
        "outside",
        "416 Requested Range Not Satisfiable",
        "another code",
    ),
    differs(
        "put page checks what it is sent",
        "more than 4 MiB",
        "201",
        "does not limit Put Page (spec §4.2)",
    ),
    differs("put page checks what it is sent", "more bytes than the range", "416", "another status"),
    differs(
        "page ranges come in pages",
        "first page",
        "0-511 1024-1535 2048-2559",
        "ignores maxresults (spec §4.2)",
    ),
    differs(
        "page ranges come in pages",
        "second page",
        "0-511 1024-1535 2048-2559",
        "ignores the marker (spec §4.2)",
    ),
    differs("a page blob can be resized", "a block blob", "400 InvalidOperation", "another code"),
    differs("the five lease actions", "an id that is none", "201", "takes any lease id"),
    differs(
        "a listing can be narrowed, folded and paged",
        "pages of none",
        "400",
        "a parameter outside its range is refused without a code",
    ),
    differs(
        "the account's key has to fit",
        "wrong signature",
        "403 AuthorizationFailure",
        "one code for every signature that does not fit",
    ),
    differs("the account's key has to fit", "16 minutes ago", "200", "does not compare clocks"),
    differs("the account's key has to fit", "in 16 minutes", "200", "does not compare clocks"),
    differs(
        "a container's signature allows what it says",
        "another container",
        "403 AuthorizationFailure",
        "one code for every signature that does not fit",
    ),
    differs(
        "a blob's signature is for that blob",
        "another blob",
        "403 AuthorizationFailure",
        "one code for every signature that does not fit",
    ),
    differs(
        "a signature has its limits",
        "expired",
        "403 AuthorizationFailure",
        "one code for every signature that does not fit",
    ),
    differs(
        "a signature has its limits",
        "not begun",
        "403 AuthorizationFailure",
        "one code for every signature that does not fit",
    ),
    differs("a signature has its limits", "other addresses", "200", "does not compare addresses (spec §4.2)"),
    differs(
        "a signature has its limits",
        "forged",
        "403 AuthorizationFailure",
        "one code for every signature that does not fit",
    ),
    differs(
        "a stored access policy can be revoked",
        "read by it after",
        "403 AuthorizationFailure",
        "one code for every signature that does not fit",
    ),
];

const fn differs(
    check: &'static str,
    label: &'static str,
    observed: &'static str,
    reason: &'static str,
) -> Difference {
    Difference { check, label, observed, reason }
}
