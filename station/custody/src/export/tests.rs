//! Exports, written and read back.

use super::*;
use crate::examples::{Written, signing_key, six};
use crate::signing::PublicKeys;
use crate::verifier::Damage;

fn export(written: &Written) -> String {
    let mut exporter = Exporter::new(Vec::new(), "dc1").unwrap();
    written.rows.iter().for_each(|row| exporter.row(row).unwrap());
    String::from_utf8(exporter.finish(written.head()).unwrap()).unwrap()
}

fn verify(text: &str) -> Result<Verified, ExportVerifyError> {
    verify_export(text.as_bytes(), Vec::new())
}

#[test]
fn an_export_verifies_against_checkpoints_that_were_kept_elsewhere() {
    let (written, key) = (six(), signing_key());
    let keys = PublicKeys::default().with(key.public(None));
    let signed = key.checkpoint(&written.heads[5], 0).check(&keys).unwrap();
    let verified = verify_export(export(&written).as_bytes(), vec![signed]).unwrap();
    assert_eq!((verified.head, verified.signed_up_to), (written.head().clone(), Some(5)));
}

#[test]
fn blanks_and_the_order_of_fields_do_not_matter_but_every_value_does() {
    let text = export(&six());
    let spaced = text.replace("\":", "\" : ");
    assert!(verify(&spaced).is_ok());
    let changed = text.replacen("drive.received", "drive.accepted", 1);
    let error = verify(&changed).unwrap_err();
    let ExportVerifyError::Broken(broken) = error else { panic!("{error}") };
    assert!(matches!(broken, Broken { no: 1, what: Damage::Changed { .. } }), "{broken}");
    let added = text.replacen("\"actor\"", "\"note\":\"unhashed\",\"actor\"", 1);
    assert!(matches!(verify(&added).unwrap_err(), ExportVerifyError::Line(LineError { line: 2, .. })));
}

#[test]
fn a_text_that_was_cut_anywhere_is_no_export() {
    let text = export(&six());
    for end in 0..text.len() {
        assert!(verify(&text[..end]).is_err(), "cut to {end} bytes");
    }
    let fewer: String =
        text.lines().filter(|line| !line.contains("\"no\":3,")).map(|l| l.to_owned() + "\n").collect();
    assert!(matches!(verify(&fewer).unwrap_err(), ExportVerifyError::Broken(Broken { no: 3, .. })));
    assert!(matches!(verify(&(text.clone() + "\n")), Err(ExportVerifyError::Line(_))));
    assert!(matches!(verify(&(text + "{}\n")), Err(ExportVerifyError::Trailing { line: 9 })));
}

#[test]
fn another_kind_of_text_and_an_endless_line_are_refused() {
    let text = export(&six());
    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    assert!(matches!(verify(&newer), Err(ExportVerifyError::Kind { version: 2, .. })));
    assert!(matches!(verify("hello\n"), Err(ExportVerifyError::Line(LineError { line: 1, .. }))));
    let endless = io::BufReader::new(io::repeat(b'['));
    let error = verify_export(endless, Vec::new()).unwrap_err();
    assert!(matches!(error, ExportVerifyError::Line(LineError { line: 1, .. })), "{error}");
    let deep = "[".repeat(100_000) + "\n";
    assert!(verify(&deep).is_err());
}

#[test]
fn a_row_that_is_no_entry_is_named_instead_of_left_out() {
    let mut row = six().rows.remove(2);
    row.entry_bytes.clear();
    let mut exporter = Exporter::new(Vec::new(), "dc1").unwrap();
    assert!(matches!(exporter.row(&row), Err(ExportError::Undecodable { no: 3, .. })));
}
