//! A power failure at the worst moment: what has been synced when a worker takes its first step.

use std::fs;

use super::scene::{OTHER, Scene, open};
use super::shim::{Call, Faults, Shim};
use crate::house::Result;

/// Keeps what a power failure would leave now, and completes its task.
const WORKER: &str = "cp -r \"$1/../durable\" \"$1/../image.$HERMES_KANBAN_TASK\"\n\
     exec \"$2\" complete \"$HERMES_KANBAN_TASK\" --summary reported";

#[test]
fn of_whoever_runs_a_power_failure_leaves_claim_and_identity() -> Result {
    let scene = Scene::with(WORKER)?;
    let dir = tempfile::tempdir()?;
    let shim = Shim::new(dir.path())?;
    // All that is there was synced by whoever made it.
    let durable = scene.beside("durable");
    fs::create_dir(&durable)?;
    for name in ["kanban.db", "kanban.db-wal"] {
        let file = scene.board_dir(OTHER).join(name);
        if file.exists() {
            fs::copy(file, durable.join(name))?;
        }
    }
    let faults = Faults {
        call: Call::Sync,
        errno: 0,
        first: 0,
        last: 0,
        files: "boards/other/kanban.db",
    };
    let mut tick = scene.tick();
    tick.env("DURABLE", &durable);
    let (output, ..) = shim.run(&mut tick, faults, &scene.beside("control"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    scene.let_workers_end()?;

    let mut images = 0;
    for entry in fs::read_dir(scene.beside("."))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(task) = name.strip_prefix("image.") else {
            continue;
        };
        let db = open(&scene.beside(&name).join("kanban.db"))?;
        let claim = "SELECT count(*) FROM tasks t JOIN task_runs r ON r.id = t.current_run_id WHERE t.id = ?1 \
                     AND t.status = 'running' AND t.claim_lock = r.claim_lock AND t.worker_pid > 0 AND r.ended_at IS NULL";
        // Workers of the other board have an image of this one too.
        let is_here = "SELECT count(*) FROM tasks WHERE id = ?1";
        if db.query_row(is_here, [task], |row| row.get::<_, i64>(0))? == 1 {
            images += 1;
            assert_eq!(
                db.query_row(claim, [task], |row| row.get::<_, i64>(0))?,
                1,
                "{task}"
            );
        }
    }
    assert_eq!(images, 1);
    Ok(())
}
