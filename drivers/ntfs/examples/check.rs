//! Checks a volume: `cargo run --release -p ntfs --example check IMAGE [OFFSET_BYTES]`.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use block::{FileDevice, ReadAt, SharedDevice, Window};
use ntfs::check::{CheckOptions, check};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which image?")?;
    let offset: u64 = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let whole: SharedDevice = Arc::new(FileDevice::open(path.as_ref())?);
    let length = whole.length_bytes().saturating_sub(offset);
    let device: SharedDevice = Arc::new(Window::new(whole, offset, length)?);
    let start = Instant::now();
    let report =
        check(device, &CheckOptions { case_twins_allowed: true, ..CheckOptions::default() }, &mut |_| {})?;
    for fault in report.faults.iter().take(40) {
        println!("{fault}");
    }
    println!(
        "{} faults {:?}; {} files in {} records, {:.2} s",
        report.fault_count,
        report.by_kind(),
        report.files,
        report.records,
        start.elapsed().as_secs_f64(),
    );
    Ok(())
}
