//! After a rotation of the master key: every sealed secret is wrapped under the key that seals now.
//!
//! One walk by name, a page at a time, while everything else goes on. No secret is decrypted and no customer's
//! key is asked for ([`Vault::rewrap`]). Invariant: a secret is replaced only if nobody sealed another one
//! meanwhile, and one that cannot be wrapped anew stays as it was and is named, so an old key may be
//! retired exactly when a walk left nothing.

use keys::{KeyId, Malformed, OpenError, Purpose, Sealed, Vault};
use ledger::{OfficeError, SealedSecret, Secrets};

/// Secrets read at once; each is under a kilobyte.
const PAGE: u32 = 100;

/// What a walk came to.
#[derive(Debug, Default)]
pub struct Rewrapped {
    /// How many secrets are under the new key now.
    pub count: u64,
    /// Those that are still under another one.
    pub left: Vec<Left>,
}

/// A secret that stayed under an old key.
#[derive(Debug, thiserror::Error)]
#[error("the secret {name} stays under the master key {master_key_id}")]
pub struct Left {
    /// Its name, which says what it is for.
    pub name: String,
    /// The key that must not be retired.
    pub master_key_id: String,
    /// Why.
    #[source]
    pub why: LeftBecause,
}

/// Why a secret was left.
#[derive(Debug, thiserror::Error)]
pub enum LeftBecause {
    /// Its name is no purpose.
    #[error("its name does not say what it was sealed for")]
    Name(#[source] serde_json::Error),
    /// Its bytes are no sealed secret.
    #[error("its bytes are damaged")]
    Malformed(#[source] Malformed),
    /// Its key is gone, or it is another purpose's.
    #[error("it cannot be wrapped anew")]
    Refused(#[source] OpenError),
}

/// Walks over all secrets that are not under the key that seals now.
///
/// # Errors
/// When the ledger cannot be read or written; what was done until then stays done.
pub async fn rewrap(ledger: &(impl Secrets + ?Sized), vault: &Vault) -> Result<Rewrapped, OfficeError> {
    let mut walk = Rewrapped::default();
    let mut after: Option<String> = None;
    let current = vault.key_ids().first().map(ToString::to_string).unwrap_or_default();
    loop {
        let page = ledger.secrets_to_rewrap(&current, after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(walk) };
        after = Some(last.name.clone());
        for secret in &page {
            match anew(vault, secret) {
                Ok(sealed) => {
                    let id = sealed.master_key().to_string();
                    // False: it was sealed meanwhile, and thus under the new key, or is gone.
                    walk.count += u64::from(ledger.rewrap_secret(secret, &id, &sealed.to_bytes()).await?);
                }
                Err(why) => walk.left.push(left(secret, why)),
            }
        }
    }
}

/// The names of what is sealed under this master key: it may be retired when there are none.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn sealed_under(
    ledger: &(impl Secrets + ?Sized),
    master_key_id: KeyId,
) -> Result<Vec<String>, OfficeError> {
    let (id, mut names, mut after) = (master_key_id.to_string(), Vec::new(), None::<String>);
    loop {
        // No key has an empty id, so this walks over all of them.
        let page = ledger.secrets_to_rewrap("", after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(names) };
        after = Some(last.name.clone());
        names.extend(page.into_iter().filter(|secret| secret.master_key_id == id).map(|secret| secret.name));
    }
}

fn anew(vault: &Vault, secret: &SealedSecret) -> Result<Sealed, LeftBecause> {
    let purpose: Purpose = serde_json::from_str(&secret.name).map_err(LeftBecause::Name)?;
    let sealed = Sealed::from_bytes(&secret.sealed).map_err(LeftBecause::Malformed)?;
    vault.rewrap(&purpose, &sealed).map_err(LeftBecause::Refused)
}

fn left(secret: &SealedSecret, why: LeftBecause) -> Left {
    Left { name: secret.name.clone(), master_key_id: secret.master_key_id.clone(), why }
}

#[cfg(test)]
mod tests {
    use keys::{KeyFile, KeySource, Sources};
    use ledger::{Change, Jobs, SecretWrite, SqliteLedger};

    use super::*;

    fn purpose(number: usize) -> Purpose {
        Purpose::WebHook { id: format!("{number:04}") }
    }

    async fn put(ledger: &SqliteLedger, name: String, sealed: Vec<u8>, id: &str) {
        let secret = SealedSecret { name, job: None, master_key_id: id.to_owned(), sealed };
        let change = Change { secrets: vec![SecretWrite::Put(secret)], ..Change::default() };
        ledger.apply(&change).await.unwrap();
    }

    /// A ledger with some secrets, and a vault whose key was rotated since.
    async fn rotated(folder: &std::path::Path, count: usize) -> (SqliteLedger, Vault, String) {
        let path = folder.join("master-key");
        let old = KeyFile::generate(&path).unwrap().to_string();
        let vault = Vault::load(Sources::new(KeySource::File(path.clone()))).await;
        let vault = vault.unwrap_or_else(|error| panic!("{error}"));
        let ledger = SqliteLedger::open(&folder.join("ledger")).await.unwrap();
        for number in 0..count {
            let sealed = vault.seal(&purpose(number), b"planted").unwrap();
            let name = serde_json::to_string(&purpose(number)).unwrap();
            put(&ledger, name, sealed.to_bytes(), &old).await;
        }
        KeyFile::add(&path).unwrap();
        vault.reload().await.unwrap();
        (ledger, vault, old)
    }

    #[tokio::test]
    async fn after_a_walk_nothing_is_under_the_old_key_and_everything_opens() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, vault, old) = rotated(folder.path(), 205).await;
        assert_eq!(sealed_under(&ledger, old.parse().unwrap()).await.unwrap().len(), 205);
        let walk = rewrap(&ledger, &vault).await.unwrap();
        assert_eq!((walk.count, walk.left.len()), (205, 0));
        assert!(sealed_under(&ledger, old.parse().unwrap()).await.unwrap().is_empty());
        KeyFile::retire(&folder.path().join("master-key"), old.parse().unwrap()).unwrap();
        vault.reload().await.unwrap();
        for number in [0, 99, 100, 204] {
            let name = serde_json::to_string(&purpose(number)).unwrap();
            let kept = ledger.secret(&name).await.unwrap().unwrap();
            let sealed = Sealed::from_bytes(&kept.sealed).unwrap();
            let opened =
                vault.open(&purpose(number), &sealed).await.unwrap_or_else(|error| panic!("{error}"));
            assert!(opened.matches(b"planted"));
        }
        assert_eq!(rewrap(&ledger, &vault).await.unwrap().count, 0, "a second walk has nothing to do");
    }

    #[tokio::test]
    async fn what_cannot_be_wrapped_anew_stays_and_is_named_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, vault, old) = rotated(folder.path(), 3).await;
        put(&ledger, "no purpose".to_owned(), Vec::new(), &old).await;
        let name = |number| serde_json::to_string(&purpose(number)).unwrap();
        put(&ledger, name(1), b"DRYS".to_vec(), &old).await;
        let moved = ledger.secret(&name(0)).await.unwrap().unwrap().sealed;
        put(&ledger, name(2), moved, &old).await;
        let walk = rewrap(&ledger, &vault).await.unwrap();
        assert_eq!(walk.count, 1);
        assert_eq!(walk.left.len(), 3);
        assert_eq!(sealed_under(&ledger, old.parse().unwrap()).await.unwrap().len(), 3);
        for left in &walk.left {
            let is_right = match left.why {
                LeftBecause::Name(_) => left.name == "no purpose",
                LeftBecause::Malformed(_) => left.name == name(1),
                LeftBecause::Refused(_) => left.name == name(2),
            };
            assert!(is_right && left.master_key_id == old, "{left}");
        }
    }
}
