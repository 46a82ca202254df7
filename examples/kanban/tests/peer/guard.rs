//! The peer's own stress beside our daemon: whatever it acknowledged is on the board, and the board is sound. Without the daemon the
//! same stress loses writes and damages the file; docs/reliability.md has the figures.

use std::time::Duration;

use torture::guard::Guard;

use super::house::{Result, python};

#[test]
fn beside_our_daemon_the_peers_processes_lose_no_write_and_damage_nothing() -> Result {
    let stressed = Guard {
        python: python()?,
        kanban: Some(env!("CARGO_BIN_EXE_kanban").into()),
        processes: 4,
        time: Duration::from_secs(8),
    }
    .run()?;
    assert!(stressed.is_sound(), "{stressed:?}");
    assert!(stressed.acknowledged > 50, "{stressed:?}");
    Ok(())
}
