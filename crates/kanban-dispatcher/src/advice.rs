//! What an operator can do about a board that is held: told with the hold, and the same as in docs/operations.md.

use error_classify::Class;

use crate::report::BoardFailure;

/// What ends this failure, as a request.
pub(crate) fn advice(failure: &BoardFailure) -> String {
    match (failure.class, &failure.missing) {
        (Class::Emptied, _) => {
            "restore a backup, or delete the file if it never was a board".to_owned()
        }
        (Class::SchemaDrift, Some(missing)) => {
            format!("restore a backup, or add what is missing ({missing})")
        }
        (Class::SchemaDrift, None) => "restore a backup".to_owned(),
        // How is a part of the reason, which `status` shows too.
        _ => "mend or replace it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use error_classify::Remedy;

    use super::*;

    #[test]
    fn what_is_missing_is_named_and_other_damage_is_to_be_restored() {
        let failure = |class, missing: Option<&str>| BoardFailure {
            class,
            remedy: Remedy::ExternalFix,
            code: None,
            reason: String::new(),
            missing: missing.map(str::to_owned),
        };
        let drift = advice(&failure(Class::SchemaDrift, Some("column tasks.body")));
        assert!(drift.contains("column tasks.body"), "{drift}");
        let emptied = advice(&failure(Class::Emptied, None));
        assert!(emptied.contains("delete the file"), "{emptied}");
        let corrupt = advice(&failure(Class::Corrupt, None));
        assert!(corrupt.contains("replace it"), "{corrupt}");
    }
}
