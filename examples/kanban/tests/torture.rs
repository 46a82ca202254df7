//! Short runs of the tortures, with this program as the victim; `cargo xtask torture` has the long ones. What they found is in
//! docs/reliability.md.

use torture::Result;
use torture::storm::{Findings, Storm};

/// What the first storm's moments are drawn from.
const SEED: u64 = 20_260;

/// Plays the part that this binary was started for: a worker, or the dispatcher without a gate.
#[test]
fn as_player() -> Result {
    torture::play().map(drop)
}

fn storm(kanban: Option<&str>, kills: u32, seed: u64) -> Result<Findings> {
    let storm = Storm {
        kanban: kanban.map(Into::into),
        kills,
        seed,
        player: ["as_player", "--exact", "--nocapture"]
            .map(str::to_owned)
            .to_vec(),
    };
    storm.run()
}

#[test]
fn a_dispatcher_that_is_killed_again_and_again_loses_no_task_and_runs_none_twice() -> Result {
    let findings = storm(Some(env!("CARGO_BIN_EXE_kanban")), 60, SEED)?;
    assert!(findings.is_clean(), "{findings:#?}");
    // Kills that miss the window prove nothing.
    assert!(findings.died_before_record > 5, "{findings:#?}");
    assert!(findings.workers > 50, "{findings:#?}");
    Ok(())
}

#[test]
fn the_same_storm_finds_what_the_gate_is_there_for_when_it_is_left_out() -> Result {
    // Whether a kill hits the window is luck, and so is whether its ghost still lives when the task is started again.
    let (mut ghosts, mut doubles) = (0, 0);
    for n in 0..8 {
        let findings = storm(None, 20, SEED + n)?;
        ghosts += findings.ghosts;
        doubles += findings.doubles;
        if ghosts > 0 && doubles > 0 {
            return Ok(());
        }
    }
    panic!("{ghosts} ghosts and {doubles} doubles");
}
