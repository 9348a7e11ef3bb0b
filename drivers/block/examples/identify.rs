//! Prints what a path to a drive is, and its partitions.
//!
//! `cargo run -p block --example identify -- PATH [SECTOR_BYTES]`

use std::path::PathBuf;

use block::{FileDevice, identify, partition_table};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("usage: identify PATH [SECTOR_BYTES]")?);
    println!("{:#?}", identify(&path)?);
    let mut device = FileDevice::open(&path)?;
    if let Some(sector_bytes) = arguments.next() {
        device = device.with_sector_bytes(sector_bytes.parse()?);
    }
    let table = partition_table(&device)?;
    println!("{:?}, sectors of {} bytes", table.scheme, table.sector_bytes);
    for partition in &table.partitions {
        println!("{partition:?}");
    }
    for problem in &table.problems {
        println!("problem: {problem}");
    }
    Ok(())
}
