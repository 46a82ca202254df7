//! A sign of life for each pass that had nothing else to tell: one small write beside the ledger, instead of a transaction in it.

use std::fmt::Write;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::root::Root;
use crate::worker::identity::Identity;

/// What a dispatcher's last pass leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beat {
    /// Whose it is: the file outlives its dispatcher.
    pub(crate) identity: Identity,
    /// When it started (unix seconds): a process may have had another one before.
    pub(crate) started_at: i64,
    /// When the pass ended (unix seconds).
    pub(crate) at: i64,
    /// How many passes that makes.
    pub(crate) ticks: u64,
}

/// Where they are written, each over the last one.
#[derive(Debug)]
pub(crate) struct Pulse(File);

// ===== impl Pulse =====

impl Pulse {
    pub(crate) fn open(root: &Root) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        open(&options, &root.beat()).map(Self)
    }

    /// # Errors
    /// The write has failed, or the file has been removed or replaced, so that nobody would read it.
    pub(crate) fn beat(&self, beat: &Beat) -> io::Result<()> {
        if self.0.metadata()?.nlink() == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut line = String::with_capacity(96);
        let _ = write!(line, "{beat}");
        self.0.write_all_at(line.as_bytes(), 0)
    }
}

// ===== impl Beat =====

impl Beat {
    /// The last one; nothing if there is none, or none that can be read.
    pub(crate) fn read(root: &Root) -> Option<Self> {
        let file = open(OpenOptions::new().read(true), &root.beat()).ok()?;
        let mut text = String::new();
        file.take(128).read_to_string(&mut text).ok()?;
        let mut words = text.lines().next()?.split_ascii_whitespace();
        Some(Self {
            identity: Identity {
                pid: words.next()?.parse().ok()?,
                start: words.next()?.parse().ok()?,
            },
            started_at: words.next()?.parse().ok()?,
            at: words.next()?.parse().ok()?,
            ticks: words.next()?.parse().ok()?,
        })
    }
}

/// Each is as long as any other, so that nothing is left of the last one.
impl std::fmt::Display for Beat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            identity: Identity { pid, start },
            started_at,
            at,
            ticks,
        } = self;
        writeln!(f, "{pid:10} {start:20} {started_at:20} {at:20} {ticks:20}")
    }
}

/// A pipe in its place is an error, not a wait for whoever is at its other end; and a link is no file of ours.
fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    options.clone().custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn root() -> io::Result<(tempfile::TempDir, Root)> {
        let dir = tempfile::tempdir()?;
        let root = Root::at(dir.path());
        fs::create_dir_all(dir.path().join("kanban/.dispatcher"))?;
        Ok((dir, root))
    }

    fn beat(at: i64, ticks: u64) -> Beat {
        let identity = Identity {
            pid: 7,
            start: u64::MAX,
        };
        Beat {
            identity,
            started_at: i64::MIN,
            at,
            ticks,
        }
    }

    #[test]
    fn the_last_one_is_read_whatever_was_there_before() -> io::Result<()> {
        let (_dir, root) = root()?;
        assert_eq!(Beat::read(&root), None);
        let pulse = Pulse::open(&root)?;
        for beat in [
            beat(i64::MIN, u64::MAX),
            beat(1_800_000_000, 12),
            beat(0, 0),
        ] {
            pulse.beat(&beat)?;
            assert_eq!(Beat::read(&root), Some(beat));
        }
        Ok(())
    }

    #[test]
    fn one_that_nobody_would_read_is_an_error() -> io::Result<()> {
        let (_dir, root) = root()?;
        let pulse = Pulse::open(&root)?;
        pulse.beat(&beat(1, 1))?;
        fs::remove_file(root.beat())?;
        assert!(pulse.beat(&beat(2, 2)).is_err());
        Ok(())
    }

    #[test]
    fn what_is_no_sign_of_life_is_none() -> io::Result<()> {
        let (_dir, root) = root()?;
        for text in ["", "7 8 9 10", "a b c d e", "\u{0}\u{0}\u{0}\u{0}"] {
            fs::write(root.beat(), text)?;
            assert_eq!(Beat::read(&root), None, "{text:?}");
        }
        fs::remove_file(root.beat())?;
        std::os::unix::fs::symlink("elsewhere", root.beat())?;
        assert!(Pulse::open(&root).is_err());
        fs::remove_file(root.beat())?;
        mknodat(CWD, root.beat(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        assert_eq!(Beat::read(&root), None);
        assert!(Pulse::open(&root).is_err());
        Ok(())
    }
}
