//! Ways into storage accounts: of the right account only, replaced only by who saw what is there, put in once.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::house::{House, read};

const PATH: &str = "/v1/accounts/contoso";
const RESOURCE_ID: &str =
    "/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/contoso";
const ENDPOINT: &str = "https://contoso.blob.example";

async fn put(house: &House, endpoint: &str, headers: &[(&str, &str)]) -> Response {
    let body = json!({"endpoint": endpoint, "resourceId": RESOURCE_ID, "credential": "sv=planted"});
    house.ask(Method::PUT, PATH, headers, Some(body)).await
}

fn tag(answer: &Response) -> String {
    answer.headers()["etag"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_another_account_or_of_none_is_not_taken() {
    let house = House::new().await;
    for (endpoint, why) in [
        ("https://fabrikam.blob.example", "account fabrikam, not of contoso"),
        ("http://contoso.blob.example", "https"),
        ("https://contoso.example", "does not name the account"),
        ("https://contoso.blob.example\nhttps://fabrikam.blob.example", "one line"),
    ] {
        let (status, problem) = read(put(&house, endpoint, &[]).await).await;
        assert_eq!((status, &problem["type"]), (409, &json!("/problems/endpoint-refused")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
    }
    assert_eq!(house.get("/v1/accounts").await.1["accounts"], json!([]));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_replaced_only_by_who_says_which_one_they_saw() {
    let house = House::new().await;
    assert_eq!(house.get(PATH).await.0, 404);
    for seen in ["*", "\"none\"", "\"0\""] {
        assert_eq!(put(&house, ENDPOINT, &[("If-Match", seen)]).await.status(), 412, "{seen} of nothing");
    }
    assert_eq!(house.get("/v1/accounts").await.1["accounts"], json!([]), "and nothing was made");
    let made = put(&house, ENDPOINT, &[]).await;
    assert_eq!(made.status(), 201);
    let first = tag(&made);
    let found = house.ask(Method::GET, PATH, &[], None).await;
    assert_eq!((found.status().as_u16(), tag(&found)), (200, first.clone()));
    assert_eq!(read(found).await.1["name"], "contoso");
    assert_eq!(put(&house, ENDPOINT, &[]).await.status(), 428);
    let replaced = put(&house, ENDPOINT, &[("If-Match", &first)]).await;
    assert_eq!(replaced.status(), 200);
    assert_ne!(tag(&replaced), first);
    assert_eq!(put(&house, ENDPOINT, &[("If-Match", &first)]).await.status(), 412);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_sent_twice_is_put_in_once() {
    let house = House::new().await;
    let key = [("Idempotency-Key", "k")];
    let first = put(&house, ENDPOINT, &key).await;
    let again = put(&house, ENDPOINT, &key).await;
    assert_eq!((again.status().as_u16(), tag(&again)), (201, tag(&first)));
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    let (_, page) = house.get("/v1/custody/entries").await;
    let is_put = |entry: &&Value| entry["action"] == "account.put";
    assert_eq!(page["entries"].as_array().unwrap().iter().filter(is_put).count(), 1, "{page}");
    let other = put(&house, "https://contoso.blob.example:1", &key).await;
    assert_eq!(other.status(), 422, "another endpoint is another request");
    house.stop().await;
}
