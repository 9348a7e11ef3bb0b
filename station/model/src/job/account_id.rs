//! The ARM id of a storage account: whose it is, and its name.
//!
//! Pure. The name alone is no right to an account: whoever opens the station's own way into one compares
//! the whole id, and the API asks whether the caller reaches its resource group.

/// `/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/N`, taken apart.
///
/// As in ARM, two ids are the same when they differ in case only, and the classic provider's accounts
/// are others than the present one's.
#[derive(Debug, Clone, Copy)]
pub struct StorageAccountId<'a> {
    /// The subscription's id.
    pub subscription: &'a str,
    /// The resource group.
    pub resource_group: &'a str,
    /// `Microsoft.Storage`, or `Microsoft.ClassicStorage`.
    provider: &'a str,
    /// The account, 3 to 24 letters and digits.
    pub name: &'a str,
}

impl<'a> StorageAccountId<'a> {
    /// Reads an id; `None` when it is no id of a storage account.
    pub fn parse(id: &'a str) -> Option<Self> {
        let parts: Vec<&str> = id.strip_prefix('/')?.split('/').collect();
        let [s, subscription, g, resource_group, p, provider, kind, name] = parts[..] else { return None };
        let words =
            [(s, "subscriptions"), (g, "resourceGroups"), (p, "providers"), (kind, "storageAccounts")];
        let provider_fits = ["Microsoft.Storage", "Microsoft.ClassicStorage"]
            .iter()
            .any(|known| provider.eq_ignore_ascii_case(known));
        let fits = words.iter().all(|(found, word)| found.eq_ignore_ascii_case(word))
            && provider_fits
            && !subscription.is_empty()
            && !resource_group.is_empty()
            && (3..=24).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric());
        fits.then_some(Self { subscription, resource_group, provider, name })
    }
}

impl PartialEq for StorageAccountId<'_> {
    fn eq(&self, other: &Self) -> bool {
        let parts = |id: &Self| [id.subscription, id.resource_group, id.provider, id.name];
        let pairs = parts(self).into_iter().zip(parts(other));
        pairs.into_iter().all(|(one, another)| one.eq_ignore_ascii_case(another))
    }
}

impl Eq for StorageAccountId<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "/subscriptions/S1/resourceGroups/G1/providers/Microsoft.Storage/storageAccounts/acct";

    #[test]
    fn an_id_is_taken_apart_and_compared_without_case() {
        let id = StorageAccountId::parse(ID).unwrap();
        assert_eq!((id.subscription, id.resource_group, id.name), ("S1", "G1", "acct"));
        assert_eq!(Some(id), StorageAccountId::parse(&ID.to_ascii_uppercase()));
        let others = [
            ID.replace("S1", "S2"),
            ID.replace("G1", "G2"),
            ID.replace("acct", "acc2"),
            ID.replace(".Storage", ".ClassicStorage"),
        ];
        for other in others {
            assert_ne!(Some(id), StorageAccountId::parse(&other), "{other}");
        }
    }

    #[test]
    fn what_is_no_id_of_an_account_is_none() {
        let wrong =
            ["", "acct", &ID[1..], &format!("{ID}/"), &ID.replace("acct", "a-b"), &ID.replace("S1", "")];
        for wrong in wrong {
            assert!(StorageAccountId::parse(wrong).is_none(), "{wrong}");
        }
    }
}
