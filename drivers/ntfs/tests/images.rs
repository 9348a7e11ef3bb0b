//! scratch
mod common;
use common::*;
#[test]
fn dump() {
    for f in &WHOLE {
        let t = std::time::Instant::now();
        let v = f.volume("dump").unwrap();
        println!("== {} {:?} {:?}", f.name, v.geometry(), v.index_size());
        let h = v.health();
        println!(
            "dirty {} log {:?} hib {} boot {:?} mm {} differs {} short {} problems {}",
            h.dirty,
            h.log_file,
            h.hibernated,
            h.boot_sector,
            h.mft_from_mirror,
            h.mirror_differs,
            h.device_short,
            h.problems.count()
        );
        for p in h.problems.kept().iter().take(5) {
            println!("   {p}");
        }
        let mut n = 0;
        let mut bytes = 0;
        let mut errs = 0;
        for e in v.files() {
            n += 1;
            if n < 25 {
                println!(
                    "   {} {:?} {:?} {:?}",
                    e.path,
                    e.length_bytes,
                    e.reparse_tag,
                    v.streams(e.file).len()
                );
            }
            if e.is_directory {
                continue;
            }
            match v.stream(e.file, None) {
                Ok(s) => match sha256(&v, &s, 1 << 26) {
                    Ok(_) => bytes += s.length_bytes,
                    Err(x) => {
                        errs += 1;
                        println!("   CONTENT {} {x:?}", e.path)
                    }
                },
                Err(x) => {
                    errs += 1;
                    if errs < 10 {
                        println!("   STREAM {} {x:?}", e.path)
                    }
                }
            }
        }
        println!("   files {n} bytes {bytes} errs {errs} {:?}", t.elapsed());
    }
}
