//! What a commit says about itself: the `neuralake` field of its commitInfo.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use serde::{Deserialize, Serialize};

use crate::LakeError;
use crate::columns::AddedColumn;

/// A quarantine file that a main commit names; roll-forward adds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedFile {
    /// Path below the quarantine's root.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Rows in it.
    pub rows: i64,
    /// When it was uploaded, in milliseconds since the epoch.
    pub modified_ms: i64,
}

/// A place in a source where a job went on elsewhere than it had stopped, by somebody's choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jump {
    /// Topic.
    pub topic: String,
    /// Partition of it.
    pub partition: i32,
    /// Next offset to read, before.
    pub from: i64,
    /// Next offset to read, after.
    pub to: i64,
    /// Why it could not go on where it was: the code of the error.
    pub cause: String,
    /// What rows read from here on name as their source.
    pub source: String,
}

/// A file for another table that a main commit names; roll-forward adds it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BesideFile {
    /// The table it is for.
    pub table: String,
    /// The file.
    #[serde(flatten)]
    pub file: NamedFile,
}

/// Ours in commitInfo: who committed, and which rejects stand beside the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Unique to one attempt to commit; settles every doubt.
    pub commit_id: String,
    /// Job that committed.
    pub job: Option<String>,
    /// Its epoch.
    pub epoch: Option<i64>,
    /// Topics it reads from here on, where the commit begins that.
    pub topics: Vec<String>,
    /// Quarantine files decided by this commit.
    pub quarantine: Vec<NamedFile>,
    /// Messages left out, or read anew, by choice.
    pub jumps: Vec<Jump>,
    /// Files for the lake's signal tables decided by this commit.
    pub beside: Vec<BesideFile>,
    /// Columns that this commit adds to the table.
    pub added_columns: Vec<AddedColumn>,
}

impl Provenance {
    /// As one row of engine data for commitInfo.
    pub(crate) fn to_batch(&self) -> Result<RecordBatch, LakeError> {
        let failed = |reason: String| LakeError::Encode(format!("commitInfo: {reason}"));
        let schema = Self::schema();
        let mut decoder = ReaderBuilder::new(Arc::clone(&schema)).build_decoder().map_err(|e| failed(e.to_string()))?;
        let rows = [serde_json::json!({ "neuralake": self })];
        decoder.serialize(&rows).map_err(|e| failed(e.to_string()))?;
        decoder.flush().map_err(|e| failed(e.to_string()))?.ok_or_else(|| failed("no row".to_owned()))
    }

    /// Find ours among the lines of a commit; `None` when another program wrote it.
    pub(crate) fn find(commit: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Line {
            #[serde(rename = "commitInfo")]
            commit_info: Option<Info>,
        }
        #[derive(Deserialize)]
        struct Info {
            neuralake: Option<Provenance>,
        }
        commit
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
            .find_map(|line| line.commit_info?.neuralake)
    }

    fn schema() -> SchemaRef {
        let named = vec![
            Field::new("path", DataType::Utf8, false),
            Field::new("size", DataType::Int64, false),
            Field::new("rows", DataType::Int64, false),
            Field::new("modified_ms", DataType::Int64, false),
        ];
        let mut beside = vec![Field::new("table", DataType::Utf8, false)];
        beside.extend(named.iter().cloned());
        let list = |fields: Vec<Field>| {
            DataType::List(Arc::new(Field::new("element", DataType::Struct(fields.into()), false)))
        };
        let jump = vec![
            Field::new("topic", DataType::Utf8, false),
            Field::new("partition", DataType::Int32, false),
            Field::new("from", DataType::Int64, false),
            Field::new("to", DataType::Int64, false),
            Field::new("cause", DataType::Utf8, false),
            Field::new("source", DataType::Utf8, false),
        ];
        let texts = DataType::List(Arc::new(Field::new("element", DataType::Utf8, false)));
        let added = vec![Field::new("name", DataType::Utf8, false), Field::new("type", DataType::Utf8, false)];
        let own = DataType::Struct(
            vec![
                Field::new("commit_id", DataType::Utf8, false),
                Field::new("job", DataType::Utf8, true),
                Field::new("epoch", DataType::Int64, true),
                Field::new("topics", texts, false),
                Field::new("quarantine", list(named), false),
                Field::new("jumps", list(jump), false),
                Field::new("beside", list(beside), false),
                Field::new("added_columns", list(added), false),
            ]
            .into(),
        );
        Arc::new(Schema::new(vec![Field::new("neuralake", own, false)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provenance_comes_back_from_a_commit() {
        let own = Provenance {
            commit_id: "c1".to_owned(),
            job: Some("j".to_owned()),
            epoch: Some(3),
            topics: vec!["left".to_owned(), "right".to_owned()],
            quarantine: vec![NamedFile { path: "f.parquet".to_owned(), size: 9, rows: 2, modified_ms: 5 }],
            jumps: vec![Jump {
                topic: "t".to_owned(),
                partition: 1,
                from: 7,
                to: 9,
                cause: "position-deleted".to_owned(),
                source: "t@i".to_owned(),
            }],
            beside: vec![BesideFile {
                table: "streams".to_owned(),
                file: NamedFile { path: "s.parquet".to_owned(), size: 7, rows: 1, modified_ms: 6 },
            }],
            added_columns: vec![AddedColumn { name: "x".to_owned(), column_type: "float64".to_owned() }],
        };
        let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
        writer.write(&own.to_batch().unwrap()).unwrap();
        writer.finish().unwrap();
        let line = String::from_utf8(writer.into_inner()).unwrap();
        let commit = format!("{{\"add\":{{}}}}\n{{\"commitInfo\":{}}}\n", line.trim());
        assert_eq!(Provenance::find(commit.as_bytes()), Some(own));
        assert_eq!(Provenance::find(b"{\"commitInfo\":{\"operation\":\"WRITE\"}}\n"), None);
        assert_eq!(Provenance::find(b"torn {"), None);
    }
}
