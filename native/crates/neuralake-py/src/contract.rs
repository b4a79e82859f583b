//! Contracts for Python: the verdict that the ingestor would give on rows at hand.

use std::sync::Arc;

use arrow::array::{Int64Array, ListBuilder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use neuralake_core::CoreError;
use neuralake_core::contract::{Breach, Contract, Plan};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::capsules::{ArrowBatch, batches_of};
use crate::errors::core_error;

/// Check that a contract fits together.
#[pyfunction]
pub(crate) fn contract_check(contract: &str) -> PyResult<()> {
    Contract::from_json(contract).map(drop).map_err(core_error)
}

/// Rows of a stream of batches that break a contract: number, reasons, and the warnings of those that break no more.
#[pyfunction]
pub(crate) fn contract_judge(py: Python<'_>, contract: &str, rows: &Bound<'_, PyAny>) -> PyResult<ArrowBatch> {
    let batches = batches_of(rows)?.collect::<Result<Vec<_>, _>>();
    let batches = batches.map_err(|e| PyValueError::new_err(e.to_string()))?;
    py.detach(|| judge(contract, &batches)).map(ArrowBatch::new).map_err(core_error)
}

fn judge(contract: &str, batches: &[RecordBatch]) -> Result<RecordBatch, CoreError> {
    let contract = Contract::from_json(contract)?;
    let plan = Plan::new(&contract)?;
    let mut numbers = Vec::new();
    let mut reasons = ListBuilder::new(StringBuilder::new());
    let mut warnings = ListBuilder::new(StringBuilder::new());
    let mut before = 0;
    for batch in batches {
        let verdict = plan.judge_batch(&contract, batch)?;
        let mut found: Vec<(Breach, bool)> = verdict.breaches.into_iter().map(|breach| (breach, false)).collect();
        found.extend(verdict.warnings.into_iter().map(|warning| (warning, true)));
        found.sort_unstable();
        for broken in found.chunk_by(|a, b| a.0.row == b.0.row) {
            numbers.push(i64::try_from(before + broken[0].0.row).unwrap_or(i64::MAX));
            for (breach, stays) in broken {
                let list = if *stays { &mut warnings } else { &mut reasons };
                list.values().append_value(plan.id(breach.rule));
            }
            reasons.append(true);
            warnings.append(true);
        }
        before += batch.num_rows();
    }
    let texts = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let schema = Schema::new(vec![
        Field::new("row", DataType::Int64, false),
        Field::new("reasons", texts.clone(), false),
        Field::new("warnings", texts, false),
    ]);
    Ok(RecordBatch::try_new(
        Arc::new(schema),
        vec![Arc::new(Int64Array::from(numbers)), Arc::new(reasons.finish()), Arc::new(warnings.finish())],
    )?)
}
