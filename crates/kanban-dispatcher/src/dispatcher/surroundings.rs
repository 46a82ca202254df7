//! What all boards depend on beside their own files: a change of it gives every one of them a turn.

use fingerprint_quarantine::FileState;

use super::Dispatcher;
use crate::clock::Clock;
use crate::root::Root;

/// A wall clock that is further from where it was is taken for set (seconds): reading it and the monotonic one is not one act.
const STEP: i64 = 1;

/// As it was at the last pass.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// How far the wall clock is ahead of the monotonic one (seconds).
    ahead: Option<i64>,
    /// The directory of the profiles: who is in it can be started.
    profiles: Option<FileState>,
}

// ===== impl Surroundings =====

impl Surroundings {
    /// Whether the wall clock has been set since the last look.
    pub(super) fn is_step(&self, clock: &Clock) -> bool {
        let now = ahead(clock);
        let is_far = |last: i64| now.abs_diff(last) > STEP.cast_unsigned();
        self.ahead.is_none_or(is_far)
    }

    /// Whether anything has changed since the last look.
    fn have_changed(&mut self, root: &Root, clock: &Clock) -> bool {
        let is_step = self.is_step(clock);
        if is_step {
            self.ahead = Some(ahead(clock));
        }
        let profiles = FileState::of(&root.profiles_dir());
        let is_other = self.profiles != Some(profiles) || profiles.is_young();
        self.profiles = Some(profiles);
        is_step || is_other
    }
}

/// How far the wall clock is ahead of the monotonic one (seconds).
fn ahead(clock: &Clock) -> i64 {
    let monotonic = clock.monotonic().as_secs();
    clock.unix().wrapping_sub(monotonic.cast_signed())
}

impl Dispatcher {
    /// Looks at what all boards depend on.
    pub(super) fn look_around(&mut self) {
        if self
            .surroundings
            .have_changed(&self.site.root, &self.site.clock)
        {
            self.roster.wake_all();
        }
    }
}
