//! One old board that many open at once.

use super::*;

#[test]
fn eight_processes_that_open_one_old_board_at_once_all_succeed() -> Result {
    let fleet = Fleet::new()?;
    let board = fleet.board("old")?;
    std::fs::create_dir_all(board.dir())?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    Connection::open_with_flags(board.db(), flags)?.execute_batch(FIRST_BOARD)?;

    let root = fleet.path().to_string_lossy().into_owned();
    let slug = fleet.slug("old");
    let variables = [("TEST_ROOT", &*root), ("TEST_BOARD", &*slug)];
    let mut children = Vec::new();
    for _ in 0..8 {
        children.push(Role::start("open a board", &variables)?);
    }
    let mut children: Vec<Role> = children
        .into_iter()
        .map(Role::ready)
        .collect::<Result<_>>()?;
    children.iter_mut().for_each(Role::go);
    // A dispatcher of this process as well, which has the patience that the commands have.
    let patient = |config: &mut Config| config.busy_timeout_ms = Duration::from_secs(10);
    let report =
        thread::scope(|scope| scope.spawn(|| fleet.builder(patient).build().tick()).join());
    let report = report.map_err(|_| "the tick panicked")?;
    assert_eq!(fleet.part(&report, "old")?.outcome, Outcome::Ticked);
    for child in children {
        let (ok, said) = child.finish()?;
        assert!(ok, "{said}");
        assert!(!said.contains("duplicate column"), "{said}");
    }
    let db = connect(board.db())?;
    assert_eq!(value::<i64>(&db, "SELECT count(*) FROM tasks")?, 8);
    let all = columns(&db)?;
    let distinct: BTreeSet<_> = all.iter().collect();
    assert_eq!(all.len(), distinct.len());
    assert_eq!(all.len(), real_schema()?.len() + 2, "and the two old names");
    assert_eq!(value::<String>(&db, "PRAGMA integrity_check")?, "ok");
    assert!(fleet.complaints().is_empty(), "{:#?}", fleet.complaints());
    Ok(())
}

/// A peer goes on without the init lock when it stays taken for ten seconds: the transaction alone must be enough.
#[test]
fn eight_repairs_of_one_old_board_at_once_are_one_even_without_the_init_lock() -> Result {
    for _ in 0..3 {
        let fleet = Fleet::new()?;
        let board = fleet.board("old")?;
        std::fs::create_dir_all(board.dir())?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        Connection::open_with_flags(board.db(), flags)?.execute_batch(FIRST_BOARD)?;
        let key = RepairKey {
            slug: board.slug().clone(),
            file: (0, 0),
            missing: String::new(),
        };
        let together = Barrier::new(8);
        let repaired = || -> Result<usize, String> {
            let mut db = connect(board.db()).map_err(|error| error.to_string())?;
            let gate = RepairGate::new();
            together.wait();
            match gate.enter(&key) {
                Turn::Yours(permit) => permit
                    .run(|token| repair(token, &mut db, START))
                    .map(|made| made.len())
                    .map_err(|error| error.chain()),
                turn => Err(format!("{turn:?}")),
            }
        };
        let made: Vec<Result<usize, String>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(repaired)).collect();
            let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
            joined
                .map(|made| made.unwrap_or(Err("panicked".to_owned())))
                .collect()
        });
        let made: Vec<usize> = made.into_iter().collect::<Result<_, _>>()?;
        assert_eq!(
            made.iter().filter(|count| **count > 0).count(),
            1,
            "{made:?}"
        );
    }
    Ok(())
}
