//! Rounds that take turns, so that a busy machine is unfair to all sides alike, and a count of
//! allocations.
//!
//! Times are processor times of the calling thread. The minimum is what the code costs; the median
//! says how noisy the machine was.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use cpu_time::ThreadTime;

/// One side of a comparison: work that is done `n` times.
pub(crate) struct Side<'a> {
    name: &'static str,
    work: Box<dyn FnMut(u64) -> Duration + 'a>,
    times: Vec<f64>,
}

impl<'a> Side<'a> {
    /// Work on the calling thread.
    pub(crate) fn new(name: &'static str, mut work: impl FnMut(u64) + 'a) -> Self {
        Self::timed(name, move |n| {
            let start = thread_time();
            work(n);
            thread_time() - start
        })
    }

    /// Work that takes its time itself.
    pub(crate) fn timed(name: &'static str, work: impl FnMut(u64) -> Duration + 'a) -> Self {
        Self {
            name,
            work: Box::new(work),
            times: Vec::new(),
        }
    }

    /// Nanoseconds each time, at the least.
    pub(crate) fn min(&self) -> f64 {
        self.times.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }
}

/// Lets the sides take turns and prints them; the first one is the floor.
pub(crate) fn compare(title: &str, sides: &mut [Side<'_>], rounds: usize, n: u64) {
    for side in sides.iter_mut() {
        (side.work)(n / 10 + 1);
    }
    for _ in 0..rounds {
        for side in sides.iter_mut() {
            let taken = (side.work)(n);
            side.times.push(taken.as_nanos() as f64 / n as f64);
        }
    }
    println!("{title}");
    let floor = sides[0].min();
    for side in sides.iter() {
        println!(
            "  {:<44} min {:>12.1} ns   median {:>12.1} ns   {:>6.2}x",
            side.name,
            side.min(),
            side.median(),
            side.min() / floor
        );
    }
}

/// Says whether a goal is reached.
pub(crate) fn goal(what: &str, found: f64, at_most: f64) {
    let verdict = if found <= at_most {
        "reached"
    } else {
        "MISSED"
    };
    println!("  goal {verdict}: {what}: {found:.2}, at most {at_most:.2}");
}

/// How often `work` allocates on this thread.
pub(crate) fn allocations(work: impl FnOnce()) -> u64 {
    let before = HEAP.get();
    work();
    HEAP.get().allocations - before.allocations
}

/// How many bytes `work` holds on this thread at its worst, beyond what was held before.
pub(crate) fn peak_bytes(work: impl FnOnce()) -> i64 {
    let before = HEAP.get().live;
    HEAP.set(Heap {
        peak: before,
        ..HEAP.get()
    });
    work();
    HEAP.get().peak - before
}

/// How many bytes more are held after `work` than before.
pub(crate) fn held_bytes(work: impl FnOnce()) -> i64 {
    let before = HEAP.get().live;
    work();
    HEAP.get().live - before
}

/// The processor time of this thread.
pub(crate) fn thread_time() -> Duration {
    ThreadTime::now().as_duration()
}

/// What one thread allocated. What another thread frees is not noticed.
#[derive(Clone, Copy)]
struct Heap {
    allocations: u64,
    live: i64,
    peak: i64,
}

thread_local! {
    static HEAP: Cell<Heap> = const {
        Cell::new(Heap {
            allocations: 0,
            live: 0,
            peak: 0,
        })
    };
}

fn count(allocations: u64, bytes: i64) {
    // A thread that ends allocates once more.
    let _ = HEAP.try_with(|heap| {
        let mut now = heap.get();
        now.allocations += allocations;
        now.live += bytes;
        now.peak = now.peak.max(now.live);
        heap.set(now);
    });
}

/// The system's allocator, counting.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "there is no other way to count allocations")]
// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
