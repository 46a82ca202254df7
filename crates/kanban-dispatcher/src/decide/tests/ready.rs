//! Which ready tasks are claimed, in which order, and why the others are not.

use super::*;

#[test]
fn ready_tasks_are_claimed_by_priority_then_age_then_id() {
    let tasks = vec![
        Task {
            created_at: 5,
            ..task("old", Status::Ready)
        },
        task("b", Status::Ready),
        task("a", Status::Ready),
        Task {
            priority: 3,
            created_at: 99,
            ..task("urgent", Status::Ready)
        },
        Task {
            priority: -1,
            created_at: 0,
            ..task("idle", Status::Ready)
        },
    ];
    let decision = many(tasks, None, &policy());
    assert_eq!(claims(&decision), ["urgent", "old", "a", "b", "idle"]);
    assert!(
        decision
            .claims
            .iter()
            .all(|c| c.lock == "rs.host:1:a" && c.expires == NOW + 900)
    );
}

#[test]
fn a_ready_task_that_cannot_start_is_held_for_one_reason() {
    let ready = || task("t", Status::Ready);
    let cases = [
        (
            Task {
                assignee: None,
                ..ready()
            },
            Some(HeldReason::Unassigned),
        ),
        (
            Task {
                assignee: Some("  ".into()),
                ..ready()
            },
            Some(HeldReason::Unassigned),
        ),
        (
            Task {
                assignee: Some("nobody".into()),
                ..ready()
            },
            Some(HeldReason::UnknownAssignee),
        ),
        (
            Task {
                workspace_kind: "worktree".into(),
                ..ready()
            },
            None,
        ),
        (
            Task {
                rate_limited_at: Some(NOW - 299),
                ..ready()
            },
            Some(HeldReason::Cooldown),
        ),
        (
            Task {
                rate_limited_at: Some(NOW - 300),
                ..ready()
            },
            None,
        ),
        (
            Task {
                assignee: Some(" coder ".into()),
                ..ready()
            },
            None,
        ),
        (
            Task {
                workspace_kind: "dir".into(),
                ..ready()
            },
            None,
        ),
    ];
    for (task, reason) in cases {
        let told = format!("{task:?}");
        let decision = one(task, None);
        let held: Vec<_> = decision
            .held
            .iter()
            .map(|(reason, count)| (*reason, *count))
            .collect();
        assert_eq!(
            held,
            reason
                .map(|reason| (reason, 1))
                .into_iter()
                .collect::<Vec<_>>(),
            "{told}"
        );
        assert_eq!(
            decision.claims.len(),
            usize::from(reason.is_none()),
            "{told}"
        );
        let is_told = |t: &Transition| {
            matches!(
                t,
                Transition::Guard {
                    reason: "rate_limit_cooldown" | "unknown_assignee",
                    ..
                }
            )
        };
        assert!(decision.transitions.iter().all(is_told), "{told}");
    }
    let mut unknown = task("t", Status::Ready);
    unknown.assignee = Some("nobody".into());
    assert_eq!(one(unknown.clone(), None).transitions.len(), 1);
    unknown.past.told = Some("unknown_assignee".into());
    assert_eq!(one(unknown, None).transitions, []);
    let cooling = Task {
        rate_limited_at: Some(NOW - 200),
        ..task("t", Status::Ready)
    };
    assert_eq!(one(cooling, None).next_due, Some(NOW + 100));
}

#[test]
fn somebodys_claim_and_an_open_parent_keep_a_ready_task_from_starting() {
    let claimed = Task {
        claim_lock: Some("x:1".into()),
        ..task("t", Status::Ready)
    };
    assert_eq!(one(claimed, None), Decision::default());
    let waits = Task {
        has_open_parent: true,
        ..task("t", Status::Ready)
    };
    let decision = one(waits, None);
    assert_eq!(
        decision.transitions,
        [Transition::Demote { task: "t".into() }]
    );
    assert!(decision.claims.is_empty() && decision.held.is_empty());
}

#[test]
fn the_boards_limit_counts_all_running_tasks_and_those_just_chosen() {
    for (cap, running_tasks, expected, held) in [
        (None, 3, 4, 0),
        (Some(0), 0, 0, 4),
        (Some(3), 0, 3, 1),
        (Some(3), 2, 1, 3),
        (Some(3), 3, 0, 4),
        (Some(3), 9, 0, 4),
    ] {
        let mut tasks: Vec<Task> = (0..4)
            .map(|n| task(&format!("r{n}"), Status::Ready))
            .collect();
        for n in 0..running_tasks {
            // A person's claim counts too.
            let lock = Some("elsewhere:1".to_owned());
            tasks.push(Task {
                claim_lock: lock,
                ..running(&format!("x{n}"))
            });
        }
        let policy = Policy {
            board_cap: cap,
            ..policy()
        };
        let decision = many(tasks, None, &policy);
        assert_eq!(decision.claims.len(), expected, "{cap:?} {running_tasks}");
        let capped = decision
            .held
            .get(&HeldReason::BoardCap)
            .copied()
            .unwrap_or(0);
        assert_eq!(capped, held, "{cap:?} {running_tasks}");
    }
}

#[test]
fn a_place_that_is_freed_is_used_in_the_same_tick() {
    let tasks = vec![running("ends"), task("next", Status::Ready)];
    let policy = Policy {
        board_cap: Some(1),
        ..policy()
    };
    let processes = [("ends".to_owned(), ended(End::Exited(3)).expect("some"))].into();
    let view = View {
        tasks,
        bad_rows: Vec::new(),
    };
    let decision = decide(&view, &processes, &policy, NOW);
    assert_eq!(failure(&decision).task, "ends");
    assert_eq!(
        (decision.claims.len(), decision.held[&HeldReason::BoardCap]),
        (1, 1)
    );
}

#[test]
fn review_comes_after_ready_and_asks_neither_for_parents_nor_for_the_past() {
    let review = Task {
        has_open_parent: true,
        rate_limited_at: Some(NOW),
        priority: 9,
        ..task("a", Status::Review)
    };
    let decision = many(
        vec![review.clone(), task("b", Status::Ready)],
        None,
        &policy(),
    );
    assert_eq!(claims(&decision), ["b", "a"]);
    let from: Vec<Status> = decision.claims.iter().map(|claim| claim.from).collect();
    assert_eq!(from, [Status::Ready, Status::Review]);
    let one_place = Policy {
        board_cap: Some(1),
        ..policy()
    };
    let decision = many(
        vec![review.clone(), task("b", Status::Ready)],
        None,
        &one_place,
    );
    assert_eq!(claims(&decision), ["b"]);
    assert_eq!(decision.held[&HeldReason::BoardCap], 1);
    let nobodys = Task {
        assignee: None,
        ..review
    };
    let generous = Policy {
        default_assignee: Some("coder".into()),
        ..policy()
    };
    let decision = many(vec![nobodys], None, &generous);
    assert_eq!(
        decision.held[&HeldReason::Unassigned],
        1,
        "a review is not given away"
    );
}

#[test]
fn a_profile_has_its_limit_over_both_columns_and_those_who_run() {
    let policy = Policy {
        profile_cap: Some(2),
        ..policy()
    };
    let of = |id, status, name: &str| Task {
        assignee: Some(name.to_owned()),
        ..task(id, status)
    };
    let elsewhere = Task {
        claim_lock: Some("elsewhere:1".into()),
        ..running("x")
    };
    let tasks = vec![
        elsewhere,
        of("a", Status::Ready, "coder"),
        of("b", Status::Ready, "coder"),
        of("c", Status::Ready, "tester"),
        of("d", Status::Review, "coder"),
        of("e", Status::Review, "tester"),
        of("f", Status::Review, "tester"),
    ];
    let decision = many(tasks, None, &policy);
    assert_eq!(claims(&decision), ["a", "c", "e"]);
    assert_eq!(decision.held[&HeldReason::ProfileCap], 3);
}

#[test]
fn nobodys_task_goes_to_whom_the_settings_name_if_that_one_can_start_and_there_is_room() {
    let nobodys = |name: Option<&str>| Task {
        assignee: name.map(str::to_owned),
        ..task("t", Status::Ready)
    };
    let given_to = |name: &str, cap| Policy {
        default_assignee: Some(name.to_owned()),
        board_cap: cap,
        ..policy()
    };
    let assign = Transition::Assign {
        task: "t".into(),
        assignee: "tester".into(),
    };
    for (name, policy, expected) in [
        (None, given_to("tester", None), Some(&assign)),
        (Some(""), given_to("tester", None), Some(&assign)),
        (Some(" "), given_to("tester", None), None),
        (Some("coder"), given_to("tester", None), None),
        (None, given_to("ghost", None), None),
        (None, given_to("tester", Some(0)), None),
        (None, policy(), None),
    ] {
        let decision = many(vec![nobodys(name)], None, &policy);
        let assigned = decision.transitions.first();
        assert_eq!(assigned, expected, "{name:?} {:?}", policy.default_assignee);
        let starts = expected.is_some() || name == Some("coder");
        assert_eq!(decision.claims.len(), usize::from(starts));
    }
}

#[test]
fn a_reason_is_told_once_and_again_when_it_is_another() {
    let held = |told: Option<&str>| Task {
        past: Past {
            pull_request_at: Some(NOW - 5),
            told: told.map(str::to_owned),
            ..Past::default()
        },
        ..task("t", Status::Ready)
    };
    let active = [Transition::Guard {
        task: "t".into(),
        reason: "active_pr",
    }];
    assert_eq!(one(held(None), None).transitions, active);
    assert_eq!(one(held(Some("blocker_auth")), None).transitions, active);
    let decision = one(held(Some("active_pr")), None);
    assert!(decision.transitions.is_empty() && decision.claims.is_empty());
    assert_eq!(decision.next_due, Some(NOW - 5 + 86_401));
}
