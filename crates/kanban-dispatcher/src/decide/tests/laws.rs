//! What holds on any board whatever.

use super::*;

/// Numbers that rows may hold: around now, and as far away as rows are read.
fn number() -> impl Strategy<Value = i64> {
    const FAR: i64 = 1 << 53;
    prop_oneof![
        4 => NOW - 5_000..NOW + 5_000,
        1 => -3..4_i64,
        1 => prop_oneof![Just(FAR), Just(-FAR)],
    ]
}

fn maybe<S: Strategy>(strategy: S) -> impl Strategy<Value = Option<S::Value>> {
    prop::option::of(strategy)
}

fn lock() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "rs.host:1:a",
        "rs.host:2:b",
        "host:9",
        "elsewhere:1",
        "",
    ])
    .prop_map(str::to_owned)
}

fn any_past() -> impl Strategy<Value = Past> {
    let error = prop::sample::select(vec!["HTTP 403", "pid 403 not alive", "boom"]);
    let reason = prop::sample::select(vec!["blocker_auth", "active_pr", "else"]);
    let times = (
        maybe(number()),
        maybe(number()),
        maybe(number()),
        maybe(number()),
    );
    let rest = (
        maybe(error.prop_map(str::to_owned)),
        maybe(reason.prop_map(str::to_owned)),
        0..9_i64,
        0..6_i64,
    );
    (times, rest).prop_map(|(times, rest)| Past {
        ended_at: times.0,
        succeeded_at: times.1,
        pull_request_at: times.2,
        gave_up_at: times.3,
        error: rest.0,
        told: rest.1,
        give_ups: rest.2,
        infrastructure: rest.3,
    })
}

fn any_task() -> impl Strategy<Value = Task> {
    let status = prop::sample::select(vec![
        Status::Todo,
        Status::Ready,
        Status::Running,
        Status::Blocked,
        Status::Review,
    ]);
    let assignee = prop::sample::select(vec!["coder", "tester", " coder ", "nobody", " ", ""]);
    let who = (
        status,
        maybe(assignee.prop_map(str::to_owned)),
        -2..3_i64,
        0..3_i64,
    );
    let claim = (
        maybe(lock()),
        maybe(number()),
        maybe(number()),
        maybe(number()),
        maybe(number()),
    );
    let counts = (
        0..5_i64,
        maybe(-1..4_i64),
        maybe(number()),
        0..4_i64,
        maybe(number()),
    );
    let rest = (
        maybe(1..9_i64),
        prop::sample::select(vec!["scratch", "dir", "worktree", ""]),
        any::<bool>(),
        any::<bool>(),
        maybe(number()),
    );
    (who, claim, counts, rest, any_past()).prop_map(|(who, claim, counts, rest, past)| Task {
        past,
        id: String::new(),
        status: who.0,
        assignee: who.1,
        priority: who.2,
        created_at: who.3,
        claim_lock: claim.0,
        claim_expires: claim.1,
        worker_pid: claim.2,
        started_at: claim.3,
        last_heartbeat_at: claim.4,
        failures: counts.0,
        max_retries: counts.1,
        max_runtime: counts.2,
        violations: counts.3,
        run_started_at: counts.4,
        run: rest.0,
        workspace_kind: rest.1.to_owned(),
        has_open_parent: rest.2,
        is_sticky: rest.3,
        rate_limited_at: rest.4,
    })
}

fn any_process() -> impl Strategy<Value = Process> {
    let stopping = || {
        let reasons = [
            StopReason::TimedOut,
            StopReason::Silent,
            StopReason::Stale,
            StopReason::ClaimLost,
        ];
        maybe(prop::sample::select(reasons.to_vec()))
    };
    let end = prop_oneof![
        prop::sample::select(vec![0, 1, 3, 75, 78]).prop_map(End::Exited),
        prop::sample::select(vec![9, 15]).prop_map(End::Signaled),
        Just(End::Unknown),
        Just(End::Interrupted),
    ];
    prop_oneof![
        stopping().prop_map(|stopping| Process::Alive { stopping }),
        (end, stopping()).prop_map(|(end, stopping)| Process::Ended { end, stopping }),
        any::<bool>().prop_map(|alive| Process::Unproven { alive }),
    ]
}

prop_compose! {
    pub(super) fn any_board()(
        tasks in prop::collection::vec((any_task(), maybe(any_process())), 0..12),
        bad in 0..3_usize,
        caps in (maybe(0..5_u32), maybe(1..3_u32)),
        failure_limit in 1..4_i64,
        cooldown in 0..400_i64,
        times in (0..400_i64, 0..9_000_i64, 0..400_i64),
        default in maybe(prop::sample::select(vec!["coder", "nobody"])),
        is_stopping in any::<bool>(),
    ) -> (View, Processes, Policy) {
        let mut view = View::default();
        let mut processes = Processes::new();
        for (n, (mut task, process)) in tasks.into_iter().enumerate() {
            // Not in the order of creation, so that sorting by id is not sorting by position.
            task.id = format!("t{:02}", (n * 7) % 12);
            // Only looked for where it matters, as `observe` does.
            task.has_open_parent &= task.status != Status::Running;
            if let Some(process) = process {
                processes.insert(task.id.clone(), process);
            }
            view.tasks.push(task);
        }
        view.bad_rows = (0..bad).map(|n| BadRow { id: n.to_string(), reason: String::new(), status: None }).collect();
        let policy = Policy {
            board_cap: caps.0,
            profile_cap: caps.1,
            failure_limit,
            cooldown,
            auth_backoff: times.0,
            stale_after: times.1,
            probe_after: times.2,
            default_assignee: default.map(str::to_owned),
            is_stopping,
            ..policy()
        };
        (view, processes, policy)
    }
}

/// A board's tasks after the transitions, as far as the next step looks at them.
fn after(view: &View, decision: &Decision) -> HashMap<String, Task> {
    let mut tasks: HashMap<String, Task> = view
        .tasks
        .iter()
        .map(|task| (task.id.clone(), task.clone()))
        .collect();
    for transition in &decision.transitions {
        let task = tasks
            .get_mut(transition.task())
            .expect("a task of this board");
        let status = match transition {
            Transition::Renew { .. } | Transition::Extend { .. } => continue,
            Transition::Guard { .. } => continue,
            Transition::Assign { assignee, .. } => {
                task.assignee = Some(assignee.clone());
                continue;
            }
            Transition::Promote { .. }
            | Transition::Probe { .. }
            | Transition::Reclaim(_)
            | Transition::Stale(_) => Status::Ready,
            Transition::Demote { .. } => Status::Todo,
            Transition::Fail(Failure {
                verdict: Verdict::Tripped { .. },
                ..
            }) => Status::Blocked,
            Transition::Fail(_) => Status::Ready,
            // Of rows that are no tasks of the view.
            Transition::SetAside { .. } => continue,
        };
        task.status = status;
        if !matches!(
            transition,
            Transition::Promote { .. } | Transition::Probe { .. } | Transition::Demote { .. }
        ) {
            task.claim_lock = None;
        }
    }
    tasks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn on_any_board_the_decision_is_lawful((view, processes, policy) in any_board()) {
        let decision = decide(&view, &processes, &policy, NOW);
        prop_assert_eq!(&decision, &decide(&view, &processes, &policy, NOW), "the same again");

        let mut changed: HashMap<&str, &Transition> = HashMap::new();
        let moves = |t: &&Transition| !matches!(t, Transition::Guard { .. } | Transition::Assign { .. });
        for transition in decision.transitions.iter().filter(moves) {
            let other = changed.insert(transition.task(), transition);
            prop_assert!(other.is_none(), "two changes of one task: {:?} {:?}", other, transition);
        }

        // What is claimed may start: ready, free, assigned to somebody who is there, no open parent, rested.
        let tasks = after(&view, &decision);
        let mut claimed = HashSet::new();
        for claim in &decision.claims {
            let task = &tasks[&claim.task];
            prop_assert!(claimed.insert(&claim.task), "claimed twice");
            prop_assert_eq!(task.status, claim.from);
            prop_assert!(task.claim_lock.is_none());
            prop_assert!(claim.from == Status::Review || claim.from == Status::Ready && !task.has_open_parent);
            let assignee = task.assignee.as_deref().map(str::trim).unwrap_or_default();
            prop_assert!(policy.spawnable.contains(assignee));
            prop_assert_eq!((&claim.lock, claim.expires), (&policy.lock, NOW + policy.claim_ttl));
        }

        // Best first.
        let keys: Vec<_> = decision
            .claims
            .iter()
            .map(|claim| (claim.from == Status::Review, &tasks[&claim.task]))
            .map(|(is_review, task)| {
                (is_review, std::cmp::Reverse(task.priority), task.created_at, task.id.clone())
            })
            .collect();
        prop_assert!(keys.is_sorted());

        // Every free task in the ready and the review column is claimed, demoted, or held for one reason.
        let free = |task: &&Task| {
            matches!(task.status, Status::Ready | Status::Review) && task.claim_lock.is_none()
        };
        let demoted = decision.transitions.iter().filter(|t| matches!(t, Transition::Demote { .. })).count();
        let bad = decision.held.get(&HeldReason::BadRow).copied().unwrap_or(0) as usize;
        prop_assert_eq!(bad, view.bad_rows.len());
        let held = decision.held.values().sum::<u32>() as usize - bad;
        prop_assert_eq!(held + claimed.len(), tasks.values().filter(free).count());
        let is_todo = |transition: &&&Transition| tasks[transition.task()].status == Status::Todo;
        prop_assert_eq!(demoted, changed.values().filter(is_todo).count());

        // The board's limit.
        if let Some(cap) = policy.board_cap {
            let running = tasks.values().filter(|task| task.status == Status::Running).count();
            prop_assert!(claimed.is_empty() || running + claimed.len() <= cap as usize);
        }

        // The limit of each profile, over both columns.
        if let Some(cap) = policy.profile_cap {
            for name in ["coder", "tester"] {
                let is_its = |task: &&Task| task.assignee.as_deref().is_some_and(|by| by.trim() == name);
                let running = tasks.values().filter(is_its).filter(|task| task.status == Status::Running);
                let more = claimed.iter().filter(|id| is_its(&&tasks[id.as_str()])).count();
                prop_assert!(more == 0 || running.count() + more <= cap as usize, "{name}");
            }
        }

        // Reasons are told of those that are held, once; nobody's tasks become somebody's only if that one can start.
        for transition in &decision.transitions {
            match transition {
                Transition::Guard { task, reason } => {
                    prop_assert!(!claimed.contains(task) && tasks[task].past.told.as_deref() != Some(reason));
                }
                Transition::Assign { assignee, .. } => prop_assert!(policy.spawnable.contains(assignee)),
                _ => {}
            }
        }

        // Only what is proven ours is stopped, once, and it is not given away before it is gone.
        for (task, _) in &decision.stops {
            prop_assert_eq!(processes.get(task), Some(&Process::Alive { stopping: None }));
            let change = changed.get(task.as_str());
            let gone = change.is_some_and(|change| !matches!(change, Transition::Renew { .. }));
            prop_assert!(!gone, "{task} is given away");
        }
        for task in &view.tasks {
            if matches!(processes.get(&task.id), Some(Process::Alive { .. })) && task.status == Status::Running {
                prop_assert!(!claimed.contains(&task.id), "a second worker");
            }
        }
        if let Some(due) = decision.next_due {
            prop_assert!(due >= NOW, "{due} is past");
        }
    }
}
