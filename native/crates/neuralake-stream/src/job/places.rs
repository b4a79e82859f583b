//! Where a start reads on: the positions of the table, first positions, and jumps by choice.
//!
//! A partition without a position gets one by a commit of its own, before the first read. A position that the source
//! does not hold stops the job, unless this very start was given a choice: then the same commit moves the position,
//! tells what was left out, and spends the choice, so that no later start repeats it for another cause. One commit does
//! so for all topics of the job; each is looked at by itself.

use std::collections::BTreeMap;

use neuralake_core::position::{Offset, Partition};
use neuralake_lake::log::{Jump, Provenance};
use neuralake_lake::{Draft, LakeError, Table, TableView};
use uuid::Uuid;

use super::begin::{check_epoch, provenance};
use super::spec::{Choice, JobSpec, StartAt};
use crate::StreamError;
use crate::source::{Cause, Held, Missing, Place, Source, Topics, find_missing};

/// Where to read on, and what rows will name as their source.
pub(super) struct Places {
    pub(super) places: BTreeMap<Partition, Place>,
    pub(super) jumps: Vec<Jump>,
    /// By topic.
    pub(super) sources: Vec<String>,
}

impl Places {
    pub(super) fn positions(&self) -> BTreeMap<Partition, Offset> {
        self.places.iter().map(|(partition, place)| (*partition, place.offset)).collect()
    }
}

/// Find out where to read on, and commit what is new about it.
pub(super) fn take_places(
    spec: &JobSpec,
    main: &mut Table,
    epoch: i64,
    topics: &mut Topics,
) -> Result<Places, StreamError> {
    let choice = open_choice(spec, main)?;
    let mut found = Vec::new();
    for (topic, source) in topics.each() {
        found.push(Topic::look(spec, main, topic, source, choice)?);
    }
    let sources = found.iter().map(|topic| topic.source.clone()).collect();
    let mut taken = Places { places: BTreeMap::new(), jumps: Vec::new(), sources };
    // Nobody but a newer epoch moves what was read above.
    main.commit(spec.deadline(), &mut |view: &mut dyn TableView| {
        check_epoch(spec, view, epoch)?;
        let mut txns = Vec::new();
        taken.places.clear();
        taken.jumps.clear();
        for topic in &found {
            topic.place(spec, view, &mut taken, &mut txns)?;
        }
        if choice.is_some() {
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

/// What the table says of one topic. Its partitions are named as its source names them.
struct Known {
    is_replaced: bool,
    branch: i64,
    places: BTreeMap<Partition, Place>,
}

impl Known {
    fn read(
        spec: &JobSpec,
        view: &mut dyn TableView,
        topic: u16,
        incarnation: Uuid,
        held: &[Held],
    ) -> Result<Self, LakeError> {
        let mut places = BTreeMap::new();
        for Held { partition, .. } in held {
            let named = partition.of(topic);
            let Some(offset) = view.txn(&spec.position_key(named))? else { continue };
            let leader_epoch = view.txn(&spec.leader_epoch_key(named))?;
            let leader_epoch = leader_epoch.and_then(|epoch| i32::try_from(epoch).ok()).filter(|epoch| *epoch >= 0);
            places.insert(*partition, Place { offset: Offset(offset), leader_epoch });
        }
        let id = view.txn(&spec.incarnation_key(topic))?;
        let branch = view.txn(&spec.branch_key(topic))?.unwrap_or(0);
        Ok(Self { is_replaced: id.is_some_and(|id| id != short_id(incarnation)), branch, places })
    }
}

/// One topic, with what the table and its source say of it.
struct Topic {
    /// Which of the job's.
    topic: u16,
    incarnation: Uuid,
    held: Vec<Held>,
    known: Known,
    missing: BTreeMap<Partition, Missing>,
    /// What to do about what is missing.
    choice: Option<Choice>,
    branch: i64,
    /// What rows name as their source.
    source: String,
}

impl Topic {
    /// Ask table and source. What is missing is an error without a choice.
    fn look(
        spec: &JobSpec,
        main: &mut Table,
        topic: u16,
        source: &mut dyn Source,
        choice: Option<Choice>,
    ) -> Result<Self, StreamError> {
        let incarnation = source.incarnation();
        let held = source.held()?;
        let known = Known::read(spec, main, topic, incarnation, &held)?;
        let missing = missing(&known, &held, source)?;
        if let (None, Some(first)) = (choice, missing.values().next()) {
            return Err(first.error(spec.topic(topic), incarnation));
        }
        let branch = match (known.is_replaced, missing.values().any(|m| m.cause.is_another_log())) {
            (true, _) => 0,
            (false, true) => known.branch + 1,
            (false, false) => known.branch,
        };
        let source = named(spec.topic(topic), incarnation, branch);
        Ok(Self { topic, incarnation, held, known, missing, choice, branch, source })
    }

    /// Where each of its partitions is read on, and what the table is to remember of that.
    fn place(
        &self,
        spec: &JobSpec,
        view: &mut dyn TableView,
        taken: &mut Places,
        txns: &mut Vec<(String, i64)>,
    ) -> Result<(), LakeError> {
        for part in &self.held {
            let named = part.partition.of(self.topic);
            let place = match (self.missing.get(&part.partition), self.known.places.get(&part.partition)) {
                (Some(missing), _) => {
                    let to = target(missing, self.choice);
                    taken.jumps.push(self.jump(spec, missing, to));
                    to
                }
                (None, Some(place)) => {
                    taken.places.insert(named, *place);
                    continue;
                }
                (None, None) => self.first_position(spec, part),
            };
            txns.push((spec.position_key(named), place.0));
            if view.txn(&spec.leader_epoch_key(named))?.is_some() {
                txns.push((spec.leader_epoch_key(named), -1));
            }
            taken.places.insert(named, Place { offset: place, leader_epoch: None });
        }
        if self.known.is_replaced {
            txns.push((spec.incarnation_key(self.topic), short_id(self.incarnation)));
        }
        if self.branch != self.known.branch {
            txns.push((spec.branch_key(self.topic), self.branch));
        }
        Ok(())
    }

    /// Where a partition without a position begins. A choice is about the whole topic: a partition that was added to
    /// one under reading begins with its first message.
    fn first_position(&self, spec: &JobSpec, part: &Held) -> Offset {
        let is_fresh = self.known.places.is_empty();
        let is_latest = if self.known.is_replaced || (is_fresh && !self.missing.is_empty()) {
            self.choice == Some(Choice::Latest)
        } else {
            is_fresh && spec.start == StartAt::Latest
        };
        if is_latest { part.end } else { part.first }
    }

    fn jump(&self, spec: &JobSpec, missing: &Missing, to: Offset) -> Jump {
        Jump {
            topic: spec.topic(self.topic).to_owned(),
            partition: missing.held.partition.number,
            from: missing.position.0,
            to: to.0,
            cause: missing.cause.name().to_owned(),
            source: self.source.clone(),
        }
    }
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

/// What rows name as their source. A log that was cut and written again has another name: its offsets name other
/// messages.
fn named(topic: &str, incarnation: Uuid, branch: i64) -> String {
    if branch == 0 {
        return format!("{topic}@{incarnation}");
    }
    format!("{topic}@{incarnation}~{branch}")
}
