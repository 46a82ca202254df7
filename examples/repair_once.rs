//! Two workers find the same table damaged; one repairs it, once.
//!
//! Run with `cargo run -p examples --example repair_once`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::thread;

use once_per_key_repair::{RepairGate, Token, Turn, Waited};

/// Nobody can call this around the gate: only a permit makes a token.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a token is spent by the repair it allows"
)]
fn rebuild_index(token: Token<'_, String>) -> Result<u32, String> {
    match token.key().as_str() {
        "orders" => Ok(3),
        table => Err(format!("{table} has no source to rebuild from")),
    }
}

/// What a worker does about a damaged table; the text says how it went.
fn heal(gate: &RepairGate<String>, table: &str) -> String {
    match gate.enter(table) {
        Turn::Yours(permit) => match permit.run(rebuild_index) {
            Ok(rows) => format!("rebuilt, {rows} rows"),
            Err(error) => format!("could not be rebuilt: {error}"),
        },
        // A loop would skip the table until its next round; this worker waits.
        Turn::InFlight(waiter) => match waiter.wait() {
            Waited::Settled(outcome) => format!("already {outcome}"),
            Waited::Forfeited | Waited::Own => "left for the next round".to_owned(),
        },
        Turn::Spent(outcome) => format!("already {outcome}"),
    }
}

fn main() {
    let gate = RepairGate::<String>::new();
    thread::scope(|scope| {
        let workers = [
            scope.spawn(|| heal(&gate, "orders")),
            scope.spawn(|| heal(&gate, "orders")),
        ];
        let mut told = workers.map(|worker| worker.join().unwrap_or_default());
        // Which of the two was first is chance.
        told.sort_unstable();
        println!("orders, two workers at once: {}; {}", told[0], told[1]);
    });

    for visit in 1..=3 {
        println!("users, visit {visit}: {}", heal(&gate, "users"));
    }

    println!("an operator restores users: {:?}", gate.rearm("users"));
    println!("users, visit 4: {}", heal(&gate, "users"));
}
