"""Reads containers back with the official Python client, for a test to compare.

Arguments: the connection string, then the containers' names. Prints one JSON array: an object for
every blob, with the SHA-256 and the length of what was downloaded.
"""

import hashlib
import json
import sys

from azure.storage.blob import BlobServiceClient


def read(container, listed):
    """One blob: listed, asked about, and downloaded piece by piece."""
    blob = container.get_blob_client(listed.name)
    told = blob.get_blob_properties()
    digest, length = hashlib.sha256(), 0
    for piece in blob.download_blob(validate_content=True).chunks():
        digest.update(piece)
        length += len(piece)
    assert length == listed.size == told.size, f"{listed.name}: {length}, {listed.size}, {told.size}"
    return {
        "blob": f"{container.container_name}/{listed.name}",
        "type": str(told.blob_type.value),
        "length": length,
        "sha256": digest.hexdigest(),
        "metadata": told.metadata,
        "content_type": told.content_settings.content_type,
        "lease_state": told.lease.state,
    }


def main(connection_string, *names):
    service = BlobServiceClient.from_connection_string(connection_string, retry_total=0)
    containers = [service.get_container_client(name) for name in names]
    found = [read(container, listed) for container in containers for listed in container.list_blobs()]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
