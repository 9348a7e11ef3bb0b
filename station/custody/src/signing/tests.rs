//! Key texts and signatures.

use super::*;

/// The first test vector of RFC 8032 §7.1.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const ID: &str = "21fe31dfa154a261626bf854046fd227";

fn secret_line() -> String {
    format!("custody-signing-key {ID} {SEED}")
}

fn public_line() -> String {
    format!("custody-public-key {ID} {PUBLIC}")
}

#[test]
fn a_key_is_the_one_that_rfc_8032_says() {
    let key = SigningKey::from_text(secret_line().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(key.public(None).to_string(), public_line());
    let by_hand = secret_line().replace(&format!("{ID} "), "");
    let without_id = SigningKey::from_text(by_hand.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(without_id.id(), key.id());
    let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
                    d25bf5f0595bbe24655141438e7a100b";
    assert_eq!(key.sign(b"").to_string(), expected);
}

#[test]
fn a_fresh_key_reads_back_and_its_public_key_checks_it() {
    let text = SigningKey::generate();
    assert_ne!(*text, *SigningKey::generate());
    let key = SigningKey::from_text(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let keys = PublicKeys::from_text(&key.public(Some(0)).to_string()).unwrap();
    let signature = key.sign(b"message");
    assert_eq!(keys.check(key.id(), 0, b"message", &signature), Ok(()));
    assert_eq!(keys.check(key.id(), 0, b"massage", &signature), Err(SignatureError::Forged(key.id())));
    let stranger = SignerId([0; 16]);
    assert_eq!(keys.check(stranger, 0, b"message", &signature), Err(SignatureError::UnknownKey(stranger)));
}

#[test]
fn a_key_signs_only_for_the_time_in_which_it_was_in_use() {
    let line = format!("{} from 2026-01-01T00:00:00Z until 2026-12-31T23:59:59.5+01:00", public_line());
    let keys = PublicKeys::from_text(&line).unwrap();
    let key = SigningKey::from_text(secret_line().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let signature = key.sign(b"m");
    let (from, until) = (1_767_225_600_000, 1_798_757_999_500);
    for (at, expected) in [(from - 1, false), (from, true), (until, true), (until + 1, false)] {
        assert_eq!(keys.check(key.id(), at, b"m", &signature).is_ok(), expected, "{at}");
    }
    let written = keys.0[0].to_string();
    assert_eq!(PublicKeys::from_text(&written).unwrap().0, keys.0, "{written}");
}

#[test]
fn several_keys_over_time_are_trusted_together() {
    let old = SigningKey::from_text(secret_line().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let new =
        SigningKey::from_text(SigningKey::generate().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let text = format!("# old\n{}\n\n# new\n{}\n", old.public(None).until(10), new.public(Some(10)));
    let keys = PublicKeys::from_text(&text).unwrap();
    assert!(keys.check(old.id(), 9, b"m", &old.sign(b"m")).is_ok());
    assert!(keys.check(new.id(), 11, b"m", &new.sign(b"m")).is_ok());
    assert_eq!(keys.check(old.id(), 11, b"m", &old.sign(b"m")), Err(SignatureError::NotInUse(old.id())));
}

#[test]
fn a_text_that_holds_no_key_says_why_and_quotes_no_secret() {
    let why = |text: &str| SigningKey::from_text(text.as_bytes()).err().unwrap();
    assert_eq!(why("# nothing\n"), KeyTextError::Empty);
    assert_eq!(why(&format!("{}\n{}", secret_line(), secret_line())), KeyTextError::TooMany { line: 2 });
    assert_eq!(why(&secret_line().replace("9d61", "9d62")), KeyTextError::Id { line: 1 });
    for text in [secret_line() + "0", secret_line().to_uppercase(), public_line(), secret_line() + " x"] {
        let error = why(&text);
        assert!(matches!(error, KeyTextError::Line { line: 1, .. }), "{text}");
        assert!(!format!("{error} {error:?}").contains(&SEED[..16]));
    }
    let why = |text: &str| PublicKeys::from_text(text).err().unwrap();
    assert_eq!(why(""), KeyTextError::Empty);
    assert_eq!(why(&public_line().replace("d75a", "d75b")), KeyTextError::Id { line: 1 });
    assert!(matches!(why(&format!("{0}\n{0}", public_line())), KeyTextError::Twice { line: 2, .. }));
    for tail in [" until yesterday", " from", " until 2026-01-01T00:00:00Z from 2025-01-01T00:00:00Z"] {
        assert!(matches!(why(&(public_line() + tail)), KeyTextError::Line { line: 1, .. }), "{tail}");
    }
}
