//! Every knob, its default, and what values it takes.

mod breaker;
mod care;
mod machine;
mod value;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

pub use self::breaker::Breaker;
pub use self::care::{Check, Evidence};

use crate::error::{Error, ErrorKind};

/// How the dispatcher behaves; every key is optional in the file.
///
/// Keys that the peer has too keep its names and defaults. Durations are numbers of seconds, fractions allowed, unless the
/// key says otherwise.
///
/// # Examples
/// ```
/// use kanban_dispatcher::Config;
///
/// let config = Config::from_toml("dispatch_interval_seconds = 0.5\n[throttle]\nwindow_seconds = 10")?;
/// assert_eq!(config.throttle.window_seconds.as_secs(), 10);
///
/// let error = Config::from_toml("failure_limit = 0").unwrap_err();
/// assert!(error.chain().contains("line 1"));
/// assert!(error.chain().contains("failure_limit"));
/// # Ok::<(), kanban_dispatcher::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Seconds between two ticks; at least 0.01.
    #[serde(deserialize_with = "value::interval")]
    pub dispatch_interval_seconds: Duration,
    /// Failures in a row after which a task is blocked, unless the task has its own `max_retries`.
    pub failure_limit: NonZeroU32,
    /// The most workers that may run on one board at once, counting claims made by others; no limit when absent.
    pub max_spawn: Option<NonZeroU32>,
    /// The same knob under the peer's other name; the smaller of the two applies.
    pub max_in_progress: Option<NonZeroU32>,
    /// The most workers of one assignee that may run on one board at once; no limit when absent.
    pub max_in_progress_per_profile: Option<NonZeroU32>,
    /// Who gets ready tasks that nobody has; nobody when absent or empty.
    #[serde(deserialize_with = "value::name")]
    pub default_assignee: Option<String>,
    /// The most worker processes this dispatcher keeps alive over all boards. By default the smaller of four per core and one per
    /// 512 MiB of memory, at least two.
    pub workers_max: NonZeroUsize,
    /// Seconds a claim stays valid without being renewed; at least 1, whole seconds.
    #[serde(deserialize_with = "value::whole_seconds")]
    pub claim_ttl_seconds: i64,
    /// Seconds after a task's first start in which the absence of someone else's worker is not yet a crash.
    #[serde(deserialize_with = "value::whole_seconds_or_zero")]
    pub crash_grace_seconds: i64,
    /// Seconds a task rests after its worker ended with "try later" (exit code 75).
    #[serde(deserialize_with = "value::whole_seconds_or_zero")]
    pub rate_limit_cooldown_seconds: i64,
    /// Seconds a task rests after an error that speaks of permission or quota; twice as long after each further failure.
    #[serde(deserialize_with = "value::whole_seconds_or_zero")]
    pub auth_backoff_seconds: i64,
    /// Seconds after which an attempt without a sign of life in the last hour is taken back; 0 is never.
    #[serde(deserialize_with = "value::whole_seconds_or_zero")]
    pub dispatch_stale_timeout_seconds: i64,
    /// Seconds after which a task that was given up is tried once more, later each time; 0 is never.
    #[serde(deserialize_with = "value::whole_seconds_or_zero")]
    pub give_up_cooldown_seconds: i64,
    /// Attempts in a row that the machine may end (SIGKILL, not by us) before the task is given up.
    pub infrastructure_limit: NonZeroU32,
    /// Milliseconds to wait for another writer on one board; short, because the next tick tries again.
    #[serde(deserialize_with = "value::milliseconds")]
    pub busy_timeout_ms: Duration,
    /// Whether a board has no turn while its files are unchanged and nothing is due on it. The result is the same without.
    pub skip_quiet_boards: bool,
    /// Whether the kernel is asked to tell of changed boards, so that they have a turn at once and unchanged ones cost nothing. Where
    /// it cannot tell, and once a minute, boards are looked at all the same.
    pub watch: bool,
    /// How many boards are worked on at the same time.
    pub lanes: NonZeroUsize,
    /// Seconds after which a tick goes on without a board that has not come back.
    #[serde(deserialize_with = "value::interval")]
    pub board_deadline_seconds: Duration,
    /// Boards beyond this number are served without a connection kept open between ticks (three descriptors each).
    pub guard_connections_max: usize,
    /// A worker log larger than this is rotated before the next worker starts.
    pub worker_log_rotate_bytes: u64,
    /// How many rotated logs are kept.
    pub worker_log_backup_count: u32,
    /// How log lines are held back.
    pub throttle: Throttle,
    /// How broken boards are left alone.
    pub quarantine: Quarantine,
    /// How drifted boards are repaired.
    pub repair: Repair,
    /// When healthy boards are looked through.
    pub check: Check,
    /// What is kept of damaged files.
    pub evidence: Evidence,
    /// When a whole board rests.
    pub breaker: Breaker,
    /// How workers are started and ended.
    pub worker: Worker,
}

/// `[throttle]`: one line per board and cause of failure in each window.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Throttle {
    /// The window.
    #[serde(deserialize_with = "value::interval")]
    pub window_seconds: Duration,
    /// The most entries for (board, cause) pairs; an eighth of them, 64 at most, is for pairs that find no room and share by cause.
    pub keys_max: NonZeroUsize,
}

/// `[quarantine]`: how long a board that failed for good is left alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Quarantine {
    /// The first probe comes this long after the failure; each later one after twice the time.
    #[serde(deserialize_with = "value::interval")]
    pub first_retry_seconds: Duration,
    /// Probes are never further apart than this.
    #[serde(deserialize_with = "value::interval")]
    pub max_retry_seconds: Duration,
}

/// `[repair]`: what one repair attempt is, and how many survive a restart.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Repair {
    /// What "once" means.
    pub scope: Scope,
    /// How often one unchanged damage is attempted over all restarts.
    pub attempts_max: NonZeroU32,
    /// Seconds after which a repair is cut; it has failed then.
    #[serde(deserialize_with = "value::interval")]
    pub deadline_seconds: Duration,
}

/// What "once" means for a repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Once per distinct drift of one database file.
    Drift,
    /// Once per board, whatever is missing.
    Board,
}

/// `[worker]`: the processes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Worker {
    /// The command, word by word; `{task}` `{board}` `{profile}` `{run}` `{db}` `{workspace}` `{root}` are filled in. Absent: the peer's.
    #[serde(deserialize_with = "value::command")]
    pub command: Option<Vec<String>>,
    /// Start a task only if its assignee's profile directory exists.
    pub require_profile: bool,
    /// Seconds between SIGTERM and SIGKILL.
    #[serde(deserialize_with = "value::seconds_or_zero")]
    pub stop_grace_seconds: Duration,
    /// Seconds a worker may live on after its task was reported, before it is stopped.
    #[serde(deserialize_with = "value::seconds_or_zero")]
    pub linger_seconds: Duration,
}

// ===== impl Config =====

impl Default for Config {
    fn default() -> Self {
        Self {
            dispatch_interval_seconds: Duration::from_secs(60),
            failure_limit: nonzero(2),
            max_spawn: None,
            max_in_progress: None,
            max_in_progress_per_profile: None,
            default_assignee: None,
            workers_max: machine::workers_max(),
            claim_ttl_seconds: 900,
            crash_grace_seconds: 30,
            rate_limit_cooldown_seconds: 300,
            auth_backoff_seconds: 300,
            dispatch_stale_timeout_seconds: 14_400,
            give_up_cooldown_seconds: 0,
            infrastructure_limit: nonzero(5),
            // A tick may meet several locked boards; the peer's 120 s would stop every other board.
            busy_timeout_ms: Duration::from_millis(250),
            skip_quiet_boards: true,
            watch: true,
            lanes: nonzero_usize(4),
            board_deadline_seconds: Duration::from_secs(10),
            guard_connections_max: 256,
            worker_log_rotate_bytes: 2 * 1024 * 1024,
            worker_log_backup_count: 1,
            throttle: Throttle::default(),
            quarantine: Quarantine::default(),
            repair: Repair::default(),
            check: Check::default(),
            evidence: Evidence::default(),
            breaker: Breaker::default(),
            worker: Worker::default(),
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            window_seconds: Duration::from_secs(60),
            keys_max: nonzero_usize(4096),
        }
    }
}

impl Default for Quarantine {
    fn default() -> Self {
        Self {
            first_retry_seconds: Duration::from_secs(300),
            max_retry_seconds: Duration::from_secs(3600),
        }
    }
}

impl Default for Repair {
    fn default() -> Self {
        Self {
            scope: Scope::Drift,
            attempts_max: nonzero(3),
            deadline_seconds: Duration::from_secs(60),
        }
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            command: None,
            require_profile: true,
            stop_grace_seconds: Duration::from_secs(5),
            linger_seconds: Duration::from_secs(60),
        }
    }
}

impl Config {
    /// Reads a configuration from TOML text.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: an unknown key or an unusable value. The text names the line and what is allowed.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        toml::from_str(text)
            .map_err(|error| Error::new(ErrorKind::Config, "read the configuration").because(error))
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a file that cannot be read, and as [`from_toml`](Self::from_toml).
    pub fn load(path: &Path) -> Result<Self, Error> {
        let named = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(
                ErrorKind::Config,
                format!("read the configuration {}", path.display()),
            )
            .because(error)
        };
        let text = std::fs::read_to_string(path).map_err(|error| named(error.into()))?;
        toml::from_str(&text).map_err(|error| named(error.into()))
    }

    /// A claim with less than this left (seconds) is renewed: early enough that a tick or two may be missed.
    pub(crate) fn renew_before(&self) -> i64 {
        let two_ticks = self
            .dispatch_interval_seconds
            .as_secs_f64()
            .mul_add(2.0, 1.0) as i64;
        (self.claim_ttl_seconds / 3)
            .max(two_ticks)
            .min(self.claim_ttl_seconds)
    }

    /// The per-board cap: the smaller of `max_spawn` and `max_in_progress`.
    pub(crate) fn board_cap(&self) -> Option<u32> {
        self.max_spawn
            .into_iter()
            .chain(self.max_in_progress)
            .min()
            .map(NonZeroU32::get)
    }
}

const fn nonzero(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("a default is not zero")
}

const fn nonzero_usize(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("a default is not zero")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(Config::from_toml("").unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_what_is_allowed() {
        let text = Config::from_toml("\n[worker]\ncomand = [\"x\"]")
            .unwrap_err()
            .chain();
        assert!(text.contains("line 3") && text.contains("comand"), "{text}");
        assert!(text.contains("`command`"), "{text}");
    }

    #[test]
    fn a_bad_value_is_named_with_its_line_and_what_is_allowed() {
        for (toml, words) in [
            ("dispatch_interval_seconds = -1", "at least 0.01"),
            (
                "dispatch_interval_seconds = \"soon\"",
                "a number of seconds",
            ),
            ("claim_ttl_seconds = 0", "at least 1"),
            ("lanes = 0", "nonzero"),
            ("repair.scope = \"all\"", "`drift`"),
            ("worker.command = []", "at least the program"),
            ("worker.command = [\"run\", \"{tsk}\"]", "{task}"),
            ("busy_timeout_ms = 0", "at least 1"),
        ] {
            let text = Config::from_toml(toml).unwrap_err().chain();
            assert!(
                text.contains("line 1") && text.contains(words),
                "{toml}: {text}"
            );
        }
    }

    #[test]
    fn the_smaller_of_the_two_board_caps_applies() {
        let config = Config::from_toml("max_spawn = 7\nmax_in_progress = 3").unwrap();
        assert_eq!(config.board_cap(), Some(3));
    }
}
