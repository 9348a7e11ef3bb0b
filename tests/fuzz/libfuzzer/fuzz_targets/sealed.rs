//! libFuzzer's loop around the target `sealed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = fuzz_targets::targets::sealed(data);
});
