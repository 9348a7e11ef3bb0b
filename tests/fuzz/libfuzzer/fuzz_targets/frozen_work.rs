//! libFuzzer's loop around the target `frozen_work`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = fuzz_targets::targets::frozen_work(data);
});
