//! Who works on a drive.

use std::time::Duration;

use super::*;
use crate::{Claim, ClaimError};

const LONG: Duration = Duration::from_secs(600);
const OVER_AT_ONCE: Duration = Duration::ZERO;

async fn claim(ledger: &dyn Ledger, station: &str, lease: Duration) -> Option<Claim> {
    ledger.claim_drive(station, lease).await.expect("claims work")
}

/// Here or in another process, also by the same station.
pub async fn a_drive_is_claimed_by_one_at_a_time(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    assert_eq!(claim(&*ledger, "north", LONG).await, None);
    apply(&*ledger, &insertion(&job_row("One", &[1]))).await;
    let held = claim(&*ledger, "north", LONG).await.expect("it is free");
    assert_eq!((&held.job, &held.drive_id), (&job_key("One"), &serial(1)));
    for station in ["north", "south"] {
        assert_eq!(claim(&*store.open().await, station, LONG).await, None);
        assert_eq!(ledger.claim_this_drive(station, &serial(1), LONG).await.unwrap(), None);
    }
    ledger.renew(&held, LONG).await.unwrap();
}

/// Drives of no station are everybody's; what is not claimable, or of a job that is over, is nobody's.
pub async fn the_oldest_drive_is_claimed_first_and_only_where_it_is(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let mut one = job_row("One", &[9, 1, 2, 3]);
    one.drives[0].claimable = false;
    one.drives[1].station = Some("south".to_owned());
    apply(&*ledger, &insertion(&JobRow { active: false, ..job_row("Over", &[7]) })).await;
    apply(&*ledger, &insertion(&one)).await;
    apply(&*ledger, &insertion(&job_row("Two", &[0]))).await;
    for number in [2, 3, 0] {
        assert_eq!(claim(&*ledger, "north", LONG).await.expect("one is left").drive_id, serial(number));
    }
    assert_eq!(claim(&*ledger, "north", LONG).await, None);
    assert_eq!(claim(&*ledger, "south", LONG).await.expect("its own").drive_id, serial(1));
}

/// A bay has it: that counts more than where it was booked.
pub async fn a_drive_that_was_seen_is_claimed_wherever_it_was(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let mut one = job_row("One", &[1, 2]);
    one.drives[0].station = Some("south".to_owned());
    one.drives[1].claimable = false;
    apply(&*ledger, &insertion(&one)).await;
    let claimed = ledger.claim_this_drive("north", &serial(1), LONG).await.unwrap().expect("it was seen");
    assert_eq!(claimed.drive_id, serial(1));
    assert_eq!(ledger.claim_this_drive("north", &serial(2), LONG).await.unwrap(), None);
    assert_eq!(ledger.claim_this_drive("north", &serial(3), LONG).await.unwrap(), None);
}

/// Whoever had it may not even have noticed.
pub async fn a_lease_that_ended_goes_to_another_station_with_a_higher_fence(store: &dyn OfficeStore) {
    let (ledger, other) = (store.open().await, store.open().await);
    apply(&*ledger, &insertion(&job_row("One", &[1]))).await;
    let first = claim(&*ledger, "north", OVER_AT_ONCE).await.expect("it is free");
    ledger.renew(&first, OVER_AT_ONCE).await.expect("nobody else had it in between");
    let second = claim(&*other, "south", LONG).await.expect("the lease is over");
    assert!(second.fence > first.fence);
    assert_eq!((&second.job, &second.drive_id), (&first.job, &first.drive_id));
    assert_eq!(claim(&*ledger, "north", LONG).await, None);
}

/// In renewing, in progress, at the end; and it takes nothing from whoever has the drive now.
pub async fn a_stale_fence_is_refused_everywhere(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &insertion(&job_row("One", &[1]))).await;
    let stale = claim(&*ledger, "north", OVER_AT_ONCE).await.expect("it is free");
    let progress = |claim: &Claim, version| Change {
        claim: Some(claim.clone()),
        ..update(&job_row("One", &[1]), version)
    };
    apply(&*ledger, &progress(&stale, 1)).await;
    let held = claim(&*ledger, "south", LONG).await.expect("the lease is over");
    let lost = ledger.renew(&stale, LONG).await.expect_err("it is stale");
    assert!(matches!(&lost, ClaimError::Lost { drive_id } if *drive_id == serial(1)), "{lost:?}");
    assert_eq!(lost.class(), model::Class::FailDrive);
    let refused = refusal(&*ledger, &progress(&stale, 2)).await;
    assert!(matches!(refused, ApplyError::ClaimLost { .. }), "{refused:?}");
    let only_custody =
        Change { claim: Some(stale.clone()), ..recorded("north", vec![draft("drive.ended", None)]) };
    assert!(matches!(refusal(&*ledger, &only_custody).await, ApplyError::ClaimLost { .. }));
    assert_eq!(ledger.heads().await.unwrap(), []);
    ledger.release(&stale).await.unwrap();
    ledger.renew(&held, LONG).await.expect("a stale claim releases nothing");
    apply(&*ledger, &progress(&held, 2)).await;
}

/// For anyone; by claim or by station.
pub async fn a_released_drive_is_free_at_once(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &insertion(&job_row("One", &[1, 2]))).await;
    let (one, two) =
        (claim(&*ledger, "north", LONG).await.unwrap(), claim(&*ledger, "north", LONG).await.unwrap());
    ledger.release(&one).await.unwrap();
    ledger.release(&one).await.unwrap();
    assert!(matches!(ledger.renew(&one, LONG).await, Err(ClaimError::Lost { .. })));
    let change = Change { claim: Some(one.clone()), ..Change::default() };
    assert!(matches!(refusal(&*ledger, &change).await, ApplyError::ClaimLost { .. }));
    let again = claim(&*ledger, "south", LONG).await.expect("it was released");
    assert!(again.drive_id == one.drive_id && again.fence > two.fence);
    assert_eq!(ledger.release_all("north").await.unwrap(), 1);
    assert_eq!(ledger.release_all("north").await.unwrap(), 0);
    assert!(matches!(ledger.renew(&two, LONG).await, Err(ClaimError::Lost { .. })));
    ledger.renew(&again, LONG).await.expect("another station's");
    assert_eq!(claim(&*ledger, "north", LONG).await.unwrap().drive_id, two.drive_id);
}

/// Even when the serial numbers are the same.
pub async fn a_job_that_is_made_anew_does_not_know_old_claims(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &insertion(&job_row("One", &[1]))).await;
    let old = claim(&*ledger, "north", LONG).await.unwrap();
    apply(&*ledger, &deletion("One", 1)).await;
    assert!(matches!(ledger.renew(&old, LONG).await, Err(ClaimError::Lost { .. })));
    ledger.release(&old).await.unwrap();
    apply(&*ledger, &insertion(&job_row("One", &[1]))).await;
    let new = claim(&*ledger, "south", LONG).await.expect("a new job's drive is free");
    assert!(new.fence > old.fence);
    assert!(matches!(ledger.renew(&old, LONG).await, Err(ClaimError::Lost { .. })));
}

/// From several processes; nobody goes away empty-handed while there is one.
pub async fn of_many_who_claim_at_once_each_gets_another_drive(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    for job in 0..3 {
        apply(&*ledger, &insertion(&job_row(&format!("job {job}"), &[job * 10, job * 10 + 1]))).await;
    }
    let mut tries = Vec::new();
    for number in 0..9 {
        let ledger = if number % 3 == 0 { store.open().await } else { Arc::clone(&ledger) };
        let claimed = async move { claim(&*ledger, &format!("station {number}"), LONG).await };
        tries.push(tokio::spawn(claimed));
    }
    let mut drives = Vec::new();
    for tried in tries {
        drives.extend(tried.await.unwrap().map(|claim| claim.drive_id));
    }
    // Whoever looks while all that is left is being taken sees none; the drives are there for the next.
    while let Some(claim) = claim(&*ledger, "late", LONG).await {
        drives.push(claim.drive_id);
    }
    drives.sort();
    assert_eq!(drives, [0, 1, 10, 11, 20, 21].map(serial));
}
