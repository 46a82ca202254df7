//! What the numbers were measured on.

use std::fs;
use std::path::Path;

use crate::Result;

/// One line about the machine and the file system below `place`.
pub(crate) fn facts(place: &Path) -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let busy = match load.parse::<f64>() {
        Ok(load) if load > cores.get() as f64 / 4.0 => {
            " Others were at work on it: read the orders of magnitude, not the digits."
        }
        _ => "",
    };
    Ok(format!(
        "{cores} cores ({}), Linux {}, boards on {}, SQLite {}; load average {load} before the run.{busy}",
        model.as_deref().unwrap_or("unknown model"),
        kernel.trim(),
        file_system(place)?,
        rusqlite::version(),
    ))
}

fn file_system(place: &Path) -> Result<String> {
    Ok(match rustix::fs::statfs(place)?.f_type as u64 {
        0xEF53 => "ext4".to_owned(),
        0x5846_5342 => "xfs".to_owned(),
        0x9123_683E => "btrfs".to_owned(),
        0x794C_7630 => "overlayfs".to_owned(),
        0x0102_1994 => "tmpfs (memory: a sync costs nothing there)".to_owned(),
        other => format!("a file system of type {other:#x}"),
    })
}
