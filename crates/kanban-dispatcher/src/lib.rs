#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! - [`Dispatcher`] ticks the boards below a [`Root`]; [`TickReport`] is what one tick did, [`Status`] what another process sees.
//! - [`decide`] is the pure heart: [`View`] and [`Policy`] in, [`Decision`] out.
//! - [`plan`](fn@plan) is the dry run, and [`why`](fn@why) one task's part of it.
//! - [`Store`] is one board for people and workers: create, complete, block, unblock, heartbeat.
//! - [`Levers`] are an operator's: pause, resume, release, repair.
//! - [`Launcher`] is the seam for one's own workers; [`Gate`] is what they wait at.
//! - [`repair`](fn@repair) is the one place that makes or mends a schema, and cannot be called without a permit.

mod advice;
mod board;
mod clock;
mod config;
mod decide;
mod discover;
mod dispatcher;
mod error;
mod evidence;
mod lanes;
mod ledger;
mod levers;
mod lock;
mod onlooker;
mod past;
mod plan;
mod policy;
mod report;
mod resilience;
mod risk;
mod root;
mod share;
mod site;
mod status;
mod strain;
mod tick;
mod transition;
mod usage;
mod view;
mod wake;
mod watch;
mod why;
mod words;
mod worker;

pub use crate::board::{
    Block, Comment, Complete, Decompose, Detail, Drift, Edit, Event, NewTask, Part, Released,
    RepairKey, Run, Specify, Store, Summary, Work, Workspace, repair,
};
pub use crate::clock::Clock;
pub use crate::config::{
    Breaker, Check, Config, Evidence, Quarantine, Repair, Scope, Throttle, Worker,
};
pub use crate::decide::{Decision, Reason, Why, decide, explain};
pub use crate::discover::discover;
pub use crate::dispatcher::{Builder, Dispatcher};
pub use crate::error::{Error, ErrorKind};
pub use crate::levers::{Levers, Pause};
pub use crate::lock::FileLock;
pub use crate::past::Past;
pub use crate::plan::{BoardPlan, PlanState, plan, plan_at};
pub use crate::policy::Policy;
pub use crate::report::{BoardFailure, BoardReport, Outcome, Standby, StandbyReason, TickReport};
pub use crate::root::{Board, Root, Slug};
pub use crate::status::{
    BoardState, BoardStatus, DispatcherState, DispatcherStatus, Health, Status,
};
pub use crate::transition::{Cause, Claim, Failure, Reclaim, Stale, Transition, Verdict};
pub use crate::usage::{LogCounts, Usage};
pub use crate::view::Status as TaskStatus;
pub use crate::view::{
    BadRow, End, HeldCounts, HeldReason, Process, Processes, StopReason, Task, View,
};
pub use crate::wake::Wake;
pub use crate::why::why;
pub use crate::worker::{CommandLauncher, Gate, Job, Launcher, WorkerCommand};
