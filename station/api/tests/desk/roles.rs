//! Customers are kept apart. That every route asks the table for every role, the server's own tests walk.

use api::people::{Role, Scope};
use reqwest::Method;
use serde_json::Value;

use crate::house::{House, read, token};

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_sees_what_is_theirs_and_the_rest_does_not_exist() {
    let house = House::new().await;
    house.shipped("one", &["SN-1"]).await;
    let of = |grant: &'static str| {
        token(&house.tokens, [Role::Customer], Scope::Only(vec![grant.parse().unwrap()]))
    };
    let (owner, stranger) = (of("/subscriptions/sub-1").await, of("/subscriptions/Sub-2").await);
    let job = "/subscriptions/Sub-1/resourceGroups/Group/providers/Microsoft.ImportExport/jobs/one";
    let paths = [
        "/v1/jobs/Sub-1/Group/one".to_owned(),
        "/v1/drives/SN-1".to_owned(),
        "/v1/packages/T-one".to_owned(),
        format!("/v1/custody/export?job={job}"),
        format!("/v1/custody/entries?job={job}"),
    ];
    for path in &paths {
        let status =
            async |token: &str| house.ask_as(token, Method::GET, path, &[], None).await.status().as_u16();
        assert_eq!((status(&owner).await, status(&stranger).await), (200, 404), "{path}");
    }
    for (path, list) in [("/v1/jobs", "jobs"), ("/v1/drives", "drives"), ("/v1/events", "events")] {
        let count = async |token: &str| {
            let (status, page): (u16, Value) =
                read(house.ask_as(token, Method::GET, path, &[], None).await).await;
            assert_eq!(status, 200, "{path}: {page}");
            page[list].as_array().unwrap().len()
        };
        assert!(count(&owner).await > 0 && count(&stranger).await == 0, "{path}");
    }
    house.stop().await;
}
