//! What a dispatcher is made of, beside its settings and its boards' states; shared by its lanes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::clock::Clock;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::resilience::Resilience;
use crate::root::Root;
use crate::strain::Strain;
use crate::worker::identity::Identity;
use crate::worker::{Gate, Launcher, Workers};

/// Counts the claims of this process: two dispatchers may begin within the same second.
static CLAIMS: AtomicU64 = AtomicU64::new(0);

/// Descriptors that no kept connection may take: locks, the ledger, a board's visit, a worker's start.
const DESCRIPTORS_RESERVED: u64 = 64;

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) root: Root,
    pub(crate) clock: Clock,
    /// `None`: the configured command.
    pub(crate) launcher: Option<Box<dyn Launcher>>,
    pub(crate) gate: Gate,
    pub(crate) resilience: Resilience,
    pub(crate) workers: Workers,
    pub(crate) ledger: Ledger,
    pub(crate) strain: Strain,
    /// Who we are.
    pub(crate) identity: Identity,
    /// Connections kept open between ticks.
    pub(crate) guards: AtomicUsize,
    /// What this dispatcher's claims begin with.
    lock: String,
    /// What all claims of dispatchers of this kind on this host begin with. It is not the host's name alone: so the peer
    /// never takes our workers for its own, and never signals or judges them.
    pub(crate) our_prefix: String,
    /// What the peer's claims on this host begin with.
    pub(crate) peer_prefix: String,
}

/// What all claims of dispatchers of this kind on this host begin with.
pub(crate) fn our_prefix() -> String {
    format!("rs.{}", peer_prefix())
}

/// What the peer's claims on this host begin with.
pub(crate) fn peer_prefix() -> String {
    let uname = rustix::system::uname();
    format!("{}:", uname.nodename().to_string_lossy())
}

impl Site {
    pub(crate) fn new(
        root: Root,
        config: &Config,
        clock: Clock,
        launcher: Option<Box<dyn Launcher>>,
        gate: Gate,
    ) -> Self {
        let our_prefix = our_prefix();
        let pid = std::process::id();
        Self {
            resilience: Resilience::new(config, &clock),
            launcher,
            gate,
            workers: Workers::new(&root),
            root,
            ledger: Ledger::closed(),
            strain: Strain::default(),
            identity: Identity::of(pid).unwrap_or(Identity { pid, start: 0 }),
            guards: AtomicUsize::new(0),
            // The start instant makes it this process's own, even when its pid is used again.
            lock: format!("{our_prefix}{pid}:{:x}", clock.unix()),
            our_prefix,
            peer_prefix: peer_prefix(),
            clock,
        }
    }

    /// How many boards' connections may be kept open. Three descriptors each: a quarter of them, and a reserve, are left for the rest.
    pub(crate) fn guards_max(&self, config: &Config) -> usize {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let allowed = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit.saturating_sub(DESCRIPTORS_RESERVED) / 4).unwrap_or(usize::MAX)
        });
        config.guard_connections_max.min(allowed)
    }

    /// The text of the next claims: never used before, so a stale attempt's heartbeat cannot renew its successor's claim.
    pub(crate) fn next_lock(&self) -> String {
        format!("{}:{}", self.lock, CLAIMS.fetch_add(1, Ordering::Relaxed))
    }
}
