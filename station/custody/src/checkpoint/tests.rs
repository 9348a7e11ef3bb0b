//! Checkpoints as texts and as claims.

use super::*;
use crate::examples::{signing_key, six};

const AT: i64 = 1_764_000_000_123;

#[test]
fn a_checkpoint_is_one_line_that_reads_back_and_counts() {
    let (key, written) = (signing_key(), six());
    let text = key.checkpoint(written.head(), AT).to_text();
    assert!(!text.contains('\n'));
    assert!(text.starts_with(r#"{"chain":"dc1","no":6,"hash":""#), "{text}");
    assert!(text.contains(r#""at":"2025-11-24T16:00:00.123Z""#), "{text}");
    let keys = PublicKeys::default().with(key.public(None));
    let trusted = Checkpoint::from_text(&text).unwrap().check(&keys).unwrap();
    assert_eq!(trusted.get().no, 6);
    let both = format!("{text}\n\n{text}\n");
    assert_eq!(checkpoints_of(&both, &keys).unwrap().len(), 2);
}

#[test]
fn nothing_in_it_can_be_changed() {
    let (key, other) = (signing_key(), signing_key());
    let keys = PublicKeys::default().with(key.public(None)).with(other.public(None));
    let genuine = || key.checkpoint(six().head(), AT);
    let forged = [
        Checkpoint { chain: "dc2".to_owned(), ..genuine() },
        Checkpoint { no: 7, ..genuine() },
        Checkpoint { hash: Hash([1; 32]), ..genuine() },
        Checkpoint { at_unix_ms: AT + 1, at: None, ..genuine() },
        Checkpoint { key: other.id(), ..genuine() },
        Checkpoint { signature: Signature([0; 64]), ..genuine() },
    ];
    for checkpoint in forged {
        let no = checkpoint.no;
        let error = checkpoint.clone().check(&keys).unwrap_err();
        assert!(
            matches!(error, CheckpointError::Signature { no: found, .. } if found == no),
            "{checkpoint:?}"
        );
    }
}

#[test]
fn a_text_may_not_tell_people_another_time_than_the_signed_one() {
    let text = signing_key().checkpoint(six().head(), AT).to_text();
    let lying = text.replace("2025-11-24T16", "2025-11-24T17");
    assert!(matches!(Checkpoint::from_text(&lying), Err(CheckpointError::Time { no: 6, .. })));
    let silent = text.replace(r#""at":"2025-11-24T16:00:00.123Z","#, "");
    assert!(Checkpoint::from_text(&silent).is_ok());
    let talkative = text.replace(r#""no":6"#, r#""no":6,"remark":"all good""#);
    assert!(matches!(Checkpoint::from_text(&talkative), Err(CheckpointError::Text(_))));
}

#[test]
fn a_line_that_does_not_count_is_named() {
    let (key, stranger) = (signing_key(), signing_key());
    let keys = PublicKeys::default().with(key.public(None));
    let checkpoint = |key: &SigningKey| key.checkpoint(six().head(), AT).to_text();
    let text = format!("{}\n{}\n", checkpoint(&key), checkpoint(&stranger));
    let error = checkpoints_of(&text, &keys).unwrap_err();
    assert_eq!(error.line, 2);
}

#[test]
fn a_torn_line_of_a_file_is_told_and_passed_over_but_a_forged_one_is_refused() {
    let (key, stranger) = (signing_key(), signing_key());
    let keys = PublicKeys::default().with(key.public(None));
    let whole = key.checkpoint(six().head(), AT).to_text();
    for torn in [
        &whole.as_bytes()[..60],
        &[0; 512],
        b"\xff\xfe",
        &[&whole.as_bytes()[..9], whole.as_bytes()].concat(),
    ] {
        let file = [torn, b"\n\n", whole.as_bytes(), b"\n"].concat();
        let sent = sent_checkpoints_of(&file, &keys).unwrap();
        assert_eq!(sent.trusted.len(), 1);
        assert_eq!(sent.torn.iter().map(|error| error.line).collect::<Vec<_>>(), [1]);
    }
    let forged = stranger.checkpoint(six().head(), AT).to_text();
    let file = format!("{}\n{forged}\n", &whole[..60]);
    assert_eq!(sent_checkpoints_of(file.as_bytes(), &keys).unwrap_err().line, 2);
    let lying = whole.replace("2025-11-24T16", "2025-11-24T17");
    assert!(sent_checkpoints_of(lying.as_bytes(), &keys).is_err());
}

/// A time far beyond any calendar has no text for people, and is signed all the same.
#[test]
fn a_clock_that_is_far_off_does_not_stop_the_signer() {
    let key = signing_key();
    let checkpoint = key.checkpoint(six().head(), i64::MAX);
    let keys = PublicKeys::default().with(key.public(None));
    let text = checkpoint.to_text();
    assert!(!text.contains("\"at\""), "{text}");
    assert!(Checkpoint::from_text(&text).unwrap().check(&keys).is_ok());
}
