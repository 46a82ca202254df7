//! The machine's own trouble: when descriptors, processes or memory are used up, nobody claims for a while; and the same for one board,
//! when its disk takes nothing more.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use error_classify::Class;
use fingerprint_quarantine::Backoff;

/// A claim that cannot be followed by a start is given back: two writes and two events per task. So it is tried after 5 s, after twice
/// that, and at last every five minutes.
const REST: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(300));

/// Whether workers can be started at all: one for the machine, shared by all boards, and one for each board's disk.
#[derive(Debug, Default)]
pub(crate) struct Strain {
    spell: Mutex<Option<Spell>>,
}

#[derive(Debug)]
struct Spell {
    trouble: Trouble,
    round: u32,
    /// Monotonic.
    until: Duration,
}

/// Why no worker can be started at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) class: Class,
    pub(crate) why: String,
}

/// What the machine allows now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// As many starts as there is room for.
    All,
    /// One start, to see whether the trouble is over.
    One,
    /// None.
    None(Trouble),
}

// ===== impl Strain =====

impl Strain {
    /// A start failed for want of something that all boards share.
    pub(crate) fn failed(&self, class: Class, why: &str, now: Duration) {
        let mut spell = self.lock();
        let round = match &*spell {
            // Found by several boards of one tick: that is one failure.
            Some(spell) if now < spell.until => return,
            Some(spell) => spell.round.saturating_add(1),
            None => 0,
        };
        let why = why.to_owned();
        *spell = Some(Spell {
            trouble: Trouble { class, why },
            round,
            until: now.saturating_add(REST.delay(round, 0)),
        });
    }

    /// A worker was started.
    pub(crate) fn worked(&self) {
        *self.lock() = None;
    }

    pub(crate) fn allows(&self, now: Duration) -> Allowed {
        match &*self.lock() {
            None => Allowed::All,
            Some(spell) if now >= spell.until => Allowed::One,
            Some(spell) => {
                let seconds = (spell.until - now).as_secs_f64().ceil();
                let why = format!("{}; tried again in {seconds} s", spell.trouble.why);
                Allowed::None(Trouble {
                    why,
                    ..spell.trouble
                })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Spell>> {
        self.spell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(strain: &Strain, now: u64) -> Option<u64> {
        (0..1_000).find(|wait| {
            let allowed = strain.allows(Duration::from_secs(now + wait));
            !matches!(allowed, Allowed::None(_))
        })
    }

    #[test]
    fn rests_double_until_a_start_works() {
        let strain = Strain::default();
        let mut now = 0;
        for wait in [5, 10, 20, 40, 80, 160, 300, 300] {
            strain.failed(Class::Exhausted, "no descriptor", Duration::from_secs(now));
            // The other boards of the same tick.
            strain.failed(Class::Exhausted, "no descriptor", Duration::from_secs(now));
            assert_eq!(rest(&strain, now), Some(wait));
            now += wait;
            assert_eq!(strain.allows(Duration::from_secs(now)), Allowed::One);
        }
        strain.worked();
        assert_eq!(strain.allows(Duration::ZERO), Allowed::All);
        strain.failed(Class::Exhausted, "no descriptor", Duration::from_secs(now));
        assert_eq!(rest(&strain, now), Some(5), "from the start again");
    }
}
