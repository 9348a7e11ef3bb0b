//! libFuzzer's loop around the target `sealed_secret`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = fuzz_targets::targets::sealed_secret(data);
});
