//! Work side by side.
//!
//! Must not know what the work is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What `work` gives for each index below `count`, on so many threads, this one among them; nothing for those that did not begin because
/// `goes_on` said so before.
pub fn side_by_side<T: Send>(
    count: usize,
    threads: usize,
    goes_on: &(dyn Fn() -> bool + Sync),
    work: &(dyn Fn(usize) -> T + Sync),
) -> Vec<Option<T>> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let worker = || {
        while goes_on() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(place) = results.get(index) else { break };
            let result = work(index);
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // where no more threads are to be had, those that are do it
            if std::thread::Builder::new().spawn_scoped(scope, worker).is_err() {
                break;
            }
        }
        worker();
    });
    results.into_iter().map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}
