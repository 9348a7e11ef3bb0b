//! Somebody else at the same account: who takes names, holds leases and commits blobs while we work.

use std::future::Future;

use anyhow::{Context, Result};
use azure::{Account, AccountConfig, BlobHeaders, Condition, Credential, LeaseId};
use bytes::Bytes;
use digests::md5_of;
use model::BlobPath;

/// A client of its own: neither its connections nor its limits are those of a stand.
///
/// # Errors
/// When the account cannot be set up.
pub fn client(url: &str, credential: &str) -> Result<Account> {
    let config = AccountConfig::new(azure::Endpoint::parse(url)?, Credential::from_text(credential)?);
    Ok(Account::new(config)?)
}

/// Does something from within a hook, which runs on the endpoint's own thread and cannot wait.
pub fn aside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime for one thread").block_on(work)
    });
    thread.join().expect("what is done aside does not panic")
}

/// Makes the containers, and puts a small block blob under each name.
///
/// # Errors
/// What the storage service answered.
pub async fn occupy(account: &Account, names: &[&str]) -> Result<()> {
    for name in names {
        put(account, name, THEIRS).await?;
    }
    Ok(())
}

/// What somebody else's blobs hold.
pub const THEIRS: &[u8] = b"somebody else's, and not to be lost";

/// Puts a block blob in one request, whatever is there.
///
/// # Errors
/// What the storage service answered.
pub async fn put(account: &Account, name: &str, content: &'static [u8]) -> Result<()> {
    let path = path(name)?;
    account.create_container(path.container()).await?;
    let (headers, condition) = (BlobHeaders::default(), Condition::None);
    account.put_blob(&path, Bytes::from_static(content), md5_of(content), &headers, &condition).await?;
    Ok(())
}

/// Stages and commits blocks under these ids.
///
/// # Errors
/// What the storage service answered.
pub async fn put_blocks(account: &Account, name: &str, blocks: &[(String, Bytes)]) -> Result<()> {
    let path = path(name)?;
    account.create_container(path.container()).await?;
    for (id, data) in blocks {
        account.put_block(&path, id, data.clone(), md5_of(data), None).await?;
    }
    let ids: Vec<String> = blocks.iter().map(|(id, _)| id.clone()).collect();
    account.put_block_list(&path, &ids, &BlobHeaders::default(), &Condition::None, None).await?;
    Ok(())
}

/// Creates a page blob and writes it full of one byte, 4 MiB at most.
///
/// # Errors
/// What the storage service answered.
pub async fn put_pages(account: &Account, name: &str, length_bytes: usize, byte: u8) -> Result<()> {
    let path = path(name)?;
    account.create_container(path.container()).await?;
    let (headers, condition) = (BlobHeaders::default(), Condition::None);
    account.create_page_blob(&path, length_bytes as u64, &headers, &condition, None).await?;
    let data = Bytes::from(vec![byte; length_bytes]);
    let digest = md5_of(&data);
    account.put_page(&path, 0, data, digest, None).await?;
    Ok(())
}

/// Takes a lease that is not ours.
///
/// # Errors
/// What the storage service answered.
pub async fn lease(account: &Account, name: &str) -> Result<LeaseId> {
    account.acquire_lease(&path(name)?, None, 60).await.context("taking somebody else's lease")
}

/// `container/name` as a path.
///
/// # Errors
/// When it is none.
pub fn path(name: &str) -> Result<BlobPath> {
    let (container, blob) = name.split_once('/').context("a container and a name")?;
    Ok(BlobPath::new(container, blob)?)
}
