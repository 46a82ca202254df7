//! SQLSTATE: every code of the manual against our table, and what a real PostgreSQL says to real statements.
//!
//! `golden/postgres-15.txt` keeps statement, code and verdict; the everyday test reads it. To make it anew, with `psql` and
//! the variables it reads (`PGHOST`, `PGPORT`, `PGUSER`, as superuser of a database that may be thrown away):
//! `GOLDEN=print RUSTFLAGS="--cfg postgres_server" cargo test -p error-classify --features sqlstate --test sqlstate -- --nocapture`.
#![cfg(feature = "sqlstate")]

#[cfg(postgres_server)]
use std::error::Error;
#[cfg(postgres_server)]
use std::io::Write as _;
#[cfg(postgres_server)]
use std::process::{Command, Stdio};

use error_classify::{Class, Remedy, classify_sqlstate};

#[cfg(postgres_server)]
type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Code, name, class and remedy of all codes in Appendix A of PostgreSQL 15's manual.
const ALL: &str = include_str!("golden/sqlstates-15.txt");
const GOLDEN: &str = include_str!("golden/postgres-15.txt");

#[cfg(postgres_server)]
const SETUP: &str = "
    SET client_min_messages = error;
    DROP SCHEMA IF EXISTS golden CASCADE; CREATE SCHEMA golden; SET search_path = golden, public;
    CREATE EXTENSION IF NOT EXISTS dblink SCHEMA public;
    CREATE TABLE t(a int PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'one'), (2, 'two');
    CREATE TABLE child(a int REFERENCES t(a), n int NOT NULL DEFAULT 0 CHECK (n >= 0));
    CREATE TABLE ranges(r int4range, EXCLUDE USING gist (r WITH &&));
    CREATE VIEW v AS SELECT a FROM t WHERE a > 0 WITH CHECK OPTION; CREATE VIEW w AS SELECT a FROM t;
    CREATE FUNCTION deep(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN deep(i + 1); END';
    CREATE TYPE mood AS ENUM ('sad');
    SELECT public.dblink_connect('other', format('host=%s port=%s user=%s dbname=%s options=-csearch_path=golden,public',
        split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_user, current_database()));
";

struct Entry {
    sql: String,
    code: &'static str,
    verdict: &'static str,
}

fn golden() -> Vec<Entry> {
    let entry = |block: &'static str| {
        let (told, sql): (Vec<_>, Vec<_>) = block.lines().partition(|l| l.starts_with("  "));
        Entry {
            sql: sql.join("\n"),
            code: told.first().copied().unwrap_or_default().trim(),
            verdict: told.get(1).copied().unwrap_or_default().trim(),
        }
    };
    GOLDEN.trim_end().split("\n\n").map(entry).collect()
}

#[test]
fn every_code_of_the_manual_has_the_class_that_is_kept() {
    let mut named = 0;
    for line in ALL.lines() {
        let code = &line[..5];
        let verdict = classify_sqlstate(code);
        let name = line[5..].split(':').next().unwrap_or_default();
        let anew = format!("{code}{name}: {} {}", verdict.class(), verdict.remedy());
        assert_eq!(anew, line);
        // A row of its own has the name of the manual, any other one that of its class.
        if let Some(own) = verdict.rule().strip_prefix(&format!("sqlstate/{code}")) {
            assert_eq!(own, name, "{code}");
            named += 1;
        } else {
            let class = format!("sqlstate/class {} ", &code[..2]);
            assert!(verdict.rule().starts_with(&class), "{}", verdict.rule());
        }
    }
    assert_eq!((ALL.lines().count(), named), (260, 51));
}

/// What callers rely on; the file above may be made anew, these must not move by accident.
#[test]
fn the_codes_that_decide_what_a_caller_does_mean_what_they_should() {
    use Class as C;
    use Remedy as R;
    for (code, class, remedy) in [
        ("40001", C::Stale, R::RestartTxn),
        ("40P01", C::Busy, R::RestartTxn),
        ("40003", C::Disconnected, R::GiveUp),
        ("08007", C::Disconnected, R::GiveUp),
        ("08001", C::Disconnected, R::RetryCall),
        ("08006", C::Disconnected, R::Reopen),
        ("53100", C::DiskFull, R::ExternalFix),
        ("53300", C::Exhausted, R::RetryCall),
        ("57P01", C::Disconnected, R::Reopen),
        ("57P03", C::Disconnected, R::RetryCall),
        ("57014", C::Interrupted, R::RestartTxn),
        ("55P03", C::Busy, R::RestartTxn),
        ("25006", C::ReadOnly, R::ExternalFix),
        ("25P02", C::Interrupted, R::RestartTxn),
        ("28P01", C::Permission, R::ExternalFix),
        ("42501", C::Permission, R::ExternalFix),
        ("42P01", C::SchemaDrift, R::Repair),
        ("42703", C::SchemaDrift, R::Repair),
        ("42883", C::SchemaDrift, R::Repair),
        ("3F000", C::SchemaDrift, R::Repair),
        ("3D000", C::Missing, R::ExternalFix),
        ("42601", C::Misuse, R::GiveUp),
        ("23505", C::Constraint, R::GiveUp),
        ("P0001", C::Constraint, R::GiveUp),
        ("22P02", C::BadData, R::GiveUp),
        ("26000", C::Stale, R::Reopen),
        ("0A000", C::Unsupported, R::Reopen),
        ("XX001", C::Corrupt, R::ExternalFix),
        ("XX002", C::Corrupt, R::ExternalFix),
        ("XX000", C::Unknown, R::GiveUp),
    ] {
        let verdict = classify_sqlstate(code);
        assert_eq!(
            (verdict.class(), verdict.remedy()),
            (class, remedy),
            "{code}"
        );
        assert_eq!((verdict.code(), verdict.missing()), (None, None));
    }
}

#[test]
fn a_code_from_the_future_has_its_class_and_what_is_no_code_is_unknown() {
    for (code, rule) in [
        ("23Z99", "sqlstate/class 23 integrity_constraint_violation"),
        ("40ZZZ", "sqlstate/class 40 transaction_rollback"),
        ("0A123", "sqlstate/class 0A feature_not_supported"),
        ("99000", "sqlstate/unlisted class"),
        ("ZZZZZ", "sqlstate/unlisted class"),
        ("", "sqlstate/not a code"),
        ("4000", "sqlstate/not a code"),
        ("400010", "sqlstate/not a code"),
        ("42p01", "sqlstate/not a code"),
        ("40 01", "sqlstate/not a code"),
        ("\u{e4}\u{e4}1", "sqlstate/not a code"),
    ] {
        assert_eq!(classify_sqlstate(code).rule(), rule);
    }
}

#[test]
fn what_a_real_server_said_has_its_verdict() {
    let golden = golden();
    assert!(golden.len() >= 40, "{}", golden.len());
    for entry in golden {
        let verdict = classify_sqlstate(entry.code);
        assert_eq!(verdict.to_string(), entry.verdict, "{}", entry.sql);
    }
}

#[test]
#[cfg(postgres_server)]
fn a_real_server_still_says_the_same() -> Result {
    let mut anew = Vec::new();
    for entry in golden() {
        let code = ask(&entry.sql)?;
        anew.push(format!(
            "{}\n  {code}\n  {}",
            entry.sql,
            classify_sqlstate(&code)
        ));
    }
    let anew = anew.join("\n\n") + "\n";
    if std::env::var_os("GOLDEN").is_some() {
        #[expect(clippy::print_stdout, reason = "asked for")]
        {
            println!("{anew}");
        }
    }
    assert_eq!(anew, GOLDEN);
    Ok(())
}

/// The SQLSTATE of the last statement that fails.
#[cfg(postgres_server)]
fn ask(sql: &str) -> Result<String> {
    let mut psql = Command::new("psql")
        .args(["-X", "-q", "-v", "VERBOSITY=sqlstate"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let script = format!("{SETUP}\n{sql}\n;");
    psql.stdin
        .take()
        .ok_or("no pipe")?
        .write_all(script.as_bytes())?;
    let output = psql.wait_with_output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let code = told.lines().rev().find_map(|line| {
        let (_, code) = line
            .split_once("ERROR:  ")
            .or_else(|| line.split_once("FATAL:  "))?;
        Some(code.trim().to_owned()).filter(|code| code.len() == 5)
    });
    Ok(code.ok_or_else(|| format!("{sql}: no error; psql says: {told}"))?)
}
