//! How many allocations a tick makes: a number that no machine changes. Only Rust's are counted; SQLite has an allocator of its own.
//!
//! "100 more quiet boards" is what a tick over 200 boards allocates beyond one over 100.
#![expect(clippy::print_stdout, reason = "it prints a table")]

mod support;

use std::alloc::System;
use std::collections::BTreeMap;
use std::hint::black_box;

use kanban_dispatcher::decide;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CLAIMS: usize = 64;

fn allocations(work: impl FnOnce()) -> u64 {
    let region = Region::new(GLOBAL);
    work();
    let change = region.change();
    (change.allocations + change.reallocations) as u64
}

/// Of an idle tick over so many boards.
fn idle(boards: usize, settings: &str) -> u64 {
    let mut fleet = support::Fleet::quiet(boards, settings);
    let tick =
        |_| allocations(|| assert_eq!(fleet.dispatcher.tick().quiet, boards, "a board had a turn"));
    // Now and then a table grows.
    (0..5).map(tick).min().unwrap_or_default()
}

fn claims() -> u64 {
    let mut fleet = support::Fleet::quiet(1, "");
    fleet.feed(CLAIMS);
    allocations(|| {
        let report = fleet.dispatcher.tick();
        let failed = report.boards.first().map_or(0, |board| board.failed);
        assert_eq!(
            failed as usize, CLAIMS,
            "each was claimed, and then refused"
        );
    })
}

fn decision() -> u64 {
    let (view, processes, policy) = support::view(1_000);
    allocations(|| {
        drop(black_box(decide(
            &view,
            &processes,
            &policy,
            support::now(),
        )))
    })
}

fn main() {
    assert_eq!(
        allocations(|| drop(black_box(Box::new(1)))),
        1,
        "the instrument works"
    );
    let mut counts = BTreeMap::new();
    for (mode, settings) in support::modes() {
        let [one, two] = [100, 200].map(|boards| idle(boards, settings));
        counts.insert(format!("idle tick, {mode}, 100 quiet boards"), one);
        let more = two.saturating_sub(one);
        counts.insert(format!("idle tick, {mode}, 100 more quiet boards"), more);
    }
    counts.insert(format!("tick, {CLAIMS} claims and refusals"), claims());
    counts.insert("decide, 1,000 tasks".to_owned(), decision());
    println!("| case | allocations |\n|---|--:|");
    for (name, count) in &counts {
        println!("| {name} | {count} |");
    }
    support::leave("allocations", &counts);
}
