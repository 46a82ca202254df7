//! `cargo xtask fuzz`: ten million made-up errors, on all cores. CI tries a few thousand.

use crate::run::{Done, cargo, run};

pub(crate) fn run_all() -> Done {
    let mut fuzz = cargo(
        "test --release -p error-classify --features rusqlite,sqlstate --test fuzz -- --nocapture",
    );
    fuzz.env("FUZZ_CASES", "10000000");
    run(fuzz)
}
