//! Fields of messages that the contract does not name: how often, what they said, and which column would take them.
//!
//! What is told does not depend on how a stream is cut into batches: counts add up, kinds of values gather, and of too
//! many names the first in the alphabet are told, whichever came first. A name once crowded out stays out, so the count
//! of one that is told is whole.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::DateTime;
use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use super::column::days;
use crate::contract::ColumnType;

/// Names told at most.
const MAX_FIELDS: usize = 32;
/// Longer names are counted, not told.
const MAX_NAME_BYTES: usize = 128;
/// Different values told of a field, in the order they came.
const MAX_EXAMPLES: usize = 3;
/// Characters told of a value.
const MAX_EXAMPLE_CHARS: usize = 60;

/// Unknown fields of one row: the name, and the value as it stands in the message.
pub(crate) type UnknownCells<'a> = SmallVec<[(Cow<'a, str>, &'a str); 4]>;

/// Unknown fields of many rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UnknownFields {
    /// By name.
    fields: BTreeMap<String, UnknownField>,
    /// How often fields occurred that are not among them.
    others: u64,
}

/// One unknown field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UnknownField {
    /// How often it occurred.
    count: u64,
    /// What its values were.
    kinds: Kinds,
    /// Some of them, as they stood in their messages.
    examples: Vec<String>,
    /// Type of a column that takes them all; none where there is no such type.
    #[serde(rename = "type")]
    column_type: Option<ColumnType>,
}

impl UnknownFields {
    /// Take in what one row said.
    pub(crate) fn note(&mut self, cells: &UnknownCells<'_>) {
        for (name, raw) in cells {
            if let Some(field) = self.fields.get_mut(name.as_ref()) {
                field.note(raw);
            } else if self.has_place_for(name) {
                let mut field = UnknownField::default();
                field.note(raw);
                self.insert(name.to_string(), field);
            } else {
                self.others += 1;
            }
        }
    }

    /// Take in what a column of so many rows said; `examples` is asked where some are wanted.
    pub(super) fn note_column(&mut self, name: &str, rows: u64, kinds: Kinds, examples: impl Fn() -> Vec<String>) {
        let mut field = UnknownField { count: rows, ..UnknownField::default() };
        field.gather(kinds);
        if self.fields.get(name).is_none_or(|own| own.examples.len() < MAX_EXAMPLES) {
            examples().iter().for_each(|example| field.tell(shown(example)));
        }
        self.merge(Self { fields: BTreeMap::from([(name.to_owned(), field)]), others: 0 });
    }

    /// Take in what later rows said.
    pub fn merge(&mut self, later: Self) {
        self.others += later.others;
        for (name, field) in later.fields {
            if let Some(own) = self.fields.get_mut(&name) {
                own.merge(field);
            } else if self.has_place_for(&name) {
                self.insert(name, field);
            } else {
                self.others += field.count;
            }
        }
    }

    fn has_place_for(&self, name: &str) -> bool {
        let is_before = self.fields.last_key_value().is_some_and(|(last, _)| name < last.as_str());
        name.len() <= MAX_NAME_BYTES && (self.fields.len() < MAX_FIELDS || is_before)
    }

    fn insert(&mut self, name: String, field: UnknownField) {
        self.fields.insert(name, field);
        if self.fields.len() > MAX_FIELDS
            && let Some((_, crowded_out)) = self.fields.pop_last()
        {
            self.others += crowded_out.count;
        }
    }
}

impl UnknownField {
    fn note(&mut self, raw: &str) {
        self.count += 1;
        let kinds = kinds_of(raw, self.kinds);
        self.gather(kinds);
        if self.examples.len() < MAX_EXAMPLES && kinds != Kinds::NULL {
            self.tell(shown(raw));
        }
    }

    fn merge(&mut self, later: Self) {
        self.count += later.count;
        self.gather(later.kinds);
        later.examples.into_iter().for_each(|example| self.tell(Cow::Owned(example)));
    }

    fn gather(&mut self, kinds: Kinds) {
        self.kinds = self.kinds.and(kinds);
        self.column_type = self.kinds.column_type();
    }

    fn tell(&mut self, example: Cow<'_, str>) {
        if self.examples.len() < MAX_EXAMPLES && !self.examples.iter().any(|told| *told == example) {
            self.examples.push(example.into_owned());
        }
    }
}

/// Kinds of the values of one field, as a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kinds(u16);

impl Kinds {
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOL: Self = Self(1 << 1);
    pub(super) const INTEGER: Self = Self(1 << 2);
    pub(super) const REAL: Self = Self(1 << 3);
    /// Text that says a day.
    const DATE: Self = Self(1 << 4);
    /// Text that says a time.
    const TIME: Self = Self(1 << 5);
    /// Any other text.
    pub(super) const TEXT: Self = Self(1 << 6);
    pub(super) const NESTED: Self = Self(1 << 7);
    pub(super) const BINARY: Self = Self(1 << 8);
    /// Days and times that are none of text.
    pub(super) const DAYS: Self = Self(1 << 9);
    pub(super) const INSTANT: Self = Self(1 << 10);
    /// What no column takes.
    pub(super) const OTHER: Self = Self(1 << 11);
    const NAMES: [(Self, &'static str); 12] = [
        (Self::NULL, "null"),
        (Self::BOOL, "bool"),
        (Self::INTEGER, "integer"),
        (Self::REAL, "real"),
        (Self::DATE, "date"),
        (Self::TIME, "time"),
        (Self::TEXT, "text"),
        (Self::NESTED, "nested"),
        (Self::BINARY, "binary"),
        (Self::DAYS, "date"),
        (Self::INSTANT, "time"),
        (Self::OTHER, "other"),
    ];

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has(self, kind: Self) -> bool {
        self.0 & kind.0 != 0
    }

    /// A type that takes every value of these kinds, by the set alone: neither order nor number of the values counts.
    fn column_type(self) -> Option<ColumnType> {
        let is_within = |kinds: Self| self.0 & !(kinds.0 | Self::NULL.0) == 0;
        match () {
            () if is_within(Self::NULL) => None,
            () if is_within(Self::BOOL) => Some(ColumnType::Bool),
            () if is_within(Self::INTEGER) => Some(ColumnType::Int64),
            () if is_within(Self::INTEGER.and(Self::REAL)) => Some(ColumnType::Float64),
            () if is_within(Self::DATE) => Some(ColumnType::Date),
            () if is_within(Self::TIME) => Some(ColumnType::TimestampUs),
            () if is_within(Self::DAYS) => Some(ColumnType::Date),
            () if is_within(Self::INSTANT) => Some(ColumnType::TimestampUs),
            () if is_within(Self::DATE.and(Self::TIME).and(Self::TEXT)) => Some(ColumnType::String),
            () if is_within(Self::TEXT.and(Self::BINARY)) => Some(ColumnType::Binary),
            () => None,
        }
    }
}

impl Serialize for Kinds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(Self::NAMES.iter().filter(|(kind, _)| self.has(*kind)).map(|(_, name)| name))
    }
}

/// Kind of a JSON value that has been read as valid. Once a field has held any text, `known` tells that looking for
/// dates in further ones changes nothing.
fn kinds_of(raw: &str, known: Kinds) -> Kinds {
    match raw.as_bytes().first() {
        Some(b'n') => Kinds::NULL,
        Some(b't' | b'f') => Kinds::BOOL,
        Some(b'{' | b'[') => Kinds::NESTED,
        Some(b'"') if known.has(Kinds::TEXT) => Kinds::TEXT,
        Some(b'"') => match raw.trim_matches('"') {
            text if days(text).is_some() => Kinds::DATE,
            text if DateTime::parse_from_rfc3339(text).is_ok() => Kinds::TIME,
            _ => Kinds::TEXT,
        },
        // As the reader has it: what does not fit 64 bits is real, and so is -0, which has a sign.
        _ if raw != "-0" && raw.parse::<i64>().is_ok() => Kinds::INTEGER,
        _ => Kinds::REAL,
    }
}

fn shown(raw: &str) -> Cow<'_, str> {
    match raw.char_indices().nth(MAX_EXAMPLE_CHARS) {
        None => Cow::Borrowed(raw),
        Some((end, _)) => Cow::Owned(format!("{}…", &raw[..end])),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(rows: &[(String, String)]) -> UnknownFields {
        let mut unknown = UnknownFields::default();
        for (name, raw) in rows {
            unknown.note(&UnknownCells::from_iter([(Cow::Borrowed(name.as_str()), raw.as_str())]));
        }
        unknown
    }

    fn proposed(values: &[&str]) -> Option<ColumnType> {
        let rows: Vec<_> = values.iter().map(|raw| ("x".to_owned(), (*raw).to_owned())).collect();
        of(&rows).fields["x"].column_type
    }

    #[test]
    fn a_type_is_proposed_that_takes_every_value() {
        for (values, expected) in [
            (&["1", "-7"][..], Some(ColumnType::Int64)),
            (&["1", "1.5"], Some(ColumnType::Float64)),
            (&["1", "-0"], Some(ColumnType::Float64)),
            (&["9223372036854775808"], Some(ColumnType::Float64)),
            (&["1e3"], Some(ColumnType::Float64)),
            (&["null", "true"], Some(ColumnType::Bool)),
            (&[r#""2026-11-21""#], Some(ColumnType::Date)),
            (&[r#""2026-11-21T18:00:00Z""#], Some(ColumnType::TimestampUs)),
            (&[r#""2026-11-21""#, r#""2026-11-21T18:00:00Z""#], Some(ColumnType::String)),
            (&[r#""2026-11-21""#, r#""""#], Some(ColumnType::String)),
            (&["null"], None),
            (&["1", r#""1""#], None),
            (&["true", "1"], None),
            (&["[1]"], None),
            (&[r#"{"a":1}"#, "1"], None),
        ] {
            assert_eq!(proposed(values), expected, "{values:?}");
        }
    }

    #[test]
    fn names_and_values_are_told_within_bounds() {
        let long = format!("\"{}\"", "ü".repeat(100));
        let rows: Vec<_> = (0..100)
            .map(|name| (format!("f{name:03}"), long.clone()))
            .chain((0..10).map(|value| ("a".to_owned(), value.to_string())))
            .chain([("n".repeat(MAX_NAME_BYTES + 1), "1".to_owned())])
            .collect();
        let unknown = of(&rows);
        assert_eq!(unknown.fields.len(), MAX_FIELDS);
        assert_eq!(unknown.fields["a"].examples, ["0", "1", "2"]);
        assert_eq!(unknown.fields["f000"].examples[0].chars().count(), MAX_EXAMPLE_CHARS + 1);
        assert_eq!(unknown.fields.values().map(|field| field.count).sum::<u64>() + unknown.others, rows.len() as u64);
    }

    fn rows() -> impl Strategy<Value = Vec<(String, String)>> {
        let value = prop_oneof![
            any::<i64>().prop_map(|v| v.to_string()),
            any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| format!("{v:?}")),
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("[]".to_owned()),
            Just(r#""2026-11-21""#.to_owned()),
            "\"[a-c]{0,2}\"",
        ];
        prop::collection::vec(("[a-e][0-9]", value), 0..150)
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_changes_nothing(rows in rows(), cuts in prop::collection::vec(0usize..150, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).chain([0, rows.len()]).collect();
            cuts.sort_unstable();
            let mut merged = UnknownFields::default();
            for pair in cuts.windows(2) {
                merged.merge(of(&rows[pair[0]..pair[1]]));
            }
            let mut whole = of(&rows);
            prop_assert_eq!(&merged.others, &whole.others);
            // Which kinds of text were told apart depends on what came first; the type does not.
            for fields in [&mut merged.fields, &mut whole.fields] {
                fields.values_mut().for_each(|field| field.kinds = Kinds::default());
            }
            prop_assert_eq!(merged, whole);
        }

        #[test]
        fn nor_does_the_order_of_its_rows(rows in rows()) {
            let told = |rows: &[(String, String)]| {
                let unknown = of(rows);
                let fields = unknown.fields.into_iter().map(|(name, field)| (name, field.count, field.column_type));
                (unknown.others, fields.collect::<Vec<_>>())
            };
            let reversed: Vec<_> = rows.iter().rev().cloned().collect();
            prop_assert_eq!(told(&rows), told(&reversed));
        }
    }
}
