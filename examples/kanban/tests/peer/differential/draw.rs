//! Tasks drawn from a seed: every status, claim, sign of life, count and reason to wait.

use super::case::{Holder, Now, Past, Pid, Task};
use super::seed::Seed;

/// Texts that stand for what workers and people write; some only look like trouble.
const ERRORS: [&str; 14] = [
    "pid 4711 exited with code 1",
    "pid 429 exited with code 3",
    "pid 403 not alive",
    "HTTP 401 Unauthorized",
    "HTTP 429 from the provider",
    "rate-limit reached",
    "ratelimit",
    "Author unknown",
    "the authority said no",
    "unauthored text",
    "quota_exceeded",
    "permission denied: /x",
    "invalid_api key",
    "disk on fire",
];

const COMMENTS: [&str; 6] = [
    "see https://github.com/o/r/pull/12",
    "see HTTPS://GitHub.com/o/r/PULL/3?x",
    "https://github.com/o/r/issues/12",
    "https://github.com/o/r/pull/",
    "https://github.com//r/pull/1 and https://github.com/a/b/pull/7",
    "well done",
];

const PARENTS: [&str; 6] = [
    "t_done",
    "t_archived",
    "t_triage",
    "t_scheduled",
    "t_gone",
    "t_cancelled",
];

/// Everything that a whole group of boards keeps to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flavour {
    /// Only what neither program judges differently: for boards with limits, where one difference makes others.
    pub(super) calm: bool,
    pub(super) review: bool,
}

impl Task {
    pub(super) fn drawn(n: usize, flavour: Flavour, Now(now): Now, seed: &mut Seed) -> Self {
        let status = seed.pick(&[
            "todo",
            "ready",
            "ready",
            "ready",
            "running",
            "running",
            "running",
            "blocked",
            "blocked",
            "review",
            "scheduled",
            "triage",
            "done",
            "archived",
            "stalled",
        ]);
        let status = match status {
            "review" if flavour.calm && !flavour.review => "ready",
            status => status,
        };
        let mut task = Self::new(&format!("t_{n:08x}"), status);
        task.assignee = seed.pick(&[
            Some("coder"),
            Some("coder"),
            Some("coder"),
            Some("tester"),
            Some("Coder "),
            Some("default"),
            Some("nobody-here"),
            None,
            Some(""),
        ]);
        task.priority = seed.pick(&[Some(0), Some(0), Some(5), Some(-3), None]);
        task.created_at = now - seed.below(5) * 1000;
        task.failures = seed.pick(&[0, 0, 0, 1, 2, 7]);
        task.max_retries = seed.pick(&[None, None, None, None, Some(0), Some(1), Some(3)]);
        task.max_runtime = seed.pick(&[None, None, None, Some(60), Some(100_000)]);
        task.title = seed.pick(&[
            "work",
            "work",
            "work",
            "work",
            "raise: no such program",
            "raise: HTTP 403 forbidden",
        ]);
        task.workspace = seed.pick(&[
            ("scratch", None),
            ("scratch", None),
            ("scratch", None),
            ("dir", None),
            ("dir", Some("relative/path")),
        ]);
        if seed.one_in(3) {
            task.parents.push(seed.pick(&PARENTS));
        }
        if seed.one_in(3) {
            task.last_error = Some(seed.pick(&ERRORS));
        }
        if seed.one_in(6) {
            task.comments.push((
                seed.pick(&COMMENTS),
                now - seed.pick(&[10, 86_400, 86_401, 200_000]),
            ));
        }
        task.draw_past(now, seed);
        if status == "running" {
            task.draw_claim(flavour, now, seed);
        } else if seed.one_in(12) {
            // A claim that should not be there.
            task.holder = Some(Holder::Elsewhere);
            task.expires = Some(now - 10);
        }
        if flavour.calm {
            task.calm_down(now);
        }
        task
    }

    fn draw_past(&mut self, now: i64, seed: &mut Seed) {
        let mut at = now - 20_000;
        for _ in 0..seed.below(4) {
            at += seed.pick(&[100, 4_000, 9_000]);
            let outcome = seed.pick(&[
                "completed",
                "crashed",
                "crashed",
                "rate_limited",
                "spawn_failed",
                "reclaimed",
                "timed_out",
                "gave_up",
            ]);
            let is_violation = outcome == "crashed" && seed.one_in(2);
            self.past.push(Past {
                outcome,
                ended_at: at.min(now - 1),
                is_violation,
            });
        }
        if let Some(last) = self.past.last_mut()
            && seed.one_in(3)
        {
            last.ended_at = now - seed.pick(&[1, 299, 300, 3_600, 3_601]);
        }
        self.past.sort_by_key(|past| past.ended_at);
        // Which of two that ended at once is the newer, the peer leaves open.
        self.past.dedup_by_key(|past| past.ended_at);
        if seed.one_in(3) {
            // The newest is the one that ended last, whatever its number.
            self.past.reverse();
        }
        for _ in 0..seed.below(3) {
            let kind = seed.pick(&[
                "blocked",
                "unblocked",
                "status",
                "promoted",
                "reclaimed",
                "commented",
            ]);
            self.events
                .push((kind, now - seed.pick(&[1, 250, 3_000, 30_000])));
        }
        if !self.past.is_empty() {
            self.started_at = Some(now - 30_000);
        }
    }

    fn draw_claim(&mut self, flavour: Flavour, now: i64, seed: &mut Seed) {
        let holder = seed.pick(&[
            Holder::Peer,
            Holder::Peer,
            Holder::Peer,
            Holder::Elsewhere,
            Holder::Ours,
            Holder::Nobody,
        ]);
        self.holder = Some(holder);
        self.expires = seed.pick(&[
            Some(now + 500),
            Some(now + 1),
            Some(now),
            Some(now - 1),
            Some(now - 4_000),
            None,
        ]);
        self.pid = seed.pick(&[Pid::None, Pid::Dead, Pid::Dead, Pid::Live]);
        let began = now - seed.pick(&[5, 29, 30, 59, 60, 7_199, 7_200, 14_399, 14_400, 20_000]);
        self.started_at = self.started_at.filter(|_| seed.one_in(2)).or(Some(began));
        self.attempt = Some(began);
        self.heartbeat = seed.pick(&[
            None,
            None,
            Some(now - 10),
            Some(now - 3_599),
            Some(now - 3_600),
            Some(now - 3_601),
        ]);
        if flavour.calm {
            self.pid = Pid::None;
        }
    }

    /// Nothing here that the exceptions are about.
    fn calm_down(&mut self, now: i64) {
        self.title = "work";
        self.workspace = ("scratch", None);
        self.last_error = None;
        if self.assignee == Some("Coder ") {
            self.assignee = Some("coder");
        }
        if self.status == "running" {
            self.holder = Some(Holder::Elsewhere);
            self.expires = Some(now + 500);
            self.heartbeat = Some(now - 1);
            self.attempt = Some(now - 50);
        }
    }
}
