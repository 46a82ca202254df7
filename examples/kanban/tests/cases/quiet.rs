//! What healthy ticks do not do.

use std::fs;

use super::case::{Case, DONE, FAULTY, Line, Result, WAITS};

case! {
    c29_healthy_ticks_run_no_schema_statement_and_no_full_scan,
    injects: "100 ticks over a board with a running task and 24 MB of done ones, whose write lock and init lock somebody has",
    holds: "no tick wants a lock; nothing is written; what is read is less than one scan of one table, which one look at the file is not",
    |case| {
        case.db(FAULTY)?.execute_batch(
            "BEGIN IMMEDIATE; CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000) SELECT i FROM n; \
             INSERT INTO tasks(id, title, status, created_at, body) SELECT printf('t_1%07x', i), 'old', 'done', 1, hex(randomblob(1000)) FROM n; \
             INSERT INTO task_events(task_id, kind, payload, created_at) SELECT printf('t_1%07x', i), 'created', hex(randomblob(1000)), 1 FROM n; \
             INSERT INTO task_comments(task_id, author, body, created_at) SELECT printf('t_1%07x', i), 'a', hex(randomblob(1000)), 1 FROM n; \
             INSERT INTO task_runs(task_id, status, started_at, ended_at, summary) SELECT printf('t_1%07x', i), 'done', 1, 1, hex(randomblob(1000)) FROM n; \
             COMMIT",
        )?;
        case.settings(WAITS, "", "")?;
        case.start()?;
        let task = case.add(FAULTY, "runs")?;
        case.task(FAULTY, &task, "running")?;
        case.checkpoint(FAULTY)?;
        case.let_ticks_pass(3)?;
        let db = case.db(FAULTY)?;
        db.execute_batch("BEGIN IMMEDIATE")?;
        let init_lock = fs::File::create(case.dir(FAULTY).join("kanban.db.init.lock"))?;
        rustix::fs::flock(&init_lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        let (before, ticks) = (bytes_read(case)?, case.ticks()?);
        let told = case.lines_about(FAULTY)?.len();
        let stamp = fs::metadata(case.file(FAULTY))?.modified()?;
        case.let_ticks_pass(100)?;
        let per_tick = (bytes_read(case)? - before) / (case.ticks()? - ticks);
        assert!(per_tick < 1 << 20, "{per_tick} bytes in a tick");
        assert_eq!(fs::metadata(case.file(FAULTY))?.modified()?, stamp);
        let lines = &case.lines_about(FAULTY)?[told..];
        assert!(!lines.iter().any(Line::is_above_info), "{lines:#?}");
        db.execute_batch("ROLLBACK")?;
        drop((db, init_lock));
        // The same measure sees a look through the file.
        let before = bytes_read(case)?;
        case.settings(WAITS, "", "[check]\ninterval_seconds = 0.1")?;
        case.until("a look at the whole file", |case| match bytes_read(case)? - before {
            read if read > 20 << 20 => Ok(()),
            read => Err(format!("{read} bytes").into()),
        })?;
        case.go(None)?;
        case.settings(DONE, "", "")
    }
}

/// How many bytes the daemon's process has read by now, from all its files, as the kernel counts them.
fn bytes_read(case: &Case) -> Result<u64> {
    let io = fs::read_to_string(format!("/proc/{}/io", case.daemon()?.pid()))?;
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    Ok(read.ok_or("no rchar")?.parse()?)
}
