//! Whose turn it is: deficit round robin with a quantum of 1 (Shreedhar and Varghese, SIGCOMM 1995).
//!
//! Pure: neither lock nor clock. Tenants stand in a ring in the order in which they began to wait. Whose turn
//! comes earns 1 and is served for as long as it can afford its next; who cannot goes behind all who wait at
//! that moment. A tenant with nobody waiting loses what it had saved.
//!
//! A turn that was drawn is paid for at once. If nothing comes of it, because the request is refused or leaves
//! while something else holds it back, the tenant has its turn back: its next goes first.
//!
//! A turn belongs to a round, so that whoever is held back keeps its turn and gains nothing by it: of those held
//! back the first of every tenant go before the second of any, in whatever order they came to be drawn. A
//! tenant that begins to wait joins the round that those held back are in.

use std::collections::{BTreeMap, HashMap, VecDeque};

use buttress_core::KeyHash;

/// One request of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its number in the order of arrival.
    pub seq: u64,
    /// Who it is.
    pub id: u32,
    /// What its turn costs, at least 1.
    pub cost: u64,
}

#[derive(Debug, Default)]
struct Tenant {
    key: Option<KeyHash>,
    deficit: u64,
    /// Whether it has earned for the turn that it is at.
    in_turn: bool,
    /// The round of that turn, or of its last.
    round: Option<u64>,
    /// The rounds of those whose turn has come, and who have not gone yet.
    rounds: VecDeque<u64>,
    waiting: VecDeque<Item>,
}

/// Tenants who take turns.
#[derive(Debug, Default)]
pub struct Ring {
    tenants: Vec<Tenant>,
    free: Vec<usize>,
    by_key: HashMap<KeyHash, usize, foldhash::fast::RandomState>,
    /// Those who have somebody waiting whose turn has not come.
    order: VecDeque<usize>,
    /// How many tenants have the first of those drawn in a round.
    firsts: BTreeMap<u64, usize>,
    /// The round of the turn that was served last.
    served: u64,
}

impl Ring {
    /// Whether nobody's turn is still to come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Somebody waits for a turn of that tenant.
    pub fn push(&mut self, key: KeyHash, item: Item) {
        let index = self.tenant(key);
        let tenant = &mut self.tenants[index];
        if tenant.waiting.is_empty() {
            self.order.push_back(index);
        }
        let behind = tenant.waiting.partition_point(|other| other.seq < item.seq);
        tenant.waiting.insert(behind, item);
    }

    /// The round of the next turn, as far as it is known before those are passed who cannot afford theirs.
    #[must_use]
    pub fn next_round(&self) -> Option<u64> {
        let tenant = &self.tenants[*self.order.front()?];
        Some(tenant.round_of_turn(self.served, || self.round_of_newcomers()))
    }

    /// The next turn, and its round, unless that is after the last one asked for. It is paid for; say
    /// [`settle`](Self::settle) when the request has gone.
    pub fn draw(&mut self, newest_first: bool, last_round: u64) -> Option<(Item, u64)> {
        let mut passed = 0;
        loop {
            let index = *self.order.front()?;
            let round = self.next_round().filter(|round| *round <= last_round)?;
            let tenant = &mut self.tenants[index];
            if !tenant.in_turn {
                tenant.in_turn = true;
                tenant.round = Some(round);
                tenant.deficit = tenant.deficit.saturating_add(1);
            }
            let item = tenant.next(newest_first)?;
            if tenant.deficit >= item.cost {
                tenant.take(newest_first);
                tenant.deficit -= item.cost;
                tenant.rounds.push_back(round);
                if tenant.rounds.len() == 1 {
                    self.first_comes(Some(round));
                }
                self.after_turn(index, newest_first);
                return Some((item, round));
            }
            self.rotate(index);
            passed += 1;
            if passed == self.order.len() {
                self.skip_rounds(newest_first, last_round.saturating_sub(round));
                passed = 0;
            }
        }
    }

    /// A request whose turn had come has gone; if nothing came of it, its tenant has the cost and the turn
    /// back.
    pub fn settle(&mut self, key: KeyHash, refund: Option<u64>) {
        let Some(&index) = self.by_key.get(&key) else {
            return;
        };
        let tenant = &mut self.tenants[index];
        let first = tenant.rounds.front().copied();
        match refund {
            // Whichever of its requests goes, the tenant was served for its first turn.
            None => {
                self.served = self.served.max(first.unwrap_or(0));
                tenant.rounds.pop_front();
            }
            Some(_) => {
                tenant.rounds.pop_back();
            }
        }
        if let Some(cost) = refund {
            tenant.deficit = tenant.deficit.saturating_add(cost);
            if !tenant.waiting.is_empty() {
                tenant.in_turn = true;
                if self.order.front() != Some(&index) {
                    self.order.retain(|other| *other != index);
                    self.order.push_front(index);
                }
            }
        }
        let next = tenant.rounds.front().copied();
        if next != first {
            self.first_goes(first);
            self.first_comes(next);
        }
        self.forget_if_gone(index);
    }

    fn first_comes(&mut self, round: Option<u64>) {
        if let Some(round) = round {
            *self.firsts.entry(round).or_default() += 1;
        }
    }

    fn first_goes(&mut self, round: Option<u64>) {
        if let Some(round) = round
            && let Some(count) = self.firsts.get_mut(&round)
        {
            *count -= 1;
            if *count == 0 {
                self.firsts.remove(&round);
            }
        }
    }

    /// The round in which a tenant that begins to wait has its first turn: the first in which somebody is held
    /// back, or the next if somebody's turn is in that already, for it waits longer.
    fn round_of_newcomers(&self) -> u64 {
        let Some((&first, _)) = self.firsts.first_key_value() else {
            return self.served;
        };
        let next = first.saturating_add(1);
        match self.firsts.contains_key(&next) {
            true => next,
            false => first,
        }
    }

    /// A request leaves whose turn has not come.
    pub fn remove(&mut self, key: KeyHash, seq: u64) {
        let Some(&index) = self.by_key.get(&key) else {
            return;
        };
        let waiting = &mut self.tenants[index].waiting;
        if let Ok(place) = waiting.binary_search_by_key(&seq, |item| item.seq) {
            waiting.remove(place);
            if waiting.is_empty() {
                self.order.retain(|other| *other != index);
                self.tenants[index].in_turn = false;
                self.forget_if_gone(index);
            }
        }
    }

    fn tenant(&mut self, key: KeyHash) -> usize {
        if let Some(&index) = self.by_key.get(&key) {
            return index;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.tenants.push(Tenant::default());
            self.tenants.len() - 1
        });
        self.tenants[index].key = Some(key);
        self.by_key.insert(key, index);
        index
    }

    fn after_turn(&mut self, index: usize, newest_first: bool) {
        let tenant = &mut self.tenants[index];
        match tenant.next(newest_first) {
            None => {
                tenant.in_turn = false;
                self.order.pop_front();
            }
            Some(next) if tenant.deficit < next.cost => self.rotate(index),
            Some(_) => {}
        }
    }

    /// The first goes behind all others.
    fn rotate(&mut self, index: usize) {
        self.tenants[index].in_turn = false;
        self.order.pop_front();
        self.order.push_back(index);
    }

    /// Nobody could afford its next in a whole round: all the rounds in which that stays so are one step.
    fn skip_rounds(&mut self, newest_first: bool, most: u64) {
        let missing = self.order.iter().filter_map(|index| {
            let tenant = &self.tenants[*index];
            let next = tenant.next(newest_first)?;
            Some(next.cost.saturating_sub(tenant.deficit))
        });
        let rounds = missing.min().unwrap_or(0).saturating_sub(1).min(most);
        for index in &self.order {
            let Tenant { deficit, round, .. } = &mut self.tenants[*index];
            *deficit = deficit.saturating_add(rounds);
            *round = round.map(|round| round.saturating_add(rounds));
        }
    }

    fn forget_if_gone(&mut self, index: usize) {
        let tenant = &mut self.tenants[index];
        if tenant.waiting.is_empty() && tenant.rounds.is_empty() {
            if let Some(key) = tenant.key.take() {
                self.by_key.remove(&key);
                self.free.push(index);
            }
            // What a burst made room for is given back with it.
            *tenant = Tenant {
                waiting: std::mem::take(&mut tenant.waiting),
                rounds: std::mem::take(&mut tenant.rounds),
                ..Tenant::default()
            };
        }
    }
}

impl Tenant {
    /// The round of the turn that it is at, or of its next.
    fn round_of_turn(&self, served: u64, of_newcomers: impl FnOnce() -> u64) -> u64 {
        match self.round {
            Some(round) if self.in_turn => round,
            Some(round) => round.saturating_add(1).max(served),
            None => of_newcomers(),
        }
    }

    fn next(&self, newest_first: bool) -> Option<Item> {
        match newest_first {
            true => self.waiting.back().copied(),
            false => self.waiting.front().copied(),
        }
    }

    fn take(&mut self, newest_first: bool) {
        match newest_first {
            true => self.waiting.pop_back(),
            false => self.waiting.pop_front(),
        };
    }
}
