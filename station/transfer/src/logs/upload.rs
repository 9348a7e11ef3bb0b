//! The logs go into the account, block by block, with their digests like everything else.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use azure::{Account, BlobHeaders, Condition, ErrorKind, StorageError};
use base64::Engine as _;
use bytes::Bytes;
use model::BlobPath;

use crate::logs::{LogName, LogNames};
use digests::md5_of;

/// Blocks of a log. 50,000 of them are 400 GB; a verbose log of 10 million blobs is about 10 GB.
const BLOCK_BYTES: usize = 8 << 20;

/// Why a log did not get into the account.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The storage service.
    #[error("uploading the log")]
    Storage(#[source] Box<StorageError>),
    /// Our own copy.
    #[error("reading the log {}", path.display())]
    Local {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl From<StorageError> for UploadError {
    fn from(error: StorageError) -> UploadError {
        UploadError::Storage(Box::new(error))
    }
}

/// Uploads the four logs; gives their names in the account. A log that is there already, from a
/// run that was interrupted here, is replaced by the same bytes.
///
/// # Errors
/// See [`UploadError`].
pub async fn upload(
    account: &Account,
    names: &LogNames,
    local: &[PathBuf],
) -> Result<Vec<String>, UploadError> {
    for (name, path) in names.all().into_iter().zip(local) {
        match account.create_container(name.container).await {
            Ok(_) => {}
            // A SAS that may not create containers may still write to one that is there.
            Err(error) if error.kind == ErrorKind::Forbidden => {}
            Err(error) => return Err(error.into()),
        }
        upload_one(account, name, path).await?;
    }
    Ok(names.in_account())
}

async fn upload_one(account: &Account, name: &LogName, local: &Path) -> Result<(), UploadError> {
    let failed = |source| UploadError::Local { path: local.to_owned(), source };
    let target = BlobPath::new(name.container, &name.blob)
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    match put_file(account, &target, local).await {
        // The answer to the list was lost after the service had used up the blocks: put once more.
        Err(UploadError::Storage(error)) if error.kind == ErrorKind::InvalidBlockList && error.ambiguous => {
            put_file(account, &target, local).await
        }
        put => put,
    }
}

async fn put_file(account: &Account, target: &BlobPath, local: &Path) -> Result<(), UploadError> {
    let failed = |source| UploadError::Local { path: local.to_owned(), source };
    let mut file = File::open(local).map_err(failed)?;
    let headers = BlobHeaders { content_type: Some("application/xml".to_owned()), ..BlobHeaders::default() };
    let first = next_block(&mut file).map_err(failed)?;
    if first.len() < BLOCK_BYTES {
        let md5 = md5_of(&first);
        account.put_blob(target, first, md5, &headers, &Condition::None).await?;
        return Ok(());
    }
    let mut ids = Vec::new();
    let mut block = first;
    while !block.is_empty() {
        let id = base64::engine::general_purpose::STANDARD.encode((ids.len() as u64).to_le_bytes());
        let md5 = md5_of(&block);
        account.put_block(target, &id, block, md5, None).await?;
        ids.push(id);
        block = next_block(&mut file).map_err(failed)?;
    }
    account.put_block_list(target, &ids, &headers, &Condition::None, None).await?;
    Ok(())
}

fn next_block(file: &mut File) -> io::Result<Bytes> {
    let mut block = Vec::new();
    file.take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
    Ok(block.into())
}
