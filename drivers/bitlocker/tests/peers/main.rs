//! Volumes of our formatter, opened by the readers that others wrote, where those are installed.
//!
//! Every method and sector size is made once, with both coverages; a reader that opens a volume must
//! give the exact bytes of the file system, of the zeros that a full pass wrote and of the areas that
//! read as zeros. What a reader is known not to do is in [`KNOWN_FAILURES`] and must fail, so that a
//! reader that changed is noticed.
//!
//! Every volume is opened by its startup key and, in turns, by its password or its recovery password:
//! the half second of a key derivation has nothing to do with sectors or coverage, and each method
//! still sees all three. `DRAYAGE_PEERS=all` opens each volume by each protector, which takes twice
//! as long.
//!
//! Readers: dislocker and libbde of Debian (`dislocker-file`, `bdemount`), cryptsetup, and from PyPI
//! libbde's current library and dissect.fve, which run in the interpreter of `DRAYAGE_PYTHON`.

#[path = "../common/mod.rs"]
mod common;
mod made;
mod readers;

use std::sync::Mutex;
use std::thread;

use bitlocker::Method;
use bitlocker::format::Coverage;
use made::{Made, Protector, Recipe};
use readers::Reader;

/// A reader, what it is asked, and why it must fail there.
struct KnownFailure {
    reader: Reader,
    when: fn(&Recipe, Protector) -> bool,
    why: &'static str,
}

/// Spec §8, §9.1 and bitlocker-peers.md §2, for the versions of Debian 12 and of our requirements.
const KNOWN_FAILURES: [KnownFailure; 3] = [
    KnownFailure {
        reader: Reader::Bdemount,
        when: |recipe, _| recipe.method == Method::AesXts256,
        why: "libbde 20190102 knows no XTS-256, not even Windows' own",
    },
    KnownFailure {
        reader: Reader::Dislocker,
        when: |recipe, protector| protector == Protector::Password && !recipe.password.is_ascii(),
        why: "dislocker 0.7.3 widens the bytes of a password instead of decoding them",
    },
    KnownFailure {
        reader: Reader::Cryptsetup,
        when: |recipe, protector| protector == Protector::Password && !recipe.password.is_ascii(),
        why: "cryptsetup before 2.8.1 does not take passphrases that are not ASCII",
    },
];

const PASSWORD: &str = "Packed-by-us 1";

/// Each method and sector size once; coverage and place of the areas take turns, so that each method
/// has each of both.
fn recipes() -> Vec<Recipe> {
    let methods = [Method::AesXts256, Method::AesXts128, Method::AesCbc256, Method::AesCbc128];
    let of_method = |(index, method): (usize, Method)| {
        [512, 4096].map(|sector_bytes| {
            let is_odd = (index + usize::from(sector_bytes == 4096)) % 2 == 1;
            let coverage = if is_odd { Coverage::WholeSurface } else { Coverage::UsedSpaceOnly };
            Recipe { method, sector_bytes, coverage, is_behind: is_odd == (index < 2), password: PASSWORD }
        })
    };
    let mut recipes: Vec<Recipe> = methods.into_iter().enumerate().flat_map(of_method).collect();
    recipes.push(Recipe { password: "P\u{e4}ck\u{3a9} \u{1f512}", ..recipes[2] });
    recipes
}

/// All volumes, made by two threads: most of it is key derivation.
fn make_all() -> Vec<Made> {
    let recipes = recipes();
    let queue = Mutex::new(recipes.iter().enumerate());
    let made = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some((index, recipe)) = next else { return };
                    let volume = Made::new(recipe);
                    made.lock().unwrap().push((index, volume));
                }
            });
        }
    });
    let mut made = made.into_inner().unwrap();
    assert_eq!(made.len(), recipes.len());
    made.sort_by_key(|(index, _)| *index);
    made.into_iter().map(|(_, volume)| volume).collect()
}

/// By which protectors a volume is opened. The one for passwords that are not ASCII is only asked for
/// those.
fn protectors(index: usize, recipe: &Recipe) -> Vec<Protector> {
    use Protector::{Password, RecoveryPassword, StartupKey};
    if !recipe.password.is_ascii() {
        return vec![Password];
    }
    if std::env::var_os("DRAYAGE_PEERS").is_some_and(|which| which == "all") {
        return vec![Password, RecoveryPassword, StartupKey];
    }
    // Two volumes a method, one a sector size.
    vec![StartupKey, if index % 2 == (index / 2) % 2 { Password } else { RecoveryPassword }]
}

#[test]
fn every_reader_opens_every_volume_by_every_protector() {
    let test = "every_reader_opens_every_volume_by_every_protector";
    let readers: Vec<Reader> = Reader::ALL.into_iter().filter(|reader| reader.is_installed(test)).collect();
    if readers.is_empty() {
        return;
    }
    let volumes = make_all();
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for reader in readers {
            let (volumes, wrong) = (&volumes, &wrong);
            scope.spawn(move || {
                let found = disagreements(reader, volumes);
                wrong.lock().unwrap().extend(found);
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where a reader does not do what it should, or does what it is known not to.
fn disagreements(reader: Reader, volumes: &[Made]) -> Vec<String> {
    let cases: Vec<(&Made, Protector)> = volumes
        .iter()
        .enumerate()
        .flat_map(|(index, made)| {
            protectors(index, &made.recipe).into_iter().map(move |protector| (made, protector))
        })
        .collect();
    let answers = reader.open_all(&cases);
    assert_eq!(answers.len(), cases.len(), "{reader:?} answers each case");
    let mut wrong = Vec::new();
    for ((made, protector), answer) in cases.into_iter().zip(answers) {
        let known = KNOWN_FAILURES
            .iter()
            .find(|known| known.reader == reader && (known.when)(&made.recipe, protector));
        match (answer, known) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Ok(()), Some(known)) => {
                wrong.push(format!("{reader:?} opens {made} by {protector:?}, though {}", known.why));
            }
            (Err(error), None) => {
                wrong.push(format!("{reader:?} does not open {made} by {protector:?}: {error}"));
            }
        }
    }
    wrong
}
