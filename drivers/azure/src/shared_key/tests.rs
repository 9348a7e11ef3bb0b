//! Against hand-made requests, and against those that the official Python client signed.

use azure_core::http::Method;

use super::*;
use crate::credential::{DEVELOPMENT_ACCOUNT, DEVELOPMENT_KEY};

fn request(
    method: Method,
    url: &str,
    headers: &[(&'static str, &'static str)],
    body: &'static str,
) -> Request {
    let mut request = Request::new(url.parse().unwrap(), method);
    for &(name, value) in headers {
        request.insert_header(name, value);
    }
    request.set_body(body);
    request
}

#[test]
fn every_part_stands_where_the_service_expects_it() {
    let request = request(
        Method::Put,
        "http://127.0.0.1:1/devstoreaccount1/abc/a%20b?comp=block&blockid=QQ%3D%3D&Z=2&z=1",
        &[
            ("content-md5", "md5"),
            ("content-type", "text/plain"),
            ("if-none-match", "*"),
            ("x-ms-version", "2023-11-03"),
            ("x-ms-date", "now"),
            ("x-ms-meta-a", " v "),
            ("user-agent", "unsigned"),
        ],
        "data",
    );
    assert_eq!(
        string_to_sign(DEVELOPMENT_ACCOUNT, &request),
        "PUT\n\n\n4\nmd5\ntext/plain\n\n\n\n*\n\n\nx-ms-date:now\nx-ms-meta-a:v\nx-ms-version:2023-11-03\n\
         /devstoreaccount1/devstoreaccount1/abc/a%20b\nblockid:QQ==\ncomp:block\nz:1,2"
    );
}

#[test]
fn trap_2_the_length_that_is_signed_is_the_bodys_even_without_a_header() {
    let with_body = request(Method::Put, "http://127.0.0.1:1/a/b", &[], "12345678901");
    assert!(string_to_sign("a", &with_body).starts_with("PUT\n\n\n11\n"));
    let empty = request(Method::Put, "http://127.0.0.1:1/a/b", &[("content-length", "0")], "");
    assert!(string_to_sign("a", &empty).starts_with("PUT\n\n\n\n"));
}

#[test]
fn a_signature_is_base64_of_hmac_sha256() {
    // Computed with Python's hmac module.
    let key = AccountKey::from_base64(DEVELOPMENT_KEY).unwrap();
    assert_eq!(sign(&key, "GET\n"), "/ZZsmidvu/o1IWuAI6fRY2fmdvnXEMtMILD8Y+sZWjA=");
}

#[test]
fn every_request_of_the_python_client_gets_the_signature_it_had() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/python-client.json")).unwrap();
    let key = AccountKey::from_base64(DEVELOPMENT_KEY).unwrap();
    let recorded = vectors["requests"].as_array().unwrap();
    assert!(recorded.len() >= 12);
    for vector in recorded {
        let target = vector["target"].as_str().unwrap();
        let method = match vector["method"].as_str().unwrap() {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "DELETE" => Method::Delete,
            _ => Method::Put,
        };
        let mut request = Request::new(format!("http://127.0.0.1:1{target}").parse().unwrap(), method);
        for (name, value) in vector["headers"].as_object().unwrap() {
            if name != "authorization" {
                let name = HeaderName::from(name.clone());
                request.insert_header(name, value.as_str().unwrap().to_owned());
            }
        }
        let length = usize::try_from(vector["body_length"].as_u64().unwrap()).unwrap();
        request.set_body(vec![0u8; length]);
        let signature = sign(&key, &string_to_sign(DEVELOPMENT_ACCOUNT, &request));
        let expected = vector["headers"]["authorization"].as_str().unwrap();
        assert_eq!(format!("SharedKey {DEVELOPMENT_ACCOUNT}:{signature}"), expected, "{target}");
    }
}
