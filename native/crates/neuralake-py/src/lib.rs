//! `neuralake_kernel._native`: what Python asks of Rust, in Arrow capsules, scalars, strings and handles.

mod capsules;
mod contract;
mod errors;
mod job;
mod journal;
mod journal_keeping;
mod publication;
mod requeue;
mod store;

use pyo3::prelude::*;

/// The native half of `neuralake_kernel`; imported by `_bridge` alone.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::contract::{contract_check, contract_judge};
    #[pymodule_export]
    use super::job::Job;
    #[pymodule_export]
    use super::journal::{JournalWriter, journal_create_topic, journal_describe, journal_read};
    #[pymodule_export]
    use super::journal_keeping::{
        journal_consumers, journal_drop_consumer, journal_register, journal_retention, journal_set_retention,
        journal_trim,
    };
    #[pymodule_export]
    use super::publication::{Publication, signal_columns};
    #[pymodule_export]
    use super::requeue::requeue;
    #[pymodule_export]
    use super::store::probe_store;
}
