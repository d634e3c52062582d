//! What becomes of a permit whose caller goes away: had the request been sent?
//!
//! Whoever drops the future of a request drops those of all layers further in with it, before the permit. One
//! that still waits there (for its admission, or for the service to be ready), or that was refused, was never
//! sent. That is told through the drop, as [`as_timed_out`](crate::as_timed_out) tells of a timeout: the futures
//! that are dropped are counted on the thread, and a permit compares the counts before and after.

use std::cell::Cell;

use crate::outcome::Usage;
use crate::permit::{Permit, Ticket};
use crate::time::Now;

/// How many requests were dropped on this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Dropped {
    /// Before they were sent.
    unsent: u32,
    /// After that, as far as is known.
    sent: u32,
}

thread_local! {
    static DROPPED: Cell<Dropped> = const { Cell::new(Dropped { unsent: 0, sent: 0 }) };
}

/// While a thread ends there is nobody to tell.
fn dropped() -> Dropped {
    DROPPED.try_with(Cell::get).unwrap_or_default()
}

fn set(dropped: Dropped) {
    let _ = DROPPED.try_with(|cell| cell.set(dropped));
}

/// A request is dropped that was not sent.
pub(super) fn dropped_unsent() {
    let Dropped { unsent, sent } = dropped();
    let unsent = unsent.wrapping_add(1);
    set(Dropped { unsent, sent });
}

/// Says, while a future is dropped, that its request has been sent before, whatever it waits for now: an
/// attempt of a retry may wait after others that did not.
pub fn note_sent() {
    let Dropped { unsent, sent } = dropped();
    let sent = sent.wrapping_add(1);
    set(Dropped { unsent, sent });
}

/// Drops what is further in, and then ends the permit.
#[cold]
pub(super) fn leave<T: Ticket>(permit: Permit<T>, drop_inner: impl FnOnce()) {
    let before = dropped();
    drop_inner();
    let Dropped { unsent, sent } = dropped();
    // Of several attempts at once one may have been sent.
    if unsent != before.unsent && sent == before.sent {
        permit.leave(Some(Usage::NOTHING), &Now::new());
    } else {
        note_sent();
        drop(permit);
    }
}
