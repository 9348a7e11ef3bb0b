//! The rules of §5.5: a good request passes, and every wrong field is named, all at once.

use super::*;

fn targets(new: &NewJob, facts: &Facts) -> Vec<String> {
    validate(new, facts).into_iter().map(|problem| problem.target).collect()
}

/// A request with one thing wrong, and the field that is named for it.
fn wrong(change: impl FnOnce(&mut NewJob), target: &str, code: ProblemCode) {
    let mut new = import();
    change(&mut new);
    expect(&new, target, code);
}

fn wrong_export(change: impl FnOnce(&mut NewJob), target: &str, code: ProblemCode) {
    let mut new = export();
    change(&mut new);
    expect(&new, target, code);
}

fn expect(new: &NewJob, target: &str, code: ProblemCode) {
    let problems = validate(new, &facts());
    let found: Vec<_> = problems.iter().map(|problem| (problem.target.as_str(), problem.code)).collect();
    assert_eq!(found, [(target, code)], "{problems:?}");
    assert!(problems[0].message.split_whitespace().count() > 1);
}

#[test]
fn the_least_that_was_recorded_passes() {
    let least = NewJob {
        return_shipping: None,
        delivery_package: None,
        drives: vec![new_drive("9CA995BB")],
        ..import()
    };
    assert_eq!(validate(&least, &facts()), []);
    assert_eq!(validate(&export(), &facts()), []);
}

#[test]
fn each_wrong_field_of_an_import_is_named() {
    use ProblemCode as C;
    wrong(|n| n.key.name = String::new(), "name", C::Invalid);
    wrong(|n| n.key.name = "a/b".to_owned(), "name", C::Invalid);
    wrong(|n| n.key.name = "x".repeat(65), "name", C::Invalid);
    wrong(|n| n.location = " ".to_owned(), "location", C::Missing);
    wrong(|n| n.storage_account_id = String::new(), "properties.storageAccountId", C::Missing);
    wrong(|n| n.storage_account_id = "account".to_owned(), "properties.storageAccountId", C::Invalid);
    wrong(|n| n.job_type = None, "properties.jobType", C::Missing);
    wrong(|n| n.return_address = None, "properties.returnAddress", C::Missing);
    wrong(|n| n.diagnostics_path = "a\nb".to_owned(), "properties.diagnosticsPath", C::Invalid);
    wrong(|n| n.export = Some(Export::default()), "properties.export", C::NotAllowed);
    wrong(|n| n.drives.clear(), "properties.driveList", C::Missing);
    wrong(
        |n| n.drives = (0..11).map(|i| new_drive(&format!("D{i}"))).collect(),
        "properties.driveList",
        C::TooLong,
    );
    wrong(|n| n.tags = (0..51).map(|i| (i.to_string(), String::new())).collect(), "tags", C::TooLong);
    wrong(|n| n.tags = [("t".to_owned(), "v".repeat(257))].into(), "tags[t]", C::TooLong);
}

#[test]
fn each_wrong_field_of_an_address_is_named() {
    type Change = fn(&mut ReturnAddress) -> &mut String;
    let required: [(&str, Change); 7] = [
        ("recipientName", |a| &mut a.recipient_name),
        ("streetAddress1", |a| &mut a.street_address1),
        ("city", |a| &mut a.city),
        ("postalCode", |a| &mut a.postal_code),
        ("countryOrRegion", |a| &mut a.country_or_region),
        ("phone", |a| &mut a.phone),
        ("email", |a| &mut a.email),
    ];
    for (field, text) in required {
        for (value, code) in
            [("", ProblemCode::Missing), (" ", ProblemCode::Missing), ("a\u{7}@", ProblemCode::Invalid)]
        {
            let mut given = address();
            *text(&mut given) = value.to_owned();
            wrong(|n| n.return_address = Some(given), &format!("properties.returnAddress.{field}"), code);
        }
    }
    let given = ReturnAddress { email: "nobody".to_owned(), ..address() };
    wrong(|n| n.return_address = Some(given), "properties.returnAddress.email", ProblemCode::Invalid);
}

#[test]
fn each_wrong_field_of_a_drive_is_named_by_its_place() {
    use ProblemCode as C;
    let path = |field: &str| format!("properties.driveList[1].{field}");
    let hash = |text: &str| text.to_owned();
    wrong(|n| n.drives[1].drive_id = String::new(), &path("driveId"), C::Missing);
    wrong(|n| n.drives[1].drive_id = "D 2".to_owned(), &path("driveId"), C::Invalid);
    wrong(|n| n.drives[1].drive_id = "D1".to_owned(), &path("driveId"), C::Duplicate);
    wrong(|n| n.drives[1].drive_id = "D".repeat(253), &path("driveId"), C::TooLong);
    wrong(|n| n.drives[1].manifest_file = String::new(), &path("manifestFile"), C::Missing);
    wrong(|n| n.drives[1].manifest_hash = String::new(), &path("manifestHash"), C::Missing);
    wrong(|n| n.drives[1].manifest_hash = hash("12"), &path("manifestHash"), C::Invalid);
    wrong(|n| n.drives[1].manifest_hash = "g".repeat(32), &path("manifestHash"), C::Invalid);
    wrong(|n| n.drives[1].key_given = false, &path("bitLockerKey"), C::Missing);
}

#[test]
fn each_wrong_field_of_parcels_and_keys_is_named() {
    use ProblemCode as C;
    let shipping = |carrier: &str, account: &str| {
        Some(ReturnShipping { carrier_name: carrier.to_owned(), carrier_account_number: account.to_owned() })
    };
    wrong(|n| n.return_shipping = shipping("", "1"), "properties.returnShipping.carrierName", C::Missing);
    wrong(
        |n| n.return_shipping = shipping("DHL", ""),
        "properties.returnShipping.carrierAccountNumber",
        C::Missing,
    );
    wrong(
        |n| n.delivery_package = Some(delivery("")),
        "properties.deliveryPackage.trackingNumber",
        C::Missing,
    );
    let stray = EncryptionKey { kek_url: Some("https://k".to_owned()), ..EncryptionKey::default() };
    wrong(|n| n.encryption_key = stray, "properties.encryptionKey.kekUrl", C::NotAllowed);
}

#[test]
fn each_wrong_field_of_an_export_is_named() {
    use ProblemCode as C;
    let many = Export { blob_path: vec!["x".repeat(1_024); 33], ..Export::default() };
    let empty = Export { blob_path: vec![String::new()], ..Export::default() };
    wrong_export(|n| n.export = None, "properties.export", C::Missing);
    wrong_export(|n| n.export = Some(Export::default()), "properties.export", C::Missing);
    wrong_export(|n| n.export = Some(many), "properties.export.blobList", C::TooLong);
    wrong_export(|n| n.export = Some(empty), "properties.export.blobList", C::Invalid);
    wrong_export(|n| n.drives = vec![new_drive("D1")], "properties.driveList", C::NotAllowed);
}

#[test]
fn what_others_have_and_what_is_not_there_is_named() {
    let facts = Facts {
        account: AccountFact::Unknown,
        active_drive_ids: [id("D2")].into(),
        tracking_number_active: true,
        ..Facts::default()
    };
    let expected = [
        "location",
        "properties.storageAccountId",
        "properties.deliveryPackage.trackingNumber",
        "properties.driveList[1].driveId",
    ];
    assert_eq!(targets(&import(), &facts), expected);
}

#[test]
fn a_customers_key_is_honoured_or_refused_clearly() {
    let key = EncryptionKey {
        kek_type: KekType::CustomerManaged,
        kek_url: Some("http://vault".to_owned()),
        kek_vault_resource_id: None,
    };
    let new = NewJob { encryption_key: key, ..import() };
    let able = Facts { customer_keys: true, ..facts() };
    let path = |field: &str| format!("properties.encryptionKey.{field}");
    assert_eq!(targets(&new, &able), [path("kekVaultResourceID"), path("kekUrl")]);
    assert_eq!(targets(&new, &facts()).last(), Some(&path("kekType")));
    let identity = Identity { kind: IdentityKind::UserAssigned, ..Identity::default() };
    assert!(
        targets(&NewJob { identity: identity.clone(), ..new }, &able).contains(&"identity.type".to_owned())
    );
    assert!(targets(&NewJob { identity, ..import() }, &able).is_empty(), "it is of no use, and does no harm");
}

#[test]
fn everything_wrong_is_named_at_once() {
    let new = NewJob { drives: vec![NewDrive::default(), NewDrive::default()], ..NewJob::new(key(), "") };
    let new = NewJob { job_type: Some(JobType::Import), ..new };
    let found = targets(&new, &facts());
    assert!(found.len() >= 11, "{found:?}");
    assert!(new.accept(&facts()).is_err());
}

#[test]
fn keys_that_are_kept_need_not_be_sent_again() {
    let drives = vec![NewDrive { key_given: false, ..new_drive("D1") }];
    let update = Update { drives: Some(drives), ..Update::default() };
    let job = created(import());
    assert_eq!(validate_update(&update, &job, &facts())[0].target, "properties.driveList[0].bitLockerKey");
    let kept = Facts { keys_kept: [id("D1")].into(), ..facts() };
    assert_eq!(validate_update(&update, &job, &kept), []);
    let job = created(export());
    assert_eq!(validate_update(&update, &job, &kept)[0].code, ProblemCode::NotAllowed);
}

#[test]
fn words_are_read_in_any_case() {
    assert_eq!(JobType::parse("import"), Ok(JobType::Import));
    assert_eq!(JobState::parse("SHIPPING"), Ok(JobState::Shipping));
    assert!(LogLevel::parse("loud").is_err());
    assert_eq!(fold_location("West US"), fold_location("westus"));
}

#[test]
fn a_list_that_brings_keys_alone_is_told_from_a_new_list() {
    let key = |serial: &str| NewDrive { drive_id: serial.to_owned(), key_given: true, ..NewDrive::default() };
    let brings = |state: JobState, drives: Vec<NewDrive>| {
        let update = Update { drives: Some(drives), ..Update::default() };
        update.only_brings_keys(&job_in(state).job)
    };
    let no_key = |drive: NewDrive| NewDrive { key_given: false, ..drive };
    for state in JobState::ALL {
        assert!(brings(*state, vec![key("D2")]), "{state}");
        assert!(brings(*state, vec![key("D1"), no_key(key("D2"))]), "{state}");
        assert!(!brings(*state, vec![key("D9")]), "not the job's, {state}");
        assert!(!brings(*state, vec![key("D1"), key("D1")]), "twice, {state}");
        assert!(!brings(*state, vec![no_key(key("D1"))]), "no key at all, {state}");
        let other_hash = NewDrive { manifest_hash: "0".repeat(32), ..new_drive("D1") };
        assert!(!brings(*state, vec![other_hash]), "{state}");
        let is_list = *state == JobState::Creating;
        assert_eq!(brings(*state, vec![new_drive("D1"), new_drive("D2")]), !is_list, "{state}");
    }
    let drives = Some(vec![key("E1")]);
    let mut export = Teller::of(export());
    export.ok(Happening::Ship);
    export.received("E1");
    assert!(
        !Update { drives, ..Update::default() }.only_brings_keys(&export.job),
        "an export's keys are ours"
    );
}
