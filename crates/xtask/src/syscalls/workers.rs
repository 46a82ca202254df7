//! What `kanban-dispatcher` asks the kernel for around its workers: each is started without a copy of the dispatcher's memory, which
//! takes 40 ms of a large one, and while none ends one call says so. The claims of a turn are synced together, with the identities of their
//! workers; and by `fdatasync`, as with `fsync` a file system that has a journal commits a transaction of its own.

use super::{Call, between, prepare, read, trace};
use crate::run::{Done, cargo, run, target};

const MARKER: &str = "/dispatcher-marker/";
/// The example starts so many.
const WORKERS: usize = 3;

/// Whatever makes a process or a thread.
const MAKERS: &[&str] = &["fork", "vfork", "clone", "clone3"];
/// Whatever asks for one process's end.
const WAITS: &[&str] = &["wait4", "waitid", "waitpid"];
/// The same for all that are watched.
const ASKS: &[&str] = &["epoll_wait", "epoll_pwait", "epoll_pwait2"];

/// Builds the example, runs it below strace and judges what it did.
pub(super) fn check() -> Done {
    run(cargo("build --quiet -p kanban-dispatcher --example starts"))?;
    let dir = prepare("starts")?;
    let program = target().join("debug/examples/starts");
    let boards = dir.join("boards");
    std::fs::create_dir(&boards).map_err(|error| format!("make {}: {error}", boards.display()))?;
    let text = read(&trace(&program, &boards, &dir)?)?;
    judge(&text)
}

fn judge(trace: &str) -> Done {
    let calls: Vec<Call<'_>> = trace.lines().filter_map(Call::parse).collect();
    let starts = between(&calls, MARKER, "starts")?;
    let is_process =
        |call: &&Call<'_>| MAKERS.contains(&call.name) && !call.line.contains("CLONE_THREAD");
    let made: Vec<&Call<'_>> = starts.iter().filter(is_process).collect();
    if made.len() != WORKERS {
        return Err(format!("{} processes for {WORKERS} workers", made.len()));
    }
    let shares_memory = |call: &Call<'_>| {
        call.name == "vfork"
            || (call.line.contains("CLONE_VM") && call.line.contains("CLONE_VFORK"))
    };
    if let Some(copied) = made.iter().find(|call| !shares_memory(call)) {
        return Err(format!(
            "a worker was started by a copy of the dispatcher: {}",
            copied.line
        ));
    }
    println!("starts                            {WORKERS} processes, none by a copy of the memory");
    if let Some(sync) = starts.iter().find(|call| call.name == "fsync") {
        return Err(format!("SQLite is built without fdatasync: {}", sync.line));
    }
    let is_log = |call: &&Call<'_>| call.line.contains("/boards/kanban.db-wal>");
    let syncs = starts.iter().filter(|call| call.name == "fdatasync");
    let syncs = syncs.filter(is_log).count();
    if syncs != 1 {
        return Err(format!(
            "{syncs} syncs of the board, and not one for all claims and identities"
        ));
    }
    println!("starts                            1 sync of the board, by fdatasync");

    let beside = between(&calls, MARKER, "beside")?;
    if !beside.iter().any(|call| ASKS.contains(&call.name)) {
        return Err("a tick beside workers does not ask who has ended".to_owned());
    }
    // The markers are set by its first thread.
    let own = calls.iter().find(|call| call.line.contains(MARKER));
    let own = own.and_then(|call| call.line.split_whitespace().next());
    let is_look =
        |call: &&Call<'_>| WAITS.contains(&call.name) || is_look_at_another(call.line, own);
    if let Some(look) = beside.iter().find(is_look) {
        return Err(format!("a live worker was looked at: {}", look.line));
    }
    println!("beside                            no look at a worker that lives");
    Ok(())
}

/// Whether it opens another process's `stat` below `/proc`.
fn is_look_at_another(line: &str, own: Option<&str>) -> bool {
    line.split("\"/proc/").skip(1).any(|rest| {
        let of = rest.split('/').next().unwrap_or_default();
        of.parse::<u32>().is_ok() && Some(of) != own && rest.contains("/stat\"")
    })
}

#[cfg(test)]
mod tests {
    use super::judge;

    const VFORK: &str = "77 clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD, stack=0x7f, stack_size=0x9000}, 88 <unfinished ...>\n";
    const FORK: &str = "77 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f) = 99\n";
    const THREAD: &str =
        "77 clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD, exit_signal=0}, 88) = 98\n";
    const SYNC: &str = "88 fdatasync(9</dir/boards/kanban.db-wal>) = 0\n";
    const OTHER_SYNC: &str = "88 fdatasync(8</dir/state.db-wal>) = 0\n";
    const ASK: &str = "77 epoll_pwait(3, [], 3, 0, NULL, 8) = 0\n";

    fn trace(starts: &str, beside: &str) -> String {
        let mark =
            |name: &str| format!("77 statx(AT_FDCWD, \"/dispatcher-marker/{name}\", 0) = -1\n");
        [
            mark("starts/begin"),
            starts.to_owned(),
            mark("starts/end"),
            mark("beside/begin"),
            beside.to_owned(),
            mark("beside/end"),
        ]
        .concat()
    }

    #[test]
    fn a_dispatcher_that_behaves_passes() {
        let starts = [
            VFORK,
            "88 <... clone3 resumed>) = 99\n",
            THREAD,
            VFORK,
            OTHER_SYNC,
            SYNC,
            VFORK,
        ]
        .concat();
        let own = "77 openat(AT_FDCWD, \"/proc/77/stat\", O_RDONLY) = 4\n";
        assert_eq!(judge(&trace(&starts, &[own, ASK].concat())), Ok(()));
    }

    #[test]
    fn a_fork_a_sync_of_more_than_data_and_a_look_at_a_live_worker_fail() {
        let starts = [SYNC, &VFORK.repeat(3)].concat();
        for (starts, beside) in [
            (&[SYNC, VFORK, VFORK, FORK].concat(), ASK),
            (&[SYNC, VFORK, VFORK].concat(), ASK),
            (&[OTHER_SYNC, &VFORK.repeat(3)].concat(), ASK),
            (&[&starts, SYNC].concat(), ASK),
            (
                &[&starts, "88 fsync(9</dir/boards/kanban.db-wal>) = 0\n"].concat(),
                ASK,
            ),
            (&starts, ""),
            (
                &starts,
                &[ASK, "77 waitid(P_PID, 99, 0x7f, WNOHANG, NULL) = 0\n"].concat(),
            ),
            (
                &starts,
                &[
                    ASK,
                    "77 openat(AT_FDCWD, \"/proc/99/stat\", O_RDONLY) = 4\n",
                ]
                .concat(),
            ),
        ] {
            assert!(judge(&trace(starts, beside)).is_err(), "{starts}{beside}");
        }
        assert!(judge("").is_err());
    }
}
