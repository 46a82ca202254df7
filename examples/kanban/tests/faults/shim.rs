//! The library that lets calls fail, and the control file by which it is told.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::house::Result;

/// What fails. The numbers are the library's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Call {
    Read = 1,
    Write = 2,
    Sync = 4,
    Open = 8,
}

/// Which calls of which files, and which of them fail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults<'a> {
    pub(crate) call: Call,
    pub(crate) errno: u32,
    /// From 1 on; 0 for none.
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// A part of the files' paths.
    pub(crate) files: &'a str,
}

pub(crate) struct Shim {
    library: PathBuf,
}

// ===== impl Shim =====

impl Shim {
    /// Compiles it; the workspace needs a C compiler anyway.
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        let (source, library) = (dir.join("shim.c"), dir.join("shim.so"));
        fs::write(&source, include_str!("shim.c"))?;
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let status = Command::new(&compiler)
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .status()
            .map_err(|error| {
                format!("a C compiler is needed (apt-get install gcc): {compiler}: {error}")
            })?;
        match status.success() {
            true => Ok(Self { library }),
            false => Err(format!("`{compiler}` could not compile {}", source.display()).into()),
        }
    }

    /// Runs a command under these faults: its output, how many such calls there were, and how many of them failed.
    pub(crate) fn run(
        &self,
        command: &mut Command,
        faults: Faults<'_>,
        control: &Path,
    ) -> Result<(std::process::Output, u32, u32)> {
        let mut bytes = vec![0; 4096];
        let head = [
            faults.call as u32,
            faults.errno,
            faults.first,
            faults.last,
            0,
            0,
        ];
        for (at, word) in head.iter().enumerate() {
            bytes[4 * at..4 * at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        bytes[24..24 + faults.files.len()].copy_from_slice(faults.files.as_bytes());
        fs::write(control, bytes)?;
        let output = command
            .env("LD_PRELOAD", &self.library)
            .env("FAULTS", control)
            .output()?;
        let mut told = [[0; 4]; 2];
        let file = File::open(control)?;
        file.read_exact_at(&mut told[0], 16)?;
        file.read_exact_at(&mut told[1], 20)?;
        Ok((
            output,
            u32::from_ne_bytes(told[0]),
            u32::from_ne_bytes(told[1]),
        ))
    }
}
