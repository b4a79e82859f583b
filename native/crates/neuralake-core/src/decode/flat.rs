//! The quick way for what devices send: one flat JSON object whose keys stand in about the declared order.
//!
//! It takes a strict part of what the full reader takes and reads it alike; at the first byte it was not made for
//! (an escape, a nested value, an unknown or repeated key, a number that a table cannot settle) it steps back, and
//! the full reader decides. So it needs no errors of its own, and what a message means is told in one place.

use std::borrow::Cow;

use super::Cell;
use super::json::Cells;

/// Powers of ten that a double holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
/// Digits of an integer that cannot overflow 64 bits.
const SAFE_DIGITS: usize = 18;
/// Keys compared before the full reader, which hashes, is the cheaper one.
const LOOKED_AT: usize = 16;
/// Integers up to here are exact as doubles.
const EXACT: u64 = 1 << 53;

/// The declared keys as they stand in a message: `"name":`.
#[derive(Debug)]
pub(crate) struct FlatReader {
    keys: Vec<Vec<u8>>,
}

impl FlatReader {
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        // A name with an escape in it never matches, and is left to the full reader.
        Self { keys: names.map(|name| format!("\"{name}\":").into_bytes()).collect() }
    }

    /// Fill `cells`, which are all missing, from one object; `None` leaves it to the full reader, cells undefined.
    pub(crate) fn read<'de>(&self, text: &'de str, cells: &mut Cells<'de>) -> Option<()> {
        let mut at = Cursor { text, bytes: text.as_bytes(), at: 0 };
        at.take(b'{')?;
        at.skip_space();
        if at.peek()? == b'}' {
            at.at += 1;
            return at.is_done().then_some(());
        }
        let mut column = 0;
        loop {
            column = self.column_at(&mut at, column)?;
            if cells[column] != Cell::Missing {
                return None;
            }
            at.skip_space();
            cells[column] = at.value()?;
            column += 1;
            at.skip_space();
            match at.next()? {
                b',' => at.skip_space(),
                b'}' => return at.is_done().then_some(()),
                _ => return None,
            }
        }
    }

    /// The column whose key stands here, looked for from `expected` on.
    fn column_at(&self, at: &mut Cursor<'_>, expected: usize) -> Option<usize> {
        let rest = &at.bytes[at.at..];
        let columns = self.keys.len();
        let found = (expected..expected + columns.min(LOOKED_AT))
            .map(|column| column % columns)
            .find(|column| rest.starts_with(&self.keys[*column]))?;
        at.at += self.keys[found].len();
        Some(found)
    }
}

struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Whether nothing follows but white space.
    fn is_done(&mut self) -> bool {
        self.skip_space();
        self.at == self.bytes.len()
    }

    fn value(&mut self) -> Option<Cell<'a>> {
        match self.peek()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true", Cell::Bool(true)),
            b'f' => self.word(b"false", Cell::Bool(false)),
            b'n' => self.word(b"null", Cell::Null),
            _ => None,
        }
    }

    fn word(&mut self, word: &[u8], cell: Cell<'a>) -> Option<Cell<'a>> {
        self.bytes[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            cell
        })
    }

    fn string(&mut self) -> Option<Cell<'a>> {
        let first = self.at + 1;
        let length = self.bytes[first..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
        let last = first + length;
        if self.bytes[last] != b'"' {
            return None;
        }
        self.at = last + 1;
        Some(Cell::Text(Cow::Borrowed(&self.text[first..last])))
    }

    /// An integer of up to 18 digits, or a decimal that Clinger's fast path rounds correctly: a mantissa below 2^53
    /// times or by a power of ten up to 10^22, both exact, so that one operation rounds once (Clinger, PLDI 1990).
    fn number(&mut self) -> Option<Cell<'a>> {
        let is_negative = self.peek() == Some(b'-');
        self.at += usize::from(is_negative);
        let mut digits = Digits::default();
        let whole = self.digits(&mut digits);
        if whole == 0 || (whole > 1 && self.bytes[self.at - whole] == b'0') {
            return None;
        }
        let fraction = if self.peek() == Some(b'.') {
            self.at += 1;
            let count = self.digits(&mut digits);
            if count == 0 {
                return None;
            }
            count
        } else {
            0
        };
        if digits.count > SAFE_DIGITS {
            return None;
        }
        match self.peek() {
            Some(b'e' | b'E') => None,
            _ if fraction == 0 && !is_negative => i64::try_from(digits.value).ok().map(Cell::Integer),
            // -0 is a real number, which has a sign.
            _ if fraction == 0 && digits.value != 0 => i64::try_from(digits.value).ok().map(|v| Cell::Integer(-v)),
            _ if digits.value > EXACT => None,
            _ => {
                #[allow(clippy::cast_precision_loss)] // at most 2^53
                let real = digits.value as f64 / TENS[fraction];
                Some(Cell::Real(if is_negative { -real } else { real }))
            }
        }
    }

    /// Take the digits that stand here; their number.
    fn digits(&mut self, into: &mut Digits) -> usize {
        let first = self.at;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            into.value = into.value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            self.at += 1;
        }
        into.count += self.at - first;
        self.at - first
    }
}

/// Digits read so far, and their value as long as they are few enough.
#[derive(Default)]
struct Digits {
    value: u64,
    count: usize,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::UnknownCells;
    use super::super::json::{Cells, RowReader};
    use super::*;
    use crate::contract::Contract;

    const COLUMNS: [&str; 4] = ["a", "ab", "t", "x"];

    fn reader() -> RowReader {
        let columns = COLUMNS.map(|name| format!(r#"{{"name":"{name}","type":"float64","nullable":true}}"#)).join(",");
        let contract = format!(r#"{{"id":"i","version":1,"columns":[{columns}]}}"#);
        RowReader::new(&Contract::from_json(&contract).unwrap())
    }

    fn quick(text: &str) -> Option<String> {
        let mut cells = Cells::from_vec(vec![Cell::Missing; COLUMNS.len()]);
        let flat = FlatReader::new(COLUMNS.into_iter());
        // Debug tells -0 from 0, as a table does.
        flat.read(text, &mut cells).map(|()| format!("{cells:?}"))
    }

    fn full(text: &str) -> Option<String> {
        let mut cells = Cells::from_vec(vec![Cell::Missing; COLUMNS.len()]);
        reader().read_any(text, &mut cells, &mut UnknownCells::new()).ok().map(|()| format!("{cells:?}"))
    }

    #[test]
    fn what_devices_send_goes_the_quick_way() {
        for text in [
            r#"{"a":1,"ab":-40.25,"t":"s-0001","x":null}"#,
            r#"{ "t": "ü", "x": true , "a": 0 }"#,
            "{}",
            r#"{"x":-0,"a":999999999999999999}"#,
        ] {
            assert_eq!(quick(text), full(text), "{text}");
            assert!(quick(text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_it_was_not_made_for_is_left_to_the_full_reader() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":-}"#,
            r#"{"a":1e3}"#,
            r#"{"a":"\n"}"#,
            "{\"a\":\"\u{1}\"}",
            r#"{"a":9007199254740993.5}"#,
            r#"{"a":1000000000000000000}"#,
            r#"{"a":1}}"#,
            r#"{"a":1,}"#,
            r#"{"a":{}}"#,
            r#"{"other":1}"#,
            r#"{"a":nul}"#,
            r#"{"a":"#,
            "",
        ] {
            assert_eq!(quick(text), None, "{text}");
        }
    }

    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            "-?[0-9]{1,20}",
            "-?[0-9]{1,12}\\.[0-9]{0,12}([eE][+-]?[0-9]{1,3})?",
            any::<f64>().prop_map(|v| v.to_string()),
            any::<i64>().prop_map(|v| v.to_string()),
            "\"[a-zü\\\\\"nu0 \u{1}]{0,6}\"",
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("[1]".to_owned()),
        ]
    }

    fn object() -> impl Strategy<Value = String> {
        let space = "[ \t\r\n]{0,2}";
        let key = prop_oneof![9 => prop::sample::select(COLUMNS.to_vec()), 1 => Just("other")];
        let member = (space, key, space, value(), space)
            .prop_map(|(before, key, between, value, after)| format!("{before}\"{key}\":{between}{value}{after}"));
        (prop::collection::vec(member, 0..6), prop::option::weighted(0.1, 0usize..80)).prop_map(|(members, cut)| {
            let text = format!("{{{}}}", members.join(","));
            let upto = cut.unwrap_or(text.len()).min(text.len());
            text[..text.floor_char_boundary(upto)].to_owned()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn what_it_takes_the_full_reader_reads_alike(text in object()) {
            if let Some(cells) = quick(&text) {
                prop_assert_eq!(Some(cells), full(&text));
            }
        }
    }
}
