"""Walks the official Python client through the operations that Drayage uses, against our endpoint.

Arguments: the connection string, a container's name. Exits with 0 when everything was as expected;
otherwise the failed assertion says what was not.
"""

import base64
import hashlib
import sys
from datetime import datetime, timedelta, timezone

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import AccountSasPermissions, BlobBlock, BlobClient, BlobSasPermissions
from azure.storage.blob import BlobServiceClient, BlobType, ContainerClient, ContainerSasPermissions
from azure.storage.blob import ContentSettings, ResourceTypes, StandardBlobTier
from azure.storage.blob import generate_account_sas, generate_blob_sas, generate_container_sas


def refused(code, call, *arguments, **named):
    """Asserts that a call is refused with this error code."""
    try:
        call(*arguments, **named)
    except HttpResponseError as error:
        assert error.error_code == code, f"{error.error_code} instead of {code}: {error.message}"
        return
    raise AssertionError(f"not refused with {code}")


def in_an_hour():
    return datetime.now(timezone.utc) + timedelta(hours=1)


def account(service, container):
    kind = service.get_account_information()
    assert kind["account_kind"] == "StorageV2" and kind["is_hns_enabled"] is False
    container.create_container(metadata={"job": "7"})
    refused("ContainerAlreadyExists", container.create_container)
    assert container.get_container_properties().metadata == {"job": "7"}
    assert container.container_name in [each.name for each in service.list_containers()]


def blocks(container):
    blob = container.get_blob_client("blocks/ü b+c%20d.bin")
    pieces = {f"block-{number:04}": bytes([number]) * 70_000 for number in range(5)}
    for name, piece in pieces.items():
        blob.stage_block(name, piece, validate_content=True)
    committed, uncommitted = blob.get_block_list("all")
    assert not committed and sorted(each.id for each in uncommitted) == sorted(pieces)
    assert not blob.exists()
    whole = b"".join(pieces.values())
    digest = hashlib.md5(whole).digest()
    settings = ContentSettings(content_type="x/y", content_md5=bytearray(digest), cache_control="no-store")
    blob.commit_block_list(
        [BlobBlock(name) for name in pieces],
        content_settings=settings,
        metadata={"job": "7"},
        standard_blob_tier=StandardBlobTier.COOL,
        validate_content=True,
    )
    assert blob.download_blob(validate_content=True).readall() == whole
    assert blob.download_blob(offset=69_999, length=2).readall() == b"\x00\x01"
    told = blob.get_blob_properties()
    assert told.size == len(whole) and told.content_settings.content_type == "x/y"
    assert bytes(told.content_settings.content_md5) == digest
    assert told.metadata == {"job": "7"} and told.blob_tier == "Cool"
    committed, uncommitted = blob.get_block_list("all")
    assert [each.id for each in committed] == list(pieces) and not uncommitted
    refused("InvalidBlockList", blob.commit_block_list, [BlobBlock("block-9999")])


def whole_blobs(container):
    blob = container.upload_blob("whole", b"hello", validate_content=True)
    try:
        container.upload_blob("whole", b"again")
        raise AssertionError("overwritten")
    except ResourceExistsError:
        pass
    container.upload_blob("whole", b"again", overwrite=True)
    assert blob.download_blob().readall() == b"again"
    large = bytes(range(256)) * 40_000
    split = {"max_single_put_size": 1 << 20, "max_block_size": 1 << 20}
    connection = ContainerClient(container.url, container.container_name, container.credential, **split)
    split_blob = BlobClient(
        container.url.rsplit("/", 1)[0], container.container_name, "split", credential=container.credential, **split
    )
    split_blob.upload_blob(large, max_concurrency=4, validate_content=True)
    assert split_blob.download_blob(max_concurrency=4).readall() == large
    blob.set_blob_metadata({"a": "1"})
    blob.set_http_headers(ContentSettings(content_type="text/plain"))
    blob.set_standard_blob_tier("Cool")
    told = blob.get_blob_properties()
    assert told.metadata == {"a": "1"} and told.content_settings.content_type == "text/plain"
    assert connection.container_name == container.container_name


def conditions(container):
    blob = container.get_blob_client("conditional")
    first = blob.upload_blob(b"1")["etag"]
    blob.upload_blob(b"2", overwrite=True, etag=first, match_condition=MatchConditions.IfNotModified)
    try:
        blob.upload_blob(b"3", overwrite=True, etag=first, match_condition=MatchConditions.IfNotModified)
        raise AssertionError("overwritten")
    except ResourceModifiedError as error:
        assert error.error_code == "ConditionNotMet"
    refused("BlobNotFound", container.get_blob_client("none").delete_blob)
    try:
        container.get_blob_client("none").get_blob_properties()
        raise AssertionError("found")
    except ResourceNotFoundError:
        pass


def leases(container):
    blob = container.get_blob_client("leased")
    blob.upload_blob(b"1")
    lease = blob.acquire_lease(lease_duration=15)
    refused("LeaseIdMissing", blob.upload_blob, b"2", overwrite=True)
    refused("LeaseAlreadyPresent", blob.acquire_lease)
    blob.upload_blob(b"2", overwrite=True, lease=lease)
    lease.renew()
    old = lease.id
    lease.change("11111111-2222-4333-8444-555555555555")
    refused("LeaseIdMismatchWithBlobOperation", blob.upload_blob, b"3", overwrite=True, lease=old)
    assert lease.break_lease(lease_break_period=0) == 0
    blob.upload_blob(b"3", overwrite=True)
    assert blob.get_blob_properties().lease.state in ("broken", "available")


def pages(container):
    blob = container.get_blob_client("pages.vhd")
    blob.create_page_blob(1 << 20, sequence_number=3)
    blob.upload_page(b"\x01" * 4096, offset=8192, length=4096, validate_content=True)
    blob.upload_page(b"\x02" * 512, offset=0, length=512)
    blob.clear_page(offset=8192, length=512)
    found = [(each.start, each.end) for each in blob.list_page_ranges()]
    assert found == [(0, 511), (8704, 12287)], found
    blob.resize_blob(2 << 20)
    whole = blob.download_blob().readall()
    assert len(whole) == 2 << 20 and whole[8704:12288] == b"\x01" * 3584 and whole[8192:8704] == bytes(512)
    told = blob.get_blob_properties()
    assert told.blob_type == BlobType.PAGEBLOB and told.page_blob_sequence_number == 3
    refused("InvalidPageRange", blob.upload_page, bytes(512), offset=2 << 20, length=512)


def snapshots(container):
    blob = container.get_blob_client("snapped")
    blob.upload_blob(b"old")
    taken = blob.create_snapshot()["snapshot"]
    blob.upload_blob(b"new", overwrite=True)
    old = container.get_blob_client("snapped", snapshot=taken)
    assert old.download_blob().readall() == b"old"
    refused("SnapshotsPresent", blob.delete_blob)
    listed = [each.snapshot for each in container.list_blobs("snapped", include=["snapshots"])]
    assert listed == [taken, None], listed
    blob.delete_blob(delete_snapshots="include")


def listing(container):
    for name in ("l/a", "l/b/1", "l/b/2", "l/c"):
        container.upload_blob(name, b"x", metadata={"n": "1"})
    pages_of_two = container.list_blobs("l/", results_per_page=2, include=["metadata"]).by_page()
    names = [[each.name for each in page] for page in pages_of_two]
    assert names == [["l/a", "l/b/1"], ["l/b/2", "l/c"]], names
    walked = [each.name for each in container.walk_blobs("l/")]
    assert sorted(walked) == ["l/a", "l/b/", "l/c"], walked
    assert all(each.metadata == {"n": "1"} for each in container.list_blobs("l/", include=["metadata"]))


def signatures(service, container):
    name, key = service.account_name, service.credential.account_key
    container.upload_blob("signed", b"1", overwrite=True)

    def client(sas, blob="signed"):
        return BlobClient(service.url.split("?")[0], container.container_name, blob, credential=sas)

    of_account = generate_account_sas(
        name,
        key,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(read=True, write=True, create=True, list=True),
        in_an_hour(),
    )
    assert client(of_account).download_blob().readall() == b"1"
    client(of_account, "new by sas").upload_blob(b"2")
    refused("AuthorizationPermissionMismatch", client(of_account).delete_blob)
    of_container = generate_container_sas(
        name,
        container.container_name,
        account_key=key,
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=in_an_hour(),
    )
    assert client(of_container).download_blob().readall() == b"1"
    refused("AuthorizationPermissionMismatch", client(of_container).upload_blob, b"2", overwrite=True)
    of_blob = generate_blob_sas(
        name,
        container.container_name,
        "signed",
        account_key=key,
        permission=BlobSasPermissions(read=True, write=True),
        expiry=in_an_hour(),
    )
    client(of_blob).upload_blob(b"3", overwrite=True)
    refused("AuthenticationFailed", client(of_blob, "new by sas").download_blob)
    expired = generate_blob_sas(
        name,
        container.container_name,
        "signed",
        account_key=key,
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(timezone.utc) - timedelta(hours=1),
    )
    refused("AuthenticationFailed", client(expired).download_blob)
    wrong_key = base64.b64encode(b"another key").decode()
    stranger = BlobServiceClient(service.url, {"account_name": name, "account_key": wrong_key})
    refused("AuthenticationFailed", stranger.get_account_information)


def main(connection_string, container_name):
    service = BlobServiceClient.from_connection_string(connection_string, retry_total=0)
    container = service.get_container_client(container_name)
    account(service, container)
    for walk in (blocks, whole_blobs, conditions, leases, pages, snapshots, listing):
        walk(container)
    signatures(service, container)
    container.get_blob_client("whole").delete_blob()
    other = service.create_container(container_name + "-other")
    other.delete_container()
    print("everything was as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
