//! Where a start reads on: the positions of the table, first positions, and jumps by choice.
//!
//! A partition without a position gets one by a commit of its own, before the first read. A position that the source
//! does not hold stops the job, unless this very start was given a choice: then the same commit moves the position,
//! tells what was left out, and spends the choice, so that no later start repeats it for another cause.

use std::collections::BTreeMap;

use neuralake_core::position::{Offset, Partition};
use neuralake_lake::log::{Jump, Provenance};
use neuralake_lake::{Draft, LakeError, Table, TableView};
use uuid::Uuid;

use super::begin::{check_epoch, provenance};
use super::spec::{Choice, JobSpec, StartAt};
use crate::StreamError;
use crate::source::{Cause, Held, Missing, Place, Source, find_missing};

/// Where to read on, and what rows will name as their source.
pub(super) struct Places {
    pub(super) places: BTreeMap<Partition, Place>,
    pub(super) jumps: Vec<Jump>,
    pub(super) source: String,
}

impl Places {
    pub(super) fn positions(&self) -> BTreeMap<Partition, Offset> {
        self.places.iter().map(|(partition, place)| (*partition, place.offset)).collect()
    }
}

/// What the table says of one topic.
struct Known {
    is_replaced: bool,
    branch: i64,
    places: BTreeMap<Partition, Place>,
}

/// Find out where to read on, and commit what is new about it.
pub(super) fn take_places(
    spec: &JobSpec,
    main: &mut Table,
    epoch: i64,
    source: &mut dyn Source,
) -> Result<Places, StreamError> {
    let incarnation = source.incarnation();
    let held = source.held()?;
    let known = known(spec, main, incarnation, &held)?;
    let missing = missing(&known, &held, source)?;
    let open_choice = open_choice(spec, main)?;
    let choice = match (open_choice, missing.values().next()) {
        (None, Some(first)) => return Err(first.error(&spec.topic, incarnation)),
        (choice, _) => choice,
    };
    let branch = match (known.is_replaced, missing.values().any(|m| m.cause.is_another_log())) {
        (true, _) => 0,
        (false, true) => known.branch + 1,
        (false, false) => known.branch,
    };
    let mut taken = Places { places: BTreeMap::new(), jumps: Vec::new(), source: named(spec, incarnation, branch) };
    // Nobody but a newer epoch moves what was read above.
    main.commit(spec.deadline(), &mut |view: &mut dyn TableView| {
        check_epoch(spec, view, epoch)?;
        let mut txns = Vec::new();
        taken.places.clear();
        taken.jumps.clear();
        for part in &held {
            let place = match (missing.get(&part.partition), known.places.get(&part.partition)) {
                (Some(missing), _) => {
                    let to = target(missing, choice);
                    taken.jumps.push(jump(spec, missing, to, &taken.source));
                    to
                }
                (None, Some(place)) => {
                    taken.places.insert(part.partition, *place);
                    continue;
                }
                (None, None) => first_position(spec, part, &known, &missing, choice),
            };
            txns.push((spec.position_key(part.partition), place.0));
            if view.txn(&spec.leader_epoch_key(part.partition))?.is_some() {
                txns.push((spec.leader_epoch_key(part.partition), -1));
            }
            taken.places.insert(part.partition, Place { offset: place, leader_epoch: None });
        }
        if known.is_replaced {
            txns.push((spec.incarnation_key(), short_id(incarnation)));
        }
        if branch != known.branch {
            txns.push((spec.branch_key(), branch));
        }
        if open_choice.is_some() {
            txns.push((spec.choice_key(), spec.on_missing.token));
        }
        if txns.is_empty() {
            return Ok(None);
        }
        let provenance = Provenance { jumps: taken.jumps.clone(), ..provenance(spec, epoch) };
        Ok(Some(Draft { txns, provenance, ..Draft::default() }))
    })?;
    Ok(taken)
}

/// The choice this start was given, unless a start before has spent it.
pub(super) fn open_choice(spec: &JobSpec, view: &mut dyn TableView) -> Result<Option<Choice>, LakeError> {
    let is_spent = view.txn(&spec.choice_key())? == Some(spec.on_missing.token);
    Ok((spec.on_missing.choice != Choice::Fail && !is_spent).then_some(spec.on_missing.choice))
}

/// 63 bits of an incarnation, as a Delta transaction can hold them.
pub(super) fn short_id(incarnation: Uuid) -> i64 {
    let (high, _) = incarnation.as_u64_pair();
    i64::try_from(high >> 1).unwrap_or(i64::MAX)
}

fn known(spec: &JobSpec, view: &mut dyn TableView, incarnation: Uuid, held: &[Held]) -> Result<Known, LakeError> {
    let mut places = BTreeMap::new();
    for part in held {
        let Some(offset) = view.txn(&spec.position_key(part.partition))? else { continue };
        let leader_epoch = view.txn(&spec.leader_epoch_key(part.partition))?;
        let leader_epoch = leader_epoch.and_then(|epoch| i32::try_from(epoch).ok()).filter(|epoch| *epoch >= 0);
        places.insert(part.partition, Place { offset: Offset(offset), leader_epoch });
    }
    let id = view.txn(&spec.incarnation_key())?;
    let branch = view.txn(&spec.branch_key())?.unwrap_or(0);
    Ok(Known { is_replaced: id.is_some_and(|id| id != short_id(incarnation)), branch, places })
}

fn missing(known: &Known, held: &[Held], source: &mut dyn Source) -> Result<BTreeMap<Partition, Missing>, StreamError> {
    let whole = |cause, places: BTreeMap<Partition, Offset>| {
        held.iter()
            .filter_map(|part| {
                let position = *places.get(&part.partition)?;
                Some(Missing { cause, position, held: *part, unread: part.first })
            })
            .collect()
    };
    let found: Vec<Missing> = if known.is_replaced {
        whole(Cause::Replaced, known.places.iter().map(|(partition, place)| (*partition, place.offset)).collect())
    } else if known.places.is_empty() {
        whole(Cause::Unknown, source.remembered()?)
    } else {
        find_missing(source, held, &known.places)?
    };
    Ok(found.into_iter().map(|missing| (missing.held.partition, missing)).collect())
}

fn target(missing: &Missing, choice: Option<Choice>) -> Offset {
    if choice == Some(Choice::Latest) { missing.held.end } else { missing.unread }
}

/// Where a partition without a position begins. A choice is about the whole topic: a partition that was added to one
/// under reading begins with its first message.
fn first_position(
    spec: &JobSpec,
    part: &Held,
    known: &Known,
    missing: &BTreeMap<Partition, Missing>,
    choice: Option<Choice>,
) -> Offset {
    let is_latest = if known.is_replaced || (known.places.is_empty() && !missing.is_empty()) {
        choice == Some(Choice::Latest)
    } else {
        known.places.is_empty() && spec.start == StartAt::Latest
    };
    if is_latest { part.end } else { part.first }
}

fn jump(spec: &JobSpec, missing: &Missing, to: Offset, source: &str) -> Jump {
    Jump {
        topic: spec.topic.clone(),
        partition: missing.held.partition.0,
        from: missing.position.0,
        to: to.0,
        cause: missing.cause.name().to_owned(),
        source: source.to_owned(),
    }
}

/// What rows name as their source. A log that was cut and written again has another name: its offsets name other
/// messages.
fn named(spec: &JobSpec, incarnation: Uuid, branch: i64) -> String {
    if branch == 0 {
        return format!("{}@{incarnation}", spec.topic);
    }
    format!("{}@{incarnation}~{branch}", spec.topic)
}
