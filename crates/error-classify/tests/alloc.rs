//! Classifying allocates nothing as long as the driver's error can be reached by a downcast.
#![cfg(feature = "rusqlite")]

mod support;

use std::error::Error;
use std::hint::black_box;

use allocation_counter::measure;
use error_classify::{Classifier, Rule, classify};
use support::{HIDING, OPEN, error_of, golden};

static WITH_RULE: Classifier<1> = Classifier::new([Rule::of::<std::io::Error>("io")]);

fn allocated(work: impl Fn()) -> u64 {
    measure(work).count_total
}

#[test]
fn no_allocation_through_any_wrapping_that_can_be_seen_through() -> Result<(), Box<dyn Error>> {
    assert_eq!(
        allocated(|| drop(black_box(Box::new(1)))),
        1,
        "the instrument works"
    );
    for entry in golden() {
        for (name, wrap) in OPEN {
            let error = wrap(error_of(entry.sql)?);
            let count = allocated(|| drop(black_box(classify(error.as_ref()))));
            assert_eq!(count, 0, "{name}: {}", entry.sql);
            // Reading the names out of the message takes no memory either.
            let count = allocated(|| {
                let verdict = classify(error.as_ref());
                let names = verdict.missing().map(|missing| {
                    let doubt = missing.is_approximate();
                    (missing.table().map(str::len), missing.name().len(), doubt)
                });
                black_box(names);
            });
            assert_eq!(count, 0, "{name}: {}", entry.sql);
        }
    }
    Ok(())
}

#[test]
fn no_allocation_for_unknown_errors_and_own_rules() {
    let error = anyhow::anyhow!("what?").context("open").context("tick");
    let count = allocated(|| {
        drop(black_box(classify(error.as_ref())));
        drop(black_box(WITH_RULE.classify(error.as_ref())));
    });
    assert_eq!(count, 0);
}

#[cfg(feature = "sqlstate")]
#[test]
fn no_allocation_for_a_sqlstate() {
    let codes = ["40001", "23999", "99999", "no code"];
    let count = allocated(|| {
        codes
            .iter()
            .for_each(|code| drop(black_box(error_classify::classify_sqlstate(code))))
    });
    assert_eq!(count, 0);
}

/// A hidden error costs the copies of what it says is missing, however long the statement is.
#[test]
fn a_hidden_error_costs_no_more_than_its_names() -> Result<(), Box<dyn Error>> {
    let sql = format!("SELECT nope, '{}' FROM t", "x".repeat(100_000));
    for (name, wrap) in HIDING {
        let error = wrap(error_of(&sql)?);
        let counted = measure(|| drop(black_box(classify(error.as_ref()))));
        assert!(
            counted.count_total <= 4 && counted.bytes_total <= 64,
            "{name}: {counted:?}"
        );
    }
    Ok(())
}
