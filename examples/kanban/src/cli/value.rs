//! Values that say what they allow.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use kanban_dispatcher::Slug;
use serde_json::{Map, Value};

/// A task, and the board it is said to be on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskRef {
    pub(crate) board: Option<Slug>,
    pub(crate) id: String,
}

impl FromStr for TaskRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (board, id) = match text.trim().split_once('/') {
            Some((board, id)) => (
                Some(
                    board
                        .parse()
                        .map_err(|error: kanban_dispatcher::Error| error.chain())?,
                ),
                id,
            ),
            None => (None, text),
        };
        match id.trim() {
            id if id.is_empty() || id.contains('/') => {
                Err("a task is named ID or BOARD/ID".to_owned())
            }
            id => Ok(Self {
                board,
                id: id.to_owned(),
            }),
        }
    }
}

/// A profile's name, or nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignee(pub(crate) Option<String>);

impl FromStr for Assignee {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Err("a profile's name, or `none`".to_owned()),
            name if ["none", "null", "-"].contains(&name.to_lowercase().as_str()) => Ok(Self(None)),
            name => Ok(Self(Some(name.to_owned()))),
        }
    }
}

/// Where a worker is to work, as it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Scratch,
    Dir(PathBuf),
    Worktree(Option<PathBuf>),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let path = |rest: &str| match rest.trim() {
            "" => Err("a path follows the colon".to_owned()),
            path => Ok(PathBuf::from(path)),
        };
        match text.split_once(':') {
            None if text == "scratch" => Ok(Self::Scratch),
            None if text == "worktree" => Ok(Self::Worktree(None)),
            Some(("dir", rest)) => Ok(Self::Dir(path(rest)?)),
            Some(("worktree", rest)) => Ok(Self::Worktree(Some(path(rest)?))),
            _ => Err("allowed are scratch, dir:PATH, worktree, worktree:PATH".to_owned()),
        }
    }
}

/// Seconds between two ticks, with the bounds of `dispatch_interval_seconds`.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    const SECONDS_MAX: f64 = 10.0 * 365.0 * 86_400.0;
    match text.parse::<f64>() {
        Ok(seconds) if (0.01..=SECONDS_MAX).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err("allowed is a number of seconds, at least 0.01".to_owned()),
    }
}

/// `90`, `90s`, `30m`, `2h` or `1d`, as seconds.
pub(super) fn runtime(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let (number, seconds) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => (text, 1),
    };
    number
        .parse::<i64>()
        .ok()
        .filter(|number| *number > 0)
        .and_then(|number| number.checked_mul(seconds))
        .ok_or_else(|| "allowed are 90, 90s, 30m, 2h, 1d".to_owned())
}

/// A JSON object.
pub(super) fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("allowed is a JSON object: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_read_in_every_unit() {
        let read = ["90", "90s", "30m", "2h", "1d"].map(|text| runtime(text).unwrap());
        assert_eq!(read, [90, 90, 1_800, 7_200, 86_400]);
        for bad in [
            "",
            "0",
            "-5",
            "m",
            "1.5h",
            "2 weeks",
            "9223372036854775807d",
            "5µ",
        ] {
            assert!(runtime(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_task_is_named_with_or_without_its_board() {
        let task: TaskRef = "shop/t_1".parse().unwrap();
        assert_eq!(
            (task.board.unwrap().as_str(), task.id.as_str()),
            ("shop", "t_1")
        );
        assert_eq!("t_1".parse::<TaskRef>().unwrap().board, None);
        assert!("shop/".parse::<TaskRef>().is_err());
        assert!("shop/t_1/".parse::<TaskRef>().is_err());
        assert!("../t_1".parse::<TaskRef>().is_err());
    }

    #[test]
    fn a_place_to_work_is_named_by_its_kind() {
        assert_eq!("scratch".parse(), Ok(Place::Scratch));
        assert_eq!("dir:a:b".parse(), Ok(Place::Dir("a:b".into())));
        assert_eq!("worktree".parse(), Ok(Place::Worktree(None)));
        assert_eq!(
            "worktree: /srv".parse(),
            Ok(Place::Worktree(Some("/srv".into())))
        );
        for bad in ["", "dir", "dir:", "worktree: ", "scratch:/srv", "git:/srv"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nobody_has_several_names() {
        for nobody in ["none", "None", "-", "null"] {
            assert_eq!(nobody.parse(), Ok(Assignee(None)), "{nobody}");
        }
        assert_eq!("ann".parse(), Ok(Assignee(Some("ann".to_owned()))));
        assert!(" ".parse::<Assignee>().is_err());
    }

    #[test]
    fn an_interval_is_bounded() {
        assert_eq!(interval("0.25").unwrap(), Duration::from_millis(250));
        for bad in ["0", "-1", "NaN", "inf", "soon", "1e12"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        super::super::Cli::command().debug_assert();
    }
}
