//! Reading back: pieces, digests, versions that change.

use azure::{ErrorKind, PageRange};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::server::{Act, Reply, Server};
use crate::support::{account, md5, path};

fn properties(length: usize) -> Act {
    Reply::new(200).with("Content-Length", &length.to_string()).with("x-ms-blob-type", "BlockBlob").act()
}

fn piece(bytes: &[u8]) -> Reply {
    Reply::new(206).with("Content-MD5", &STANDARD.encode(md5(bytes).0)).body(bytes)
}

#[tokio::test]
async fn trap_5_a_blob_is_streamed_as_separate_ranges_of_one_version() {
    let (first, second) = (vec![1u8; 4 << 20], vec![2u8; 10]);
    let script = vec![properties(first.len() + second.len()), piece(&first).act(), piece(&second).act()];
    let server = Server::start(script).await;
    let mut download = account(&server).download_stream(&path("abc/x")).await.unwrap();
    assert_eq!(download.next_piece().await.unwrap().unwrap(), first);
    assert_eq!(download.next_piece().await.unwrap().unwrap(), second);
    assert_eq!(download.next_piece().await.unwrap(), None);
    let seen = server.seen();
    assert_eq!(seen[1].header("x-ms-range"), Some("bytes=0-4194303"));
    assert_eq!(seen[2].header("x-ms-range"), Some("bytes=4194304-4194313"));
    assert!(seen[1..].iter().all(|seen| seen.header("if-match") == Some("\"0x8D\"")));
    assert!(seen[1..].iter().all(|seen| seen.header("x-ms-range-get-content-md5") == Some("true")));
}

#[tokio::test]
async fn a_piece_that_arrives_damaged_is_fetched_again() {
    let damaged = Reply::new(206).with("Content-MD5", &STANDARD.encode(md5(b"hello").0)).body(b"hellO");
    let server = Server::start(vec![damaged.act(), piece(b"hello").act()]).await;
    let bytes = account(&server).download(&path("abc/x"), Some(0..5)).await.unwrap();
    assert_eq!((&bytes[..], server.seen().len()), (&b"hello"[..], 2));
}

#[tokio::test]
async fn a_blob_that_changes_while_it_is_streamed_is_an_error() {
    let server = Server::start(vec![properties(5), Reply::error(412, "ConditionNotMet").act()]).await;
    let mut download = account(&server).download_stream(&path("abc/x")).await.unwrap();
    assert_eq!(download.next_piece().await.unwrap_err().kind(), ErrorKind::ConditionNotMet);
}

#[tokio::test]
async fn an_answer_longer_than_the_range_is_refused_and_a_shorter_one_too() {
    let server = Server::start(vec![Reply::new(206).body(b"123456").act()]).await;
    let error = account(&server).download(&path("abc/x"), Some(0..5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let server = Server::start(vec![properties(5), Reply::new(206).body(b"123").act()]).await;
    let mut download = account(&server).download_stream(&path("abc/x")).await.unwrap();
    assert_eq!(download.next_piece().await.unwrap_err().kind(), ErrorKind::UnexpectedReply);
}

#[tokio::test]
async fn page_ranges_and_listings_follow_their_markers() {
    let ranges = |start: u64, marker: &str| {
        let end = start + 511;
        let body = format!(
            "<PageList><PageRange><Start>{start}</Start><End>{end}</End></PageRange><NextMarker>{marker}</NextMarker></PageList>"
        );
        Reply::new(200).body(body.as_bytes()).act()
    };
    let blobs = |name: &str, marker: &str| {
        let body = format!(
            "<EnumerationResults><Blobs><Blob><Name>{name}</Name><Properties><Etag>1</Etag><Content-Length>1</Content-Length>\
             <BlobType>BlockBlob</BlobType></Properties></Blob></Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
        );
        Reply::new(200).body(body.as_bytes()).act()
    };
    let script = vec![ranges(0, "m/1"), ranges(1_024, ""), blobs("a", "m&amp;2"), blobs("b", "")];
    let server = Server::start(script).await;
    let account = account(&server);
    let range = |offset_bytes| PageRange { offset_bytes, length_bytes: 512 };
    assert_eq!(account.page_ranges(&path("abc/x")).await.unwrap(), [range(0), range(1_024)]);
    let listed = account.list("abc", "p/ä").collect().await.unwrap();
    assert_eq!(listed.iter().map(|blob| blob.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let seen = server.seen();
    assert!(seen[1].target().ends_with("&marker=m%2F1"));
    assert!(seen[2].target().ends_with("?restype=container&comp=list&include=metadata&prefix=p%2F%C3%A4"));
    assert!(seen[3].target().ends_with("&marker=m%262"));
}
