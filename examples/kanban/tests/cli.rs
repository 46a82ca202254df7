//! The program as its users see it: each test runs the real binary on an installation of its own, and judges by exit code,
//! standard output, standard error and the database.

mod cli {
    // What the tests stand on, and those in cases.rs.
    #[allow(dead_code, reason = "a part of it is used there alone")]
    pub(crate) mod daemon;
    pub(crate) mod house;
    pub(crate) mod said;

    // The promises, one file each.
    mod board;
    mod breaker;
    mod change;
    mod clock;
    mod contract;
    mod dispatch;
    mod ends;
    mod errors;
    mod fence;
    mod guards;
    mod levers;
    mod look;
    mod restart;
    mod serve;
    mod several;
    mod share;
    mod triage;
    mod worktree;
}
