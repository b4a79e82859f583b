//! JSON objects to cells, straight from the bytes: no tree of values is built.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::{SmallVec, smallvec};

use super::flat::FlatReader;
use super::{Cell, MessageFault, UnknownCells};
use crate::contract::Contract;

/// Cells of one row; a row of the usual width costs no allocation.
pub(crate) type Cells<'a> = SmallVec<[Cell<'a>; 16]>;

/// Texts of the rows of one message; mostly one.
pub(crate) type Lines<'a> = SmallVec<[&'a str; 1]>;

/// Most rows of one message: with every rule of a wide contract broken in each, they still fit a batch.
pub(super) const MAX_ROWS: usize = 65_536;

/// Reads one object a call into cells in the order of the contract's columns.
#[derive(Debug)]
pub(crate) struct RowReader {
    flat: FlatReader,
    index: HashMap<String, usize>,
    names: Vec<String>,
}

impl RowReader {
    pub(crate) fn new(contract: &Contract) -> Self {
        let names: Vec<String> = contract.columns.iter().map(|c| c.name.clone()).collect();
        let index = names.iter().enumerate().map(|(i, name)| (name.clone(), i)).collect();
        let flat = FlatReader::new(names.iter().map(String::as_str));
        Self { flat, index, names }
    }

    /// Fill `cells` and `unknown` (cleared first) from one JSON object.
    pub(crate) fn read<'de>(
        &self,
        text: &'de str,
        cells: &mut Cells<'de>,
        unknown: &mut UnknownCells<'de>,
    ) -> Result<(), MessageFault> {
        unknown.clear();
        self.clear(cells);
        if self.flat.read(text, cells).is_some() {
            return Ok(());
        }
        self.clear(cells);
        self.read_any(text, cells, unknown)
    }

    /// Whether a column has this name.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    fn clear(&self, cells: &mut Cells<'_>) {
        cells.clear();
        cells.resize(self.names.len(), Cell::Missing);
    }

    /// Read whatever JSON there is; what a message means is told here.
    pub(super) fn read_any<'de>(
        &self,
        text: &'de str,
        cells: &mut Cells<'de>,
        unknown: &mut UnknownCells<'de>,
    ) -> Result<(), MessageFault> {
        let mut json = serde_json::Deserializer::from_str(text);
        let row = RowSeed { reader: self, cells, unknown };
        match row.deserialize(&mut json).and_then(|()| json.end()) {
            Ok(()) => Ok(()),
            Err(error) if error.is_data() => Err(MessageFault::Object),
            Err(_) => Err(MessageFault::Json),
        }
    }

    /// Column named `key`; producers mostly keep the declared order, so the expected place is tried first.
    fn column_of(&self, key: &str, expected: usize) -> Option<usize> {
        match self.names.get(expected) {
            Some(name) if name == key => Some(expected),
            _ => self.index.get(key).copied(),
        }
    }
}

/// Cut a message into the texts of its rows: one object, or JSON lines.
///
/// A message of several lines is taken as JSON lines when each line is an object; else it must be one object
/// written over several lines.
pub(crate) fn lines<'a>(value: &'a [u8], reader: &RowReader) -> Result<Lines<'a>, MessageFault> {
    let text = std::str::from_utf8(value).map_err(|_| MessageFault::Utf8)?;
    let text = text.trim_matches(is_json_space);
    if text.is_empty() {
        return Err(MessageFault::Empty);
    }
    if !text.contains('\n') {
        return Ok(smallvec![text]);
    }
    let rows: Lines<'_> =
        text.split('\n').map(|line| line.trim_matches(is_json_space)).filter(|line| !line.is_empty()).collect();
    if rows.len() > MAX_ROWS {
        return Err(MessageFault::Size);
    }
    match check_all(&rows, reader) {
        Ok(()) => Ok(rows),
        Err(fault) => match check_all(&[text], reader) {
            Ok(()) => Ok(smallvec![text]),
            Err(_) => Err(fault),
        },
    }
}

/// A message is never split between rows and dead letter, so every line is proven before the first is used, and by the
/// reader that will read it: a laxer one lets pass what fails later (numbers out of range, lone surrogates).
fn check_all(rows: &[&str], reader: &RowReader) -> Result<(), MessageFault> {
    let (mut cells, mut unknown) = (Cells::new(), UnknownCells::new());
    rows.iter().try_for_each(|row| reader.read(row, &mut cells, &mut unknown))
}

fn is_json_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

struct RowSeed<'a, 'de> {
    reader: &'a RowReader,
    cells: &'a mut Cells<'de>,
    unknown: &'a mut UnknownCells<'de>,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut expected = 0;
        while let Some(key) = map.next_key::<KeyText<'de>>()? {
            match self.reader.column_of(&key.0, expected) {
                Some(column) => {
                    let cell = map.next_value::<Cell<'de>>()?;
                    self.cells[column] = match self.cells[column] {
                        Cell::Missing => cell,
                        _ => Cell::Duplicate,
                    };
                    expected = column + 1;
                }
                None => self.unknown.push((key.0, map.next_value::<&'de RawValue>()?.get())),
            }
        }
        Ok(())
    }
}

/// A key, borrowed unless it holds escapes.
struct KeyText<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for KeyText<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = KeyText<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(KeyText(Cow::Borrowed(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(KeyText(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}
