//! How verdicts and names are written and read with the feature `serde`.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use crate::names::{Doubt, Form, Names, Own};
use crate::{ObjectKind, Verdict};

/// A [`Missing`](crate::Missing) as it is written.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Missing<'e> {
    kind: ObjectKind,
    table: Option<Cow<'e, str>>,
    name: Cow<'e, str>,
    #[serde(default)]
    approximate: bool,
    #[serde(default)]
    maybe_literal: bool,
}

impl<'e> From<crate::Missing<'e>> for Missing<'e> {
    fn from(missing: crate::Missing<'e>) -> Self {
        let (kind, names, doubt) = missing.into_parts();
        let (table, name) = match names {
            Names::Borrowed { table, name } => (table.map(Cow::Borrowed), Cow::Borrowed(name)),
            Names::Owned(own) => {
                let Own { table, name } = *own;
                let owned = |text: Box<str>| Cow::Owned(text.into_string());
                (table.map(owned), owned(name))
            }
        };
        Self {
            kind,
            table,
            name,
            approximate: doubt != Doubt::Exact,
            maybe_literal: doubt == Doubt::MaybeLiteral,
        }
    }
}

impl<'e> From<Missing<'e>> for crate::Missing<'e> {
    fn from(stored: Missing<'e>) -> Self {
        let doubt = match (stored.maybe_literal, stored.approximate) {
            (true, _) => Doubt::MaybeLiteral,
            (false, true) => Doubt::Approximate,
            (false, false) => Doubt::Exact,
        };
        let missing = Self::new(stored.kind, stored.name);
        let missing = match stored.table {
            Some(table) => missing.in_table(table),
            None => missing,
        };
        missing.with_form(Form::Read(doubt))
    }
}

impl Serialize for Verdict<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Verdict", 7)?;
        fields.serialize_field("class", &self.class())?;
        fields.serialize_field("remedy", &self.remedy())?;
        fields.serialize_field("depth", &self.depth())?;
        fields.serialize_field("veto", &self.is_veto())?;
        fields.serialize_field("code", &self.code())?;
        fields.serialize_field("rule", self.rule())?;
        fields.serialize_field("missing", &self.missing())?;
        fields.end()
    }
}
