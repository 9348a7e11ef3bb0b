//! Sealed secrets as a ledger gives them back. Oracle: what is read is written the same, and only the sound one opens.

use std::sync::OnceLock;

use keys::{MasterKeys, Purpose, Sealed, Vault};

const SECRET: &[u8] = b"238810-662376-448998-450120-652806-203390-606320-483076";

fn station() -> &'static (Vault, Vec<u8>) {
    static STATION: OnceLock<(Vault, Vec<u8>)> = OnceLock::new();
    STATION.get_or_init(|| {
        let vault = Vault::over(MasterKeys::ephemeral());
        let sealed = vault.seal(&purpose(), SECRET).expect("a short secret").to_bytes();
        (vault, sealed)
    })
}

fn purpose() -> Purpose {
    Purpose::RecoveryPassword { job: "/j/1".to_owned(), drive_id: "WX31A".to_owned() }
}

/// A sealed secret of this run.
pub fn sealed_bytes() -> Vec<u8> {
    station().1.clone()
}

/// The bytes are a sealed secret. Says whether they were well-formed.
pub fn sealed_secret(data: &[u8]) -> bool {
    let Ok(sealed) = Sealed::from_bytes(data) else { return false };
    assert_eq!(sealed.to_bytes(), data, "two byte strings are one sealed secret");
    let (vault, sound) = station();
    // A rewrap opens the wrapped key, which authenticates the header and the purpose.
    let is_header_sound = vault.rewrap(&purpose(), &sealed).is_ok();
    assert!(!is_header_sound || data[..86] == sound[..86], "a forged header passed");
    if sealed.customer_key().is_none() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
        let opened = runtime.block_on(vault.open(&purpose(), &sealed));
        assert_eq!(opened.is_ok_and(|secret| secret.matches(SECRET)), data == sound, "forged, or refused");
    }
    true
}
