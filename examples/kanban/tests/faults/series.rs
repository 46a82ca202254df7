//! The series.

use std::fmt::Write as _;
use std::fs;

use super::scene::{STRUCK, Scene};
use super::shim::{Call, Faults, Shim};
use crate::house::Result;

/// Every one of them; otherwise a few of each series.
const ALL: &str = "KANBAN_FAULTS";
const FEW: u32 = 4;

/// A file for the table.
const REPORT: &str = "KANBAN_FAULTS_REPORT";

const EIO: u32 = 5;
const EMFILE: u32 = 24;
const ENOSPC: u32 = 28;

const SERIES: [(Call, u32, &str); 6] = [
    (Call::Read, EIO, "read: EIO"),
    (Call::Write, EIO, "write: EIO"),
    (Call::Write, ENOSPC, "write: ENOSPC"),
    (Call::Sync, EIO, "sync: EIO"),
    (Call::Open, EIO, "open: EIO"),
    (Call::Open, EMFILE, "open: EMFILE"),
];

#[test]
fn faults_of_the_kth_call_on_a_board_cost_no_row_no_task_and_no_other_board() -> Result {
    let files = format!("boards/{STRUCK}/kanban.db");
    run("board", &files, true)
}

#[test]
fn faults_of_the_kth_call_on_the_ledger_cost_no_row_and_no_task() -> Result {
    // Without it nothing can be started safely, so the other board waits too.
    run("ledger", ".dispatcher/state.db", false)
}

/// All series on these files.
fn run(name: &str, files: &str, others_are_served: bool) -> Result {
    let template = Scene::new()?;
    let dir = tempfile::tempdir()?;
    let shim = Shim::new(dir.path())?;
    let mut table = String::new();
    for (call, errno, words) in SERIES {
        let none = Faults {
            call,
            errno,
            first: 0,
            last: 0,
            files,
        };
        for is_for_ever in [false, true] {
            let (_, calls, _) = strike(&shim, &template, none, others_are_served)?;
            assert!(calls > 0, "{words}: no such call");
            let mut struck = 0;
            let mut missed = 0;
            for k in chosen(calls) {
                let last = if is_for_ever { u32::MAX } else { k };
                let faults = Faults {
                    first: k,
                    last,
                    ..none
                };
                let (_, _, failed) = strike(&shim, &template, faults, others_are_served)
                    .map_err(|error| format!("{name}, {words}, number {k} to {last}: {error}"))?;
                // Threads: a run may have a call less than the one that was counted.
                if failed == 0 {
                    missed += 1
                } else {
                    struck += 1
                }
            }
            assert!(struck > missed, "{words}: {struck} struck, {missed} missed");
            let how = if is_for_ever {
                "from the k-th on"
            } else {
                "the k-th"
            };
            writeln!(
                table,
                "| {name} | {words} | {how} | {calls} | {struck} | 0 |"
            )?;
        }
    }
    match std::env::var_os(REPORT) {
        Some(path) => Ok(fs::write(std::path::Path::new(&path).join(name), table)?),
        None => Ok(()),
    }
}

/// Strikes one tick, and demands that all is well afterwards.
fn strike(
    shim: &Shim,
    template: &Scene,
    faults: Faults<'_>,
    others_are_served: bool,
) -> Result<(i32, u32, u32)> {
    let scene = template.copy()?;
    let (output, calls, failed) = shim.run(&mut scene.tick(), faults, &scene.control())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output
        .status
        .code()
        .ok_or_else(|| format!("{}: {said}", output.status))?;
    if said.contains("panicked") {
        return Err(said.into());
    }
    if others_are_served {
        scene
            .other_was_served()
            .map_err(|error| format!("{error}: {said}"))?;
    }
    scene
        .is_well_after_all()
        .map_err(|error| format!("{error}: {said}"))?;
    Ok((code, calls, failed))
}

/// All numbers from 1 on, or some that are spread over them.
fn chosen(calls: u32) -> Vec<u32> {
    if std::env::var_os(ALL).is_some_and(|value| value == "all") {
        return (1..=calls).collect();
    }
    let mut some: Vec<u32> = (0..FEW).map(|n| 1 + n * (calls - 1) / (FEW - 1)).collect();
    some.dedup();
    some
}
