//! Every request example that Microsoft publishes for the provider, replayed.
//!
//! Azure/azure-rest-api-specs, specification/storageimportexport/resource-manager/Microsoft.ImportExport: the
//! folders stable/2016-11-01, stable/2020-08-01 and preview/2021-01-01 have the same fourteen examples each, by the
//! names below. What is kept here is what they show of requests and answers (which properties, which odd values), in
//! values of our own. Where an example changed over the years its answer was given more properties; the last form
//! counts, except that 2016-11-01 keeps to its first description and has neither systemData nor
//! additionalInformation.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use model::job::{CopyStatus, DriveState, JobState};
use serde_json::{Value, json};

use super::shapes::{expand, shape};
use super::{
    ALL, Answer, Client, GROUP, KEY, SUBSCRIPTION, account, address, export, import, job_uri, jobs_uri,
};

const ADDRESS: &str =
    "recipientName streetAddress1 streetAddress2 city stateOrProvince postalCode countryOrRegion phone";

/// The answer's names in the examples of that version: what every job has, and `more` of its properties.
fn job_names(version: &str, more: &str) -> BTreeSet<String> {
    let (system, additional) = match version {
        "2016-11-01" => ("", ""),
        _ => (
            "systemData{createdBy createdByType createdAt lastModifiedBy lastModifiedByType lastModifiedAt}",
            "additionalInformation",
        ),
    };
    expand(&format!(
        "{system} id name type location identity{{type}} properties{{storageAccountId jobType \
         returnAddress{{{ADDRESS} email}} shippingInformation{{{ADDRESS} {additional}}} diagnosticsPath logLevel \
         backupDriveManifest cancelRequested state provisioningState encryptionKey{{kekType}} {more}}}"
    ))
}

const SHIPPING: &str = "returnShipping{carrierName carrierAccountNumber}";
const DELIVERY: &str = "deliveryPackage{carrierName trackingNumber driveCount shipDate}";
const DRIVE: &str = "driveList[]{driveId manifestFile manifestHash driveHeaderHash state}";

/// The request of CreateJob: in 2016-11-01 without `returnShipping`, with an empty header hash; later with a manifest
/// of a newer kind and the hashes of two regions of the drive's header.
fn create_job(version: &str) -> Value {
    let mut job = import("9CA995BB");
    let details = &mut job["properties"];
    if version == "2016-11-01" {
        details.as_object_mut().expect("an object").remove("returnShipping");
    } else {
        let drive = &mut details["driveList"][0];
        drive["manifestFile"] = json!("\\8a0c23f7-14b7-470a-9633-fcd46590a1bc.manifest");
        drive["manifestHash"] = json!("4228EC5D8E048CB9B515338C789314BE8D0B2FDBC7C7A0308E1C826242CDE74E");
        drive["driveHeaderHash"] =
            json!(format!("0:1048576:{};135266304:143360:{}", "AB".repeat(64), "CD".repeat(64)));
    }
    job
}

fn is_shaped(
    example: &str,
    version: &str,
    answer: &Answer,
    status: StatusCode,
    names: &BTreeSet<String>,
) -> Value {
    assert_eq!(answer.status, status, "{example} {version}: {}", answer.text);
    let found = answer.json();
    let ours = shape(&found);
    let (missing, more): (Vec<_>, Vec<_>) =
        (names.difference(&ours).collect(), ours.difference(names).collect());
    assert!(
        missing.is_empty() && more.is_empty(),
        "{example} {version}: without {missing:?}, and with {more:?}"
    );
    found
}

#[tokio::test]
async fn create_job_answers_201_then_200_and_shows_the_same_names() {
    for version in ALL {
        let client = Client::new().await;
        let request = create_job(version);
        let shipping = if version == "2016-11-01" { "" } else { SHIPPING };
        let names = job_names(version, &format!("{shipping} {DRIVE}"));
        for status in [StatusCode::CREATED, StatusCode::OK] {
            let answer = client.put("myJob", version, request.clone()).await;
            let found = is_shaped("CreateJob", version, &answer, status, &names);
            let (sent, details) = (&request["properties"], &found["properties"]);
            let drive = &details["driveList"][0];
            assert_eq!(drive["driveHeaderHash"], sent["driveList"][0]["driveHeaderHash"], "{version}");
            assert_eq!(drive["manifestFile"], sent["driveList"][0]["manifestFile"], "{version}");
            assert_eq!(drive["state"], "Specified");
            assert_eq!(
                (&details["state"], &details["provisioningState"]),
                (&json!("Creating"), &json!("Succeeded"))
            );
            assert_eq!(details["returnAddress"], sent["returnAddress"], "{version}");
            assert_eq!(found["id"], format!("{}/myJob", jobs_uri()));
            assert_eq!(found["type"], "Microsoft.ImportExport/jobs");
        }
    }
}

#[tokio::test]
async fn create_export_job_answers_without_a_drive_list() {
    for version in ALL {
        let client = Client::new().await;
        let names = job_names(version, &format!("{SHIPPING} export{{blobList{{blobPathPrefix[]}}}}"));
        for status in [StatusCode::CREATED, StatusCode::OK] {
            let answer = client.put("myExportJob", version, export()).await;
            let found = is_shaped("CreateExportJob", version, &answer, status, &names);
            assert_eq!(found["properties"]["export"], json!({"blobList": {"blobPathPrefix": ["/"]}}));
        }
    }
}

#[tokio::test]
async fn get_job_and_get_export_job_show_the_same_names() {
    for version in ALL {
        let client = Client::new().await;
        client.put("myJob", version, import("9CA995BB")).await;
        let names = job_names(version, &format!("{SHIPPING} {DRIVE}"));
        let found = is_shaped(
            "GetJob",
            version,
            &client.get(&job_uri("myJob", version)).await,
            StatusCode::OK,
            &names,
        );
        assert_eq!(found["properties"]["driveList"][0]["driveHeaderHash"], "");

        client.put("myExport", version, export()).await;
        let names =
            job_names(version, &format!("{SHIPPING} driveList export{{blobList{{blobPathPrefix[]}}}}"));
        let answer = client.get(&job_uri("myExport", version)).await;
        let found = is_shaped("GetExportJob", version, &answer, StatusCode::OK, &names);
        assert_eq!(found["properties"]["driveList"], json!([]));
    }
}

#[tokio::test]
async fn update_job_and_update_export_job_take_an_empty_state_for_none() {
    for version in ALL {
        let client = Client::new().await;
        let request =
            json!({"properties": {"state": "", "logLevel": "Verbose", "backupDriveManifest": true}});
        client.put("myJob", version, import("9CA995BB")).await;
        let names = job_names(version, &format!("{SHIPPING} {DRIVE}"));
        let answer = client.patch("myJob", version, request.clone()).await;
        let found = is_shaped("UpdateJob", version, &answer, StatusCode::OK, &names);
        assert_eq!(found["properties"]["state"], "Creating");

        client.put("myExportJob", version, export()).await;
        let names = job_names(version, &format!("{SHIPPING} export{{blobList{{blobPathPrefix[]}}}}"));
        let answer = client.patch("myExportJob", version, request).await;
        let found = is_shaped("UpdateExportJob", version, &answer, StatusCode::OK, &names);
        assert_eq!(found["properties"]["logLevel"], "Verbose");
    }
}

#[tokio::test]
async fn delete_job_answers_200_with_nothing() {
    for version in ALL {
        let client = Client::new().await;
        client.put("myJob", version, import("9CA995BB")).await;
        let answer = client.send(Method::DELETE, &job_uri("myJob", version), None).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""), "DeleteJob {version}");
    }
}

#[tokio::test]
async fn list_bitlocker_keys_shows_each_drive_with_its_key() {
    for version in ALL {
        let client = Client::new().await;
        client.put("myJob", version, import("9CA995BB")).await;
        let uri = format!("{}/myJob/listBitLockerKeys?api-version={version}", jobs_uri());
        for method in [Method::POST, Method::GET] {
            let answer = client.send(method, &uri, None).await;
            let names = expand("value[]{driveId bitLockerKey}");
            let found = is_shaped("ListBitLockerKeys", version, &answer, StatusCode::OK, &names);
            assert_eq!(found, json!({"value": [{"driveId": "9CA995BB", "bitLockerKey": KEY}]}));
            assert_eq!(answer.headers["cache-control"], "no-cache, no-store", "nobody may keep it");
        }
    }
}

/// The two jobs of the example: one received, one that copies and whose drive is through. Its drive shows less in the
/// example than the types have: ours says how far it is, too.
#[tokio::test]
async fn list_jobs_in_subscription_shows_jobs_at_work() {
    for version in ALL {
        let client = Client::new().await;
        for (name, drive) in [("test-01", "7PHR882C"), ("test-02", "KV6H86XP")] {
            let mut job = import(drive);
            job["location"] = json!("East US 2");
            let details = job["properties"].as_object_mut().expect("an object");
            details["driveList"][0].as_object_mut().expect("an object").remove("driveHeaderHash");
            details.insert(
                "deliveryPackage".to_owned(),
                json!({"carrierName": "FedEx", "trackingNumber": drive,
                "driveCount": 1, "shipDate": "8/11/2017 9:05:00 PM"}),
            );
            assert_eq!(client.put(name, version, job).await.status, StatusCode::CREATED);
        }
        client
            .office
            .set("test-01", |job| {
                job.state = JobState::Received;
                job.drives[0].state = DriveState::Received;
            })
            .await;
        client
            .office
            .set("test-02", |job| {
                job.state = JobState::Transferring;
                job.percent_complete = 6;
                let drive = &mut job.drives[0];
                (drive.state, drive.copy_status) =
                    (DriveState::CompletedMoreInfo, Some(CopyStatus::InProgress));
                let uri = |kind: &str| {
                    Some(format!("https://foo.blob.example.com/waimportexport/waies/{kind}.xml"))
                };
                drive.verbose_log_uri = uri("verbose");
                drive.error_log_uri = uri("error");
                drive.manifest_uri = uri("manifest");
            })
            .await;
        let uri = format!(
            "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ImportExport/jobs?api-version={version}"
        );
        let found = client.get(&uri).await.json();
        assert_eq!(
            shape(&found).iter().filter(|path| !path.starts_with("value[]")).count(),
            0,
            "no nextLink: {found}"
        );
        let drive = "driveId manifestFile manifestHash state";
        let received = job_names(version, &format!("{SHIPPING} {DELIVERY} driveList[]{{{drive}}}"));
        let copying = format!(
            "{SHIPPING} {DELIVERY} percentComplete driveList[]{{{drive} copyStatus verboseLogUri errorLogUri \
             manifestUri percentComplete bytesSucceeded}}"
        );
        assert_eq!(shape(&found["value"][0]), received, "ListJobsInSubscription {version}");
        assert_eq!(
            shape(&found["value"][1]),
            job_names(version, &copying),
            "ListJobsInSubscription {version}"
        );
        assert_eq!(found["value"][1]["properties"]["percentComplete"], 6);
        assert_eq!(found["value"][1]["location"], "East US 2");
        assert_eq!(found["value"][1]["properties"]["driveList"][0]["copyStatus"], "InProgress");
    }
}

/// The example's job shows no drives; ours, an import, has some and shows them.
#[tokio::test]
async fn list_jobs_in_resource_group_shows_a_package_as_it_was_written() {
    for version in ALL {
        let client = Client::new().await;
        let package = json!({"carrierName": "FedEx", "trackingNumber": "787895108176", "driveCount": 1,
            "shipDate": "9/29/2017 10:28:35 PM"});
        let mut job = import("9CA995BB");
        job["properties"]["deliveryPackage"] = package.clone();
        client.put("test-by1-ssd-2", version, job).await;
        client.office.set("test-by1-ssd-2", |job| job.state = JobState::Received).await;
        let found = client.get(&format!("{}?api-version={version}", jobs_uri())).await.json();
        let names = job_names(version, &format!("{SHIPPING} {DELIVERY} {DRIVE}"));
        assert_eq!(shape(&found["value"][0]), names, "ListJobsInResourceGroup {version}");
        assert_eq!(found["value"][0]["properties"]["deliveryPackage"], package);
        assert_eq!(found["value"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn list_locations_and_get_location_show_the_same_names() {
    for version in ALL {
        let client = Client::new().await;
        let additional = if version == "2016-11-01" { "" } else { "additionalShippingInformation" };
        let one = format!(
            "id name type properties{{{ADDRESS} {additional} supportedCarriers[] alternateLocations[]}}"
        );
        let answer =
            client.get(&format!("/providers/Microsoft.ImportExport/locations?api-version={version}")).await;
        is_shaped("ListLocations", version, &answer, StatusCode::OK, &expand(&format!("value[]{{{one}}}")));
        for name in ["West%20US", "westus", "WestUS"] {
            let uri = format!("/providers/Microsoft.ImportExport/locations/{name}?api-version={version}");
            let found =
                is_shaped("GetLocation", version, &client.get(&uri).await, StatusCode::OK, &expand(&one));
            assert_eq!(found["id"], "/providers/Microsoft.ImportExport/locations/westus");
            assert_eq!(found["name"], "West US");
            assert_eq!(found["properties"]["alternateLocations"][0], found["id"], "it takes drives itself");
        }
    }
}

/// Without `register/action`: a station knows no subscriptions that would have to be registered with it.
#[tokio::test]
async fn list_operations_shows_the_actions_that_roles_name() {
    for version in ALL {
        let answer = Client::new()
            .await
            .get(&format!("/providers/Microsoft.ImportExport/operations?api-version={version}"))
            .await;
        let names = expand("value[]{name display{provider resource operation description}}");
        let found = is_shaped("ListOperations", version, &answer, StatusCode::OK, &names);
        let actions: Vec<_> =
            found["value"].as_array().into_iter().flatten().map(|row| row["name"].clone()).collect();
        let of = |action: &str| json!(format!("Microsoft.ImportExport/{action}"));
        let listed =
            ["locations/read", "jobs/write", "jobs/read", "jobs/listBitLockerKeys/action", "jobs/delete"];
        assert_eq!(actions, listed.map(of));
    }
}

#[test]
fn the_examples_stand_on_the_words_of_this_file() {
    // What the requests share with the examples: the masked subscription, the group, a classic account.
    assert!(account().contains(SUBSCRIPTION) && account().contains(GROUP));
    assert_eq!(shape(&address()), expand(&format!("{ADDRESS} email")));
}
