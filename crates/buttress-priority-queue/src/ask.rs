//! Reading from a request what it asks of a queue.

use buttress_core::time::Instant;
use buttress_core::{Ask, Exempt, Key, KeyHash, Now, Rejection, Seed};

use crate::demand::QueueDemand;
use crate::priority::{InOrder, PriorityOf};

/// Reads a [`QueueDemand`] from a request: the [`Ask`] of a queue.
///
/// It consists of words, each of which reads one thing, and of the ask of the gates.
#[derive(Clone, Debug)]
pub struct QueueAsk<W = (), A = ()> {
    pub(crate) seed: Seed,
    pub(crate) words: W,
    pub(crate) gates: A,
}

/// What a word adds to.
#[derive(Debug)]
pub struct Reading<'a> {
    /// What was read so far.
    pub demand: QueueDemand,
    /// What tenants are hashed with.
    pub seed: &'a Seed,
    /// The time of this step.
    pub now: &'a Now,
}

/// Reads one thing from a request. A pair of words is one, of which the second has the last say.
#[diagnostic::on_unimplemented(
    message = "a word of this queue cannot read a `{Req}`",
    note = "what `by`, `tenant`, `cost`, `deadline`, `partition` and `unless` were given must accept this request type: use closures whose argument is annotated"
)]
pub trait Word<Req> {
    /// Reads; false exempts the request: it goes straight to the inner service.
    fn read(&self, request: &Req, reading: &mut Reading<'_>) -> bool;
}

impl<Req> Word<Req> for () {
    #[inline]
    fn read(&self, _: &Req, _: &mut Reading<'_>) -> bool {
        true
    }
}

impl<Req, A: Word<Req>, B: Word<Req>> Word<Req> for (A, B) {
    #[inline]
    fn read(&self, request: &Req, reading: &mut Reading<'_>) -> bool {
        self.0.read(request, reading) && self.1.read(request, reading)
    }
}

/// Reads how urgent a request is.
#[derive(Clone, Debug)]
pub struct ByPriority<P>(pub(crate) P);

impl<Req, P: PriorityOf<Req>> Word<Req> for ByPriority<P> {
    #[inline]
    fn read(&self, request: &Req, reading: &mut Reading<'_>) -> bool {
        reading.demand.level = self.0.level_of(request);
        true
    }
}

/// Reads how urgent a request is, as a value of any ordered type.
pub type ByOrder<P, F> = ByPriority<InOrder<P, F>>;

/// Reads whose a request is; those of nobody are one tenant together.
#[derive(Clone, Debug)]
pub struct ByTenant<K>(pub(crate) K);

impl<Req, K: Key<Req>> Word<Req> for ByTenant<K> {
    fn read(&self, request: &Req, reading: &mut Reading<'_>) -> bool {
        let mut hasher = reading.seed.hasher();
        reading.demand.tenant = match self.0.hash_key(request, &mut hasher) {
            true => hasher.finish(),
            false => KeyHash::EVERYONE,
        };
        true
    }
}

/// Reads what a turn costs.
#[derive(Clone, Debug)]
pub struct ByCost<F>(pub(crate) F);

impl<Req, F: Fn(&Req) -> u64> Word<Req> for ByCost<F> {
    fn read(&self, request: &Req, reading: &mut Reading<'_>) -> bool {
        reading.demand.cost = (self.0)(request);
        true
    }
}

/// Reads the partition.
#[derive(Clone, Debug)]
pub struct ByPartition<F>(pub(crate) F);

impl<Req, F: Fn(&Req) -> usize> Word<Req> for ByPartition<F> {
    fn read(&self, request: &Req, reading: &mut Reading<'_>) -> bool {
        reading.demand.partition = (self.0)(request);
        true
    }
}

/// Reads the deadline. Of several words the earliest counts.
#[derive(Clone, Debug)]
pub struct ByDeadline<D>(pub(crate) D);

/// Reads from a request from when on its answer is worthless.
///
/// A closure that returns an `Option<Instant>` is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell the deadline of a `{Req}`",
    note = "use a closure whose argument is annotated: `|request: &Request| request.deadline`"
)]
pub trait DeadlineOf<Req> {
    /// The deadline, if the request has one.
    fn deadline_of(&self, request: &Req, now: &Now) -> Option<Instant>;
}

impl<Req, F: Fn(&Req) -> Option<Instant>> DeadlineOf<Req> for F {
    fn deadline_of(&self, request: &Req, _: &Now) -> Option<Instant> {
        self(request)
    }
}

impl<Req, D: DeadlineOf<Req>> Word<Req> for ByDeadline<D> {
    fn read(&self, request: &Req, reading: &mut Reading<'_>) -> bool {
        let said = self.0.deadline_of(request, reading.now);
        let deadline = &mut reading.demand.deadline;
        *deadline = said.into_iter().chain(*deadline).min();
        true
    }
}

/// Lets through what the queue does not concern.
#[derive(Clone, Debug)]
pub struct Unless<X>(pub(crate) X);

impl<Req, X: Exempt<Req>> Word<Req> for Unless<X> {
    fn read(&self, request: &Req, _: &mut Reading<'_>) -> bool {
        !self.0.exempts(request)
    }
}

impl<Req, W: Word<Req>, A: Ask<Req>> Ask<Req> for QueueAsk<W, A> {
    type Demand = QueueDemand<A::Demand>;

    #[inline]
    fn ask(&self, request: &Req, now: &Now) -> Result<Option<Self::Demand>, Rejection> {
        let mut reading = Reading {
            demand: QueueDemand::default(),
            seed: &self.seed,
            now,
        };
        if !self.words.read(request, &mut reading) {
            return Ok(None);
        }
        let gates = self.gates.ask(request, now)?;
        let QueueDemand {
            level,
            tenant,
            cost,
            deadline,
            partition,
            ..
        } = reading.demand;
        Ok(Some(QueueDemand {
            level,
            tenant,
            cost,
            deadline,
            partition,
            gates,
        }))
    }
}
