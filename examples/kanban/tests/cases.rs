//! What operators of such dispatchers met in production, one test a case, against the real program on real files.
//!
//! Ten boards, one of them faulty as a rule. `T` is the interval, `W` the log window, `B` the first retry of a held board: all
//! short, by the settings alone. Each case ends by checking what must hold after every one of them (`case/invariants.rs`), and
//! leaves a row for the table in docs/reliability.md, which `cargo xtask cases --write` writes.

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

mod cases {
    // What the cases stand on.
    #[macro_use]
    #[allow(dead_code, reason = "each case uses a part of it")]
    pub(crate) mod case;

    // The cases.
    mod arithmetic;
    mod classes;
    mod damage;
    mod ends;
    mod exhausted;
    mod failing;
    mod flips;
    mod logs;
    mod quarantine;
    mod quiet;
    mod refused;
    mod repair;
    mod serving;
    mod status;
    mod surroundings;
    mod versions;
    mod workers;
}
