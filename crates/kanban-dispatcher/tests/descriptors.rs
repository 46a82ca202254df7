//! A process without a free descriptor sees nobody, which must not be taken for nobody being there. One test, for the limit is the
//! whole process's.

mod support;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Fleet, Result, outcomes};

#[test]
fn an_adopted_worker_that_cannot_be_looked_at_for_want_of_descriptors_is_not_taken_for_gone()
-> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 1)?;
    assert_eq!(fleet.dispatcher().tick().started(), 1);
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    assert_eq!(dispatcher.workers_alive(), 1);

    let allowed = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(3),
            ..allowed
        },
    )?;
    dispatcher.tick();
    setrlimit(Resource::Nofile, allowed)?;
    dispatcher.tick();
    assert_eq!(outcomes(&fleet.show("alpha", &ids[0])?), ["open"]);
    fleet.has_processes(1)
}
