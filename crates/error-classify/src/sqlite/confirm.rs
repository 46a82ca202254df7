//! Asking the file itself before anybody acts on an error's word.

use rusqlite::{Connection, Result};

use crate::{Class, Classify as _, Missing, ObjectKind};

/// Whether `missing` is really not there: the hint of an error, checked against the schema.
///
/// An error of code 1 can come from an application's own SQL function, and then its text says what that function likes; a
/// repair is worth this look-up first. Reads the schema of all attached databases, and writes nothing. It finds out a text that names
/// something which is there; of a name that nothing has it cannot say who made it up.
///
/// - *Table, index, view, trigger:* missing if no schema has that name. `main.gone` is tried both as a name and as schema and name.
/// - *Column of a known table:* missing if the table has no column of that name, hidden and generated ones included.
/// - *Column of an unknown table* (a plain `no such column: x`, or an alias before the dot): missing only if **no table at
///   all** has a column of that name. If some other table has one, the answer is `false`, "not confirmed". Who knows the
///   tables of the statement asks once for each: `missing.clone().in_table("tasks")`.
/// - *Function, module, collation:* missing if this connection does not know it.
///
/// # Errors
/// What SQLite says to the look-up: busy, damaged, not a database. Then nothing is confirmed.
///
/// # Examples
///
/// ```
/// use error_classify::{classify, confirm_missing};
///
/// let db = rusqlite::Connection::open_in_memory()?;
/// db.execute_batch("CREATE TABLE tasks(id)")?;
/// let error = db.execute("INSERT INTO tasks(block_kind) VALUES (1)", []).unwrap_err();
/// let verdict = classify(&error);
/// let column = verdict.missing().unwrap();
/// assert!(confirm_missing(&db, column)?);
///
/// db.execute_batch("ALTER TABLE tasks ADD COLUMN block_kind")?;
/// assert!(!confirm_missing(&db, column)?);
/// # Ok::<(), rusqlite::Error>(())
/// ```
pub fn confirm_missing(connection: &Connection, missing: &Missing<'_>) -> Result<bool> {
    let name = missing.name();
    let found = match missing.kind() {
        ObjectKind::Table => object(connection, name, &["table", "view"])?,
        ObjectKind::Index => object(connection, name, &["index"])?,
        ObjectKind::View => object(connection, name, &["view"])?,
        ObjectKind::Trigger => object(connection, name, &["trigger"])?,
        ObjectKind::Column => column(connection, missing.table(), name)?,
        ObjectKind::Function => listed(connection, "pragma_function_list", name)?,
        ObjectKind::Module => listed(connection, "pragma_module_list", name)?,
        ObjectKind::Collation => listed(connection, "pragma_collation_list", name)?,
    };
    Ok(!found)
}

/// The first damage that SQLite finds; `None` for a sound file.
///
/// Damage comes as rows of `PRAGMA quick_check`, or as an error of its own (`CORRUPT`, `NOTADB`) when the check cannot
/// even begin: both are returned as `Some`. Reads the whole file; works on a read-only connection, and that is the better
/// one for it: a second, independent look.
///
/// # Errors
/// What keeps SQLite from looking: busy, I/O, cannot open. Then nothing is known of the file.
///
/// # Examples
///
/// ```
/// use error_classify::quick_check;
///
/// let db = rusqlite::Connection::open_in_memory()?;
/// assert_eq!(quick_check(&db)?, None);
/// # Ok::<(), rusqlite::Error>(())
/// ```
pub fn quick_check(connection: &Connection) -> Result<Option<String>> {
    let first = connection.query_row("PRAGMA quick_check(1)", [], |row| {
        // The row can quote damaged text.
        let bytes = row.get_ref(0)?.as_bytes()?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    });
    match first {
        Ok(row) if row == "ok" => Ok(None),
        Ok(row) => Ok(Some(row)),
        Err(error) if is_damage(&error) => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    error
        .verdict()
        .is_some_and(|verdict| verdict.class() == Class::Corrupt)
}

/// The ways to read a printed name: as it stands, and as schema and name.
fn readings(name: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let split = name.split_once('.');
    [(None, name)]
        .into_iter()
        .chain(split.map(|(schema, rest)| (Some(schema), rest)))
}

fn object(connection: &Connection, name: &str, kinds: &[&str]) -> Result<bool> {
    for schema in schemas(connection)? {
        let sql = format!(
            "SELECT type FROM {}.sqlite_master WHERE name = ?1 COLLATE NOCASE",
            quoted(&schema)
        );
        let mut statement = connection.prepare(&sql)?;
        for (within, name) in readings(name) {
            if within.is_some_and(|within| !within.eq_ignore_ascii_case(&schema)) {
                continue;
            }
            let mut rows = statement.query([name])?;
            while let Some(row) = rows.next()? {
                if kinds.contains(&row.get_ref(0)?.as_str()?) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

fn column(connection: &Connection, table: Option<&str>, name: &str) -> Result<bool> {
    for (schema, table) in table.into_iter().flat_map(readings) {
        if let Some(found) = column_of(connection, schema, table, name)? {
            return Ok(found);
        }
    }
    // No table is named, or what is named is an alias.
    for schema in schemas(connection)? {
        // `rootpage` is 0 for virtual tables, whose module may be missing, and SQLite's own tables are nobody's drift.
        let sql = format!(
            "SELECT name FROM {}.sqlite_master
             WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
            quoted(&schema)
        );
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let table = row.get_ref(0)?.as_str()?;
            if column_of(connection, Some(&schema), table, name)? == Some(true) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether `table` has the column; `None` if there is no such table.
fn column_of(
    connection: &Connection,
    schema: Option<&str>,
    table: &str,
    name: &str,
) -> Result<Option<bool>> {
    connection.query_row(
        "SELECT max(name = ?1 COLLATE NOCASE) FROM pragma_table_xinfo(?2, ?3)",
        (name, table, schema),
        |row| row.get(0),
    )
}

fn listed(connection: &Connection, list: &str, name: &str) -> Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {list} WHERE name = ?1 COLLATE NOCASE)");
    connection.query_row(&sql, [name], |row| row.get(0))
}

fn schemas(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_database_list")?;
    let mut schemas: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    // The temporary schema is listed only once it is in use, and is always there.
    if !schemas.iter().any(|schema| schema == "temp") {
        schemas.push("temp".to_owned());
    }
    Ok(schemas)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
