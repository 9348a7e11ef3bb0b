//! What stays in this process's memory when a secret has been used: nothing.
//!
//! One test, alone in its process, because it reads all of the process's memory.

use std::fs::File;
use std::os::unix::fs::FileExt;

use keys::{MasterKeys, Purpose, Secret, Vault};

const MASK: u8 = 0xa5;

/// The planted secret with each byte changed, so that the test itself does not keep it.
fn masked() -> Vec<u8> {
    (0..48u8).map(|index| index.wrapping_mul(37).wrapping_add(11) ^ MASK).collect()
}

fn unmasked(masked: &[u8]) -> Vec<u8> {
    masked.iter().map(|byte| byte ^ MASK).collect()
}

/// Looks for the secret in the writable memory of this process.
struct Search {
    masked: Vec<u8>,
    /// What was read of the memory last. Allocated once, so that nothing that is found is left elsewhere.
    buffer: Vec<u8>,
}

impl Search {
    /// How often the secret is there.
    fn copies(&mut self) -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let memory = File::open("/proc/self/mem").unwrap();
        let mut count = 0;
        for line in maps.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
            if rights.starts_with("rw") {
                let (start, end) = range.split_once('-').unwrap();
                let place = |text| usize::from_str_radix(text, 16).unwrap();
                count += self.copies_between(&memory, place(start), place(end));
            }
        }
        count
    }

    fn copies_between(&mut self, memory: &File, start: usize, end: usize) -> usize {
        let ours = self.buffer.as_ptr().addr()..self.buffer.as_ptr().addr() + self.buffer.len();
        let (mut count, mut at) = (0, start);
        while at < end {
            let length = self.buffer.len().min(end - at);
            let bytes = &mut self.buffer[..length];
            // Some mappings cannot be read; they hold nothing of ours.
            if memory.read_exact_at(bytes, at.try_into().unwrap()).is_err() {
                return count;
            }
            let is_secret =
                |window: &[u8]| window.iter().zip(&self.masked).all(|(byte, masked)| byte ^ MASK == *masked);
            let hits = bytes.windows(self.masked.len()).enumerate().filter(|(_, window)| is_secret(window));
            count += hits.filter(|(index, _)| !ours.contains(&(at + index))).count();
            // The pieces overlap, but no hit lies in two of them.
            at += if length < self.buffer.len() { length } else { length - self.masked.len() + 1 };
        }
        count
    }
}

#[test]
fn nothing_of_a_secret_is_left_in_memory_after_it_was_used() {
    let masked = masked();
    let mut search = Search { masked: masked.clone(), buffer: vec![0; 1 << 20] };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let purpose = Purpose::WebHook { id: "w".to_owned() };
    let vault = Vault::over(MasterKeys::ephemeral());

    let secret = Secret::new(unmasked(&masked));
    assert_eq!(search.copies(), 1, "the search finds what is there");
    let sealed = vault.seal(&purpose, secret.expose()).unwrap();
    drop(secret);
    assert_eq!(search.copies(), 0, "after sealing");

    let opened = runtime.block_on(vault.open(&purpose, &sealed)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(opened.expose().iter().map(|byte| byte ^ MASK).collect::<Vec<_>>(), masked);
    assert_eq!(search.copies(), 1, "only the opened secret itself");
    drop(opened);
    assert_eq!(search.copies(), 0, "after opening");
}
