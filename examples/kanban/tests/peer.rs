//! The real peer on the same boards: `hermes kanban` (PyPI `hermes-agent` 0.19.0) beside our `kanban`.
//!
//! Every test has an installation of its own, with both programs as processes on it, and judges by what they say and by the
//! database. The peer is `$KANBAN_PEER`, else `target/peer-venv/bin/hermes`, which `cargo xtask test` installs; run them by
//! hand with `cargo test -p kanban --features peer-tests --test peer`.

#![cfg(feature = "peer-tests")]

mod peer {
    // What the tests stand on.
    pub(crate) mod asked;
    pub(crate) mod board;
    pub(crate) mod daemon;
    pub(crate) mod gateway;
    pub(crate) mod house;
    pub(crate) mod lock;

    // The promises, one file each.
    mod beside;
    mod contract;
    mod differential;
    mod dispatch;
    mod failing;
    mod format;
    mod guard;
    mod lead;
    mod legacy;
    mod locks;
    mod verbs;
}
