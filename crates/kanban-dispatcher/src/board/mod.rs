//! One board's database: all SQL is here.

mod apply;
mod claim;
mod event;
mod failure;
mod free;
mod given_back;
mod health;
mod iso;
mod limit;
mod lull;
mod observe;
mod open;
mod past;
mod query;
mod refund;
mod reindex;
mod repair;
mod schema;
mod store;
mod txn;
mod value;
mod verbs;
mod version;
mod work;

pub(crate) use apply::{Applied, apply, apply_while, prove_writable};
pub(crate) use event::run_outcome;
pub(crate) use health::{FileHealth, file_health, first_damage};
pub(crate) use limit::{lift, limit};
pub(crate) use lull::is_lull;
pub(crate) use observe::{Look, observe};
pub(crate) use open::{open_existing, open_read_only};
pub(crate) use past::note_told;
pub(crate) use refund::refund;
pub(crate) use reindex::{Left, rebuild_indexes};
pub(crate) use schema::drift;
pub(crate) use store::init_lock;
pub(crate) use txn::Txn;
pub(crate) use version::refuse_newer;
pub(crate) use work::{Started, record_started};

pub use query::{Comment, Detail, Event, Run, Summary};
pub use repair::{RepairKey, repair};
pub use schema::Drift;
pub use store::Store;
pub use verbs::{Block, Complete, Decompose, Edit, NewTask, Part, Released, Specify, Workspace};
pub use work::Work;
