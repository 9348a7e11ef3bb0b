//! libFuzzer's loop around the target `bitlocker`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = fuzz_targets::targets::bitlocker(data);
});
