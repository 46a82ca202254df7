//! A pass that finds everything around the boards as it was asks for none of it; and sees each change of it all the same, whether the
//! watch tells it or a look.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use fingerprint_quarantine::{FileState, SqliteStamp};
use kanban_dispatcher::{Dispatcher, FileLock, Levers, Root, Slug, StandbyReason, Store};

use self::support::halted::{self, Halted};
use self::support::{Fleet, Result, child, connect, until};

/// The other process: see [`support::halted`].
#[test]
fn as_child() -> Result {
    match child::role().as_deref() {
        Some(halted::ROLE) => halted::play(),
        _ => Ok(()),
    }
}

/// Does it once with the watch and once without.
fn both_ways(test: impl Fn(&Fleet, &mut Dispatcher) -> Result) -> Result {
    for watch in [true, false] {
        let fleet = Fleet::new()?;
        fleet.ready("alpha", 0)?;
        fs::create_dir(profiles(&fleet))?;
        let mut dispatcher = fleet
            .builder(|config| {
                config.watch = watch;
                config.worker.require_profile = true;
            })
            .build();
        rest(&fleet, &mut dispatcher)?;
        test(&fleet, &mut dispatcher).map_err(|error| format!("watch: {watch}: {error}"))?;
    }
    Ok(())
}

/// Ticks until no board has a turn, and all has been asked after that: nothing is asked then, as the tests of `around.rs` and
/// `cargo xtask syscalls` hold.
fn rest(fleet: &Fleet, dispatcher: &mut Dispatcher) -> Result {
    until("no board has a turn", || {
        fleet.grow_old("alpha")?;
        Ok(dispatcher.tick().quiet > 0)
    })?;
    until("all around is old", || {
        let places = [profiles(fleet), fleet.root.boards_dir()];
        let is_old = |path: &PathBuf| !FileState::of(path).is_young();
        Ok(places.iter().all(is_old) && !SqliteStamp::of(&fleet.root.ledger()).is_young())
    })?;
    for _ in 0..3 {
        dispatcher.tick();
    }
    Ok(())
}

fn profiles(fleet: &Fleet) -> PathBuf {
    fleet.path().join("profiles")
}

fn slug(fleet: &Fleet) -> Result<Slug> {
    Ok(fleet.slug("alpha").parse()?)
}

/// How often that was said of the board.
fn said(fleet: &Fleet, what: &str) -> usize {
    let lines = fleet.lines_of("alpha");
    lines
        .iter()
        .filter(|line| line.message.contains(what))
        .count()
}

/// Whoever writes to what is there now is heard.
fn is_heard(fleet: &Fleet, dispatcher: &mut Dispatcher) -> Result {
    rest(fleet, dispatcher)?;
    let mut levers = Levers::open(&fleet.root, &fleet.clock)?;
    let before = said(fleet, "is paused");
    levers.pause(&slug(fleet)?, None)?;
    dispatcher.tick();
    assert_eq!(said(fleet, "is paused"), before + 1);
    levers.resume(&slug(fleet)?)?;
    dispatcher.tick();
    Ok(())
}

fn standby(dispatcher: &mut Dispatcher) -> Option<StandbyReason> {
    dispatcher.tick().standby.map(|standby| standby.reason)
}

#[test]
fn a_pause_and_its_end() -> Result {
    both_ways(|fleet, dispatcher| {
        let mut levers = Levers::open(&fleet.root, &fleet.clock)?;
        levers.pause(&slug(fleet)?, None)?;
        dispatcher.tick();
        assert_eq!(said(fleet, "is paused"), 1);
        levers.resume(&slug(fleet)?)?;
        dispatcher.tick();
        assert_eq!(said(fleet, "is resumed"), 1);
        Ok(())
    })
}

#[test]
fn a_pause_in_a_ledger_to_which_a_link_leads() -> Result {
    both_ways(|fleet, dispatcher| {
        let (ledger, there) = (fleet.root.ledger(), fleet.path().join("there"));
        for to in ["one", "two"] {
            dispatcher.shut_down();
            fs::create_dir_all(there.join(to))?;
            let to = there.join(to).join("state.db");
            connect(&ledger)?.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
            fs::remove_file(&ledger)?;
            symlink(&to, &ledger)?;
            is_heard(fleet, dispatcher)?;
        }
        Ok(())
    })
}

#[test]
fn a_request_that_is_in_the_log_and_not_yet_seen() -> Result {
    both_ways(|fleet, dispatcher| {
        let sql = format!(
            "INSERT INTO requests (slug, request, at) VALUES ('{}', 'repair', 0)",
            slug(fleet)?
        );
        let writer = Halted::spawn(fleet, &fleet.root.ledger(), &sql)?;
        rest(fleet, dispatcher)?;
        writer.go_on()?;
        assert_eq!(said(fleet, "one more repair"), 0, "nobody has seen it");
        dispatcher.tick();
        assert_eq!(said(fleet, "one more repair"), 1);
        Ok(())
    })
}

#[test]
fn a_lock_that_is_another_file() -> Result {
    both_ways(|fleet, dispatcher| {
        let path = fleet.root.dispatcher_lock();
        fs::remove_file(&path)?;
        let other = FileLock::try_acquire(&path)?.ok_or("nobody has it")?;
        let reason = standby(dispatcher);
        assert_eq!(reason, Some(StandbyReason::AnotherDispatcher));
        drop(other);
        assert_eq!(standby(dispatcher), None);
        Ok(())
    })
}

#[test]
fn a_ledger_that_goes_away() -> Result {
    both_ways(|fleet, dispatcher| {
        let ledger = fleet.root.ledger();
        fs::remove_file(&ledger)?;
        dispatcher.tick();
        assert!(ledger.exists());
        assert!(fleet.status("alpha")?.last_tick.is_some());
        is_heard(fleet, dispatcher)
    })
}

#[test]
fn a_profile_that_comes() -> Result {
    for is_directory_there in [false, true] {
        both_ways(|fleet, dispatcher| {
            fleet.ready("alpha", 1)?;
            if !is_directory_there {
                fs::remove_dir(profiles(fleet))?;
            }
            rest(fleet, dispatcher)?;
            fs::create_dir_all(profiles(fleet).join("coder"))?;
            assert_eq!(dispatcher.tick().started(), 1);
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn profiles_to_which_a_link_leads_elsewhere() -> Result {
    both_ways(|fleet, dispatcher| {
        fleet.ready("alpha", 1)?;
        let [link, old, new] = ["link", "old", "new"].map(|name| fleet.path().join(name));
        fs::rename(profiles(fleet), &old)?;
        symlink(&old, &link)?;
        symlink(&link, profiles(fleet))?;
        fs::create_dir_all(new.join("coder"))?;
        rest(fleet, dispatcher)?;
        fs::remove_file(&link)?;
        symlink(&new, &link)?;
        assert_eq!(dispatcher.tick().started(), 1);
        Ok(())
    })
}

#[test]
fn profiles_to_which_a_link_leads_nowhere_yet() -> Result {
    both_ways(|fleet, dispatcher| {
        fleet.ready("alpha", 1)?;
        fs::remove_dir(profiles(fleet))?;
        let there = fleet.path().join("there");
        symlink(&there, profiles(fleet))?;
        rest(fleet, dispatcher)?;
        fs::create_dir_all(there.join("coder"))?;
        assert_eq!(dispatcher.tick().started(), 1);
        Ok(())
    })
}

#[test]
fn a_board_that_comes() -> Result {
    for is_directory_there in [false, true] {
        both_ways(|fleet, dispatcher| {
            fs::create_dir(profiles(fleet).join("coder"))?;
            if is_directory_there {
                fs::create_dir(fleet.board("beta")?.dir())?;
            }
            rest(fleet, dispatcher)?;
            fleet.ready("beta", 1)?;
            assert_eq!(dispatcher.tick().started(), 1);
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_minute() -> Result {
    both_ways(|fleet, dispatcher| {
        let before = dispatcher.tick().quiet;
        fs::write(fleet.board("alpha")?.metadata(), r#"{"archived": true}"#)?;
        fleet.advance(60);
        assert_eq!(dispatcher.tick().quiet, before - 1);
        Ok(())
    })
}

#[test]
fn a_lock_that_it_has_given_up_itself() -> Result {
    both_ways(|fleet, dispatcher| {
        dispatcher.shut_down();
        assert_eq!(standby(dispatcher), None);
        assert!(FileLock::try_acquire(&fleet.root.dispatcher_lock())?.is_none());
        Ok(())
    })
}

#[test]
fn directories_that_go_away_and_come_back() -> Result {
    both_ways(|fleet, dispatcher| {
        let boards = fleet.root.boards_dir();
        let kanban = boards.parent().ok_or("it has one")?.to_owned();
        let away = |dir: &Path| dir.with_extension("away");
        for (dir, reason) in [
            (boards, StandbyReason::BoardsUnlisted),
            (kanban, StandbyReason::LockUnusable),
        ] {
            fs::rename(&dir, away(&dir))?;
            assert_eq!(standby(dispatcher), Some(reason));
            fs::rename(away(&dir), &dir)?;
            assert_eq!(standby(dispatcher), None);
            rest(fleet, dispatcher)?;
        }
        let own = fleet.root.ledger();
        let own = own.parent().ok_or("it has one")?;
        fs::rename(own, away(own))?;
        assert_eq!(standby(dispatcher), None);
        assert!(fleet.root.ledger().exists(), "another one");
        is_heard(fleet, dispatcher)
    })
}

/// Nobody tells of a directory further up: it is found within a minute, and what has come in its place is known from then on.
#[test]
fn a_root_whose_place_another_one_has_taken() -> Result {
    for watch in [true, false] {
        let fleet = Fleet::new()?;
        let [place, away] = ["place", "away"].map(|name| fleet.path().join(name));
        let root = Root::at(place.join("root"));
        let board = root.board(&slug(&fleet)?);
        Store::init(&board, &fleet.clock)?;
        let mut config = fleet.config();
        config.watch = watch;
        let builder = Dispatcher::builder(root.clone(), config);
        let mut dispatcher = builder.clock(fleet.clock.clone()).build();
        let mut settle = || {
            for _ in 0..5 {
                until("the board is quiet", || Ok(dispatcher.tick().quiet > 0))?;
            }
            Ok::<_, Box<dyn std::error::Error>>(())
        };
        settle()?;
        fs::rename(&place, &away)?;
        let copied = Command::new("cp")
            .arg("-r")
            .arg(&away)
            .arg(&place)
            .status()?;
        assert!(copied.success());
        fleet.advance(60);
        settle()?;
        Levers::open(&root, &fleet.clock)?.pause(&slug(&fleet)?, None)?;
        dispatcher.tick();
        assert_eq!(said(&fleet, "is paused"), 1, "watch: {watch}");
    }
    Ok(())
}

#[test]
fn a_first_board_beside_the_default_one() -> Result {
    for watch in [true, false] {
        let fleet = Fleet::new()?;
        Store::init(&fleet.root.board(&Slug::default()), &fleet.clock)?;
        let mut dispatcher = fleet.builder(|config| config.watch = watch).build();
        for _ in 0..5 {
            until("the board is quiet", || Ok(dispatcher.tick().quiet > 0))?;
        }
        assert!(!fleet.root.boards_dir().exists());
        fleet.ready("alpha", 1)?;
        assert_eq!(dispatcher.tick().started(), 1, "watch: {watch}");
    }
    Ok(())
}

#[test]
fn a_clock_that_is_set() -> Result {
    both_ways(|fleet, dispatcher| {
        fleet.clock.step(10);
        let report = dispatcher.tick();
        fleet.part(&report, "alpha")?;
        Ok(())
    })
}
