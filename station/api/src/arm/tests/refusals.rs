//! What is refused, and how: every status and code, all problems at once, and where they are.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use model::job::JobState;
use serde_json::{Value, json};

use super::super::body::LIMIT_BYTES;
use super::{ALL, Client, KEY, SUBSCRIPTION, address, drive, export, import, job_uri, jobs_uri};
use crate::people::{Caller, Grant, Role, Scope};

const VERSION: &str = "2021-01-01";

#[tokio::test]
async fn everything_wrong_with_a_job_is_told_at_once_with_its_place() {
    let job = json!({"location": "Atlantis", "properties": {
        "storageAccountId": "not an id", "jobType": "Import", "logLevel": "Loud",
        "returnAddress": {"recipientName": "Test", "email": "nobody"},
        "driveList": [{"driveId": "A B", "bitLockerKey": KEY, "manifestFile": "m", "manifestHash": "zz"},
            {"driveId": "OK1", "manifestFile": "", "manifestHash": "109B21108597EF36D5785F08303F3638"}],
        "export": {"blobList": {"blobPath": ["a/b"]}}}});
    let answer = Client::new().await.put("wrong", VERSION, job).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let (code, targets) = answer.error();
    assert_eq!(code, "InvalidParameter");
    for target in [
        "location",
        "properties.storageAccountId",
        "properties.logLevel",
        "properties.returnAddress.streetAddress1",
        "properties.returnAddress.city",
        "properties.returnAddress.postalCode",
        "properties.returnAddress.countryOrRegion",
        "properties.returnAddress.phone",
        "properties.returnAddress.email",
        "properties.driveList[0].driveId",
        "properties.driveList[0].manifestHash",
        "properties.driveList[1].manifestFile",
        "properties.driveList[1].bitLockerKey",
        "properties.export",
    ] {
        assert!(targets.iter().any(|found| found == target), "{target} is not among {targets:?}");
    }
    let error = &answer.json()["error"];
    assert_eq!(
        error["target"], error["details"][0]["target"],
        "a client that shows one line shows the first"
    );
    assert!(!answer.text.contains("238810"));
}

#[tokio::test]
async fn a_wrong_word_hides_no_other_problem_and_makes_none_up() {
    let client = Client::new().await;
    client.put("one", VERSION, import("9CA995BB")).await;
    let key = |kind: &str| json!({"kekType": kind, "kekUrl": "https://v.example/keys/k", "kekVaultResourceID": "/v"});
    // What one gets has no keys; they are kept.
    let mut loud = client.get(&job_uri("one", VERSION)).await.json();
    loud["properties"]["logLevel"] = json!("loud");
    let mut theirs = loud.clone();
    theirs["properties"]["encryptionKey"] = key("CustomerManaged");
    let mut no_word = loud.clone();
    no_word["properties"]["encryptionKey"] = key("Nobodys");
    let [level, kind] = ["properties.logLevel", "properties.encryptionKey.kekType"];
    for (job, targets) in [(loud, vec![level]), (theirs, vec![level, kind]), (no_word, vec![level, kind])] {
        let changes =
            ["logLevel", "encryptionKey", "driveList"].map(|name| (name, job["properties"][name].clone()));
        let changes: serde_json::Map<_, _> =
            changes.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        for answer in [
            client.put("one", VERSION, job).await,
            client.patch("one", VERSION, json!({ "properties": changes })).await,
        ] {
            assert_eq!(answer.error().1, targets, "{}", answer.text);
        }
    }
    // A number that another job has is found too.
    let mut other = import("9CA995BB");
    other["properties"]["logLevel"] = json!("loud");
    let answer = client.put("two", VERSION, other).await;
    assert_eq!(answer.error().1, [level, "properties.driveList[0].driveId"]);
}

#[tokio::test]
async fn values_of_the_wrong_type_are_told_at_once_and_never_repeated() {
    let job = json!({"location": 1, "tags": {"a": ["MARK"]}, "properties": {
        "jobType": ["MARK"], "backupDriveManifest": "MARK", "returnAddress": "MARK",
        "deliveryPackage": {"carrierName": "x", "trackingNumber": "1", "driveCount": 1.5},
        "export": {"blobList": {"blobPath": "MARK", "blobPathPrefix": [1]}},
        "driveList": [{"driveId": 7, "bitLockerKey": {"MARK": KEY}}, "MARK"]}});
    let answer = Client::new().await.put("wrong", VERSION, job).await;
    let (code, mut targets) = answer.error();
    assert_eq!((answer.status, code.as_str()), (StatusCode::BAD_REQUEST, "InvalidRequestContent"));
    targets.sort();
    assert_eq!(
        targets,
        [
            "location",
            "properties.backupDriveManifest",
            "properties.deliveryPackage.driveCount",
            "properties.driveList[0].bitLockerKey",
            "properties.driveList[0].driveId",
            "properties.driveList[1]",
            "properties.export.blobList.blobPath",
            "properties.export.blobList.blobPathPrefix[0]",
            "properties.jobType",
            "properties.returnAddress",
            "tags",
        ]
    );
    assert!(!answer.text.contains("MARK") && !answer.text.contains("238810"), "{}", answer.text);
}

#[tokio::test]
async fn both_spellings_of_the_blob_lists_name_are_read_and_each_version_answers_its_own() {
    for version in ALL {
        let client = Client::new().await;
        for (number, spelling) in ["blobListblobPath", "blobListBlobPath"].iter().enumerate() {
            let mut job = export();
            job["properties"]["export"] = json!({ *spelling: "container/list.xml" });
            let found = client.put(&format!("job-{number}"), version, job).await.json();
            let own = if version == "2016-11-01" { "blobListblobPath" } else { "blobListBlobPath" };
            assert_eq!(found["properties"]["export"], json!({ own: "container/list.xml" }), "{version}");
        }
    }
}

#[tokio::test]
async fn what_a_patch_may_not_say_is_refused_with_its_place() {
    let client = Client::new().await;
    client.put("one", VERSION, import("9CA995BB")).await;
    for (details, target) in [
        (json!({"state": "Received"}), "properties.state"),
        (json!({"state": "Creating"}), "properties.state"),
        (json!({"cancelRequested": false}), "properties.cancelRequested"),
        (json!({"logLevel": "Loud"}), "properties.logLevel"),
        (json!({"state": "Shipping"}), "properties.deliveryPackage"),
        (
            json!({"deliveryPackage": {"carrierName": "x", "trackingNumber": "1", "driveCount": -1}}),
            "properties.deliveryPackage.driveCount",
        ),
    ] {
        let answer = client.patch("one", VERSION, json!({ "properties": details })).await;
        let (code, targets) = answer.error();
        assert_eq!((answer.status, code.as_str()), (StatusCode::BAD_REQUEST, "InvalidParameter"), "{target}");
        assert!(targets.iter().any(|found| found == target), "{target} is not among {targets:?}");
    }
    assert_eq!(client.get(&job_uri("one", VERSION)).await.json()["properties"]["state"], "Creating");
}

#[tokio::test]
async fn what_a_jobs_state_does_not_allow_is_a_conflict() {
    let client = Client::new().await;
    client.put("one", VERSION, import("9CA995BB")).await;
    client.office.set("one", |job| job.state = JobState::Transferring).await;
    let put = client.put("one", VERSION, import("9CA995BB")).await;
    let delete = client.send(Method::DELETE, &job_uri("one", VERSION), None).await;
    for answer in [put, delete] {
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert_eq!(answer.error().0, "JobStateConflict");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_deleting_it_is_done_already() {
    let client = Client::new().await;
    let uri = job_uri("none", VERSION);
    let keys = format!("{}/none/listBitLockerKeys?api-version={VERSION}", jobs_uri());
    for (method, uri) in [(Method::GET, &uri), (Method::PATCH, &uri), (Method::POST, &keys)] {
        let answer = client.send(method.clone(), uri, Some(json!({}))).await;
        assert_eq!(
            (answer.status, answer.error().0.as_str()),
            (StatusCode::NOT_FOUND, "ResourceNotFound"),
            "{method}"
        );
    }
    let answer = client.send(Method::DELETE, &uri, None).await;
    assert_eq!((answer.status, answer.text.len()), (StatusCode::NO_CONTENT, 0));
    let location =
        client.get("/providers/Microsoft.ImportExport/locations/nowhere?api-version=2016-11-01").await;
    assert_eq!((location.status, location.error().0.as_str()), (StatusCode::NOT_FOUND, "ResourceNotFound"));
}

#[tokio::test]
async fn paths_are_read_in_any_case_and_ids_keep_the_one_they_were_made_with() {
    let client = Client::new().await;
    client.put("MyJob", VERSION, import("9CA995BB")).await;
    let odd = format!(
        "/SUBSCRIPTIONS/{}/ResourceGroups/MYRESOURCEGROUP/Providers/microsoft.importexport/JOBS/%6dyjob/",
        SUBSCRIPTION.to_uppercase()
    );
    let found = client.get(&format!("{odd}?API-VERSION={VERSION}&unknown=1&$expand=x")).await.json();
    assert_eq!((&found["name"], &found["id"]), (&json!("MyJob"), &json!(format!("{}/MyJob", jobs_uri()))));
    let keys = format!("{odd}LISTBITLOCKERKEYS?api-version={VERSION}");
    assert_eq!(client.send(Method::POST, &keys, None).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_path_that_names_nothing_is_told_so_in_arms_words() {
    let client = Client::new().await;
    let long = "g".repeat(91);
    for (path, status, code) in [
        ("/subscriptions/S", 404, "ResourceNotFound"),
        ("/subscriptions/S/resourceGroups/G", 404, "ResourceNotFound"),
        ("/subscriptions/S/providers/Microsoft.Other/jobs", 404, "InvalidResourceNamespace"),
        ("/subscriptions/S/providers/Microsoft.ImportExport/thing", 404, "InvalidResourceType"),
        (
            "/subscriptions/S/resourceGroups/G/providers/Microsoft.ImportExport/jobs/a/b",
            404,
            "InvalidResourceType",
        ),
        ("/providers/Microsoft.ImportExport", 404, "InvalidResourceType"),
        ("/subscriptions/a!b/providers/Microsoft.ImportExport/jobs", 400, "InvalidSubscriptionId"),
        ("/subscriptions//providers/Microsoft.ImportExport/jobs", 400, "InvalidSubscriptionId"),
        (
            "/subscriptions/S/resourceGroups/G./providers/Microsoft.ImportExport/jobs",
            400,
            "InvalidResourceGroup",
        ),
        (
            &format!("/subscriptions/S/resourceGroups/{long}/providers/Microsoft.ImportExport/jobs"),
            400,
            "InvalidResourceGroup",
        ),
        (
            "/subscriptions/S/resourceGroups/%2F/providers/Microsoft.ImportExport/jobs",
            400,
            "InvalidResourcePath",
        ),
        (
            "/subscriptions/S/resourceGroups/%ff/providers/Microsoft.ImportExport/jobs",
            400,
            "InvalidResourcePath",
        ),
        (
            "/subscriptions/S/resourceGroups/%0a/providers/Microsoft.ImportExport/jobs",
            400,
            "InvalidResourcePath",
        ),
        (
            "/subscriptions/S/resourceGroups/%4/providers/Microsoft.ImportExport/jobs",
            400,
            "InvalidResourcePath",
        ),
    ] {
        let answer = client.get(&format!("{path}?api-version={VERSION}")).await;
        assert_eq!((answer.status.as_u16(), answer.error().0.as_str()), (status, code), "{path}");
    }
}

#[tokio::test]
async fn a_version_must_be_given_once_and_be_one_of_ours() {
    let client = Client::new().await;
    let path = "/providers/Microsoft.ImportExport/operations";
    for (query, code) in [
        ("", "MissingApiVersionParameter"),
        ("?api-version=", "MissingApiVersionParameter"),
        ("?api-version=2019-01-01", "InvalidApiVersionParameter"),
        ("?api-version=2016-11-01&api-version=2020-08-01", "InvalidParameter"),
    ] {
        let answer = client.get(&format!("{path}{query}")).await;
        assert_eq!((answer.status, answer.error().0.as_str()), (StatusCode::BAD_REQUEST, code), "{query}");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_answered_with_the_ones_it_has() {
    let client = Client::new().await;
    let job = job_uri("one", VERSION);
    let list = format!("{}?api-version={VERSION}", jobs_uri());
    for (method, uri, allow) in [
        (Method::HEAD, &job, "GET, PUT, PATCH, DELETE"),
        (Method::POST, &job, "GET, PUT, PATCH, DELETE"),
        (Method::OPTIONS, &job, "GET, PUT, PATCH, DELETE"),
        (Method::POST, &list, "GET"),
        (Method::DELETE, &list, "GET"),
    ] {
        let answer = client.send(method.clone(), uri, None).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {uri}");
        assert_eq!(answer.headers[header::ALLOW], allow);
        // An answer to HEAD has no body.
        assert!(method == Method::HEAD || answer.error().0 == "MethodNotAllowed");
    }
}

#[tokio::test]
async fn a_body_must_be_json_call_itself_so_and_be_of_a_sane_size() {
    let client = Client::new().await;
    let put = |kind: Option<&str>, body: String| {
        let mut request = Request::put(job_uri("one", VERSION));
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        client.raw(request.body(Body::from(body)).expect("the test's request is one"))
    };
    let json_kind = Some("application/json");
    let large = json!({"tags": {"a": "x".repeat(LIMIT_BYTES)}}).to_string();
    let deep = "[".repeat(100_000);
    for (kind, body, status, code) in [
        (None, "{}".to_owned(), 415, "UnsupportedMediaType"),
        (Some("text/plain"), "{}".to_owned(), 415, "UnsupportedMediaType"),
        (Some("application/jsonp"), "{}".to_owned(), 415, "UnsupportedMediaType"),
        (json_kind, String::new(), 400, "InvalidRequestContent"),
        (json_kind, " \n".to_owned(), 400, "InvalidRequestContent"),
        (json_kind, format!("{{\"bitLockerKey\": \"{KEY}\","), 400, "InvalidRequestContent"),
        (json_kind, deep, 400, "InvalidRequestContent"),
        (json_kind, "[]".to_owned(), 400, "InvalidRequestContent"),
        (json_kind, "null".to_owned(), 400, "InvalidRequestContent"),
        (json_kind, large, 413, "RequestContentTooLarge"),
    ] {
        let shown: String = body.chars().take(40).collect();
        let answer = put(kind, body).await;
        assert_eq!((answer.status.as_u16(), answer.error().0.as_str()), (status, code), "{shown}");
        assert!(!answer.text.contains("238810"));
    }
    for kind in ["Application/JSON", "application/json;charset=UTF-8", "text/json"] {
        assert_eq!(put(Some(kind), import("9CA995BB").to_string()).await.status.as_u16() / 100, 2, "{kind}");
    }
    assert_eq!(
        put(json_kind, format!("\u{feff}{}", import("9CA995BB"))).await.status,
        StatusCode::OK,
        "with a mark"
    );
}

#[tokio::test]
async fn unknown_properties_are_ignored_and_names_are_read_in_any_case() {
    let client = Client::new().await;
    let mut job = import("9CA995BB");
    job["sku"] = json!({"name": "x"});
    job["properties"]["containerSas"] = json!("https://example.com/?sig=SECRET");
    job["properties"]["state"] = json!("Completed");
    job["properties"]["percentComplete"] = json!(100);
    job["properties"]["driveList"][0]["copyStatus"] = json!("Completed");
    let details = job["properties"].as_object_mut().expect("an object");
    let kind = details.remove("jobType").expect("it was there");
    details.insert("JOBTYPE".to_owned(), kind);
    details.insert("returnPackage".to_owned(), Value::Null);
    let answer = client.put("one", VERSION, job).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let found = answer.json();
    assert_eq!(
        (&found["properties"]["state"], &found["properties"]["jobType"]),
        (&json!("Creating"), &json!("Import"))
    );
    assert!(found.get("sku").is_none() && !answer.text.contains("SECRET"));
}

#[tokio::test]
async fn what_a_client_got_it_may_send_back() {
    let client = Client::new().await;
    client.put("one", VERSION, import("9CA995BB")).await;
    let mut got = client.get(&job_uri("one", VERSION)).await.json();
    got["properties"]["driveList"][0]["bitLockerKey"] = json!(KEY);
    let again = client.put("one", VERSION, got.clone()).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    assert_eq!(
        again.json()["properties"]["shippingInformation"]["city"],
        got["properties"]["shippingInformation"]["city"]
    );
}

#[tokio::test]
async fn a_drive_gets_another_key_when_the_list_is_fixed_and_the_list_stays() {
    let client = Client::new().await;
    client.put("one", VERSION, import("9CA995BB")).await;
    client.office.set("one", |job| job.state = JobState::Transferring).await;
    let before = client.get(&job_uri("one", VERSION)).await.json();
    let whole = KEY.replace("238810", "476083");
    for (entry, kept) in [
        (json!({"driveId": "9CA995BB", "bitLockerKey": KEY}), KEY),
        (
            json!({"driveId": "9CA995BB", "bitLockerKey": whole, "manifestFile": "\\DriveManifest.xml",
            "manifestHash": "109B21108597EF36D5785F08303F3638", "driveHeaderHash": ""}),
            whole.as_str(),
        ),
    ] {
        let answer = client.patch("one", VERSION, json!({"properties": {"driveList": [entry]}})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json()["properties"]["driveList"], before["properties"]["driveList"]);
        let uri = format!("{}/one/listBitLockerKeys?api-version={VERSION}", jobs_uri());
        let keys = client.send(Method::POST, &uri, None).await.json();
        assert_eq!(keys["value"][0]["bitLockerKey"], *kept);
    }
    let other = json!({"properties": {"driveList": [{"driveId": "OTHER", "bitLockerKey": KEY}]}});
    assert_eq!(client.patch("one", VERSION, other).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn moving_jobs_is_answered_honestly_where_it_was_ever_offered() {
    let client = Client::new().await;
    let base = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/myResourceGroup/providers/Microsoft.ImportExport"
    );
    let body = json!({"targetResourceGroup": "/subscriptions/S/resourceGroups/other", "resources": [format!("{base}/jobs/one")]});
    for (version, status, code) in [
        (ALL[0], 409, "ResourceMoveNotSupported"),
        (ALL[1], 404, "InvalidResourceType"),
        (ALL[2], 404, "InvalidResourceType"),
    ] {
        let uri = format!("{base}/moveResources?api-version={version}");
        let answer = client.send(Method::POST, &uri, Some(body.clone())).await;
        assert_eq!((answer.status.as_u16(), answer.error().0.as_str()), (status, code));
    }
}

#[tokio::test]
async fn nobody_and_those_without_the_role_are_refused_by_the_operations_own_name() {
    let staff = Client::new().await;
    staff.put("one", VERSION, import("9CA995BB")).await;
    let nobody = staff.as_caller(None);
    let answer = nobody.get(&job_uri("one", VERSION)).await;
    assert_eq!(
        (answer.status, answer.error().0.as_str()),
        (StatusCode::UNAUTHORIZED, "AuthenticationFailed")
    );
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");

    let receiver = staff.as_caller(Some(Caller::new("token:dock", [Role::Receiver], Scope::Everything)));
    assert_eq!(receiver.get(&job_uri("one", VERSION)).await.status, StatusCode::OK);
    let keys = format!("{}/one/listBitLockerKeys?api-version={VERSION}", jobs_uri());
    let uri = job_uri("one", VERSION);
    for (method, uri, action) in [
        (Method::PUT, &uri, "Microsoft.ImportExport/jobs/write"),
        (Method::PATCH, &uri, "Microsoft.ImportExport/jobs/write"),
        (Method::DELETE, &uri, "Microsoft.ImportExport/jobs/delete"),
        (Method::POST, &keys, "Microsoft.ImportExport/jobs/listBitLockerKeys/action"),
        (Method::GET, &keys, "Microsoft.ImportExport/jobs/listBitLockerKeys/action"),
    ] {
        let answer = receiver.send(method, uri, Some(json!({}))).await;
        assert_eq!(
            (answer.status, answer.error().0.as_str()),
            (StatusCode::FORBIDDEN, "AuthorizationFailed")
        );
        assert!(answer.text.contains(action), "{}", answer.text);
    }
}

#[tokio::test]
async fn too_many_drives_and_no_drives_are_told_of_the_list() {
    let client = Client::new().await;
    let mut job = import("x");
    job["properties"]["driveList"] = (0..11).map(|number| drive(&format!("D{number}"))).collect();
    assert!(
        client
            .put("one", VERSION, job.clone())
            .await
            .error()
            .1
            .iter()
            .any(|target| target == "properties.driveList")
    );
    job["properties"]["driveList"] = json!([]);
    assert!(
        client
            .put("one", VERSION, job.clone())
            .await
            .error()
            .1
            .iter()
            .any(|target| target == "properties.driveList")
    );
    job["properties"]["driveList"] = json!([drive("SAME"), drive("SAME")]);
    assert!(
        client
            .put("one", VERSION, job)
            .await
            .error()
            .1
            .iter()
            .any(|target| target.starts_with("properties.driveList[1]"))
    );
    assert!(address().is_object());
}

#[tokio::test]
async fn a_job_for_an_account_that_the_caller_does_not_reach_is_refused() {
    let staff = Client::new().await;
    let grant = Grant { subscription: SUBSCRIPTION.to_owned(), resource_group: None };
    let customer =
        staff.as_caller(Some(Caller::new("oidc:customer", [Role::Customer], Scope::Only(vec![grant]))));
    let mut job = import("A1");
    let own = job["properties"]["storageAccountId"].as_str().unwrap().to_owned();
    job["properties"]["storageAccountId"] = json!(own.replace(SUBSCRIPTION, "another"));
    let refused = customer.put("foreign", VERSION, job.clone()).await;
    let (code, targets) = refused.error();
    assert_eq!((refused.status, &*code), (StatusCode::BAD_REQUEST, "InvalidParameter"));
    assert_eq!(targets, ["properties.storageAccountId"]);
    assert_eq!(staff.put("foreign", VERSION, job.clone()).await.status, StatusCode::CREATED, "staff may");
    job["properties"]["storageAccountId"] = json!(own.to_ascii_uppercase());
    job["properties"]["driveList"][0]["driveId"] = json!("A2");
    assert_eq!(customer.put("own", VERSION, job).await.status, StatusCode::CREATED);
}
