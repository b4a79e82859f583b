//! The quarantine of a table: decided by main commits, filled by roll-forward.
//!
//! The main commit is the only decision: it names the reject files that were uploaded before it. Roll-forward adds,
//! in one commit, every file named by main versions above the recorded one, and records the version it reached.
//! Nothing is judged twice, and running it twice changes nothing.

use std::time::Duration;

use crate::LakeError;
use crate::log::{NamedFile, Provenance};
use crate::table::{DataFile, Draft, Table, TableView};

/// Bring the quarantine up to the version of the main snapshot. Returns whether files were added.
///
/// `keep_unmoved` leaves the recorded version where it is when no file was named since, so that a flush without
/// rejects costs no second commit; a start passes false.
///
/// # Errors
/// `Log` when a version between the two was cleaned away, else what a commit says.
pub fn roll_forward(
    main: &Table,
    quarantine: &mut Table,
    deadline: Duration,
    keep_unmoved: bool,
) -> Result<bool, LakeError> {
    follow(main, quarantine, &|said| said.quarantine, deadline, keep_unmoved)
}

/// Bring a table beside the main one, one that several may feed, up to the version of the main snapshot, as
/// `roll_forward` does the quarantine.
///
/// # Errors
/// As `roll_forward`.
pub fn roll_beside(
    main: &Table,
    (name, beside): (&str, &mut Table),
    deadline: Duration,
    keep_unmoved: bool,
) -> Result<bool, LakeError> {
    let named = |said: Provenance| said.beside.into_iter().filter(|of| of.table == name).map(|of| of.file).collect();
    follow(main, beside, &named, deadline, keep_unmoved)
}

fn follow(
    main: &Table,
    side: &mut Table,
    named: &dyn Fn(Provenance) -> Vec<NamedFile>,
    deadline: Duration,
    keep_unmoved: bool,
) -> Result<bool, LakeError> {
    let application = main.id();
    let reached = main.version();
    let target = i64::try_from(reached).unwrap_or(i64::MAX);
    main.pass("before_roll_forward");
    // A quiet table has not been looked at for long; what is added to it is named already, not uploaded now.
    side.ensure_fresh()?;
    let mut has_added = false;
    let has_committed = side.commit(deadline, &mut |view: &mut dyn TableView| {
        let recorded = view.txn(&application)?;
        if recorded.is_some_and(|recorded| recorded >= target) {
            return Ok(None);
        }
        let first = recorded.map_or(0, |recorded| u64::try_from(recorded + 1).unwrap_or(0));
        let mut files = Vec::new();
        for version in first..=reached {
            if let Some(said) = main.provenance(version)? {
                files.extend(named(said).into_iter().map(DataFile::from_named));
            }
        }
        has_added = !files.is_empty();
        if files.is_empty() && keep_unmoved {
            return Ok(None);
        }
        Ok(Some(Draft { files, txns: vec![(application.clone(), target)], ..Draft::default() }))
    })?;
    main.pass("after_roll_forward");
    Ok(has_committed && has_added)
}
