//! What a tick costs where nothing is to be done, and where little is.

use std::time::Duration;

use kanban_dispatcher::{Dispatcher, TickReport};

use super::{Plan, settled, sound};
use crate::Result;
use crate::fleet::{Fleet, Looks};
use crate::meter::{Cost, Costs, Repeat, measured, pause, until};
use crate::peer::Peer;
use crate::plot::{Point, Series};
use crate::report::{Line, NONE, NOT_YET, Section, Value, thousands};
use crate::roles::Other;
use crate::settings::Mode;

/// The looks at a healthy board's pages have a pace of their own; here they would only add noise.
const NO_CHECK: &str = "check.interval_seconds = 0";

/// So many boards are written to between two ticks, among many.
const CHANGED: usize = 10;

/// A sample looks at so many boards or more.
const LOOKED_AT: usize = 1_000;

/// What opens every board takes seconds for more than these, and is linear.
const OPENED_MAX: usize = 1_000;

/// The tables, and what the plot shows.
pub(crate) fn measure(plan: &Plan) -> Result<(Vec<Section>, Vec<Series>)> {
    let counts: &[usize] = plan.or(&[10, 100, 1_000, 10_000], &[10, 100]);
    let mut all = Vec::new();
    for count in counts {
        eprintln!("idle: {count} boards");
        all.push(Idle::measure(plan, *count)?);
    }
    let about = "Per board and tick. The limit is two `statx` of each board's files by a directory descriptor, in the same \
                 run. \"All opened\" is without skipping. It and the peer are linear, and not asked for more than 1,000 boards.";
    let line = |idle: &Idle, mode: usize, name: &str, of: fn(&Cost) -> f64| {
        let ours = idle.ours[mode].map(|cost| Value::Time(of(&cost)));
        let none = match Mode::ALL[mode] == Mode::Open && idle.count > OPENED_MAX {
            true => NONE,
            false => NOT_YET,
        };
        let peer = idle.peer.map(|cost| Value::Time(of(&cost)));
        let work = format!(
            "{} boards, {}, {name}",
            thousands(idle.count as f64),
            Mode::ALL[mode].name()
        );
        Line::new(work, ours.unwrap_or(none))
            .limit(Value::Time(of(&idle.limit)))
            .peer(peer.unwrap_or(NONE))
    };
    let lines = all.iter().flat_map(|idle| {
        (0..Mode::ALL.len()).flat_map(move |mode| {
            [
                line(idle, mode, "CPU", |cost| cost.cpu),
                line(idle, mode, "wall", |cost| cost.wall),
            ]
        })
    });
    let idle = Section {
        title: "Idle tick",
        about: about.to_owned(),
        lines: lines.collect(),
    };
    Ok((vec![idle, changed(plan)?], series(&all)))
}

/// Costs per board.
struct Idle {
    count: usize,
    limit: Cost,
    /// In the order of `Mode::ALL`.
    ours: [Option<Cost>; 3],
    peer: Option<Cost>,
}

impl Idle {
    fn measure(plan: &Plan, count: usize) -> Result<Self> {
        let fleet = Fleet::idle(&plan.place, count)?;
        let (mut limit, mut ours) = (Costs::default(), [None; 3]);
        let looks = Looks::new(&fleet)?;
        for (mode, ours) in Mode::ALL.into_iter().zip(&mut ours) {
            if mode == Mode::Open && count > OPENED_MAX {
                continue;
            }
            *ours = idle(&fleet, &looks, mode, &mut limit)?.map(|cost| cost.each(count));
        }
        let peer = match &plan.python {
            Some(python) if count <= OPENED_MAX => {
                let mut peer = Peer::on(python, &fleet, None)?;
                // The first time it checks each file.
                peer.pass(count)?;
                let mut costs = Costs::default();
                for _ in Repeat::new(5, Duration::from_secs(12)) {
                    costs.push(peer.pass(count)?.cost);
                }
                Some(costs.median().each(count))
            }
            _ => None,
        };
        Ok(Self {
            count,
            limit: limit.median().each(count),
            ours,
            peer,
        })
    }
}

/// Idle ticks, and the limit each time beside them. Of few boards there are as many ticks in a row as look at so many: reading the clocks
/// takes as long as one.
fn idle(fleet: &Fleet, looks: &Looks, mode: Mode, limit: &mut Costs) -> Result<Option<Cost>> {
    let Some(mut dispatcher) = settled(fleet, mode, NO_CHECK)? else {
        return Ok(None);
    };
    let times = LOOKED_AT.div_ceil(fleet.boards.len());
    let mut costs = Costs::default();
    for _ in Repeat::new(31, Duration::from_secs(10)) {
        let ((), cost) = measured(|| (0..times).for_each(|_| looks.both()));
        limit.push(cost.each(times));
        let (reports, cost) =
            measured(|| -> Vec<TickReport> { (0..times).map(|_| dispatcher.tick()).collect() });
        for report in &reports {
            sound(report)?;
            if mode != Mode::Open && report.quiet != fleet.boards.len() {
                return Err(format!("{} boards are not quiet", report.boards.len()).into());
            }
        }
        costs.push(cost.each(times));
    }
    Ok(Some(costs.median()))
}

/// Some boards of many are written to by another process before each tick; beside it the two parts that it must consist of.
fn changed(plan: &Plan) -> Result<Section> {
    let count = plan.or(1_000, 60);
    let boards = thousands(count as f64);
    eprintln!("{count} boards, {CHANGED} changed");
    let (many, few) = (
        Fleet::idle(&plan.place, count)?,
        Fleet::idle(&plan.place, CHANGED)?,
    );
    let mut lines = Vec::new();
    for mode in [Mode::Sweep, Mode::Watch] {
        let costs = changed_and_parts(&many, &few, mode)?;
        let (whole, sum) = (
            costs.map(|[whole, _, _]| whole),
            costs.map(|[_, parts, rest]| (parts, rest)),
        );
        for (name, of) in [
            ("CPU", (|cost| cost.cpu) as fn(Cost) -> f64),
            ("wall", |cost| cost.wall),
        ] {
            let work = format!(
                "{boards} boards, {CHANGED} changed, {}, {name}",
                mode.name()
            );
            let value = |cost: Option<Cost>| cost.map(|cost| Value::Time(of(cost)));
            let sum = sum.map(|(one, other)| Value::Time(of(one) + of(other)));
            lines.push(Line::new(work, value(whole).unwrap_or(NOT_YET)).limit(sum.unwrap_or(NONE)));
        }
    }
    let about = format!(
        "A whole tick. The limit is a tick over {CHANGED} boards alone, all of them changed, plus an idle one over the {boards}. \
         All three in turns, each after the work of another: not one of them finds the caches warm. \
         The peer opens all boards each time, whether they have changed or not: its idle tick."
    );
    Ok(Section {
        title: "A few boards changed",
        about,
        lines,
    })
}

/// A tick over many boards of which a few have changed; one over these few alone, all changed; and an idle one over the many. In turns,
/// each after a pass over the other fleet, so that none finds its own caches warm.
fn changed_and_parts(many: &Fleet, few: &Fleet, mode: Mode) -> Result<Option<[Cost; 3]>> {
    let (Some(mut many), Some(mut few)) = (Active::new(many, mode)?, Active::new(few, mode)?)
    else {
        return Ok(None);
    };
    let mut costs = [(); 3].map(|()| Costs::default());
    for _ in Repeat::new(21, Duration::from_secs(16)) {
        few.settle()?;
        costs[0].push(many.changed()?);
        many.settle()?;
        costs[1].push(few.changed()?);
        few.settle()?;
        costs[2].push(many.idle()?);
    }
    Ok(Some(costs.map(|costs| costs.median())))
}

/// A dispatcher beside another process that writes to a few of its boards.
struct Active {
    dispatcher: Dispatcher,
    other: Other,
    boards: usize,
}

impl Active {
    fn new(fleet: &Fleet, mode: Mode) -> Result<Option<Self>> {
        let Some(dispatcher) = settled(fleet, mode, NO_CHECK)? else {
            return Ok(None);
        };
        let boards = fleet.boards.len();
        let other = Other::changing(&fleet.boards[boards - CHANGED..])?;
        Ok(Some(Self {
            dispatcher,
            other,
            boards,
        }))
    }

    fn changed(&mut self) -> Result<Cost> {
        self.other.once()?;
        let (report, cost) = measured(|| self.dispatcher.tick());
        sound(&report)?;
        match report.boards.len() {
            CHANGED.. => Ok(cost),
            seen => Err(format!("{seen} boards were seen to change").into()),
        }
    }

    /// Until nothing is left of the change.
    fn settle(&mut self) -> Result {
        until("the boards are quiet", Duration::from_secs(10), || {
            pause(Duration::from_millis(5));
            let report = self.dispatcher.tick();
            sound(&report)?;
            Ok(report.quiet == self.boards)
        })
    }

    fn idle(&mut self) -> Result<Cost> {
        let (report, cost) = measured(|| self.dispatcher.tick());
        sound(&report)?;
        match report.quiet == self.boards {
            true => Ok(cost),
            false => Err(format!("{} boards are not quiet", report.boards.len()).into()),
        }
    }
}

/// Whole ticks, in seconds of CPU.
fn series(all: &[Idle]) -> Vec<Series> {
    let points = |of: &dyn Fn(&Idle) -> Option<Cost>| {
        let point = |idle: &Idle| {
            Some(Point {
                x: idle.count as f64,
                y: of(idle)?.cpu * idle.count as f64 / 1e9,
            })
        };
        all.iter().filter_map(point).collect()
    };
    let series = [
        ("peer", points(&|idle| idle.peer)),
        ("ours, all opened", points(&|idle| idle.ours[0])),
        ("ours, sweep", points(&|idle| idle.ours[1])),
        ("limit: two statx", points(&|idle| Some(idle.limit))),
        ("ours, watch", points(&|idle| idle.ours[2])),
    ];
    let series = series.map(|(name, points)| Series { name, points });
    series
        .into_iter()
        .filter(|series| !series.points.is_empty())
        .collect()
}
