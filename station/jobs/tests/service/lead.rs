//! What a shift lead decides ends jobs that could not end by themselves.

use model::job::{CopyStatus, DriveState, JobState, Place};
use model::status::DriveStatus;

use super::house::*;

#[tokio::test]
async fn drives_that_cannot_be_copied_do_not_keep_the_others_from_going_back() {
    let house = House::new().await;
    let jobs = house.jobs();
    arrived(&jobs, "a", &["D1", "D2", "D3"]).await;
    jobs.drive_unsupported(&clerk(), &key("a"), &id("D1")).await.unwrap();
    jobs.drive_faulted(&clerk(), &key("a"), &id("D2"), "clicks").await.unwrap();
    jobs.drive_put_back(&clerk(), &key("a"), &id("D2")).await.unwrap();
    for serial in ["D2", "D3"] {
        jobs.drive_faulted(&clerk(), &key("a"), &id(serial), "dead").await.unwrap();
        let status = DriveStatus::DiskNotFound;
        jobs.drive_given_up(&clerk(), &key("a"), &id(serial), status).await.unwrap();
    }
    let job = jobs.get(&key("a")).await.unwrap().unwrap().job;
    assert_eq!(job.state, JobState::Packaging);
    assert_eq!(job.drives[0].copy_status, Some(CopyStatus::UnsupportedDrive));
    assert!(job.drives.iter().all(|drive| drive.state == DriveState::CompletedMoreInfo));
}

#[tokio::test]
async fn drives_that_nobody_takes_back_are_destroyed_after_ninety_days_only() {
    let house = House::new().await;
    let jobs = house.jobs();
    arrived(&jobs, "a", &["D1"]).await;
    jobs.extra_drive(&clerk(), &key("a"), &id("X1"), None).await.unwrap();
    jobs.drive_unsupported(&clerk(), &key("a"), &id("D1")).await.unwrap();
    jobs.return_impossible(&clerk(), &key("a"), "the address does not exist").await.unwrap();
    assert!(jobs.drives_destroyed(&clerk(), &key("a")).await.is_err());
    house.later(90);
    jobs.fire_due_timers().await.unwrap();
    let job = jobs.drives_destroyed(&clerk(), &key("a")).await.unwrap().job;
    assert_eq!((job.state, &job.drives[0].place), (JobState::Closed, &Place::Destroyed));
    let custody = house.custody(&key("a")).await;
    let last =
        ["oidc:clerk job.drives-destroyed", "oidc:clerk drive.destroyed D1", "oidc:clerk drive.destroyed X1"];
    assert_eq!(custody.get(custody.len() - 3..).unwrap(), last, "which drives are no more");
}

#[tokio::test]
async fn a_parcel_of_a_job_that_was_never_shipped_goes_back_and_the_job_can_be_deleted() {
    let house = House::new().await;
    let jobs = house.jobs();
    jobs.create(&customer(), import("a", &["D1"]), passwords(&["D1"])).await.unwrap();
    jobs.receive_package(&clerk(), "T-a", None).await.unwrap();
    assert!(jobs.delete(&customer(), &key("a")).await.is_err());
    jobs.parcel_returned(&clerk(), &key("a"), "T-a").await.unwrap();
    jobs.delete(&customer(), &key("a")).await.unwrap();
}

#[tokio::test]
async fn a_customer_who_answers_is_waited_for_anew() {
    let house = House::new().await;
    let jobs = house.jobs();
    shipped(&jobs, "a", &["D1"]).await;
    house.later(14);
    jobs.fire_due_timers().await.unwrap();
    jobs.customer_answered(&clerk(), &key("a")).await.unwrap();
    house.later(13);
    jobs.fire_due_timers().await.unwrap();
    assert_eq!(jobs.get(&key("a")).await.unwrap().unwrap().job.state, JobState::Shipping);
}
