//! What the machine can bear: the default limit for workers over all boards.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

/// A worker waits for its model most of the time, so a core carries several.
const WORKERS_PER_CORE: usize = 4;

/// A worker of the peer's is a Python process of 200 to 400 MB.
const MEMORY_PER_WORKER: u64 = 512 * 1024 * 1024;

/// Below this a board with one long task would keep every other one waiting.
const WORKERS_MIN: usize = 2;

/// The default of `workers_max` on this machine.
pub(super) fn workers_max() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(WORKERS_MIN, NonZeroUsize::get);
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group_memory(Path::new("/sys/fs/cgroup"), &own);
    let whole = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = machine_memory(&whole).into_iter().chain(group).min();
    formula(cores, memory)
}

/// The smaller of four per core and one per 512 MiB, at least two. Memory that is not known limits nothing.
fn formula(cores: usize, memory: Option<u64>) -> NonZeroUsize {
    let by_memory = memory.map_or(usize::MAX, |bytes| {
        usize::try_from(bytes / MEMORY_PER_WORKER).unwrap_or(usize::MAX)
    });
    let workers = cores.saturating_mul(WORKERS_PER_CORE).min(by_memory);
    NonZeroUsize::new(workers.max(WORKERS_MIN)).expect("at least two")
}

/// Bytes of memory by `/proc/meminfo`.
fn machine_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The least that the control groups above this process allow; `own` is `/proc/self/cgroup`, of which version 2 has one line.
fn group_memory(root: &Path, own: &str) -> Option<u64> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let limit = |group: &Path| -> Option<u64> {
        // "max" is none.
        let text = fs::read_to_string(group.join("memory.max")).ok()?;
        text.trim().parse().ok()
    };
    root.join(own.trim().trim_start_matches('/'))
        .ancestors()
        .take_while(|group| group.starts_with(root))
        .filter_map(limit)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * 1024 * 1024;

    #[test]
    fn cores_and_memory_both_limit_and_two_are_always_allowed() {
        for (cores, memory, workers) in [
            (2, Some(16 * GIB), 8),
            (16, Some(8 * GIB), 16),
            (64, Some(512 * GIB), 256),
            (1, Some(64 * GIB), 4),
            (8, Some(GIB / 2), 2),
            (8, Some(0), 2),
            (8, None, 32),
            (usize::MAX, None, usize::MAX),
        ] {
            assert_eq!(formula(cores, memory).get(), workers, "{cores} {memory:?}");
        }
    }

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() -> std::io::Result<()> {
        let meminfo = "MemTotal:       24689764 kB\nMemFree:        18034400 kB\n";
        assert_eq!(machine_memory(meminfo), Some(24_689_764 * 1024));
        assert_eq!(machine_memory("MemTotal: lots"), None);

        let dir = tempfile::tempdir()?;
        let service = dir.path().join("system.slice/kanban.service");
        fs::create_dir_all(&service)?;
        let own = "0::/system.slice/kanban.service\n";
        assert_eq!(group_memory(dir.path(), own), None);
        fs::write(service.join("memory.max"), "max\n")?;
        fs::write(dir.path().join("system.slice/memory.max"), "2147483648\n")?;
        assert_eq!(group_memory(dir.path(), own), Some(2 * GIB));
        fs::write(service.join("memory.max"), "1073741824\n")?;
        assert_eq!(group_memory(dir.path(), own), Some(GIB));
        assert_eq!(group_memory(dir.path(), "12:memory:/user.slice\n"), None);
        Ok(())
    }

    #[test]
    fn the_default_is_within_its_bounds_here() {
        assert!(workers_max().get() >= WORKERS_MIN);
    }
}
