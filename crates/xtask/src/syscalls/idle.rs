//! What `kanban-dispatcher` asks the kernel for where nothing is to be done: with the watch, whether there is news of anything; without it,
//! how the files of each board look, and five other places.

use super::{CLOCK, Call, STATS, between, prepare, read, trace};
use crate::run::{Done, cargo, run, target};

const MARKER: &str = "/idle-marker/";
/// The example has so many, and ticks so often.
const BOARDS: usize = 3;
const TICKS: usize = 3;

/// The profiles, the boards, the lock, the ledger and its log.
const AROUND: usize = 5;

/// Builds the example, runs it below strace and judges what it did.
pub(super) fn check() -> Done {
    run(cargo("build --quiet -p kanban-dispatcher --example idle"))?;
    let dir = prepare("idle")?;
    let program = target().join("debug/examples/idle");
    let root = dir.join("root");
    std::fs::create_dir(&root).map_err(|error| format!("make {}: {error}", root.display()))?;
    judge(&read(&trace(&program, &root, &dir)?)?)
}

fn judge(trace: &str) -> Done {
    let calls = trace.lines().filter_map(Call::parse);
    let calls: Vec<Call<'_>> = calls.filter(|call| call.name != CLOCK).collect();
    let is_news = |call: &Call<'_>| call.name == "read" && call.line.contains("EAGAIN");
    let is_look = |call: &Call<'_>| STATS.contains(&call.name);
    judge_mode(&calls, "watch", 1, is_news)?;
    judge_mode(&calls, "sweep", 2 * BOARDS + AROUND, is_look)
}

fn judge_mode(
    calls: &[Call<'_>],
    mode: &str,
    expected: usize,
    is_one: impl Fn(&Call<'_>) -> bool,
) -> Done {
    let made = between(calls, MARKER, mode)?;
    if let Some(other) = made.iter().find(|call| !is_one(call)) {
        return Err(format!(
            "an idle tick ({mode}) made another call: {}",
            other.line
        ));
    }
    if made.len() != expected * TICKS {
        let count = made.len();
        return Err(format!(
            "{TICKS} idle ticks ({mode}) over {BOARDS} boards made {count} calls, and not {expected} each"
        ));
    }
    println!("idle tick, {BOARDS} boards, {mode:<9} {expected} calls");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::judge;

    fn trace(watch: &str, sweep: &str) -> String {
        let mark = |name: &str| format!("77 statx(AT_FDCWD, \"/idle-marker/{name}\", 0) = -1\n");
        [
            mark("watch/begin"),
            watch.to_owned(),
            mark("watch/end"),
            mark("sweep/begin"),
            sweep.to_owned(),
            mark("sweep/end"),
        ]
        .concat()
    }

    #[test]
    fn a_tick_that_asks_for_more_is_found() {
        let news =
            "77 read(9, 0x7f, 4096) = -1 EAGAIN (Resource temporarily unavailable)\n".repeat(3);
        let look = "77 newfstatat(3, \"b/kanban.db\", {st_size=4096}, 0) = 0\n";
        let looks = look.repeat(33);
        judge(&trace(&news, &looks)).expect("it behaves");
        for (watch, sweep) in [
            (news.repeat(2), looks.clone()),
            (news.clone() + look, looks.clone()),
            (news.clone(), look.repeat(34)),
            (
                news.clone(),
                look.repeat(32) + "77 openat(3, \"x\", 0) = 4\n",
            ),
            (String::new(), looks.clone()),
        ] {
            judge(&trace(&watch, &sweep)).expect_err("a call too many or too few");
        }
    }
}
