//! libFuzzer's loop around the target `ntfs_check`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = fuzz_targets::targets::ntfs_check(data);
});
