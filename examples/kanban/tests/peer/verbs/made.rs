//! Making tasks, saying something about them, and letting them wait for each other.

use super::super::house::Result;
use super::pair::Pair;

#[test]
fn tasks_are_made_alike() -> Result {
    let mut pair = Pair::made_by(
        &[
            "create open",
            "create gone",
            "archive {gone}",
            "create over",
            "complete {over}",
        ],
        "",
    )?;
    for line in [
        "create plain",
        "create assigned --assignee Coder --priority -3 --body 'all of it'",
        "create 'in triage' --triage",
        "create waits --parent {open} --parent {over}",
        "create 'waits for an archived one' --parent {gone}",
        "create goes --parent {over}",
        "create 'triage wins' --triage --parent {open}",
        "create here --workspace dir:/srv/here",
        "create tree --workspace worktree",
        "create grown --workspace worktree:/srv/repo --branch fix/it",
        "create aims --goal --goal-max-turns 7",
        "create skilled --skill b --skill a --skill b --skill é",
        "create limited --tenant acme --max-runtime 90s --max-retries 3",
        "create once --idempotency-key k",
        "create again --idempotency-key k",
        "create theirs --created-by bob",
    ] {
        pair.alike(true, line)?;
    }
    for line in [
        "create ' '",
        "create orphan --parent t_00000000",
        "create branched --branch fix/it",
        "create tree2 --workspace worktree:",
        "create two --skill a,b",
        "create never --max-retries 0",
    ] {
        pair.alike(false, line)?;
    }
    Ok(())
}

#[test]
fn words_and_links_are_written_alike() -> Result {
    let mut pair = Pair::made_by(
        &[
            "create a",
            "create b",
            "create c",
            "create d",
            "create over",
            "complete {over}",
            "create gone",
            "archive {gone}",
            "create busy",
            "claim {busy}",
        ],
        "",
    )?;
    pair.all_alike(&[
        (true, "comment {a} 'hello wörld'"),
        (true, "comment {over} two words --author bob"),
        (false, "comment {a} ' '"),
        (false, "comment t_00000000 hello"),
        (true, "link {a} {b}"),
        (true, "link {b} {c}"),
        (true, "link {a} {b}"),
        (true, "link {over} {d}"),
        (true, "link {gone} {d}"),
        (true, "link {a} {busy}"),
        (false, "link {a} {a}"),
        (false, "link {c} {a}"),
        (false, "link {a} t_00000000"),
        (true, "unlink {b} {c}"),
        (false, "unlink {b} {c}"),
        (true, "unlink {gone} {d}"),
        (true, "complete {a} --summary done"),
    ])
}
