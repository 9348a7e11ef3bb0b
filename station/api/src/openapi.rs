//! The OpenAPI document of the station API, generated from the handlers.
//!
//! What every operation has in common is added here and not repeated at each handler: who may ask, the key of a
//! request that may be sent twice, the problems that any of them may answer. `openapi.json` beside `Cargo.toml` is
//! the same document, checked in, so that a change of the API is seen in review; the test says how to write it anew.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem};

use crate::people::Operation;

/// The extension that names an operation's row in the table of roles.
pub const OPERATION: &str = "x-operation";
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let (_, document) = crate::desk::open_routes().split_for_parts();
    complete(&document)
});

/// The document.
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// The document as it is served and checked in.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(document()).expect("a value is JSON");
    text.push('\n');
    text
}

/// What there is before the first route.
pub(crate) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Drayage station API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "What people, scanners and screens at the dock and the bays of a Drayage station ask and do.\n\n\
             Every refusal is a problem of RFC 9457. A POST or PUT with an Idempotency-Key is done once, however often it is \
             sent. Lists go on at `nextCursor`; what is added meanwhile shifts nothing.",
        ))
        .build();
    OpenApiBuilder::new().info(info).components(Some(ComponentsBuilder::new().build())).build()
}

/// Notes at every operation of a path which row of the table it asks.
pub(crate) fn mark(item: &mut PathItem, operation: Operation) {
    let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
    for described in all.into_iter().flatten() {
        let extension = ExtensionsBuilder::new().add(OPERATION, format!("{operation:?}")).build();
        described.extensions.get_or_insert_default().merge(extension);
    }
}

/// Adds what all operations have in common.
fn complete(document: &OpenApi) -> Value {
    let mut document = serde_json::to_value(document).expect("a document is JSON");
    document["security"] = json!([{"bearer": []}]);
    let components = &mut document["components"];
    components["securitySchemes"] = json!({"bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token of the station, or an identity provider's token."
    }});
    components["schemas"]["Problem"] = problem();
    components["responses"] =
        Value::Object(PROBLEMS.iter().map(|(status, about)| problem_response(status, about)).collect());
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if METHODS.contains(&method.as_str()) {
                describe(path, method, operation);
            }
        }
    }
    document
}

/// Which problems there are, by status. What is about a body or a path is left out where there is none.
const PROBLEMS: [(&str, &str); 15] = [
    ("400", "The request cannot be read."),
    ("401", "The request needs valid credentials."),
    ("403", "None of the caller's roles allows this."),
    ("404", "There is no such thing, or none that the caller may know of."),
    ("408", "The request did not arrive in time."),
    ("409", "Not now: something must be done first. `next` says what."),
    ("412", "The resource was changed since it was read."),
    ("413", "The body is larger than the station takes."),
    ("415", "The body must be application/json."),
    ("422", "The request says something that cannot be, or uses a key again for something else."),
    ("428", "The change must say which version it was decided on."),
    ("429", "Too many requests; `Retry-After` says when."),
    ("500", "The station failed."),
    ("502", "The station cannot reach what it needs for this."),
    ("503", "Not at the moment; `Retry-After` says when."),
];

fn problem_response(status: &str, about: &str) -> (String, Value) {
    let mut response = json!({
        "description": about,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    });
    if ["429", "503"].contains(&status) {
        response["headers"] = json!({"Retry-After": {
            "description": "Seconds to wait.",
            "schema": {"type": "integer", "minimum": 0}
        }});
    }
    (format!("Problem{status}"), response)
}

fn describe(path: &str, method: &str, operation: &mut Value) {
    let is_public = operation["security"].is_array();
    let is_change = method != "get";
    let has_body = operation.get("requestBody").is_some();
    let has_version = parameters(operation).any(|parameter| parameter["name"] == "If-Match");
    if ["post", "put"].contains(&method) {
        let list =
            operation.as_object_mut().expect("an operation").entry("parameters").or_insert_with(|| json!([]));
        list.as_array_mut().expect("a list").push(idempotency_key());
    }
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        tighten(parameter);
    }
    let has_parameters = parameters(operation).next().is_some();
    let responses = operation["responses"].as_object_mut().expect("an operation has responses");
    for (status, _) in PROBLEMS {
        let may_be = match status {
            "400" => has_parameters || is_change,
            "401" | "403" | "429" => !is_public,
            "404" => path.contains('{') || has_parameters,
            "409" => is_change,
            "408" | "413" | "415" => has_body,
            "422" => has_body || method == "post",
            "412" | "428" => has_version,
            "502" => false,
            _ => true,
        };
        if may_be && !responses.contains_key(status) {
            responses.insert(
                status.to_owned(),
                json!({"$ref": format!("#/components/responses/Problem{status}")}),
            );
        }
    }
}

/// What a parameter's type in Rust cannot say: left out it may be, but never null; and how a tag is written.
fn tighten(parameter: &mut Value) {
    let is_tag = parameter["name"] == "If-Match";
    let schema = &mut parameter["schema"];
    if let Some(kinds) = schema["type"].as_array() {
        schema["type"] = kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default();
    }
    if is_tag {
        schema["pattern"] = json!(r#"^([*]|"[!#-~]{0,64}")$"#);
        schema["minLength"] = json!(1);
    }
}

fn parameters(operation: &Value) -> impl Iterator<Item = &Value> {
    operation["parameters"].as_array().into_iter().flatten()
}

fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "Stands for this one request: sent again, it is answered again and done once. Kept for a day.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"}
    })
}

/// The schema of [`crate::problem::Problem`].
fn problem() -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    let properties: Map<String, Value> = [
        ("type", text("What kind of problem it is: the same for every instance of it.")),
        ("title", text("The same in words.")),
        ("status", json!({"type": "integer", "minimum": 400, "maximum": 599})),
        ("detail", text("What is wrong this time.")),
        ("instance", text("What it is about: a path of this API.")),
        (
            "retryable",
            json!({"type": "boolean", "description": "Whether the same request may succeed later."}),
        ),
        ("next", text("What to do next, for whoever stands there with a drive in hand.")),
        ("drive_id", text("The drive's serial number.")),
        ("job", text("The job's ARM id.")),
        ("field", text("The field of the request that is wrong.")),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect();
    json!({
        "type": "object",
        "description": "What a refused request is told (RFC 9457).",
        "required": ["type", "title", "status"],
        "properties": properties,
        "additionalProperties": true
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const UPDATE: &str = "DRAYAGE_UPDATE_OPENAPI";

    #[test]
    fn openapi_json_is_what_the_code_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, text()).unwrap();
        }
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        let checked_in: Value = serde_json::from_str(&checked_in).unwrap_or_default();
        assert!(
            checked_in == *document(),
            "station/api/openapi.json is not what the handlers say; look at the change, then run\n    \
             {UPDATE}=1 cargo test -p api openapi"
        );
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_and_says_what_it_does() {
        let mut ids = std::collections::BTreeSet::new();
        for (path, item) in document()["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap_or_default();
                assert!(ids.insert(id), "{method} {path}: operation id {id:?}");
                assert!(operation["summary"].is_string(), "{method} {path} says nothing");
                let is_public = crate::desk::PUBLIC.contains(&path.as_str());
                assert_eq!(operation[OPERATION].is_string(), !is_public, "{method} {path}: operation");
            }
        }
    }
}
