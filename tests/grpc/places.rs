//! So many calls at a time, which tells how each of them ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buttress::core::{
    AdmitLayer, Describe, End, KeyHash, Now, Outcome, Path, Permit, Policy, Reason, Rejection,
    Standing, Ticket, When,
};
use buttress::http::{AtBodyEnd, ByGrpcStatus, GrpcAnswer};
use tokio::sync::mpsc;

/// Hears how calls ended, in order.
pub(crate) type Ends = mpsc::UnboundedReceiver<End>;

/// Places for calls that run.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<AtomicUsize>,
    ends: mpsc::UnboundedSender<End>,
}

/// A place that is taken.
#[derive(Debug)]
pub(crate) struct Place {
    free: Arc<AtomicUsize>,
    ends: mpsc::UnboundedSender<End>,
}

/// A place has no name and no quota.
#[derive(Clone, Debug)]
pub(crate) struct Nothing;

/// A layer with so many places, which are free again when the call's stream ends.
pub(crate) fn places(
    free: usize,
) -> (
    AdmitLayer<(), Places, AtBodyEnd<ByGrpcStatus>, GrpcAnswer<Nothing>>,
    Ends,
) {
    let (sender, ends) = mpsc::unbounded_channel();
    let layer = AdmitLayer::from_path(Path {
        ask: (),
        admission: Places {
            free: Arc::new(AtomicUsize::new(free)),
            ends: sender,
        },
        settle: AtBodyEnd(ByGrpcStatus::default()),
        on_reject: GrpcAnswer::new(Nothing),
    });
    (layer, ends)
}

fn no_place() -> Rejection {
    Rejection::new(Reason::Overloaded, When::Unknown)
}

impl Policy for Places {
    type Demand = ();
    type Ticket = Place;

    fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
        match self.free.load(Ordering::SeqCst) {
            0 => Err(no_place()),
            _ => Ok(()),
        }
    }

    fn try_admit(&self, (): &(), _: &Now) -> Result<Permit<Place>, Rejection> {
        let take = |free: usize| free.checked_sub(1);
        let taken = self
            .free
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        taken.map_err(|_| no_place())?;
        Ok(Permit::new(Place {
            free: Arc::clone(&self.free),
            ends: self.ends.clone(),
        }))
    }
}

impl Ticket for Place {
    fn head(&mut self, _: Outcome, _: &Now) {}

    fn end(self, end: End, _: &Now) {
        self.free.fetch_add(1, Ordering::SeqCst);
        // The test may have heard enough.
        let _ = self.ends.send(end);
    }
}

impl Describe for Nothing {
    fn standings(&self, _: KeyHash, _: &Now, _: &mut dyn FnMut(Standing<'_>)) {}
}
