//! Places that are limited in all and for each key: connections by their other end, running requests by caller.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// The places of one kind.
#[derive(Clone, Debug)]
pub(super) struct Seats<K: Hash + Eq + Clone> {
    taken: Arc<Mutex<Taken<K>>>,
    max: usize,
    per_key_max: usize,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    by_key: HashMap<K, usize>,
}

/// One place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Seat<K: Hash + Eq + Clone> {
    seats: Seats<K>,
    key: K,
}

impl<K: Hash + Eq + Clone> Seats<K> {
    pub(super) fn new(max: usize, per_key_max: usize) -> Self {
        let taken = Taken { all: 0, by_key: HashMap::new() };
        Self { taken: Arc::new(Mutex::new(taken)), max, per_key_max }
    }

    /// A place, unless all are taken, or as many as this key may have.
    pub(super) fn take(&self, key: K) -> Option<Seat<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_key = taken.by_key.get(&key).copied().unwrap_or_default();
        let is_free = taken.all < self.max && of_key < self.per_key_max;
        is_free.then(|| self.seat(&mut taken, key))
    }

    /// A place in any case; it counts like the others.
    pub(super) fn take_always(&self, key: K) -> Seat<K> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        self.seat(&mut taken, key)
    }

    fn seat(&self, taken: &mut Taken<K>, key: K) -> Seat<K> {
        taken.all += 1;
        *taken.by_key.entry(key.clone()).or_default() += 1;
        Seat { seats: self.clone(), key }
    }
}

impl<K: Hash + Eq + Clone> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(count) = taken.by_key.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_in_all_and_by_key_and_come_back() {
        let seats = Seats::new(3, 2);
        let held = [seats.take("a"), seats.take("a"), seats.take("b")];
        assert!(held.iter().all(Option::is_some));
        assert!(seats.take("c").is_none(), "all are taken");
        drop(held);
        let _one = (seats.take("a"), seats.take("a"));
        assert!(seats.take("a").is_none(), "as many as one may have");
        assert!(seats.take("b").is_some());
        assert!(seats.taken.lock().unwrap().by_key.len() <= 1, "what is free is forgotten");
    }
}
