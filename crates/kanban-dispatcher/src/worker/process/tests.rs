//! When a worker is looked at: never while it lives and is watched, and always when something may be found.

use std::path::Path;
use std::process::Command;

use super::*;

const START: Duration = Duration::from_secs(100);
const GRACE: Duration = Duration::from_secs(5);

fn sleeper() -> std::io::Result<(Child, Identity)> {
    let child = Command::new("sleep").arg("120").spawn()?;
    let identity = Identity::read(child.id())?;
    Ok((child, identity))
}

/// One that an earlier dispatcher left.
fn adopted(identity: Identity, sight: Sight) -> Worker {
    Worker::adopted(
        1,
        identity,
        sight,
        Mark::new(Path::new("/db"), "t", 1),
        None,
    )
}

#[test]
fn a_watched_worker_is_looked_at_when_it_has_ended_and_when_a_step_is_due() -> std::io::Result<()> {
    let (mut child, identity) = sleeper()?;
    let watchers = Watchers::new();
    let mut worker = adopted(identity, Sight::Passed);
    let is_looked_at = |worker: &Worker, now| worker.needs_look(&watchers.ended(), now);
    assert!(is_looked_at(&worker, START), "nobody tells of its end");
    worker.be_watched(&watchers);
    assert!(!is_looked_at(&worker, START));

    worker.stop(StopReason::TimedOut, START, GRACE);
    child.wait()?;
    assert!(is_looked_at(&worker, START), "it has ended");
    worker.look(START);
    assert_eq!(worker.end, Some(End::Unknown));
    assert!(!is_looked_at(&worker, START), "nothing more can come of it");
    Ok(())
}

#[test]
fn a_stop_is_taken_further_also_while_its_worker_lives() -> std::io::Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", "trap '' TERM; echo; while :; do sleep 1; done"])
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    // It says something when it has become deaf.
    if let Some(said) = &mut child.stdout {
        std::io::Read::read_exact(said, &mut [0])?;
    }
    let watchers = Watchers::new();
    let mut worker = adopted(Identity::read(child.id())?, Sight::Passed);
    worker.be_watched(&watchers);
    worker.stop(StopReason::TimedOut, START, GRACE);
    let is_looked_at = |worker: &Worker, now| worker.needs_look(&watchers.ended(), now);
    assert!(!is_looked_at(
        &worker,
        START + GRACE - Duration::from_secs(1)
    ));
    assert!(is_looked_at(&worker, START + GRACE));
    worker.look(START + GRACE);
    child.wait()?;
    assert!(is_looked_at(&worker, START + GRACE), "it has ended");
    Ok(())
}

#[test]
fn who_may_stand_at_a_gate_and_who_is_not_proven_is_looked_at() -> std::io::Result<()> {
    let (mut child, identity) = sleeper()?;
    let watchers = Watchers::new();
    let other = Identity {
        start: identity.start + 1,
        ..identity
    };
    for (identity, sight) in [
        (identity, Sight::AtGate),
        (other, Sight::Passed),
        (other, Sight::OtherBoot),
        (other, Sight::Elsewhere),
    ] {
        let mut worker = adopted(identity, sight);
        worker.be_watched(&watchers);
        assert!(worker.needs_look(&watchers.ended(), START), "{sight:?}");
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}
