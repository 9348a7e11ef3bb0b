"""Records what the official Python client (azure-storage-blob 12.31.1) signs, as JSON on stdout.

    pip install azure-storage-blob==12.31.1
    python python-client.py > python-client.json

It talks to a recorder on loopback with the development account's published key, so the output
holds requests (method, target, headers with their Authorization) and SAS fields, and no secret.
"""
import datetime
import http.server
import json
import threading
from urllib.parse import parse_qs

from azure.core import MatchConditions
from azure.storage.blob import (
    AccountSasPermissions, BlobBlock, BlobSasPermissions, BlobServiceClient, ContainerSasPermissions,
    ContentSettings, ResourceTypes, generate_account_sas, generate_blob_sas, generate_container_sas,
)
from azure.storage.blob._shared import shared_access_signature
from azure.storage.blob import _shared_access_signature as blob_signature

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
SAS_VERSION = "2023-11-03"
UNSIGNED = {"host", "connection", "accept-encoding", "user-agent", "content-length", "accept"}
ANSWER = {
    "ETag": '"0x1"', "Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT", "Content-Length": "0",
    "x-ms-blob-type": "BlockBlob", "x-ms-lease-id": "00000000-0000-0000-0000-000000000000",
}
seen = []


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def record(self):
        length = int(self.headers.get("content-length") or 0)
        self.rfile.read(length)
        headers = {k.lower(): v for k, v in self.headers.items() if k.lower() not in UNSIGNED}
        seen.append(dict(method=self.command, target=self.path, body_length=length, headers=headers))
        self.send_response(201 if self.command == "PUT" else 200)
        for name, value in ANSWER.items():
            self.send_header(name, value)
        self.end_headers()

    do_GET = do_PUT = do_HEAD = do_DELETE = record

    def log_message(self, *_):
        pass


def attempt(call):
    """The recorder's answers do not satisfy every call; the request was recorded all the same."""
    try:
        call()
    except Exception:
        pass


def requests(port):
    service = BlobServiceClient(
        f"http://127.0.0.1:{port}/{ACCOUNT}",
        credential={"account_name": ACCOUNT, "account_key": KEY}, retry_total=0)
    container = service.get_container_client("abc")
    blob = container.get_blob_client("a b/ü%41+#?&.txt")
    page = container.get_blob_client("disk.vhd")
    settings = ContentSettings(
        content_type="text/plain; charset=utf-8", content_encoding="gzip", content_language="de-DE",
        cache_control="no-cache")
    attempt(container.create_container)
    attempt(lambda: blob.upload_blob(
        b"hello world", overwrite=False, metadata={"project": "x y", "z_1": "v"},
        content_settings=settings, validate_content=True))
    attempt(lambda: blob.stage_block("QUFB", b"0123456789", validate_content=True))
    attempt(lambda: blob.commit_block_list(
        [BlobBlock("AAA")], etag='"0x8D"', match_condition=MatchConditions.IfNotModified))
    attempt(blob.get_blob_properties)
    attempt(lambda: blob.download_blob(offset=5, length=100))
    attempt(lambda: list(container.list_blobs(name_starts_with="a b/ü", include=["metadata"])))
    attempt(lambda: page.create_page_blob(1024))
    attempt(lambda: page.upload_page(b"x" * 512, offset=512, length=512, validate_content=True))
    attempt(lambda: page.acquire_lease(lease_duration=15))
    attempt(blob.delete_blob)
    attempt(service.get_account_information)
    return seen


def signatures():
    shared_access_signature.SharedAccessSignature.__init__.__defaults__ = (SAS_VERSION,)
    blob_signature.X_MS_VERSION = SAS_VERSION
    start = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    expiry = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    account = generate_account_sas(
        ACCOUNT, KEY, ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions.from_string("rwdlac"), expiry, start=start, protocol="https")
    container = generate_container_sas(
        ACCOUNT, "abc", account_key=KEY, permission=ContainerSasPermissions.from_string("racwdl"),
        expiry=expiry, start=start, ip="10.0.0.1-10.0.0.9", protocol="https,http")
    blob = generate_blob_sas(
        ACCOUNT, "abc", "a b/ü%41+#.txt", account_key=KEY,
        permission=BlobSasPermissions.from_string("r"), expiry=expiry, protocol="https")
    fields = lambda sas: {name: values[0] for name, values in parse_qs(sas).items()}
    return {"account": fields(account), "container": fields(container), "blob": fields(blob)}


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"requests": requests(server.server_address[1]), "sas": signatures()}, indent=1))
