//! The small parts by themselves: filters, locations, versions.

use super::super::filter::{Filter, FilterError};
use super::super::locations::{Location, Locations, LocationsError};
use super::super::version::ApiVersion;

#[test]
fn a_filter_is_read_whole_or_refused() {
    let one = Filter { state: Some("a'b and c".to_owned()), ..Filter::default() };
    assert_eq!(Filter::parse("  state  eq 'a''b and c'  "), Ok(one));
    for (text, error) in [
        ("state", FilterError::Form),
        ("state eq", FilterError::Form),
        ("state eq Creating", FilterError::Form),
        ("state eq 'a'x", FilterError::Form),
        ("state eqq 'a'", FilterError::Form),
        ("'a' eq state", FilterError::Form),
        ("state eq 'a', jobType eq 'b'", FilterError::Form),
        ("properties/ eq 'a'", FilterError::Property),
        ("name eq 'a'", FilterError::Property),
        (&"x".repeat(2_000), FilterError::TooLong),
    ] {
        assert_eq!(Filter::parse(text), Err(error), "{text}");
    }
}

#[test]
fn every_version_reads_back_and_nothing_else_does() {
    for version in ApiVersion::ALL {
        assert_eq!(ApiVersion::parse(version.as_str()), Some(version));
    }
    assert_eq!(ApiVersion::parse("2021-01-01-preview"), None);
}

fn location(name: &str, alternatives: &[&str]) -> Location {
    let text = format!(
        "name = \"{name}\"\nrecipient_name = \"Example Station\"\nalternate_locations = {alternatives:?}"
    );
    toml::from_str(&text).expect("the test's location is one")
}

#[test]
fn locations_that_contradict_each_other_are_refused() {
    assert_eq!(Locations::new(Vec::new()), Err(LocationsError::None));
    assert_eq!(Locations::new(vec![location(" ", &[])]), Err(LocationsError::Nameless));
    let twice = vec![location("West US", &[]), location("westus", &[])];
    assert_eq!(Locations::new(twice), Err(LocationsError::Twice("westus".to_owned())));
    let unknown = Locations::new(vec![location("A", &["B"])]);
    assert!(matches!(unknown, Err(LocationsError::UnknownAlternative { .. })), "{unknown:?}");
    let fine = Locations::new(vec![location("A b", &[]), location("C", &["AB"])]).expect("they agree");
    assert_eq!(
        (fine.own().short_name().as_str(), fine.find("aB").map(|found| &*found.name)),
        ("ab", Some("A b"))
    );
}
