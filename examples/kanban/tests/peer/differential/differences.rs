//! Where we differ from the peer on purpose: the one table, which the comparison uses and the documentation shows.

use super::explain::{self, Case};
use super::seen::Seen;

/// A difference, by name.
pub(super) struct Difference {
    pub(super) name: &'static str,
    pub(super) peer: &'static str,
    pub(super) ours: &'static str,
    pub(super) why: &'static str,
    pub(super) shown: Shown,
}

/// How the tests meet it.
pub(super) enum Shown {
    /// On drawn boards: takes it out of what the peer left, and says whether it was there.
    Drawn(fn(&Case<'_>, &mut Seen) -> bool),
    /// In a test of its own, by name.
    By(&'static str),
}

use Shown::{By, Drawn};

pub(super) const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "own-claims",
        peer: "takes our claims (`rs.HOST:`) for another host's and waits until they run out",
        ours: "judges them by what it knows of the process",
        why: "the prefix is there so that the peer neither judges nor signals our workers (decision 1)",
        shown: Drawn(explain::own_claims),
    },
    Difference {
        name: "pid-only-kill",
        peer: "signals whatever has the recorded process id when a claim is silent, stale or out of time",
        ours: "leaves a process that is not proven ours alone, and the task with it",
        why: "a process id is used again, and then a stranger would be killed",
        shown: Drawn(explain::pid_only_kill),
    },
    Difference {
        name: "pid-used-again",
        peer: "takes any process with the recorded id for the worker",
        ours: "a process that started long after the attempt is not its worker: the worker is gone",
        why: "the task would stay running for ever behind a stranger",
        shown: Drawn(explain::pid_used_again),
    },
    Difference {
        name: "old-heartbeat",
        peer: "counts an earlier attempt's sign of life against the present one",
        ours: "asks only for signs of life since the attempt began",
        why: "a healthy second attempt would be ended at its first renewal",
        shown: Drawn(explain::old_heartbeat),
    },
    Difference {
        name: "heartbeat-cleared",
        peer: "keeps the last sign of life when a task is claimed again",
        ours: "clears it at the claim",
        why: "or the peer would end our healthy worker by the age of somebody else's sign of life",
        shown: Drawn(explain::heartbeat_cleared),
    },
    Difference {
        name: "configured-limit",
        peer: "counts crashes and time-outs against 2, whatever `failure_limit` says",
        ours: "counts every failure against `failure_limit`",
        why: "the setting would mean start failures only",
        shown: Drawn(explain::configured_limit),
    },
    Difference {
        name: "shared-ends",
        peer: "three workers that are gone without a known end trip the breaker at once, and the next step frees them again",
        ours: "only ends with the same known cause are taken together; a lost process is counted by itself",
        why: "after a reboot every worker is gone, and that is no fault of the tasks",
        shown: By("lost_processes_are_counted_one_by_one"),
    },
    Difference {
        name: "counter-stored",
        peer: "stores the plain count when the breaker trips, and frees the task again in the same tick if that is below a limit",
        ours: "stores at least what either program compares with",
        why: "the breaker would have no effect",
        shown: Drawn(explain::counter_stored),
    },
    Difference {
        name: "path-of-a-failed-start",
        peer: "stores the workspace's path before it starts the worker",
        ours: "stores it with the worker's identity, so a start that failed leaves none",
        why: "until then nothing is known to work there",
        shown: Drawn(explain::path_of_a_failed_start),
    },
    Difference {
        name: "gone-not-signalled",
        peer: "tells of a process that was gone already that it was asked to end",
        ours: "tells only that it is gone",
        why: "nothing was signalled",
        shown: Drawn(explain::gone_not_signalled),
    },
    Difference {
        name: "pid-digits",
        peer: "reads the process id in `pid 429 ...` or `pid 403 ...` as a provider's refusal",
        ours: "passes over process ids and looks at the rest",
        why: "a crash would hold its task for ever",
        shown: Drawn(explain::pid_digits),
    },
    Difference {
        name: "blocker-auth-ends",
        peer: "holds a task whose last error speaks of permission or quota for ever",
        ours: "holds it for a time that doubles with each failure, then tries again; the breaker counts as always",
        why: "nothing else would ever end it",
        shown: Drawn(explain::blocker_auth_ends),
    },
    Difference {
        name: "reviews-leaked-run",
        peer: "leaves an attempt open for good when a task in review is claimed",
        ours: "closes it, as for a ready task",
        why: "an attempt is closed exactly once",
        shown: By("a_claim_from_review_closes_the_attempt_that_was_left_open"),
    },
    Difference {
        name: "limits-over-both-columns",
        peer: "starts tasks in review whatever `max_in_progress` and `max_in_progress_per_profile` say",
        ours: "counts ready and review together",
        why: "a limit is a limit",
        shown: By("the_boards_limits_count_ready_and_review_together"),
    },
    Difference {
        name: "double-count",
        peer: "subtracts the running tasks twice when `max_spawn` and `max_in_progress` are both set",
        ours: "takes the smaller limit",
        why: "boards would stand still below their limit",
        shown: By("two_limits_of_one_board_are_the_smaller_one"),
    },
    Difference {
        name: "profiles-by-name",
        peer: "counts `coder` and `Coder` apart for the limit per profile, and starts the same profile for both",
        ours: "counts profiles",
        why: "the limit protects the profile",
        shown: By("one_profile_is_one_however_it_is_spelled"),
    },
    Difference {
        name: "bad-rows",
        peer: "ends the tick at a row that it cannot use",
        ours: "leaves the row out and counts it as `bad_row`, or as `unassigned` when its assignee is blank; a ready one is blocked",
        why: "one row must not stop a board",
        shown: By("one_bad_row_costs_the_others_nothing"),
    },
    Difference {
        name: "bad-skills",
        peer: "starts a task whose skills are no JSON array of names without any, and one without a title",
        ours: "blocks it and says why (decision 24)",
        why: "its worker would do something else than was asked for",
        shown: By("a_ready_row_that_tells_its_worker_nothing_is_blocked"),
    },
    Difference {
        name: "unknown-assignee-told",
        peer: "leaves no trace of a task whose assignee has no profile",
        ours: "writes one `respawn_guarded` with the reason `unknown_assignee`",
        why: "whoever looks at the task sees why it waits",
        shown: Drawn(explain::unknown_assignee_told),
    },
    Difference {
        name: "text-times",
        peer: "compares times that are ISO 8601 text as text: such a claim never runs out",
        ours: "reads them as times",
        why: "boards have had many writers",
        shown: By("a_claim_whose_end_is_written_as_text_ends"),
    },
    Difference {
        name: "times-to-come",
        peer: "lets an end or a start that lies in the future hold a task until then",
        ours: "takes it for over: it was written before the clock was set back",
        why: "a rest is never longer than its setting",
        shown: By("what_was_written_before_the_clock_was_set_back_holds_nothing"),
    },
    Difference {
        name: "breaker-kept",
        peer: "undoes a breaker that tripped below the counter's limit in the same tick: silent workers, shared crashes",
        ours: "a task that was given up stays blocked until a person or a configured probe",
        why: "the breaker would have no effect",
        shown: By("the_ends_of_workers_lead_to_what_they_should"),
    },
    Difference {
        name: "told-once",
        peer: "writes `respawn_guarded` for every task in every tick",
        ours: "writes it when the reason is new for this attempt",
        why: "histories would grow without end",
        shown: By("the_ends_of_workers_lead_to_what_they_should"),
    },
    Difference {
        name: "exit-78",
        peer: "counts exit code 78 as any other crash",
        ours: "gives the task up at once",
        why: "the program says that another attempt would end the same way",
        shown: By("the_ends_of_workers_lead_to_what_they_should"),
    },
    Difference {
        name: "killed-by-the-machine",
        peer: "counts a SIGKILL against the task",
        ours: "counts it by itself, up to `infrastructure_limit` in a row, unless we sent it",
        why: "it is what happens when memory runs out",
        shown: By("the_ends_of_workers_lead_to_what_they_should"),
    },
];

// ===== as documentation =====

const HEAD: &str = "\
# Where we differ from the peer on purpose

Written from the table in `examples/kanban/tests/peer/differential/differences.rs`; a test compares the two.

A board that the peer's `dispatch_once` (0.19.0) and ours tick from the same state at the same instant ends alike: every task, every
attempt, every event and its payload. The test draws boards from seeds, some hundreds in each run, and the only differences it
lets pass are these. Each is met in every run, on drawn boards or in a test of its own.

Beside them, three things are each program's own: process ids, the text of new claims (`HOST:PID` and `rs.HOST:...`), and the
words of an error; what the error was is compared. The peer's once-per-installation tip about scratch directories is not written.

| name | the peer | we | because |
|---|---|---|---|
";

/// The page that shows the table.
pub(super) fn document() -> String {
    let row = |difference: &Difference| {
        let Difference {
            name,
            peer,
            ours,
            why,
            ..
        } = difference;
        format!("| `{name}` | {peer} | {ours} | {why} |\n")
    };
    HEAD.to_owned() + &DIFFERENCES.iter().map(row).collect::<String>()
}
