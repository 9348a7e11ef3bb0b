//! What was seen of the real service, one test an item: spec/azure-import-export.md §5.4, by its numbers, and the
//! headers of §5.1.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use super::{ALL, Client, account, address, drive, export, import, job_uri};

/// What a first import must have, and nothing more.
fn minimal() -> Value {
    json!({"location": "westus", "properties": {"storageAccountId": account(), "jobType": "Import",
        "returnAddress": address(), "driveList": [drive("9CA995BB")]}})
}

#[tokio::test]
async fn item_1_a_minimal_import_comes_back_with_every_default() {
    for version in ALL {
        let answer = Client::new().await.put("first", version, minimal()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let found = answer.json();
        let details = &found["properties"];
        for (name, value) in [
            ("state", json!("Creating")),
            ("provisioningState", json!("Succeeded")),
            ("logLevel", json!("Error")),
            ("cancelRequested", json!(false)),
            ("backupDriveManifest", json!(false)),
            ("diagnosticsPath", json!("waimportexport")),
            ("encryptionKey", json!({"kekType": "MicrosoftManaged"})),
        ] {
            assert_eq!(details[name], value, "{name} {version}");
        }
        assert_eq!(details["shippingInformation"]["streetAddress1"], "Example Street 1", "{version}");
        assert_eq!(found["identity"], json!({"type": "None"}), "{version}");
    }
}

#[tokio::test]
async fn item_2_a_drive_comes_back_without_its_key_and_with_the_header_hash_as_sent() {
    let client = Client::new().await;
    let mut job = minimal();
    job["properties"]["driveList"] = json!([drive("ONE"), drive("TWO"), drive("THREE")]);
    job["properties"]["driveList"][1]["driveHeaderHash"] = json!("0:1048576:AB");
    job["properties"]["driveList"][2].as_object_mut().expect("an object").remove("driveHeaderHash");
    for answer in [client.put("three", ALL[0], job).await, client.get(&job_uri("three", ALL[0])).await] {
        let found = answer.json();
        let drives = found["properties"]["driveList"].as_array().cloned().unwrap_or_default();
        let hashes: Vec<_> =
            drives.iter().map(|drive| drive.get("driveHeaderHash").and_then(Value::as_str)).collect();
        assert_eq!(hashes, [Some(""), Some("0:1048576:AB"), None]);
        assert!(
            drives.iter().all(|drive| drive["state"] == "Specified" && drive.get("bitLockerKey").is_none())
        );
        assert!(!answer.text.contains("238810"));
    }
}

#[tokio::test]
async fn item_3_a_missing_second_street_line_comes_back_empty() {
    let mut job = minimal();
    job["properties"]["returnAddress"].as_object_mut().expect("an object").remove("streetAddress2");
    let found = Client::new().await.put("one", ALL[0], job).await.json();
    assert_eq!(found["properties"]["returnAddress"]["streetAddress2"], "");
}

#[tokio::test]
async fn item_4_put_says_the_location_as_it_was_sent_and_all_others_as_it_is_read() {
    let client = Client::new().await;
    assert_eq!(client.put("one", ALL[0], minimal()).await.json()["location"], "westus");
    assert_eq!(client.get(&job_uri("one", ALL[0])).await.json()["location"], "West US");
    assert_eq!(client.patch("one", ALL[0], json!({"tags": {}})).await.json()["location"], "West US");
    let listed = client.get(&format!("{}?api-version={}", super::jobs_uri(), ALL[0])).await.json();
    assert_eq!(listed["value"][0]["location"], "West US");
}

#[tokio::test]
async fn item_5_a_manifest_path_comes_back_untouched() {
    let client = Client::new().await;
    for (number, path) in
        ["\\DriveManifest.xml", "DriveManifest.xml", "\\folder/Mixed.manifest"].iter().enumerate()
    {
        let mut job = minimal();
        job["properties"]["driveList"] = json!([drive(&format!("DRIVE{number}"))]);
        job["properties"]["driveList"][0]["manifestFile"] = json!(path);
        let found = client.put(&format!("job-{number}"), ALL[0], job).await.json();
        assert_eq!(found["properties"]["driveList"][0]["manifestFile"], *path);
    }
}

/// The first package is PowerShell's own, as it was recorded in 2016-11-01: it sends 0 when it is not told a number.
#[tokio::test]
async fn item_6_a_tracking_number_alone_does_not_ship_the_job_and_any_carrier_will_do() {
    let recorded = json!({"carrierName": "pwsh", "driveCount": 0, "trackingNumber": "pwsh20200000"});
    let least = json!({"carrierName": "pigeon", "trackingNumber": "123"});
    for version in ALL {
        for package in [&recorded, &least] {
            let client = Client::new().await;
            client.put("one", version, minimal()).await;
            let answer =
                client.patch("one", version, json!({"properties": {"deliveryPackage": package}})).await;
            assert_eq!(answer.status, StatusCode::OK, "{version}: {}", answer.text);
            let found = answer.json();
            assert_eq!(found["properties"]["state"], "Creating");
            assert_eq!(found["properties"]["deliveryPackage"], *package, "as sent, and no shipDate");
            let carrier = json!({"carrierName": "pigeon", "carrierAccountNumber": "1"});
            let ship = json!({"properties": {"state": "Shipping", "returnShipping": carrier}});
            let shipped = client.patch("one", version, ship).await;
            assert_eq!(shipped.json()["properties"]["state"], "Shipping", "{version}");
        }
    }
}

#[tokio::test]
async fn item_7_a_job_that_is_cancelled_while_it_is_made_stays_there_and_can_be_deleted() {
    let client = Client::new().await;
    client.put("one", ALL[0], minimal()).await;
    let answer = client.patch("one", ALL[0], json!({"properties": {"cancelRequested": true}})).await;
    let found = answer.json();
    assert_eq!(
        (&found["properties"]["cancelRequested"], &found["properties"]["state"]),
        (&json!(true), &json!("Creating"))
    );
    let answer = client.send(Method::DELETE, &job_uri("one", ALL[0]), None).await;
    assert_eq!((answer.status, answer.text.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn item_8_an_export_without_drives_shows_an_empty_list() {
    let client = Client::new().await;
    client.put("one", ALL[2], export()).await;
    assert_eq!(client.get(&job_uri("one", ALL[2])).await.json()["properties"]["driveList"], json!([]));
}

#[tokio::test]
async fn item_9_a_location_that_takes_no_drives_names_the_ones_that_do() {
    let answer = Client::new()
        .await
        .get("/providers/Microsoft.ImportExport/locations/eastus2?api-version=2020-08-01")
        .await;
    let found = answer.json();
    let id = "/providers/Microsoft.ImportExport/locations/westus";
    assert_eq!(found["properties"]["alternateLocations"], json!([id]), "and not itself");
    assert_ne!(found["id"], id);
}

#[tokio::test]
async fn item_10_a_list_that_fits_has_only_its_value() {
    let client = Client::new().await;
    client.put("one", ALL[0], import("9CA995BB")).await;
    let found = client.get(&format!("{}?api-version={}", super::jobs_uri(), ALL[0])).await.json();
    assert_eq!(
        found.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>()),
        Some(vec!["value".to_owned()])
    );
}

#[tokio::test]
async fn every_answer_has_the_headers_of_arm() {
    let client = Client::new().await;
    for (uri, status) in [
        ("/providers/Microsoft.ImportExport/locations?api-version=2016-11-01", StatusCode::OK),
        ("/providers/Microsoft.ImportExport/locations", StatusCode::BAD_REQUEST),
        ("/providers/Microsoft.Other/things?api-version=2016-11-01", StatusCode::NOT_FOUND),
    ] {
        let answer = client.get(uri).await;
        assert_eq!(answer.status, status, "{uri}");
        let header =
            |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(header("cache-control"), "no-cache");
        assert_eq!(header("pragma"), "no-cache");
        assert_eq!(header("expires"), "-1");
        assert!(header("content-type").starts_with("application/json"), "{}", header("content-type"));
        let id = header("x-ms-request-id");
        assert!(uuid::Uuid::try_parse(id).is_ok(), "{id}");
        assert_eq!(header("x-ms-correlation-request-id"), id, "nobody gave another");
        assert!(
            header("x-ms-routing-request-id").starts_with("WESTUS:"),
            "{}",
            header("x-ms-routing-request-id")
        );
        assert!(header("x-ms-routing-request-id").ends_with(id));
        // What this is not, and what no limiter counts.
        assert!(answer.headers.get(header::SERVER).is_none());
        assert!(!answer.headers.keys().any(|name| name.as_str().contains("ratelimit")));
    }
}

#[tokio::test]
async fn a_clients_own_ids_come_back_where_it_asks_for_them() {
    let client = Client::new().await;
    let of = |wanted: &str| {
        Request::get("/providers/Microsoft.ImportExport/operations?api-version=2016-11-01")
            .header("x-ms-correlation-request-id", "11111111-2222-3333-4444-555555555555")
            .header("x-ms-client-request-id", "mine-1")
            .header("x-ms-return-client-request-id", wanted)
            .header("accept-language", "de-DE, en;q=0.5")
            .body(Body::empty())
            .expect("the test's request is one")
    };
    let answer = client.raw(of("true")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["x-ms-client-request-id"], "mine-1");
    assert_eq!(answer.headers["x-ms-correlation-request-id"], "11111111-2222-3333-4444-555555555555");
    assert!(client.raw(of("false")).await.headers.get("x-ms-client-request-id").is_none());
}
