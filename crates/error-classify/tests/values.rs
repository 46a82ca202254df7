//! Classes, remedies and names as values: numbers and words that others store, and what is shown.

use std::collections::HashSet;

use error_classify::{Class, Missing, ObjectKind, Remedy, Rule, Verdict};

#[test]
fn every_class_has_its_number_and_its_word() {
    for (at, class) in Class::ALL.iter().enumerate() {
        assert_eq!(usize::from(class.index()), at, "{class}");
    }
    let words: HashSet<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
    assert_eq!(words.len(), Class::ALL.len());
    let words: HashSet<&str> = Remedy::ALL.iter().map(|remedy| remedy.as_str()).collect();
    assert_eq!(words.len(), 6);
    assert!(Class::ALL.is_sorted() && Remedy::ALL.is_sorted());
}

/// Others store these numbers: a change here is a breaking one.
#[test]
fn the_numbers_are_those_of_the_first_release() {
    let numbers = |classes: &[Class]| classes.iter().map(|c| c.index()).collect::<Vec<_>>();
    use Class as C;
    let first = [
        C::Unknown,
        C::SchemaDrift,
        C::Corrupt,
        C::Emptied,
        C::Busy,
        C::Stale,
        C::DiskFull,
        C::Io,
        C::Permission,
        C::ReadOnly,
        C::Missing,
        C::Exhausted,
        C::Interrupted,
        C::Constraint,
        C::Misuse,
        C::CannotOpen,
        C::Exists,
        C::BadData,
        C::Disconnected,
        C::Unsupported,
    ];
    assert_eq!(numbers(&first), (0..20).collect::<Vec<_>>());
}

#[test]
fn only_the_first_three_remedies_help_without_anybody_mending_anything() {
    let transient: Vec<&Remedy> = Remedy::ALL.iter().filter(|r| r.is_transient()).collect();
    assert_eq!(
        transient,
        [&Remedy::RetryCall, &Remedy::RestartTxn, &Remedy::Reopen]
    );
}

#[test]
fn a_verdict_shows_names_only_if_they_are_nothing_else() {
    let shown = |missing| {
        Verdict::new(Class::SchemaDrift, Remedy::Repair)
            .with_code(1)
            .with_missing(missing)
            .to_string()
    };
    let column = |name: &'static str| Missing::new(ObjectKind::Column, name);
    assert_eq!(
        shown(column("a").in_table("t")),
        "schema_drift: column t.a (repair; code 1)"
    );
    let withheld = "schema_drift: column (name withheld) (repair; code 1)";
    assert_eq!(shown(column("Alice B.")), withheld);
    assert_eq!(shown(column("a\nERROR all is lost")), withheld);
    assert_eq!(shown(column("a").in_table("t' OR 1")), withheld);
    assert_eq!(shown(column("")), withheld);
}

#[test]
fn a_debugger_sees_all_of_a_verdict_and_the_name_of_a_rule() {
    let verdict = Verdict::veto().with_code(5).with_rule("app/veto");
    assert_eq!(
        format!("{verdict:?}"),
        "Verdict { class: Unknown, remedy: GiveUp, depth: 0, veto: true, code: Some(5), rule: \"app/veto\", missing: None }"
    );
    let rule = Rule::new("app/rule", |_| None);
    assert_eq!(format!("{rule:?}"), "Rule(\"app/rule\")");
    // A code of 0 is a code, and a veto with a code is a veto.
    let plain = Verdict::new(Class::Busy, Remedy::RetryCall);
    assert_eq!((plain.code(), plain.is_veto()), (None, false));
    assert_eq!(plain.clone().with_code(0).code(), Some(0));
    assert_ne!(plain.clone().with_code(0), plain);
    assert!(Verdict::veto().with_code(1).is_veto());
}

#[test]
fn decisions_are_small_and_can_cross_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Verdict<'static>>();
    shared::<Missing<'static>>();
    assert!(size_of::<Verdict<'_>>() <= 64);
    assert_eq!(size_of::<Option<Class>>(), 1);
}

#[cfg(feature = "serde")]
#[test]
fn words_are_what_is_stored_and_they_come_back() -> Result<(), serde_json::Error> {
    for class in Class::ALL {
        let json = serde_json::to_string(class)?;
        assert_eq!(json, format!("\"{class}\""));
        assert_eq!(serde_json::from_str::<Class>(&json)?, *class);
    }
    for remedy in Remedy::ALL {
        let json = serde_json::to_string(remedy)?;
        assert_eq!(json, format!("\"{remedy}\""));
        assert_eq!(serde_json::from_str::<Remedy>(&json)?, *remedy);
    }
    let missing = Missing::new(ObjectKind::Column, "a")
        .in_table("t")
        .approximate();
    let json = serde_json::to_string(&missing)?;
    assert_eq!(serde_json::from_str::<Missing<'_>>(&json)?, missing);
    let verdict = Verdict::new(Class::Busy, Remedy::RetryCall)
        .with_code(5)
        .with_rule("sqlite/BUSY");
    let json = serde_json::to_value(&verdict)?;
    assert_eq!((&json["class"], &json["code"]), (&"busy".into(), &5.into()));
    Ok(())
}
