//! Connections are kept open for the boards that had a turn last.

mod support;

use self::support::{Fleet, Result, task};

#[test]
fn a_board_that_is_used_takes_the_place_of_one_that_rests() -> Result {
    let fleet = Fleet::new()?;
    for board in ["a", "b", "c", "d"] {
        drop(fleet.store(board)?);
    }
    let mut dispatcher = fleet
        .builder(|config| config.guard_connections_max = 2)
        .build();
    let guarded = || -> Result<String> {
        let mut names = String::new();
        for board in ["a", "b", "c", "d"] {
            names += if fleet.status(board)?.guarded {
                board
            } else {
                ""
            };
        }
        Ok(names)
    };
    for _ in 0..3 {
        for board in ["a", "b", "c", "d"] {
            fleet.grow_old(board)?;
        }
        dispatcher.tick();
    }
    assert_eq!(guarded()?.len(), 2);
    for used in [["c", "d"], ["a", "d"], ["b", "c"]] {
        for round in 0..3 {
            for board in used {
                fleet.store(board)?.create(&task(round))?;
                fleet.grow_old(board)?;
            }
            assert_eq!(dispatcher.tick().started(), 2);
        }
        assert_eq!(guarded()?, used.concat(), "the other two rest");
        // Their new workers have lived long enough to be left alone.
        fleet.advance(11);
        for _ in 0..2 {
            dispatcher.tick();
        }
    }
    Ok(())
}
