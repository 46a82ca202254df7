//! The codes that decide what a caller does, and all classes.

use crate::row::Row;
use crate::{Class, Remedy};

/// The row of `code`, else that of its class.
pub(super) fn look_up(code: &str) -> &'static Row {
    let Ok(code) = <&[u8; 5]>::try_from(code.as_bytes()) else {
        return &NO_CODE;
    };
    if !code
        .iter()
        .all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
    {
        return &NO_CODE;
    }
    if let Ok(at) = CODES.binary_search_by(|(key, _)| key.cmp(code)) {
        return &CODES[at].1;
    }
    let class = [code[0], code[1]];
    match CLASSES.binary_search_by(|(key, _)| key.cmp(&class)) {
        Ok(at) => &CLASSES[at].1,
        Err(_) => &UNLISTED,
    }
}

static NO_CODE: Row = Row::new(Class::Unknown, Remedy::GiveUp, "sqlstate/not a code");
static UNLISTED: Row = Row::new(Class::Unknown, Remedy::GiveUp, "sqlstate/unlisted class");

/// The only place that turns text into a key, at compile time.
const fn key<const N: usize>(code: &str) -> [u8; N] {
    let bytes = code.as_bytes();
    assert!(bytes.len() == N);
    let mut key = [0; N];
    let mut at = 0;
    while at < N {
        key[at] = bytes[at];
        at += 1;
    }
    key
}

/// One row each: `"code" name Class Remedy`.
macro_rules! rows {
    ($what:literal; $($code:literal $name:ident $class:ident $remedy:ident,)*) => {
        &[$((
            key($code),
            Row::new(
                Class::$class,
                Remedy::$remedy,
                concat!("sqlstate/", $what, $code, " ", stringify!($name)),
            ),
        ),)*]
    };
}

// Where the choice is not obvious:
// 0A000 is what the server says for a cached plan whose columns changed under it, and also for what it cannot do at all. The
//   first ends with a statement prepared anew, so one new handle is worth a try.
// 08007, 40003: whether the commit happened is unknown, so that to run it again may do it twice.
// 25P02: the transaction failed before; the error that counts came earlier.
// 26000, 42P05: prepared statements are not those that the client remembers, as behind a pooler.
// 42883, 42704, 42P01: functions and types live in the database, so that a migration can bring them.
// 42701, 42P07 and their like: often somebody else has just made the same change.
// 53300, 57P03: said while connecting, so that there is no transaction.
// 55P03, 53200: the wait was short, but the transaction is gone.
static CODES: &[([u8; 5], Row)] = rows! { "";
    "02000" no_data Missing GiveUp,
    "08001" sqlclient_unable_to_establish_sqlconnection Disconnected RetryCall,
    "08004" sqlserver_rejected_establishment_of_sqlconnection Disconnected RetryCall,
    "08007" transaction_resolution_unknown Disconnected GiveUp,
    "08P01" protocol_violation Misuse GiveUp,
    "0A000" feature_not_supported Unsupported Reopen,
    "25006" read_only_sql_transaction ReadOnly ExternalFix,
    "25P02" in_failed_sql_transaction Interrupted RestartTxn,
    "25P03" idle_in_transaction_session_timeout Disconnected Reopen,
    "25P04" transaction_timeout Disconnected Reopen,
    "26000" invalid_sql_statement_name Stale Reopen,
    "2BP01" dependent_objects_still_exist Constraint GiveUp,
    "3D000" invalid_catalog_name Missing ExternalFix,
    "3F000" invalid_schema_name SchemaDrift Repair,
    "40001" serialization_failure Stale RestartTxn,
    "40002" transaction_integrity_constraint_violation Constraint GiveUp,
    "40003" statement_completion_unknown Disconnected GiveUp,
    "40P01" deadlock_detected Busy RestartTxn,
    "42501" insufficient_privilege Permission ExternalFix,
    "42701" duplicate_column Exists RestartTxn,
    "42703" undefined_column SchemaDrift Repair,
    "42704" undefined_object SchemaDrift Repair,
    "42710" duplicate_object Exists RestartTxn,
    "42723" duplicate_function Exists RestartTxn,
    "42883" undefined_function SchemaDrift Repair,
    "42P01" undefined_table SchemaDrift Repair,
    "42P04" duplicate_database Exists RestartTxn,
    "42P05" duplicate_prepared_statement Stale Reopen,
    "42P06" duplicate_schema Exists RestartTxn,
    "42P07" duplicate_table Exists RestartTxn,
    "53000" insufficient_resources Exhausted RestartTxn,
    "53100" disk_full DiskFull ExternalFix,
    "53200" out_of_memory Exhausted RestartTxn,
    "53300" too_many_connections Exhausted RetryCall,
    "53400" configuration_limit_exceeded Exhausted ExternalFix,
    "55006" object_in_use Busy RestartTxn,
    "55P03" lock_not_available Busy RestartTxn,
    "57014" query_canceled Interrupted RestartTxn,
    "57P01" admin_shutdown Disconnected Reopen,
    "57P02" crash_shutdown Disconnected Reopen,
    "57P03" cannot_connect_now Disconnected RetryCall,
    "57P04" database_dropped Missing ExternalFix,
    "57P05" idle_session_timeout Disconnected Reopen,
    "58P01" undefined_file Missing ExternalFix,
    "58P02" duplicate_file Exists ExternalFix,
    "72000" snapshot_too_old Stale RestartTxn,
    "F0001" lock_file_exists Busy ExternalFix,
    "HV001" fdw_out_of_memory Exhausted RestartTxn,
    "HV00N" fdw_unable_to_establish_connection Disconnected RestartTxn,
    "P0002" no_data_found Missing GiveUp,
    "XX001" data_corrupted Corrupt ExternalFix,
    "XX002" index_corrupted Corrupt ExternalFix,
};

static CLASSES: &[([u8; 2], Row)] = rows! { "class ";
    "00" successful_completion Unknown GiveUp,
    "01" warning Unknown GiveUp,
    "02" no_data Missing GiveUp,
    "03" sql_statement_not_yet_complete Misuse GiveUp,
    "08" connection_exception Disconnected Reopen,
    "09" triggered_action_exception Constraint GiveUp,
    "0A" feature_not_supported Unsupported GiveUp,
    "0B" invalid_transaction_initiation Misuse GiveUp,
    "0F" locator_exception Misuse GiveUp,
    "0L" invalid_grantor Permission GiveUp,
    "0P" invalid_role_specification Permission ExternalFix,
    "0Z" diagnostics_exception Misuse GiveUp,
    "10" xquery_error Misuse GiveUp,
    "20" case_not_found Misuse GiveUp,
    "21" cardinality_violation Constraint GiveUp,
    "22" data_exception BadData GiveUp,
    "23" integrity_constraint_violation Constraint GiveUp,
    "24" invalid_cursor_state Misuse GiveUp,
    "25" invalid_transaction_state Misuse GiveUp,
    "26" invalid_sql_statement_name Stale Reopen,
    "27" triggered_data_change_violation Constraint GiveUp,
    "28" invalid_authorization_specification Permission ExternalFix,
    "2B" dependent_privilege_descriptors_still_exist Constraint GiveUp,
    "2D" invalid_transaction_termination Misuse GiveUp,
    "2F" sql_routine_exception Misuse GiveUp,
    "34" invalid_cursor_name Misuse GiveUp,
    "38" external_routine_exception Unknown GiveUp,
    "39" external_routine_invocation_exception Unknown GiveUp,
    "3B" savepoint_exception Misuse GiveUp,
    "3D" invalid_catalog_name Missing ExternalFix,
    "3F" invalid_schema_name SchemaDrift Repair,
    "40" transaction_rollback Stale RestartTxn,
    "42" syntax_error_or_access_rule_violation Misuse GiveUp,
    "44" with_check_option_violation Constraint GiveUp,
    "53" insufficient_resources Exhausted RestartTxn,
    "54" program_limit_exceeded Misuse GiveUp,
    "55" object_not_in_prerequisite_state Misuse GiveUp,
    "57" operator_intervention Interrupted RestartTxn,
    "58" system_error Io Reopen,
    "72" snapshot_failure Stale RestartTxn,
    "F0" config_file_error Misuse ExternalFix,
    "HV" fdw_error Unknown GiveUp,
    "P0" plpgsql_error Constraint GiveUp,
    "XX" internal_error Unknown GiveUp,
};

#[cfg(test)]
mod tests {
    use super::{CLASSES, CODES};

    #[test]
    fn the_tables_are_sorted_and_every_code_has_its_class() {
        assert!(CODES.is_sorted_by(|one, next| one.0 < next.0));
        assert!(CLASSES.is_sorted_by(|one, next| one.0 < next.0));
        for (code, _) in CODES {
            let class = &code[..2];
            assert!(CLASSES.iter().any(|(key, _)| key == class), "{code:?}");
        }
    }
}
