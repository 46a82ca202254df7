//! The k-th read, write, sync or open of a tick fails, once and from then on, for k = 1, 2, 3 ...: SQLite's own method. And
//! a power failure at the moment in which a worker begins.
//!
//! A few of each k here. `KANBAN_FAULTS=all` makes it every single one, and `KANBAN_FAULTS_REPORT=FILE` has the table written there;
//! `cargo xtask faults` sets both.

// What the tests of the command line stand on; a part of it is used here.
#[allow(dead_code)]
#[path = "cli/daemon.rs"]
mod daemon;
#[allow(dead_code)]
#[path = "cli/house.rs"]
mod house;
#[allow(dead_code)]
#[path = "cli/said.rs"]
mod said;

mod faults {
    mod durable;
    mod scene;
    mod series;
    mod shim;
}
