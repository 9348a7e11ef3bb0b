//! Two stations, each a process with its own bays, over one ledger: SQLite, and PostgreSQL where it is installed.

use std::sync::Arc;

use jobs::Jobs;
use ledger::PostgresLedger;
use ledger::cluster::Cluster;
use model::job::{JobState, RunLogs};
use model::status::DriveStatus;

use super::house::*;

/// The test, over each ledger that there is.
async fn over_each<T: Future<Output = ()>>(test: &str, run: impl Fn(House) -> T) {
    run(House::new().await).await;
    match Cluster::shared() {
        Ok(cluster) => {
            let url = cluster.database().await;
            let ledger = PostgresLedger::open(&cluster.options(&url)).await.unwrap();
            run(House::over(tempfile::tempdir().unwrap(), Arc::new(ledger))).await;
        }
        Err(why) => println!("skipped: {test} over PostgreSQL: {why}"),
    }
}

async fn copy(jobs: Arc<Jobs>, serial: String) {
    let drive_id = id(&serial);
    jobs.drive_started(&bay(), &key("a"), &drive_id, None).await.unwrap();
    jobs.release_key(&bay(), &key("a"), &drive_id, &serial, None).await.unwrap();
    for percent in [10, 60] {
        jobs.drive_progress(&bay(), &key("a"), &drive_id, (percent, 1), None).await.unwrap();
    }
    let end = (DriveStatus::Completed, 1, RunLogs::default());
    jobs.drive_ended(&bay(), &key("a"), &drive_id, end, None).await.unwrap();
}

#[tokio::test]
async fn two_stations_that_report_on_one_job_lose_nothing() {
    over_each("two_stations_that_report_on_one_job_lose_nothing", |house| async move {
        let serials: Vec<String> = (0..10).map(|n| format!("D{n}")).collect();
        let names: Vec<&str> = serials.iter().map(String::as_str).collect();
        let stations = ["north", "south"].map(|name| Arc::new(house.station(name, Arc::default())));
        arrived(&stations[0], "a", &names).await;
        for (n, serial) in names.iter().enumerate() {
            let jobs = &stations[n % 2];
            jobs.scan(&clerk(), &id(serial), None, None).await.unwrap();
            jobs.assign(&clerk(), &seen(serial, serial)).await.unwrap();
        }
        let mut copies = tokio::task::JoinSet::new();
        for (n, serial) in serials.iter().enumerate() {
            copies.spawn(copy(stations[n % 2].clone(), serial.clone()));
        }
        while let Some(done) = copies.join_next().await {
            done.unwrap();
        }
        let job = stations[0].get(&key("a")).await.unwrap().unwrap().job;
        assert_eq!((job.state, job.percent_complete), (JobState::Packaging, 100));
        let custody = house.custody(&key("a")).await;
        for action in ["drive.started", "key.released", "drive.ended"] {
            assert_eq!(custody.iter().filter(|entry| entry.contains(action)).count(), 10, "{action}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_drive_that_was_carried_to_another_station_goes_on_there() {
    over_each("a_drive_that_was_carried_to_another_station_goes_on_there", |house| async move {
        let (heard_north, heard_south) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
        let north = house.station("north", heard_north.clone());
        let south = house.station("south", heard_south.clone());
        arrived(&north, "a", &["D1"]).await;
        north.assign(&clerk(), &seen("D1", "1")).await.unwrap();
        north.drive_started(&bay(), &key("a"), &id("D1"), None).await.unwrap();
        // The north died; its drive is put into a bay of the south.
        south.assign(&clerk(), &seen("D1", "9")).await.unwrap();
        assert_eq!(heard_south.take(), ["stop D1", "ready D1"]);
        south.drive_started(&bay(), &key("a"), &id("D1"), None).await.unwrap();
        assert!(south.release_key(&bay(), &key("a"), &id("D1"), "9", None).await.is_ok());
        assert!(north.release_key(&bay(), &key("a"), &id("D1"), "1", None).await.is_err());
        heard_north.take();
        let reconciled = north.reconcile().await.unwrap();
        assert_eq!(
            (reconciled.ready, heard_north.take()),
            (0, vec![]),
            "nothing of it is the north's any more"
        );
        assert_eq!(south.reconcile().await.unwrap().ready, 1);
    })
    .await;
}
