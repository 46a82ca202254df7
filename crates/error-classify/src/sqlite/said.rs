//! What a message means, before it becomes a verdict: which object it names, and how surely.

use std::borrow::Cow;

use crate::{Class, Missing, ObjectKind, Remedy, Verdict};

/// What a message means. Small, because it is passed on; the verdict is made of it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said<'m> {
    pub(super) class: Class,
    pub(super) remedy: Remedy,
    pub(super) rule: &'static str,
    pub(super) named: Option<Named<'m>>,
}

/// The object that a message names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named<'m> {
    pub(super) kind: ObjectKind,
    pub(super) table: Option<&'m str>,
    pub(super) name: &'m str,
    pub(super) doubt: Doubt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// There is one reading.
    Exact,
    /// There are several.
    Approximate,
    /// SQLite itself takes it for a string.
    MaybeLiteral,
}

// ===== impl Said =====

impl<'m> Said<'m> {
    pub(super) const fn drift(rule: &'static str, named: Named<'m>) -> Option<Self> {
        Some(Self {
            class: Class::SchemaDrift,
            remedy: Remedy::Repair,
            rule,
            named: Some(named),
        })
    }

    pub(super) const fn unable(
        rule: &'static str,
        kind: ObjectKind,
        name: &'m str,
    ) -> Option<Self> {
        Some(Self {
            class: Class::Unsupported,
            remedy: Remedy::GiveUp,
            rule,
            named: Some(Named::exact(kind, name)),
        })
    }

    pub(super) const fn nameless(class: Class, remedy: Remedy, rule: &'static str) -> Self {
        Self {
            class,
            remedy,
            rule,
            named: None,
        }
    }

    #[inline]
    pub(super) fn verdict(self, code: i32) -> Verdict<'m> {
        let verdict = self.without_name(code);
        match self.named {
            Some(named) => verdict.with_missing(named.missing(Cow::Borrowed)),
            None => verdict,
        }
    }

    /// With copies of the names, all of them in doubt.
    pub(super) fn into_doubtful(self, code: i32) -> Verdict<'static> {
        let verdict = self.without_name(code);
        match self.named {
            Some(named) => {
                let own = |text: &str| Cow::Owned(text.to_owned());
                verdict.with_missing(named.missing(own).approximate())
            }
            None => verdict,
        }
    }

    const fn without_name<'o>(self, code: i32) -> Verdict<'o> {
        Verdict::new(self.class, self.remedy)
            .with_rule(self.rule)
            .with_code(code)
    }
}

// ===== impl Named =====

impl<'m> Named<'m> {
    const fn exact(kind: ObjectKind, name: &'m str) -> Self {
        Self {
            kind,
            table: None,
            name,
            doubt: Doubt::Exact,
        }
    }

    pub(super) fn with_doubt(self, doubt: Doubt) -> Self {
        let doubt = doubt.max(self.doubt);
        Self { doubt, ..self }
    }

    #[inline]
    fn missing<'o>(self, text: impl Fn(&'m str) -> Cow<'o, str>) -> Missing<'o> {
        let missing = Missing::new(self.kind, text(self.name));
        let missing = match self.table {
            Some(table) => missing.in_table(text(table)),
            None => missing,
        };
        match self.doubt {
            Doubt::Exact => missing,
            Doubt::Approximate => missing.approximate(),
            Doubt::MaybeLiteral => missing.maybe_literal(),
        }
    }

    /// A schema may stand before the dot, or the dot belongs to the name: both are legal, and both are printed alike.
    pub(super) fn dotted(kind: ObjectKind, name: &'m str) -> Self {
        let named = Self::exact(kind, name);
        if name.contains('.') {
            named.with_doubt(Doubt::Approximate)
        } else {
            named
        }
    }

    pub(super) fn column(text: &'m str) -> Self {
        let column = |name| Self::exact(ObjectKind::Column, name);
        if text.starts_with(['"', '`', '[']) {
            let (quoted, doubt) = match text.strip_suffix(HINT) {
                Some(quoted) => (quoted, Doubt::MaybeLiteral),
                None => (text, Doubt::Approximate),
            };
            return column(unquoted(quoted)).with_doubt(doubt);
        }
        match text.rsplit_once('.') {
            // What stands before the dot can be a table, an alias, or a schema and a table.
            Some((table, name)) if !table.is_empty() && !name.is_empty() => Self {
                table: Some(table),
                doubt: Doubt::Approximate,
                ..column(name)
            },
            _ => column(text),
        }
    }
}

/// Printed behind a name in double quotes that is no column, when such a name may not be a string.
const HINT: &str = " - should this be a string literal in single-quotes?";

/// ALTER TABLE prints the name as it was written, quotes included.
fn unquoted(text: &str) -> &str {
    let (open, close) = match text.as_bytes().first() {
        Some(b'"') => ('"', '"'),
        Some(b'`') => ('`', '`'),
        Some(b'[') => ('[', ']'),
        _ => return text,
    };
    text.strip_prefix(open)
        .and_then(|text| text.strip_suffix(close))
        .unwrap_or(text)
}
