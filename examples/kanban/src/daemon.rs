//! `run`: the dispatcher until somebody says stop.

use std::path::PathBuf;

use kanban_dispatcher::{Config, Dispatcher, Gate, Root, TickReport, Wake};

use crate::cli::{Run, Settings};
use crate::exit::{Code, Failure};
use crate::place::Place;
use crate::{signals, tick};

pub(crate) fn run(args: &Run, place: Place, gate: Gate) -> Result<Code, Failure> {
    place.must_exist()?;
    let (mut config, mut file) = load(&args.settings, &place.root)?;
    if let Some(interval) = args.interval {
        config.dispatch_interval_seconds = interval;
        // The file's own interval would come back with its next reading.
        if let Some(file) = file.take().filter(|_| !args.once) {
            tracing::info!(file = %file.display(), "with --interval the settings are not read again");
        }
    }
    let root = place.root;
    let mut builder = Dispatcher::builder(root.clone(), config).gate(gate);
    if let Some(file) = file {
        builder = builder.config_file(file);
    }
    let mut dispatcher = builder.build();
    if args.once {
        let report = dispatcher.tick();
        drop(dispatcher);
        return once(&report, &root);
    }
    let wake = Wake::new();
    signals::forward_to(&wake).map_err(|error| Failure::io("listen for signals", &error))?;
    dispatcher.run(&wake);
    Ok(Code::Done)
}

fn once(report: &TickReport, root: &Root) -> Result<Code, Failure> {
    match &report.standby {
        Some(why) => Err(tick::stood_by(root, why)),
        None if report.boards.iter().any(|board| board.failure.is_some()) => Ok(Code::Degraded),
        None => Ok(Code::Done),
    }
}

/// The settings, and the file they come from, if there is one.
pub(crate) fn load(settings: &Settings, root: &Root) -> Result<(Config, Option<PathBuf>), Failure> {
    let usual = root.dir().join("kanban").join("dispatcher.toml");
    match settings
        .config
        .clone()
        .or_else(|| usual.exists().then_some(usual))
    {
        Some(file) => Ok((Config::load(&file)?, Some(file))),
        None => Ok((Config::default(), None)),
    }
}
