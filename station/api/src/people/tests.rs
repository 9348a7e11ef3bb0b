//! The table walked in full against a second one, written by role instead of by operation; and what scopes reach.

use std::collections::BTreeSet;

use super::permissions::TABLE;
use super::*;
use Operation as Op;

/// What every role may, beside the two lists that everybody with credentials may read.
const EVERYBODY: [Op; 2] = [Op::OperationsRead, Op::LocationsRead];

/// By role: what it may do to everything. Written without looking at the table; both must agree.
fn golden(role: Role) -> Vec<Op> {
    let seeing = [Op::JobsRead, Op::ReadDrives, Op::ReadBays, Op::ReadEvents];
    let floor =
        [Op::ScanDrive, Op::AssignBay, Op::Hold, Op::Resume, Op::Release, Op::SetAside, Op::Pack, Op::Ship];
    let extra: Vec<Op> = match role {
        Role::Receiver => vec![Op::ReceivePackage, Op::ScanDrive, Op::Hold, Op::SetAside],
        Role::Technician => floor.to_vec(),
        Role::Lead => [
            &floor[..],
            &[Op::ReceivePackage, Op::PutBackFaulted, Op::JobsWrite, Op::ReadMetrics, Op::ReadCustody],
            &[Op::GiveUp, Op::SettleReturn, Op::ReadWebHooks],
        ]
        .concat(),
        Role::SanitiseApprover => vec![Op::ScanDrive, Op::ApproveSanitise, Op::ReadCustody],
        Role::Auditor => {
            vec![
                Op::ReadMetrics,
                Op::ReadCustody,
                Op::ExportCustody,
                Op::ReadTokens,
                Op::ReadAccounts,
                Op::ReadWebHooks,
            ]
        }
        // Everything but the second person's word and the worker's report.
        Role::Admin => {
            let not = [Op::ApproveSanitise, Op::ReportProgress];
            TABLE.iter().map(|(op, _)| *op).filter(|op| !not.contains(op)).collect()
        }
        Role::Service => vec![Op::Hold, Op::ReportProgress, Op::ReadMetrics],
        Role::Customer => return EVERYBODY.to_vec(),
    };
    [&EVERYBODY[..], &seeing, &extra].concat()
}

/// What a customer may do to what is theirs.
const OWN: [Op; 8] = [
    Op::JobsRead,
    Op::JobsWrite,
    Op::JobsDelete,
    Op::JobsListBitLockerKeys,
    Op::ReadDrives,
    Op::ReadEvents,
    Op::ReadCustody,
    Op::ExportCustody,
];

fn grant(text: &str) -> Grant {
    text.parse().expect("a grant")
}

fn customer(grants: &[&str]) -> Caller {
    Caller::new(
        "oidc:someone",
        [Role::Customer],
        Scope::Only(grants.iter().map(|text| grant(text)).collect()),
    )
}

#[test]
fn every_role_may_do_exactly_what_the_second_table_says() {
    for role in Role::ALL {
        let all: BTreeSet<Op> = golden(role).into_iter().collect();
        let own: BTreeSet<Op> = if role == Role::Customer { OWN.into() } else { BTreeSet::new() };
        for (op, _) in TABLE {
            let expected = match (all.contains(op), own.contains(op)) {
                (true, _) => Cell::All,
                (false, true) => Cell::Own,
                (false, false) => Cell::No,
            };
            assert_eq!(cell(role, *op), expected, "{role} {op:?}");
        }
    }
}

#[test]
fn every_operation_stands_in_the_table_once() {
    let named: BTreeSet<Op> = TABLE.iter().map(|(op, _)| *op).collect();
    assert_eq!(named.len(), TABLE.len());
    // The last operation's number is how many there are: an operation that is added needs its row.
    assert_eq!(TABLE.len(), Op::ManageWebHooks as usize + 1);
}

#[test]
fn nobody_without_a_role_may_anything() {
    let nobody = Caller::new("oidc:nobody", [], Scope::Everything);
    for (op, _) in TABLE {
        assert_eq!(authorise(&nobody, *op), Err(Denied::Forbidden(*op)));
    }
}

#[test]
fn auditors_change_nothing() {
    let reads = golden(Role::Auditor).into_iter().map(|op| format!("{op:?}"));
    for name in reads {
        assert!(name.contains("Read") || name.starts_with("Export"), "{name}");
    }
}

#[test]
fn a_customer_reaches_only_what_the_grants_name() {
    let caller = customer(&["/subscriptions/AA", "/subscriptions/bb/resourceGroups/Moves"]);
    let reach = authorise(&caller, Op::JobsRead).expect("allowed");
    assert!(reach.covers("aa", "anything"));
    assert!(reach.covers("BB", "moves"));
    assert!(!reach.covers("bb", "others"));
    assert!(!reach.covers("cc", "moves"));
    assert_eq!(reach.part("aa"), Part::Whole);
    assert_eq!(reach.part("bb"), Part::Groups(vec!["Moves"]));
    assert_eq!(reach.part("cc"), Part::Groups(vec![]));
}

#[test]
fn a_customer_without_grants_reaches_nothing() {
    for scope in [Scope::Everything, Scope::Only(vec![])] {
        let caller = Caller::new("oidc:x", [Role::Customer], scope);
        let reach = authorise(&caller, Op::JobsRead).expect("allowed");
        assert!(!reach.is_everything());
        assert!(!reach.covers("aa", "bb"));
    }
}

#[test]
fn a_narrowed_token_narrows_staff_too() {
    let scope = Scope::Only(vec![grant("/subscriptions/aa")]);
    let caller = Caller::new("token:1", [Role::Admin], scope);
    let reach = authorise(&caller, Op::JobsDelete).expect("allowed");
    assert!(reach.covers("aa", "x") && !reach.covers("bb", "x"));
}

#[test]
fn a_customer_who_is_an_auditor_too_reads_all_and_changes_only_their_own() {
    let scope = Scope::Everything;
    let caller = Caller::new("oidc:both", [Role::Auditor, Role::Customer], scope);
    assert!(authorise(&caller, Op::JobsRead).expect("allowed").is_everything());
    assert!(!authorise(&caller, Op::JobsDelete).expect("allowed").covers("aa", "x"));
}

#[test]
fn asking_is_remembered_by_every_copy_of_the_caller() {
    let caller = customer(&[]);
    let copy = caller.clone();
    assert!(!copy.was_asked());
    let _ = authorise(&caller, Op::ManageTokens);
    assert!(copy.was_asked());
}

#[test]
fn grants_are_read_as_arm_writes_them_and_nothing_else_is() {
    for good in ["/subscriptions/a", "/SUBSCRIPTIONS/a/resourcegroups/b"] {
        assert!(good.parse::<Grant>().is_ok(), "{good}");
    }
    let bad = [
        "",
        "/",
        "a",
        "subscriptions/a",
        "/subscriptions/",
        "/subscriptions/a/",
        "/subscriptions/a/resourceGroups/",
    ];
    for bad in bad.into_iter().chain([
        "/subscriptions/a/resourceGroups/b/c",
        "/subscriptions//resourceGroups/b",
        "*",
    ]) {
        assert_eq!(bad.parse::<Grant>(), Err(NotAGrant(bad.to_owned())));
    }
}

#[test]
fn roles_are_read_as_they_are_written() {
    for role in Role::ALL {
        assert_eq!(Role::parse(role.as_str()), Ok(role));
        assert_eq!(serde_json::to_value(role).expect("json"), role.as_str());
    }
    assert!(Role::parse("Admin").is_err(), "a role is never guessed");
}
