//! Every verb leaves on a board what the peer's verb leaves: the same rows, events and attempts. One board, two copies; each
//! program works on its own, word for word the same, and after each word both are compared.
//!
//! Where we differ on purpose, the step says so, and why.

mod ended;
mod made;
mod moved;
mod pair;
mod several;
mod told;
mod triage;
