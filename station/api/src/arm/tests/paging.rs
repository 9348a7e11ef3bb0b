//! Lists: parts, links between them, filters, and what a caller may see.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};

use super::super::lists::{Part, gather};
use super::{Client, SUBSCRIPTION, export, import, jobs_uri};
use crate::people::{Caller, Grant, Role, Scope};
use crate::server::{Origin, Peer};

const VERSION: &str = "2021-01-01";

fn names(list: &Value) -> Vec<String> {
    let jobs = list["value"].as_array().cloned().unwrap_or_default();
    jobs.iter().map(|job| job["name"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn with_jobs(count: usize) -> Client {
    let client = Client::new().await;
    for number in 0..count {
        let answer = client.put(&format!("job-{number}"), VERSION, import(&format!("DRIVE{number}"))).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    }
    client
}

/// Follows the links as they are given, cutting off only the host.
async fn all_pages(client: &Client, first: String) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(first));
    while let Some(uri) = next {
        let answer = client.get(&uri).await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}: {}", answer.text);
        let list = answer.json();
        pages.push(names(&list));
        next = list.get("nextLink").map(|link| {
            let link = link.as_str().expect("a link is a text");
            link.strip_prefix("https://station.example.com")
                .expect("it is a whole URL at the host asked")
                .to_owned()
        });
        assert!(pages.len() < 20, "links must come to an end: {pages:?}");
    }
    pages
}

#[tokio::test]
async fn pages_followed_by_their_links_are_the_whole_list_once() {
    let client = with_jobs(5).await;
    for (top, sizes) in [("1", &[1, 1, 1, 1, 1][..]), ("2", &[2, 2, 1]), ("5", &[5]), ("100", &[5])] {
        let pages = all_pages(&client, format!("{}?api-version={VERSION}&$top={top}", jobs_uri())).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "$top={top}");
        assert_eq!(pages.concat(), ["job-0", "job-1", "job-2", "job-3", "job-4"]);
    }
}

#[tokio::test]
async fn a_link_carries_the_filter_and_the_path_as_it_was_asked() {
    let client = with_jobs(3).await;
    client.put("an-export", VERSION, export()).await;
    let path = jobs_uri().replace("resourceGroups", "resourcegroups");
    let uri =
        format!("{path}?API-Version={VERSION}&%24top=2&$filter=properties/jobType%20eq%20'Import'&other=1");
    let first = client.get(&uri).await.json();
    let link = first["nextLink"].as_str().expect("there is more");
    assert!(
        link.starts_with(&format!("https://station.example.com{path}?api-version={VERSION}&$top=2&$filter=")),
        "{link}"
    );
    assert!(link.contains("properties%2FjobType%20eq%20%27Import%27"), "{link}");
    assert_eq!(link.matches('?').count(), 1);
    let second = client.get(link.strip_prefix("https://station.example.com").expect("our host")).await.json();
    assert_eq!((names(&second), second.get("nextLink")), (vec!["job-2".to_owned()], None));
}

#[tokio::test]
async fn a_link_has_the_scheme_of_the_request_that_it_answers() {
    let client = with_jobs(2).await;
    for (is_tls, start) in [(true, "https://station.example.com/"), (false, "http://station.example.com/")] {
        let uri = format!("{}?api-version={VERSION}&$top=1", jobs_uri());
        let request = Request::get(uri).header(header::HOST, "station.example.com");
        let request = request.extension(Origin { peer: Peer::Local { uid: 0 }, is_tls });
        let list = client.raw(request.body(Body::empty()).expect("the test's request is one")).await.json();
        assert!(list["nextLink"].as_str().is_some_and(|link| link.starts_with(start)), "{list}");
    }
}

#[tokio::test]
async fn a_filter_shows_what_fits_and_nothing_else() {
    let client = with_jobs(2).await;
    client.put("an-export", VERSION, export()).await;
    let package =
        json!({"carrierName": "FedEx", "trackingNumber": "1Z 99", "driveCount": 1, "shipDate": "2026/03/01"});
    client
        .patch("job-1", VERSION, json!({"properties": {"deliveryPackage": package, "state": "shipping"}}))
        .await;
    for (filter, expected) in [
        ("", &["job-0", "job-1", "an-export"][..]),
        ("properties/state eq 'Shipping'", &["job-1"]),
        ("state eq 'creating'", &["job-0", "an-export"]),
        ("properties/state eq 'Creating' and properties/jobType eq 'Import'", &["job-0"]),
        ("jobType EQ 'export' AND State eq 'Creating'", &["an-export"]),
        ("properties/deliveryPackage/trackingNumber eq '1z99'", &["job-1"]),
        ("trackingNumber eq 'O''Brien'", &[]),
        ("state eq 'NoSuchState'", &[]),
    ] {
        let encoded = filter.replace(' ', "+");
        let list = client.get(&format!("{}?api-version={VERSION}&$filter={encoded}", jobs_uri())).await;
        assert_eq!(names(&list.json()), expected, "{filter}");
    }
}

/// A list of numbers, of which a page shows only some; gives the pages and how many reads each took.
async fn sifted(count: i64, top: u32, shows: impl Fn(&i64) -> bool) -> Vec<(Vec<i64>, usize)> {
    let (mut pages, mut after, reads) = (Vec::new(), None, std::cell::Cell::new(0));
    loop {
        let read = |after: Option<i64>, limit: u32| {
            reads.set(reads.get() + 1);
            let first = after.unwrap_or(0) + 1;
            let last = count.min(first + i64::from(limit) - 1);
            let found = (first..=last).map(|number| (number, number)).collect();
            async move { Ok::<_, ()>(Part { found, next: Some(last).filter(|last| *last < count) }) }
        };
        let page = gather(top, after, &shows, read).await.expect("it reads");
        pages.push((page.found.into_iter().map(|(_, number)| number).collect(), reads.take()));
        after = page.next;
        if after.is_none() {
            return pages;
        }
    }
}

#[tokio::test]
async fn a_short_page_of_a_long_list_is_not_read_job_by_job() {
    assert_eq!(sifted(1_000, 1, |number| *number == 900).await, [(vec![900], 10), (vec![], 2)]);
    let pages = sifted(5_000, 1, |number| *number == 3_000).await;
    let reads: Vec<_> = pages.iter().map(|(found, reads)| (found.len(), *reads)).collect();
    assert_eq!(reads, [(0, 21), (1, 11), (0, 21)], "at most 2,100 are looked at for a page");
    for top in 1..=100 {
        let pages = sifted(1_000, top, |number| number % 7 == 0).await;
        let all: Vec<i64> = pages.iter().flat_map(|(found, _)| found.clone()).collect();
        assert_eq!(all, (1..=142).map(|number| number * 7).collect::<Vec<_>>(), "each once, $top={top}");
        assert!(pages.iter().all(|(found, _)| found.len() <= top as usize));
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused_with_its_parameter() {
    let client = with_jobs(3).await;
    for (query, target) in [
        ("$top=0", "$top"),
        ("$top=101", "$top"),
        ("$top=-1", "$top"),
        ("$top=ten", "$top"),
        ("$top=1&$top=2", "$top"),
        ("$filter=colour%20eq%20'red'", "$filter"),
        ("$filter=state%20ne%20'Creating'", "$filter"),
        ("$filter=state%20eq%20'a'%20or%20state%20eq%20'b'", "$filter"),
        ("$filter=state%20eq%20'a'%20and%20state%20eq%20'b'", "$filter"),
        ("$filter=state%20eq%20'a'%20and", "$filter"),
        ("$filter=state%20eq%20'unclosed", "$filter"),
        ("$skiptoken=", "$skiptoken"),
        ("$skiptoken=zz", "$skiptoken"),
        ("$skiptoken=010000000000000001deadbeefdeadbeef", "$skiptoken"),
    ] {
        let answer = client.get(&format!("{}?api-version={VERSION}&{query}", jobs_uri())).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer.error(), ("InvalidParameter".to_owned(), vec![target.to_owned()]), "{query}");
    }
}

#[tokio::test]
async fn a_token_of_one_list_is_no_token_of_another() {
    let client = with_jobs(3).await;
    let first = client.get(&format!("{}?api-version={VERSION}&$top=1", jobs_uri())).await.json();
    let token =
        first["nextLink"].as_str().and_then(|link| link.split("$skiptoken=").nth(1)).expect("there is more");
    let of = |query: &str| format!("?api-version={VERSION}&$skiptoken={token}{query}");
    assert_eq!(
        client.get(&(jobs_uri() + &of("&$top=2"))).await.status,
        StatusCode::OK,
        "another $top is the same list"
    );
    let all = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ImportExport/jobs");
    for other in [all + &of(""), jobs_uri() + &of("&$filter=state%20eq%20'Creating'")] {
        assert_eq!(client.get(&other).await.error().1, ["$skiptoken"], "{other}");
    }
}

#[tokio::test]
async fn a_customer_sees_only_what_is_theirs_and_the_rest_is_not_there() {
    let staff = with_jobs(2).await;
    let jobs_of = |group: &str| jobs_uri().replace("myResourceGroup", group);
    for (group, drive) in [("theirs", "A1"), ("alsoTheirs", "A2"), ("theirs", "A3")] {
        let uri = format!("{}/in-{group}-{drive}?api-version={VERSION}", jobs_of(group));
        assert_eq!(
            staff.send(axum::http::Method::PUT, &uri, Some(import(drive))).await.status,
            StatusCode::CREATED
        );
    }
    let grants = ["THEIRS", "alsotheirs"]
        .map(|group| Grant { subscription: SUBSCRIPTION.to_owned(), resource_group: Some(group.to_owned()) });
    let customer =
        staff.as_caller(Some(Caller::new("oidc:customer", [Role::Customer], Scope::Only(grants.to_vec()))));
    let all = format!(
        "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ImportExport/jobs?api-version={VERSION}&$top=1"
    );
    let seen = all_pages(&customer, all.clone()).await.concat();
    assert_eq!(seen, ["in-theirs-A1", "in-alsoTheirs-A2", "in-theirs-A3"]);
    let own = format!("{}?api-version={VERSION}", jobs_of("Theirs"));
    assert_eq!(names(&customer.get(&own).await.json()), ["in-theirs-A1", "in-theirs-A3"]);
    assert_eq!(
        names(&customer.get(&format!("{}?api-version={VERSION}", jobs_uri())).await.json()),
        Vec::<String>::new()
    );

    let there = customer.get(&super::job_uri("job-0", VERSION)).await;
    let not_there = customer.get(&super::job_uri("no-such-job", VERSION)).await;
    assert_eq!(
        (there.status, &there.text),
        (StatusCode::NOT_FOUND, &not_there.text),
        "they cannot be told apart"
    );

    let nobody = staff.as_caller(Some(Caller::new("oidc:new", [Role::Customer], Scope::Everything)));
    assert_eq!(
        names(&nobody.get(&all).await.json()),
        Vec::<String>::new(),
        "a customer without grants has nothing"
    );
}
