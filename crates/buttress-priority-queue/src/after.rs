//! Layers that are asked before a place is handed out.

use buttress_core::Gate;

use crate::ask::QueueAsk;
use crate::demand::NoGate;
use crate::handle::PriorityQueue;
use crate::layer::PriorityQueueLayer;

/// A layer whose queue asks the gate `T`.
pub type After<W, T, C, R> = PriorityQueueLayer<
    QueueAsk<W, <T as Gate>::Ask>,
    <T as Gate>::Policy,
    PriorityQueue<<T as Gate>::Policy>,
    C,
    R,
>;

impl<W, C, R> PriorityQueueLayer<QueueAsk<W>, NoGate, PriorityQueue, C, R> {
    /// Asks other layers, as one decision, before it hands out a place: `after((breaker, budget, rate))`.
    /// They stand behind the queue then, and no longer in the stack themselves.
    ///
    /// Whom a quota holds back waits for it, and holds back those behind it who need the same quota, and
    /// nobody else. Who can never be admitted, and whom a breaker refuses, is refused when its turn comes,
    /// or at once if nobody is ahead. The gates hear how a call went as the queue settles it.
    ///
    /// This makes a new queue with the same settings: ask for the handle afterwards, and say `observe`
    /// afterwards.
    #[must_use]
    pub fn after<T: Gate>(self, gates: T) -> After<W, T, C, R> {
        let (ask, policy) = gates.into_parts();
        let queue = PriorityQueue::after(self.queue.settings(), policy)
            .expect("settings in force have been checked");
        PriorityQueueLayer {
            ask: QueueAsk {
                seed: self.ask.seed,
                words: self.ask.words,
                gates: ask,
            },
            admission: queue.clone(),
            queue,
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }
}
