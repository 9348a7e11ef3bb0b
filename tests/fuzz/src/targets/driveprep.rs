//! What the customer's program reads: frozen works, CSV files, TOML plans. Oracle: what is accepted comes
//! back as it was, and names only what this machine and the drive can have.

use std::path::Path;

use driveprep::inputs::{How, dataset, driveset, plan};
use driveprep::work::Work;

/// The bytes, with the right checksum behind them, are read as a frozen work. Says whether they were one.
pub fn frozen_work(data: &[u8]) -> bool {
    let content = &data[..data.len().saturating_sub(4)];
    // With its checksum wrong, no mutant would get past the end.
    let frozen = [content, &crc32fast::hash(content).to_le_bytes()].concat();
    let Ok(work) = Work::load(&frozen[..]) else { return false };
    let mut again = Vec::new();
    work.save(&mut again).expect("memory takes all bytes");
    assert_eq!(again, frozen, "there is one way to freeze a work");
    for item in work.items() {
        assert!(item.destination().starts_with(&item.dataset().destination));
        assert!(item.drive_path().ends_with(item.name()));
        assert!(item.source_path().starts_with(&item.dataset().source));
    }
    true
}

/// The bytes are read as each file that says what is packed. Says whether they were one.
pub fn inputs(data: &[u8]) -> bool {
    let (path, how) = (Path::new("/folder/file"), How::default());
    let sources = dataset::parse(path, data, &how).map(|file| file.sources);
    let drives = driveset::parse(path, data).map(|file| file.drives);
    let plan = plan::parse(path, data, &how);
    let is_any = sources.is_ok() || drives.is_ok() || plan.is_ok();
    let (planned, offered) = plan.map(|inputs| (inputs.sources, inputs.drives)).unwrap_or_default();
    for source in sources.unwrap_or_default().iter().chain(&planned) {
        assert!(source.from.is_absolute(), "{source:?}");
    }
    for drive in drives.unwrap_or_default().iter().chain(&offered) {
        assert!(drive.path.is_absolute() && drive.size_bytes != Some(0), "{drive:?}");
    }
    is_any
}
