//! libFuzzer's loop around the target `custody_entry`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = fuzz_targets::targets::custody_entry(data);
});
