//! What is said, and how often.

use super::case::{FAULTY, W};

case! {
    c01_equal_failures_are_told_at_once_and_then_once_a_window,
    injects: "a board's write lock, held by another program for 5 W",
    holds: "at most 6 lines, the first at once, each later one with the number held back",
    |case| {
        case.start()?;
        let db = case.db(FAULTY)?;
        case.add(FAULTY, "waits")?;
        db.execute_batch("BEGIN IMMEDIATE")?;
        let first = case.line(FAULTY, "board failed")?;
        assert_eq!((first.level(), first.suppressed()), ("WARN", 0));
        // Six lines in no less than five windows are at most six lines in five.
        let lines = case.until("six lines", |case| {
            let mut lines = case.lines_about(FAULTY)?;
            lines.retain(|line| line.is_above_info());
            match lines.len() {
                6.. => Ok(lines),
                n => Err(format!("{n} lines").into()),
            }
        })?;
        for pair in lines.windows(2) {
            assert!(pair[1].suppressed() > 0, "{pair:?}");
            let apart = pair[0].at()?.duration_until(pair[1].at()?);
            assert!(apart.unsigned_abs() >= W, "{pair:?}");
        }
        db.execute_batch("ROLLBACK")?;
        Ok(())
    }
}
