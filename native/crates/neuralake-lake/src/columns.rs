//! The columns of a table beside those that its writer declares: what may be added, and what cannot be settled.
//!
//! A table gains nullable columns and changes in no other way. Both questions here are asked of one snapshot, so they
//! are asked anew of each snapshot that a commit is rebuilt on: a column that another writer added meanwhile is equal,
//! or a difference that stops this one.

use std::fmt;

use delta_kernel::schema::{DataType, PrimitiveType, StructField, StructType};
use serde::{Deserialize, Serialize};

use crate::LakeError;

/// A column that a commit adds to its table.
#[derive(Debug, Clone)]
pub struct NewColumn {
    pub(crate) field: StructField,
    /// Whether files keep statistics of it, so that readers may pass them by.
    pub(crate) has_statistics: bool,
}

/// A column that a commit has added, as its commitInfo tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedColumn {
    /// Name.
    pub name: String,
    /// Type, as declarations name it.
    #[serde(rename = "type")]
    pub column_type: String,
}

impl From<&NewColumn> for AddedColumn {
    fn from(column: &NewColumn) -> Self {
        Self { name: column.field.name().clone(), column_type: Words(column.field.data_type()).to_string() }
    }
}

/// Nullable columns that are declared and that the table lacks, in declared order.
///
/// Columns of the table that the declaration leaves out are no difference where they may be null: new rows are null
/// there.
///
/// # Errors
/// `TableMismatch` with a line for each other difference.
pub(crate) fn lacking(table: &str, found: &StructType, declared: &StructType) -> Result<Vec<StructField>, LakeError> {
    let mut lacking = Vec::new();
    let mut differences = Vec::new();
    for field in declared.fields() {
        match same_name(found, field.name()) {
            None if field.is_nullable() && !is_identity(field) => lacking.push(field.clone()),
            held => differences.extend(difference(held, Some(field))),
        }
    }
    let left_out = found.fields().filter(|held| same_name(declared, held.name()).is_none());
    differences.extend(left_out.filter_map(|held| difference(Some(held), None)));
    if differences.is_empty() {
        return Ok(lacking);
    }
    Err(LakeError::TableMismatch {
        table: table.to_owned(),
        reason: format!("its columns are not the declared ones:\n  {}", differences.join("\n  ")),
    })
}

/// One line: column, what the table has, what the declaration has, what to do.
fn difference(held: Option<&StructField>, declared: Option<&StructField>) -> Option<String> {
    let advice = match (held, declared) {
        (None, None) => return None,
        (Some(held), Some(declared)) if held.name() != declared.name() => {
            format!("names that differ in case alone are one: declare {}", held.name())
        }
        (Some(held), Some(declared)) if held.data_type() != declared.data_type() => {
            format!("a column keeps its type: declare {}, or give the new one another name", Words(held.data_type()))
        }
        (Some(held), Some(declared)) => match (held.is_nullable(), declared.is_nullable()) {
            (true, false) => "rows without a value may be there: declare it nullable, and keep nulls out by a rule",
            (false, true) => "it takes no null: declare it nullable=False",
            _ => return None,
        }
        .to_owned(),
        (None, Some(declared)) if is_identity(declared) => {
            "every row needs it: no job of ours made this table".to_owned()
        }
        (None, Some(_)) => "rows that are there have no value for it: declare it nullable=True".to_owned(),
        (Some(held), None) if held.is_nullable() && !is_identity(held) => return None,
        (Some(_), None) => "every row needs a value there: keep it declared".to_owned(),
    };
    let name = declared.or(held).map(StructField::name)?;
    Some(format!("{name}: the table has {}, the declaration {}; {advice}", told(held), told(declared)))
}

fn told(field: Option<&StructField>) -> String {
    match field {
        None => "no such column".to_owned(),
        Some(field) if field.is_nullable() => format!("{} {}", field.name(), Words(field.data_type())),
        Some(field) => format!("{} {} not null", field.name(), Words(field.data_type())),
    }
}

fn same_name<'a>(columns: &'a StructType, name: &str) -> Option<&'a StructField> {
    columns.field(name).or_else(|| columns.fields().find(|field| field.name().eq_ignore_ascii_case(name)))
}

/// Whether a column belongs to the law, not to a declaration.
fn is_identity(field: &StructField) -> bool {
    field.name().starts_with('_')
}

/// A type as declarations and the catalog name it.
struct Words<'a>(&'a DataType);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.0 {
            DataType::Primitive(PrimitiveType::Boolean) => "bool",
            DataType::Primitive(PrimitiveType::Byte) => "int8",
            DataType::Primitive(PrimitiveType::Short) => "int16",
            DataType::Primitive(PrimitiveType::Integer) => "int32",
            DataType::Primitive(PrimitiveType::Long) => "int64",
            DataType::Primitive(PrimitiveType::Float) => "float32",
            DataType::Primitive(PrimitiveType::Double) => "float64",
            DataType::Primitive(PrimitiveType::Timestamp) => "timestamp_us",
            DataType::Array(list) => return write!(f, "list[{}]", Words(list.element_type())),
            other => return write!(f, "{other}"),
        };
        f.write_str(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> StructType {
        StructType::try_new([
            StructField::not_null("n", DataType::LONG),
            StructField::nullable("s", DataType::STRING),
            StructField::not_null("_offset", DataType::LONG),
        ])
        .unwrap()
    }

    fn declared(own: impl IntoIterator<Item = StructField>) -> StructType {
        StructType::try_new(own.into_iter().chain([StructField::not_null("_offset", DataType::LONG)])).unwrap()
    }

    fn n() -> StructField {
        StructField::not_null("n", DataType::LONG)
    }

    #[test]
    fn a_new_nullable_column_is_lacking_wherever_it_is_declared() {
        let new = StructField::nullable("x", DataType::DOUBLE);
        let wanted = declared([new.clone(), n(), StructField::nullable("s", DataType::STRING)]);
        assert_eq!(lacking("t", &table(), &wanted).unwrap(), [new]);
    }

    #[test]
    fn a_nullable_column_may_be_left_out_of_the_declaration() {
        assert_eq!(lacking("t", &table(), &declared([n()])).unwrap(), []);
    }

    #[test]
    fn every_other_difference_has_a_line_of_its_own() {
        let wanted = StructType::try_new([
            StructField::not_null("s", DataType::STRING),
            StructField::not_null("x", DataType::DOUBLE),
            StructField::nullable("_row", DataType::INTEGER),
            StructField::nullable("_OFFSET", DataType::LONG),
        ])
        .unwrap();
        let said = lacking("t", &table(), &wanted).unwrap_err().to_string();
        for line in [
            "s: the table has s string, the declaration s string not null; rows without a value may be there",
            "x: the table has no such column, the declaration x float64 not null; rows that are there have no value",
            "_row: the table has no such column, the declaration _row int32; every row needs it",
            "_OFFSET: the table has _offset int64 not null, the declaration _OFFSET int64; names that differ in case",
            "n: the table has n int64 not null, the declaration no such column; every row needs a value there",
        ] {
            assert!(said.contains(line), "{line} in {said}");
        }
        let other_type = [StructField::not_null("n", DataType::DOUBLE)];
        let said = lacking("t", &table(), &declared(other_type)).unwrap_err().to_string();
        assert!(
            said.contains("n int64 not null, the declaration n float64 not null; a column keeps its type"),
            "{said}"
        );
        let relaxed = [StructField::nullable("n", DataType::LONG)];
        let said = lacking("t", &table(), &declared(relaxed)).unwrap_err().to_string();
        assert!(said.contains("it takes no null"), "{said}");
    }
}
