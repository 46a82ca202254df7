//! Codes that take a hook to be seen: the schema changes at the right moment, an authorizer or a commit hook says no.
//!
//! Apart from `rare`, because `rusqlite` hooks need a newer SQLite than the system may have.
#![cfg(feature = "rusqlite")]

use std::error::Error;

use error_classify::{Class, Remedy, classify};
use rusqlite::{Connection, OpenFlags, ffi};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_CREATE);

#[track_caller]
fn expect<T>(outcome: rusqlite::Result<T>, code: i32, class: Class, remedy: Remedy) {
    let error = outcome.err();
    let verdict = error.as_ref().map(|error| classify(error));
    let told = verdict.map(|verdict| (verdict.code(), verdict.class(), verdict.remedy()));
    assert_eq!(told, Some((Some(code), class, remedy)), "{error:?}");
}

/// SCHEMA is not drift: the schema changed while the statement was compiled, and again while it was compiled anew.
#[test]
fn a_schema_that_changes_during_each_of_two_attempts_is_stale() -> Result {
    use rusqlite::hooks::{AuthContext, Authorization};
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("board.db");
    let mut one = Connection::open_with_flags(&path, FLAGS)?;
    let two = Connection::open_with_flags(&path, FLAGS)?;
    one.execute_batch("CREATE TABLE t(a)")?;
    let mut made = 0;
    one.authorizer(Some(move |_: AuthContext<'_>| {
        made += 1;
        match two.execute_batch(&format!("CREATE TABLE more{made}(a)")) {
            Ok(()) => Authorization::Allow,
            Err(_) => Authorization::Deny,
        }
    }))?;
    let sql = "SELECT a, nope FROM t";
    expect(
        one.prepare(sql).map(drop),
        ffi::SQLITE_SCHEMA,
        Class::Stale,
        Remedy::RetryCall,
    );
    // The litmus test holds: the same call, once nobody changes anything, says what is really the matter.
    one.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    let error = one.prepare(sql).map(drop).unwrap_err();
    assert_eq!(classify(&error).class(), Class::SchemaDrift);
    Ok(())
}

/// What an authorizer refuses is refused for good.
#[test]
fn an_authorizer_s_refusal_is_a_matter_of_permission() -> Result {
    use rusqlite::hooks::{AuthContext, Authorization};
    let mut db = Connection::open_in_memory()?;
    db.execute_batch("CREATE TABLE t(a)")?;
    db.authorizer(Some(|_: AuthContext<'_>| Authorization::Deny))?;
    let outcome = db.prepare("SELECT a FROM t").map(drop);
    expect(outcome, ffi::SQLITE_AUTH, Class::Permission, Remedy::GiveUp);
    Ok(())
}

/// A commit hook that says no.
#[test]
fn a_refused_commit_is_a_constraint() -> Result {
    let mut db = Connection::open_in_memory()?;
    db.execute_batch("CREATE TABLE t(a)")?;
    db.commit_hook(Some(|| true))?;
    let outcome = db.execute_batch("INSERT INTO t VALUES (1)");
    expect(
        outcome,
        ffi::SQLITE_CONSTRAINT_COMMITHOOK,
        Class::Constraint,
        Remedy::GiveUp,
    );
    Ok(())
}
