//! Against made-up trees in sysfs's and udev's layout.

use std::os::unix::fs::symlink;

use super::*;

struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/dev/block")).unwrap();
        fs::create_dir_all(root.path().join("udev")).unwrap();
        Machine { root }
    }

    /// A disk at a device number with attribute files.
    fn disk(&self, number: &str, name: &str, attributes: &[(&str, &[u8])]) {
        self.node(number, &format!("sys/devices/block/{name}"), attributes);
    }

    fn node(&self, number: &str, place: &str, attributes: &[(&str, &[u8])]) {
        let directory = self.root.path().join(place);
        for (attribute, value) in attributes {
            let file = directory.join(attribute);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, value).unwrap();
        }
        fs::write(directory.join("dev"), format!("{number}\n")).unwrap();
        symlink(&directory, self.root.path().join("sys/dev/block").join(number)).unwrap();
    }

    fn udev(&self, number: &str, record: &str) {
        fs::write(self.root.path().join("udev").join(format!("b{number}")), record).unwrap();
    }

    fn identify(&self, major: u32, minor: u32) -> Identity {
        let (sysfs, udev) = (self.root.path().join("sys"), self.root.path().join("udev"));
        Places { sysfs: &sysfs, udev: &udev }.identify(major, minor)
    }

    fn serial(&self, major: u32, minor: u32) -> Option<(String, SerialSource)> {
        let identity = self.identify(major, minor);
        identity.serial.zip(identity.serial_source)
    }
}

/// Page 80h as SCSI gives it.
fn page_80(serial: &[u8]) -> Vec<u8> {
    [&[0, 0x80, 0, serial.len() as u8], serial].concat()
}

#[test]
fn a_sata_drive_is_known_by_its_unit_serial_page() {
    let machine = Machine::new();
    let page = page_80(b"     WD-WX31A2 ");
    machine.disk(
        "8:16",
        "sdb",
        &[
            ("size", b"3907029168\n"),
            ("queue/logical_block_size", b"512\n"),
            ("queue/physical_block_size", b"4096\n"),
            ("queue/rotational", b"1\n"),
            ("device/model", b"WDC WD20EZRZ-00 \n"),
            ("device/vendor", b"ATA     \n"),
            ("device/vpd_pg80", &page),
        ],
    );
    let identity = machine.identify(8, 16);
    assert_eq!(identity.kind, DriveKind::BlockDevice);
    assert_eq!(identity.length_bytes, 2_000_398_934_016);
    assert_eq!((identity.logical_sector_bytes, identity.physical_sector_bytes), (512, 4096));
    assert_eq!(identity.serial.as_deref(), Some("WD-WX31A2"));
    assert_eq!(identity.serial_source, Some(SerialSource::UnitSerialPage));
    assert_eq!(identity.model.as_deref(), Some("WDC WD20EZRZ-00"));
    assert_eq!(identity.vendor.as_deref(), Some("ATA"));
    assert_eq!((identity.rotational, identity.partition), (Some(true), None));
    assert_eq!(identity.kernel_name.as_deref(), Some("sdb"));
}

#[test]
fn a_partition_has_its_own_length_and_its_drives_serial_number() {
    let machine = Machine::new();
    machine.disk(
        "259:0",
        "nvme0n1",
        &[("size", b"1000\n"), ("device/serial", b"S4EV NX0 \n"), ("queue/logical_block_size", b"4096\n")],
    );
    machine.node("259:3", "sys/devices/block/nvme0n1/nvme0n1p2", &[("size", b"16\n"), ("partition", b"2\n")]);
    let identity = machine.identify(259, 3);
    assert_eq!((identity.length_bytes, identity.partition), (8192, Some(2)));
    assert_eq!(identity.logical_sector_bytes, 4096);
    assert_eq!(identity.serial.as_deref(), Some("S4EV NX0"), "blanks inside are the drive's own");
    assert_eq!(identity.kernel_name.as_deref(), Some("nvme0n1"));
}

#[test]
fn each_place_is_asked_only_when_the_better_ones_are_silent() {
    let machine = Machine::new();
    machine
        .udev("8:0", "S:disk/by-id/x\nE:ID_MODEL=USB_Disk\nE:ID_SERIAL=long\nE:ID_SERIAL_SHORT=FROM UDEV\n");
    let name = format!("t10.ATA     {:40}{:20}\n", "ST4000DM000-1F2168", "Z3019ABC");
    machine.disk("8:0", "sda", &[("size", b"8\n")]);
    let directory = machine.root.path().join("sys/devices/block/sda");
    assert_eq!(machine.serial(8, 0), Some(("FROM UDEV".to_owned(), SerialSource::Udev)));
    assert_eq!(machine.identify(8, 0).model.as_deref(), Some("USB_Disk"));
    fs::create_dir_all(directory.join("device")).unwrap();
    fs::write(directory.join("device/wwid"), &name).unwrap();
    assert_eq!(machine.serial(8, 0), Some(("Z3019ABC".to_owned(), SerialSource::WorldwideName)));
    fs::write(directory.join("device/vpd_pg80"), page_80(b"FROM PAGE")).unwrap();
    assert_eq!(machine.serial(8, 0), Some(("FROM PAGE".to_owned(), SerialSource::UnitSerialPage)));
    fs::write(directory.join("serial"), "FROM DRIVER\n").unwrap();
    assert_eq!(machine.serial(8, 0), Some(("FROM DRIVER".to_owned(), SerialSource::Attribute)));
}

#[test]
fn pages_and_names_that_make_no_sense_give_no_serial_number() {
    let machine = Machine::new();
    for (index, page) in
        [&[][..], &[0, 0x80, 0], &[0, 0x83, 0, 2, b'A', b'B'], &[0, 0x80, 0, 0], &[0, 0x80, 0, 3, 0, 32, 0]]
            .into_iter()
            .enumerate()
    {
        let number = format!("8:{index}");
        let name = b"naa.5000c500a1b2c3d4\n";
        machine.disk(&number, &format!("sd{index}"), &[("device/vpd_pg80", page), ("device/wwid", name)]);
        assert_eq!(machine.serial(8, index as u32), None, "{page:?}");
    }
}

#[test]
fn a_page_that_claims_more_than_it_has_gives_what_it_has() {
    let machine = Machine::new();
    machine.disk("8:0", "sda", &[("device/vpd_pg80", &[0, 0x80, 0xFF, 0xFF, b'A', 0x1B, b'B'])]);
    assert_eq!(machine.serial(8, 0).unwrap().0, "A B", "control characters do not reach a terminal");
}

#[test]
fn a_machine_without_sysfs_still_gives_an_identity() {
    let identity = Machine::new().identify(8, 0);
    assert_eq!((identity.serial, identity.logical_sector_bytes, identity.length_bytes), (None, 512, 0));
}

#[test]
fn an_image_is_identified_by_its_length_only() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(12_345).unwrap();
    let identity = identify(file.path()).unwrap();
    assert_eq!((identity.kind, identity.length_bytes, identity.serial), (DriveKind::ImageFile, 12_345, None));
}

#[test]
fn what_is_no_drive_is_refused() {
    assert!(matches!(identify(Path::new("/dev/null")), Err(IdentifyError::NotADrive { .. })));
    assert!(matches!(identify(Path::new("/")), Err(IdentifyError::NotADrive { .. })));
    assert!(matches!(identify(Path::new("/nowhere/at all")), Err(IdentifyError::Look { .. })));
}
