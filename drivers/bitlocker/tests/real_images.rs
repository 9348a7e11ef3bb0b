//! Volumes made by Windows: every image of the fixtures with every secret that is listed for it,
//! and the refusals.

mod common;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bitlocker::{
    ConversionState, Integrity, Metadata, OpenError, ProtectorKind, Secret, UnlockError, Volume, VolumeKind,
    Warning,
};
use block::{ReadAt, ReadError, SharedDevice};
use common::{bek, hex, images, open_image, password, recovery, sha256_of, unlock};

/// Images whose encrypt-on-write descriptors were lost: a guess would give wrong bytes.
const REFUSED: [&str; 2] = ["bitlk-partially-encrypted-aes-cbc-128.img", "bitlk-aes-xts-128-eow.img"];

struct Case {
    image: String,
    secret: (&'static str, String),
    sha256: String,
}

/// One case a secret of images.json.
fn cases(folder: &Path) -> Vec<Case> {
    let list = fs::read_to_string(common::fixtures("images").unwrap().join("bitlocker/images.json")).unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let mut cases = Vec::new();
    for entry in list.as_array().unwrap() {
        let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
        let image = name(entry["f"].as_str().unwrap());
        for key in ["p", "r", "r2", "b", "c"] {
            let secret = match &entry[key] {
                serde_json::Value::String(text) if key == "b" => {
                    folder.join(name(text)).to_str().unwrap().to_owned()
                }
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Bool(true) => String::new(),
                _ => continue,
            };
            let sha256 = entry["sha"].as_str().unwrap().to_owned();
            cases.push(Case { image: image.clone(), secret: (key, secret), sha256 });
        }
    }
    cases
}

fn secret_of(case: &Case) -> Secret {
    match case.secret.0 {
        "p" => password(&case.secret.1),
        "b" => bek(Path::new(&case.secret.1)),
        "c" => Secret::ClearKey,
        _ => recovery(&case.secret.1),
    }
}

/// Two threads, because the key derivation is what takes the time.
fn for_each_case(cases: Vec<Case>, check: impl Fn(&Case) + Sync) {
    let cases = Mutex::new(cases.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = cases.lock().unwrap().next();
                    let Some(case) = next else { break };
                    check(&case);
                }
            });
        }
    });
}

#[test]
fn every_image_decrypts_to_its_hash_with_every_secret() {
    let Some(folder) = images("every_image_decrypts_to_its_hash_with_every_secret") else { return };
    let cases: Vec<Case> = cases(&folder).into_iter().filter(|case| !case.sha256.is_empty()).collect();
    assert_eq!(cases.len(), 37, "secrets in images.json");
    for_each_case(cases, |case| {
        let name = format!("{} by {}", case.image, case.secret.0);
        let device = open_image(&folder.join(&case.image));
        let metadata = Metadata::read(&device).unwrap();
        let key = metadata.unlock(&secret_of(case)).unwrap();
        assert_eq!(key.integrity(), Integrity::Verified, "{name}");
        assert_eq!(key.method(), metadata.method, "{name}");
        assert!(
            metadata.protectors().iter().any(|protector| Some(protector.id) == key.protector()),
            "{name}"
        );
        let volume = Volume::open(Arc::clone(&device), &metadata, &key).unwrap();
        assert_eq!(sha256_of(&volume, (1 << 20) + 77), case.sha256, "{name}");
    });
}

#[test]
fn volumes_whose_map_of_encrypted_chunks_is_lost_are_refused() {
    let Some(folder) = images("volumes_whose_map_of_encrypted_chunks_is_lost_are_refused") else { return };
    let cases: Vec<Case> = cases(&folder).into_iter().filter(|case| case.sha256.is_empty()).collect();
    assert_eq!(cases.len(), 5);
    for_each_case(cases, |case| {
        assert!(REFUSED.contains(&case.image.as_str()));
        let device = open_image(&folder.join(&case.image));
        let metadata = Metadata::read(&device).unwrap();
        assert_eq!(metadata.kind, VolumeKind::EncryptOnWrite);
        assert_eq!(metadata.state, ConversionState::Encrypted);
        let refused = metadata.map(&device).unwrap_err();
        assert!(matches!(refused, OpenError::ConversionMap(_)), "{}: {refused:?}", case.image);
        metadata.unlock(&secret_of(case)).expect("the secret is right, only the map is lost");
    });
}

#[test]
fn what_is_known_without_a_secret_is_as_cryptsetup_lists_it() {
    let Some(folder) = images("what_is_known_without_a_secret_is_as_cryptsetup_lists_it") else { return };
    let list = fs::read_to_string(folder.join("images.conf")).unwrap();
    let mut checked = 0;
    for section in list.split('[').skip(1) {
        let (name, fields) = section.split_once(']').unwrap();
        let field = |key: &str| {
            fields
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .map(str::trim)
                .filter(|value| !value.is_empty())
        };
        let metadata = Metadata::read(&open_image(&folder.join(format!("{name}.img")))).unwrap();
        assert_eq!(Some(metadata.volume_id.to_string().as_str()), field("GUID"), "{name}");
        let of_kind = |kind| metadata.protectors().iter().find(move |protector| protector.kind == kind);
        for (key, kind) in [
            ("PW_VMK_GUID", ProtectorKind::Password),
            ("RP_VMK_GUID", ProtectorKind::RecoveryPassword),
            ("SC_VMK_GUID", ProtectorKind::SmartCard),
            ("SK_VMK_GUID", ProtectorKind::ExternalKey),
        ] {
            let Some(id) = field(key) else { continue };
            let found = of_kind(kind).map(|protector| protector.id.to_string());
            assert_eq!(found.as_deref(), Some(id), "{name} {key}");
            checked += 1;
        }
        let sector_bytes = if name.ends_with("-4k") { 4096 } else { 512 };
        assert_eq!(metadata.sector_bytes, sector_bytes, "{name}");
    }
    assert!(checked >= 36, "{checked}");
}

#[test]
fn a_wrong_secret_says_which_protectors_were_tried_and_which_would_open() {
    let Some(folder) = images("a_wrong_secret_says_which_protectors_were_tried_and_which_would_open") else {
        return;
    };
    let image = |name: &str| Metadata::read(&open_image(&folder.join(name))).unwrap();
    let two = image("bitlk-aes-xts-128-two-recovery.img");
    let other = recovery("042647-302313-590458-071500-554323-116567-412181-516978");
    let Err(UnlockError::KeyInvalid { kind, tried, present }) = two.unlock(&other) else { panic!() };
    assert_eq!((kind, tried.len(), present.len()), (ProtectorKind::RecoveryPassword, 2, 3));
    let card = image("bitlk-aes-xts-128-smart-card.img");
    let Err(UnlockError::NoSuchProtector { present, .. }) = card.unlock(&password("anaconda")) else {
        panic!()
    };
    let kinds: Vec<ProtectorKind> = present.iter().map(|protector| protector.kind).collect();
    assert!(kinds.contains(&ProtectorKind::SmartCard) && kinds.contains(&ProtectorKind::RecoveryPassword));
    let shown = card.unlock(&password("anaconda")).unwrap_err().to_string();
    assert!(present.iter().all(|protector| shown.contains(&protector.id.to_string())), "{shown}");
    let wrong_key = bek(&folder.join("4381F759-C4F8-4DE0-BB61-FC33A831BDA5.BEK"));
    let win11 = image("bitlk-aes-xts-128-startup-key-win11.img");
    assert!(matches!(win11.unlock(&wrong_key), Err(UnlockError::KeyInvalid { .. })));
}

#[test]
fn to_go_and_suspended_volumes_are_known_as_such() {
    let Some(folder) = images("to_go_and_suspended_volumes_are_known_as_such") else { return };
    let image = |name: &str| Metadata::read(&open_image(&folder.join(name))).unwrap();
    assert_eq!(image("bitlk-togo-aes-xts-128.img").kind, VolumeKind::ToGo);
    assert!(image("bitlk-aes-xts-128-clearkey-only.img").is_suspended());
    assert!(!image("bitlk-aes-xts-128.img").is_suspended());
    assert_eq!(image("bitlk-aes-xts-128.img").warnings, []);
}

/// A device whose first sector was overwritten.
struct WithoutBootSector(SharedDevice);

impl ReadAt for WithoutBootSector {
    fn length_bytes(&self) -> u64 {
        self.0.length_bytes()
    }

    fn sector_bytes(&self) -> u32 {
        self.0.sector_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        self.0.read_exact_at(buffer, offset_bytes)?;
        let lost = 512_usize.saturating_sub(usize::try_from(offset_bytes).unwrap()).min(buffer.len());
        buffer[..lost].fill(0);
        Ok(())
    }
}

#[test]
fn every_image_is_found_and_mapped_the_same_without_its_boot_sector() {
    let Some(folder) = images("every_image_is_found_and_mapped_the_same_without_its_boot_sector") else {
        return;
    };
    let mut cases = cases(&folder);
    cases.dedup_by(|next, kept| next.image == kept.image);
    assert_eq!(cases.len(), 21);
    for case in cases {
        let whole = open_image(&folder.join(&case.image));
        let damaged = WithoutBootSector(Arc::clone(&whole));
        let (expected, found) = (Metadata::read(&whole).unwrap(), Metadata::read(&damaged).unwrap());
        assert_eq!(found.volume_id, expected.volume_id, "{}", case.image);
        assert_eq!(found.sector_bytes, expected.sector_bytes, "{}", case.image);
        assert!(found.warnings.contains(&Warning::BootSectorDamaged), "{}", case.image);
        match (expected.map(&whole), found.map(&damaged)) {
            (Ok(expected), Ok(found)) => {
                assert!(expected.segments(0, u64::MAX).eq(found.segments(0, u64::MAX)), "{}", case.image);
            }
            (Err(OpenError::ConversionMap(_)), Err(OpenError::ConversionMap(_))) => {}
            (expected, found) => panic!("{}: {expected:?} {found:?}", case.image),
        }
    }
}

#[test]
fn the_four_packed_drives_unlock_to_an_ntfs_boot_sector() {
    let test = "the_four_packed_drives_unlock_to_an_ntfs_boot_sector";
    for name in ["windows-cbc128", "clean-xts128", "mixed-xts256", "awkward-cbc256"] {
        let Some((image, description)) = common::drive(test, name) else { return };
        let device = open_image(&image);
        for secret in [
            recovery(description["job"]["bitLockerKey"].as_str().unwrap()),
            password(description["password"].as_str().unwrap()),
        ] {
            let volume = unlock(&device, &secret);
            let mut sector = [0; 512];
            volume.read_exact_at(&mut sector, 0).unwrap();
            assert_eq!(&sector[3..11], b"NTFS    ", "{name}: {}", hex(&sector[..16]));
        }
    }
}
