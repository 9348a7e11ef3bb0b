"""Drives the station's job API with the official Import/Export client and prints what the client saw, as JSON.

arm_client.py BASE_URL CA_FILE TOKEN SUBSCRIPTION API_VERSION STORAGE_ACCOUNT_ID

The client is azure-mgmt-storageimportexport: it speaks 2016-11-01, another version can be set on its operations.
Asserts nothing: `check` in mod.rs compares what is printed here and by arm_client.js.
"""

import json
import sys

from azure.mgmt.storageimportexport import StorageImportExport
from azure.mgmt.storageimportexport.models import (
    DriveStatus,
    ErrorResponseException,
    Export,
    JobDetails,
    PackageInfomation,
    PutJobParameters,
    ReturnAddress,
    ReturnShipping,
    UpdateJobParameters,
)
from msrest.authentication import BasicTokenAuthentication

GROUP = "Clients"
KEY = "238810-662376-448998-450120-652806-203390-606320-483076"


def address(**changes):
    fields = {
        "recipient_name": "Test",
        "street_address1": "Example Street 1",
        "city": "Example City",
        "state_or_province": "EX",
        "postal_code": "00001",
        "country_or_region": "Exampleland",
        "phone": "000",
        "email": "test@example.com",
    }
    return ReturnAddress(**{**fields, **changes})


def import_job(location, account, drive, **changes):
    details = {
        "storage_account_id": account,
        "job_type": "Import",
        "return_address": address(),
        "return_shipping": ReturnShipping(carrier_name="FedEx", carrier_account_number="989ffff"),
        "drive_list": [
            DriveStatus(
                drive_id=drive,
                bit_locker_key=KEY,
                manifest_file="\\DriveManifest.xml",
                manifest_hash="109B21108597EF36D5785F08303F3638",
                drive_header_hash="",
            )
        ],
    }
    return PutJobParameters(location=location, properties=JobDetails(**{**details, **changes}))


def export_job(location, account):
    details = JobDetails(
        storage_account_id=account,
        job_type="Export",
        return_address=address(),
        export=Export(blob_path_prefix=["/"], blob_listblob_path=None),
    )
    return PutJobParameters(location=location, properties=details)


def refused(call):
    """What the client makes of a refusal."""
    try:
        call()
    except ErrorResponseException as refusal:
        error = refusal.error
        targets = [detail.target for detail in error.details or []]
        return {"status": refusal.response.status_code, "code": error.code, "targets": targets}
    return {"status": 0, "code": "", "targets": []}


def job_of(job):
    """A job as the client reads it, cut to what both clients have."""
    details = job.properties
    drives = [
        {
            "driveId": drive.drive_id,
            "state": drive.state,
            "manifestFile": drive.manifest_file,
            "driveHeaderHash": drive.drive_header_hash,
            "bitLockerKey": drive.bit_locker_key,
        }
        for drive in details.drive_list or []
    ]
    return {
        "id": job.id,
        "name": job.name,
        "type": job.type,
        "location": job.location,
        "jobType": details.job_type,
        "state": details.state,
        "logLevel": details.log_level,
        "cancelRequested": details.cancel_requested,
        "provisioningState": details.provisioning_state,
        "city": details.return_address.city,
        "shipTo": details.shipping_information.city,
        "trackingNumber": details.delivery_package and details.delivery_package.tracking_number,
        "prefixes": details.export and details.export.blob_path_prefix,
        "drives": drives,
    }


def main(base_url, ca_file, token, subscription, version, account):
    def client_with(token):
        credentials = BasicTokenAuthentication({"access_token": token})
        client = StorageImportExport(credentials, subscription, base_url=base_url)
        client.config.connection.verify = ca_file
        # A refusal is to be seen, not tried again.
        client.config.retry_policy.policy.total = 0
        for operations in (client.jobs, client.locations, client.bit_locker_keys, client.operations):
            operations.api_version = version
        return client

    client = client_with(token)
    seen = {}
    seen["operations"] = sorted(operation.name for operation in client.operations.list())
    locations = list(client.locations.list())
    first = locations[0]
    seen["locations"] = [location.name for location in locations]
    seen["location"] = [client.locations.get(name).id for name in (first.name, first.id.rsplit("/", 1)[1])]
    seen["noLocation"] = refused(lambda: client.locations.get("nowhere"))

    seen["created"] = job_of(client.jobs.create("ImportOne", GROUP, import_job(first.name, account, "9CA995BB")))
    seen["again"] = job_of(
        client.jobs.create("importone", GROUP, import_job(first.name, account, "9CA995BB", log_level="Verbose"))
    )
    seen["export"] = job_of(client.jobs.create("exportOne", GROUP, export_job(first.name, account)))
    for number in range(3):
        client.jobs.create(f"more-{number}", GROUP, import_job(first.name, account, f"MORE{number}"))
    seen["invalid"] = refused(
        lambda: client.jobs.create(
            "wrong", GROUP, import_job(first.name, account, "WITH SPACE", return_address=address(email="nobody"))
        )
    )
    seen["got"] = job_of(client.jobs.get("IMPORTONE", GROUP.lower()))
    seen["listed"] = [job.name for job in client.jobs.list_by_subscription(top=2)]
    seen["listedInGroup"] = [job.name for job in client.jobs.list_by_resource_group(GROUP, top=1)]
    pages = client.jobs.list_by_resource_group(GROUP, top=2)
    seen["pages"] = [[job.name for job in pages.advance_page()] for _ in range(3)]
    seen["filtered"] = [job.name for job in client.jobs.list_by_subscription(filter="properties/jobType eq 'Export'")]
    seen["badFilter"] = refused(lambda: list(client.jobs.list_by_subscription(filter="colour eq 'red'")))
    seen["keys"] = [[key.drive_id, key.bit_locker_key] for key in client.bit_locker_keys.list("ImportOne", GROUP)]

    package = PackageInfomation(carrier_name="FedEx", tracking_number="123", drive_count=1, ship_date="2026/03/01")
    seen["tracked"] = job_of(client.jobs.update("ImportOne", GROUP, UpdateJobParameters(delivery_package=package)))
    seen["unchanged"] = job_of(client.jobs.update("exportOne", GROUP, UpdateJobParameters(state="", log_level="Error")))
    seen["shipped"] = job_of(client.jobs.update("ImportOne", GROUP, UpdateJobParameters(state="Shipping")))
    seen["notDeleted"] = refused(lambda: client.jobs.delete("ImportOne", GROUP))
    seen["cancelled"] = job_of(client.jobs.update("more-0", GROUP, UpdateJobParameters(cancel_requested=True)))
    seen["notUncancelled"] = refused(
        lambda: client.jobs.update("more-0", GROUP, UpdateJobParameters(cancel_requested=False))
    )
    seen["deleted"] = client.jobs.delete("more-0", GROUP)
    seen["gone"] = refused(lambda: client.jobs.get("more-0", GROUP))
    seen["stranger"] = refused(lambda: client_with("not-a-token").jobs.get("ImportOne", GROUP))
    json.dump(seen, sys.stdout)


main(*sys.argv[1:])
