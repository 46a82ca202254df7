//! `run`: the dispatcher until somebody says stop.

use std::path::PathBuf;

use kanban_dispatcher::{Config, Dispatcher, Gate, Root, TickReport, Wake};

use crate::cli::{Run, Settings};
use crate::exit::{Code, Failure};
use crate::place::Place;
use crate::{signals, tick};

pub(crate) fn run(args: &Run, place: Place, gate: Gate) -> Result<Code, Failure> {
    place.must_exist()?;
    let place = place.served()?;
    let (mut config, file) = load(&args.settings, &place.root)?;
    if let Some(interval) = args.interval {
        config.dispatch_interval_seconds = interval;
    }
    let root = place.root;
    let mut builder = Dispatcher::builder(root, config).gate(gate);
    // The file's own interval would come back with its next reading.
    if args.interval.is_none() {
        builder = builder.config_file(file);
    } else if !args.once {
        tracing::info!(file = %file.display(), "with --interval the settings are not read again");
    }
    let mut dispatcher = builder.build();
    if args.once {
        let report = dispatcher.tick();
        drop(dispatcher);
        return once(&report);
    }
    let wake = Wake::new();
    signals::forward_to(&wake).map_err(|error| Failure::io("listen for signals", &error))?;
    dispatcher.run(&wake);
    Ok(Code::Done)
}

fn once(report: &TickReport) -> Result<Code, Failure> {
    match &report.standby {
        Some(standby) => Err(tick::stood_by(standby)),
        None if report.boards.iter().any(|board| board.failure.is_some()) => Ok(Code::Degraded),
        None => Ok(Code::Done),
    }
}

/// The settings, and the file they come from: the usual one need not be there, and may be made later.
pub(crate) fn load(settings: &Settings, root: &Root) -> Result<(Config, PathBuf), Failure> {
    let usual = root.dir().join("kanban").join("dispatcher.toml");
    match &settings.config {
        Some(file) => Ok((Config::load(file)?, file.clone())),
        // Also a link that leads nowhere is there: settings that cannot be read are no reason to do without.
        None if usual.symlink_metadata().is_ok() => Ok((Config::load(&usual)?, usual)),
        None => Ok((Config::default(), usual)),
    }
}
