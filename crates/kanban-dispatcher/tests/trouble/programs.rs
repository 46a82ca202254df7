//! A worker program that is missing.

use super::*;

#[test]
fn without_a_worker_program_tasks_wait_uncharged_and_start_when_it_appears() -> Result {
    let fleet = Fleet::new()?;
    const BOARDS: [&str; 3] = ["a", "b", "c"];
    for board in BOARDS {
        fleet.ready(board, 20)?;
    }
    let program = fleet.path().join("worker-program");
    let name = program.to_string_lossy().into_owned();
    let command = vec![name.clone(), LONG[1].to_owned()];
    let mut dispatcher = fleet
        .builder(|config| config.worker.command = Some(command))
        .build();
    for (ticks, windows) in [(5, 1), (1, 2)] {
        for _ in 0..ticks {
            let report = dispatcher.tick();
            for board in BOARDS {
                let part = fleet.part(&report, board)?;
                assert_eq!(
                    (part.outcome, part.started.len(), part.failed),
                    (Outcome::Ticked, 0, 0)
                );
                assert_eq!(part.held.get(&HeldReason::NoWorker), Some(&20));
            }
            fleet.advance(1);
        }
        for board in BOARDS {
            let lines = fleet.lines_of(board);
            let complaints: Vec<_> = lines.iter().filter(|line| line.is_above_info()).collect();
            assert_eq!(complaints.len(), windows, "{complaints:#?}");
            for line in complaints {
                assert_eq!(line.level, Level::WARN);
                assert!(line.message.contains(&name), "{}", line.message);
            }
        }
        fleet.advance(60);
    }
    for board in BOARDS {
        let db = fleet.connect(board)?;
        let untouched = "SELECT count(*) FROM tasks WHERE status = 'ready' AND claim_lock IS NULL \
                         AND consecutive_failures = 0 AND last_failure_error IS NULL";
        assert_eq!(value::<i64>(&db, untouched)?, 20);
        assert_eq!(value::<i64>(&db, "SELECT count(*) FROM task_runs")?, 0);
        let claims = "SELECT count(*) FROM task_events WHERE kind <> 'created'";
        assert_eq!(value::<i64>(&db, claims)?, 0);
        assert_eq!(fleet.status(board)?.held["no_worker"], 20);
    }

    let recovered = || {
        let mut lines = fleet.lines();
        lines.retain(|line| line.message.starts_with("board works again"));
        lines.len()
    };
    assert_eq!(recovered(), 0, "none of them works yet");
    symlink(find(LONG[0])?, &program)?;
    assert_eq!(dispatcher.tick().started(), 60);
    assert_eq!(recovered(), 3);
    assert_eq!(fleet.status("a")?.held, serde_json::json!({}));
    Ok(())
}

/// Where a program of the system is.
fn find(name: &str) -> Result<std::path::PathBuf> {
    let path = std::env::var_os("PATH").ok_or("no PATH")?;
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    found.ok_or_else(|| format!("no {name}").into())
}
