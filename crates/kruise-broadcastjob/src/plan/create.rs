//! Which nodes get their pod now: in order, within parallelism, waves and domains (§13, W27).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kruise_api::broadcastjob::amount;
use kruise_api::keys;
use kruise_common::plan::Note;

use super::Turn;
use super::action::Action;
use super::hold::Hold;
use crate::census::{Place, Standing};
use crate::pod;

/// Most creations that are decided in one turn: the next one sees what became of them.
const AT_ONCE: usize = 1000;

/// Plans the creations.
pub fn create(turn: &mut Turn<'_>) {
    let places = waiting(turn);
    if places.is_empty() {
        return;
    }
    let room = room(turn);
    let mut wave = wave(turn);
    let mut domains = domains(turn);
    let mut actions = Vec::new();
    let mut full = None;
    for place in places {
        if actions.len() >= room.min(AT_ONCE) {
            break;
        }
        // One that was refused has begun, as far as waves go.
        let again = turn.snapshot.refused.contains_key(&place.mark);
        if !again && wave == 0 {
            continue;
        }
        if let Some((domain, most)) = domain(turn, place) {
            let used = domains.entry(domain.clone()).or_default();
            if *used >= most {
                full.get_or_insert(domain);
                continue;
            }
            *used += 1;
        }
        if !again {
            wave = wave.saturating_sub(1);
        }
        actions
            .push(Action::CreatePod { node: place.node.meta.key.name.clone(), mark: place.mark });
    }
    turn.plan
        .holds
        .extend(full.map(|domain: Arc<str>| Hold::DomainFull { domain: domain.to_string() }));
    turn.plan.tries(actions);
}

/// Nodes that are to get a pod: those that come first, then by name. One whose pod was refused has a delay of its own,
/// and comes after all others.
fn waiting<'a>(turn: &mut Turn<'a>) -> Vec<&'a Place> {
    let census = turn.census;
    let taken: BTreeSet<&str> = turn.snapshot.strangers.iter().map(|pod| pod.name()).collect();
    let mut places = Vec::new();
    for place in &census.places {
        match &place.standing {
            Standing::Retrying(Some(until)) if place.pod.is_none() && *until > turn.now => {
                let node = place.node.name().to_owned();
                turn.plan.holds.push(Hold::RetryAt { node, until: Some(*until) });
                continue;
            }
            Standing::Waiting => {}
            Standing::Retrying(Some(_)) if place.pod.is_none() => {}
            _ => continue,
        }
        let resting = turn.snapshot.refused.get(&place.mark).map(|refusal| refusal.until);
        if let Some(until) = resting.filter(|until| *until > turn.now) {
            let node = place.node.name().to_owned();
            turn.plan.holds.push(Hold::CreationRefused { node, until });
            continue;
        }
        if !taken.is_empty() {
            let name = pod::name(&turn.snapshot.job, place.mark);
            if taken.contains(&*name) {
                turn.plan.holds.push(Hold::NameTaken { pod: name });
                continue;
            }
        }
        places.push(place);
    }
    let refused = &turn.snapshot.refused;
    let later = |place: &Place| {
        let first = turn.settings.order.first.as_ref();
        first.is_some_and(|first| !first.matches(&place.node.meta.labels))
    };
    // Stable: by name among equals.
    places.sort_by_key(|place| (refused.contains_key(&place.mark), later(place)));
    places
}

/// How many more pods may be at work.
fn room(turn: &mut Turn<'_>) -> usize {
    // Also those that this turn deletes: somebody may refuse that.
    let active = turn.census.slots().count();
    let allowed = amount::of(&turn.settings.parallelism, turn.census.desired()).unwrap_or(0);
    if active > allowed {
        let text = "Number of active pods exceed parallelism limit";
        turn.plan.notes.push(Note::warning(keys::EVENT_TOO_MANY_ACTIVE, text));
    }
    if active >= allowed {
        turn.plan.holds.push(Hold::ParallelismReached { active, allowed });
    }
    allowed.saturating_sub(active)
}

/// How many more nodes may begin in the present wave.
fn wave(turn: &mut Turn<'_>) -> usize {
    let order = &turn.settings.order;
    if order.waves.is_empty() {
        return usize::MAX;
    }
    let desired = turn.census.desired();
    let places = || turn.census.places.iter().filter(|place| place.desired());
    let done = places().filter(|place| place.done()).count();
    // A node whose pod is refused keeps its place: nobody of a later wave begins in its stead.
    let refused = |place: &Place| turn.snapshot.refused.contains_key(&place.mark);
    let begun =
        places().filter(|place| place.pod.is_some() || place.done() || refused(place)).count();
    let mut before = 0;
    // Each wave is at least as large as the one before; after the last come all.
    let sizes = order.waves.iter().map(|wave| amount::of(wave, desired).unwrap_or(desired));
    for size in sizes.chain(std::iter::once(desired)) {
        let size = size.max(before);
        if size <= done {
            before = size;
            continue;
        }
        if begun <= before && before > 0 {
            // Nobody of this wave has begun: the one before has to stand the test of time.
            let last = turn.census.last_finish.unwrap_or(turn.now);
            let until = last.checked_add(order.soak).unwrap_or(last);
            if until > turn.now {
                turn.plan.holds.push(Hold::Soaking { until });
                return 0;
            }
        }
        if begun >= size && size < desired {
            turn.plan.holds.push(Hold::WaveInProgress { allowed: size });
        }
        return size.saturating_sub(begun);
    }
    usize::MAX
}

/// The domain of a place, and how many pods may be at work there.
fn domain(turn: &Turn<'_>, place: &Place) -> Option<(Arc<str>, usize)> {
    let (key, most) = turn.settings.order.domain.as_ref()?;
    let value = place.node.meta.labels.get(key).unwrap_or_default();
    Some((Arc::from(value), *most))
}

/// Pods at work or on their way out, by domain.
fn domains(turn: &Turn<'_>) -> BTreeMap<Arc<str>, usize> {
    let mut used = BTreeMap::new();
    for place in &turn.census.places {
        let busy = matches!(place.standing, Standing::Active | Standing::Ending);
        if let Some((domain, _)) = domain(turn, place).filter(|_| busy) {
            *used.entry(domain).or_default() += 1;
        }
    }
    used
}
