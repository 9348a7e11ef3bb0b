//! The surface as a client sees it: requests in, answers out, over a small service of its own.

mod examples;
mod hostile;
mod observed;
pub(crate) mod office;
mod paging;
mod refusals;
mod shapes;
mod units;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::Service as _;

use super::router;
use crate::people::{Caller, Role, Scope};
use crate::server::{Origin, Peer};
use office::Office;

/// The masked id that the published examples use.
const SUBSCRIPTION: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
const GROUP: &str = "myResourceGroup";
const ALL: [&str; 3] = ["2016-11-01", "2020-08-01", "2021-01-01"];
const KEY: &str = "238810-662376-448998-450120-652806-203390-606320-483076";

/// A station and somebody who calls it.
struct Client {
    router: Router,
    office: Arc<Office>,
    caller: Option<Caller>,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Client {
    async fn new() -> Self {
        Self::called_by(Some(Caller::new("token:admin", [Role::Admin], Scope::Everything))).await
    }

    async fn called_by(caller: Option<Caller>) -> Self {
        let office = Arc::new(Office::new().await);
        Self { router: router(office.surface()), office, caller }
    }

    /// The same station, called by somebody else.
    fn as_caller(&self, caller: Option<Caller>) -> Self {
        Self { router: self.router.clone(), office: self.office.clone(), caller }
    }

    async fn send(&self, method: Method, uri: &str, body: Option<Value>) -> Answer {
        let content = body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder().method(method).uri(uri).header(header::HOST, "station.example.com");
        let request = request.header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        self.raw(request.body(Body::from(content)).expect("the test's request is one")).await
    }

    async fn raw(&self, mut request: Request<Body>) -> Answer {
        let over_tls = Origin { peer: Peer::Local { uid: 0 }, is_tls: true };
        request.extensions_mut().get_or_insert(over_tls);
        if let Some(caller) = &self.caller {
            request.extensions_mut().insert(caller.clone());
        }
        let answer = self.router.clone().call(request).await.expect("the router answers");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.into_body().collect().await.expect("the body is whole").to_bytes();
        Answer { status, headers, text: String::from_utf8(bytes.to_vec()).expect("the body is UTF-8") }
    }

    async fn get(&self, uri: &str) -> Answer {
        self.send(Method::GET, uri, None).await
    }

    async fn put(&self, name: &str, version: &str, body: Value) -> Answer {
        self.send(Method::PUT, &job_uri(name, version), Some(body)).await
    }

    async fn patch(&self, name: &str, version: &str, body: Value) -> Answer {
        self.send(Method::PATCH, &job_uri(name, version), Some(body)).await
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The error's code and the targets of its details.
    fn error(&self) -> (String, Vec<String>) {
        let error = &self.json()["error"];
        let details = error["details"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert!(!text(&error["message"]).is_empty(), "a refusal says what is wrong: {}", self.text);
        (text(&error["code"]), details.iter().map(|detail| text(&detail["target"])).collect())
    }
}

fn jobs_uri() -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.ImportExport/jobs")
}

fn job_uri(name: &str, version: &str) -> String {
    format!("{}/{name}?api-version={version}", jobs_uri())
}

fn account() -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.ClassicStorage/storageAccounts/test"
    )
}

fn address() -> Value {
    json!({"recipientName": "Test", "streetAddress1": "Example Street 1", "streetAddress2": "Floor 2", "city": "Example City",
        "stateOrProvince": "EX", "postalCode": "00001", "countryOrRegion": "Exampleland", "phone": "000",
        "email": "test@example.com"})
}

fn drive(id: &str) -> Value {
    json!({"driveId": id, "bitLockerKey": KEY, "manifestFile": "\\DriveManifest.xml",
        "manifestHash": "109B21108597EF36D5785F08303F3638", "driveHeaderHash": ""})
}

/// A whole import of one drive.
fn import(drive_id: &str) -> Value {
    json!({"location": "West US", "properties": {
        "storageAccountId": account(), "jobType": "Import", "returnAddress": address(),
        "returnShipping": {"carrierName": "FedEx", "carrierAccountNumber": "989ffff"},
        "diagnosticsPath": "waimportexport", "logLevel": "Verbose", "backupDriveManifest": true,
        "driveList": [drive(drive_id)]}})
}

/// A whole export of everything.
fn export() -> Value {
    let mut job = import("unused");
    let details = job["properties"].as_object_mut().expect("an object");
    details.remove("driveList");
    details.insert("jobType".to_owned(), json!("Export"));
    details.insert("export".to_owned(), json!({"blobList": {"blobPathPrefix": ["/"]}}));
    job
}
