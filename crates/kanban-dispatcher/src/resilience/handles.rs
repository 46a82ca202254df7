//! One board's places in the policies.

use fingerprint_quarantine::{Handle as Quarantined, SqliteStamp};
use keyed_log_throttle::{ClassId, Handle as LineHandle, Line, LogThrottle};
use once_per_key_repair::{Handle as Once, RepairGate};

use super::Resilience;
use crate::board::RepairKey;
use crate::clock::Clock;
use crate::root::Slug;

/// The policies' handles of one board, so that its turns look nothing up.
///
/// A board has them from when something of it is told or mended until it works and all is told. Without them the quarantine has nothing
/// on record of it, and the throttle nothing to tell. (The classifier has no records: an error is all that it looks at.)
#[derive(Debug)]
pub(crate) struct Handles {
    quarantine: Quarantined<Slug, SqliteStamp, Clock>,
    /// The last repair that was asked for.
    repair: Option<Once<RepairKey>>,
    /// The last cause that was told, while the board fails at each turn.
    line: Option<LineHandle<Slug, Clock>>,
}

// ===== impl Resilience =====

impl Resilience {
    pub(crate) fn handles(&self, slug: &Slug) -> Handles {
        Handles {
            quarantine: self.quarantine.handle(slug),
            repair: None,
            line: None,
        }
    }
}

// ===== impl Handles =====

impl Handles {
    /// The board's place in the quarantine.
    pub(crate) fn quarantine(&self) -> Quarantined<Slug, SqliteStamp, Clock> {
        self.quarantine.clone()
    }

    /// This repair's place in the gate.
    pub(crate) fn once(
        &mut self,
        gate: &RepairGate<RepairKey>,
        key: &RepairKey,
    ) -> Once<RepairKey> {
        // Before the others are forgotten, which a handle delays.
        let _ = self.repair.take_if(|repair| repair.key() != key);
        let handle = || {
            // What was repaired in a file that has been replaced is over; its inode number may be given to the next one.
            gate.retain(|other| other.slug != key.slug || other.file == key.file);
            gate.handle(key)
        };
        self.repair.get_or_insert_with(handle).clone()
    }

    /// Asks whether a line may tell of this cause.
    pub(super) fn check(
        &mut self,
        throttle: &LogThrottle<Slug, Clock>,
        cause: ClassId,
    ) -> Option<Line> {
        match &self.line {
            Some(line) if line.class() == cause => line.check(),
            _ => {
                let line = throttle.handle(self.quarantine.key(), cause);
                self.line.insert(line).check()
            }
        }
    }

    /// The board does not fail again soon: what its lines have counted may be forgotten when its time has come.
    pub(crate) fn rest(&mut self) {
        self.line = None;
    }
}

#[cfg(test)]
mod tests {
    use once_per_key_repair::Turn;

    use super::super::{Next, classify, failure};
    use super::*;
    use crate::config::Config;
    use crate::error::{Error, ErrorKind};
    use crate::root::Root;

    fn key(file: u64, missing: &str) -> RepairKey {
        RepairKey {
            slug: Slug::default(),
            file: (1, file),
            missing: missing.to_owned(),
        }
    }

    fn resilience() -> Resilience {
        Resilience::new(&Config::default(), &Clock::system())
    }

    #[test]
    fn a_repair_is_made_once_for_each_file_and_thing_whether_its_handle_was_kept() {
        let policies = resilience();
        let gate = &policies.gate;
        let mut handles = policies.handles(&Slug::default());
        let mut is_granted = |key: &RepairKey| {
            let once = handles.once(gate, key);
            matches!(once.enter(), Turn::Yours(_))
        };
        assert!(is_granted(&key(1, "a")));
        assert!(!is_granted(&key(1, "a")), "by the handle that was kept");
        assert!(is_granted(&key(1, "b")));
        assert!(!is_granted(&key(1, "a")), "found again");
        assert!(is_granted(&key(2, "a")));
        assert!(is_granted(&key(1, "a")), "another file has been there");
        assert_eq!(gate.len(), 1);
    }

    #[test]
    fn a_line_is_asked_of_its_own_cause_s_handle() {
        let policies = resilience();
        let throttle = &policies.throttle;
        let mut handles = policies.handles(&Slug::default());
        let mut is_told = |cause| handles.check(throttle, ClassId::new(cause)).is_some();
        assert_eq!(
            [1, 1, 2, 1, 2].map(&mut is_told),
            [true, false, true, false, false]
        );
        assert_eq!(handles.line.map(|line| line.class()), Some(ClassId::new(2)));
    }

    #[test]
    fn of_a_board_that_is_held_no_line_is_kept() {
        let policies = resilience();
        let board = Root::at("/nowhere").board(&Slug::default());
        let mut handles = policies.handles(board.slug());
        let error = Error::new(ErrorKind::Busy, "try");
        let failure = failure(&error, &classify(&board, &error));
        for (next, is_kept) in [(Next::Tick, true), (Next::Hold { retry_in: None }, false)] {
            policies.log_failure(&mut handles, &board, &failure, next);
            assert_eq!(handles.line.is_some(), is_kept, "{next:?}");
        }
    }
}
