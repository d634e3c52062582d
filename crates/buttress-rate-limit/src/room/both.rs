//! Serving those who wait where limits are kept both per key and for all keys together.

use buttress_core::{KeyHash, KeyMap};

use super::Room;
use crate::decision::Refused;
use crate::ledger::Ledger;
use crate::waiter::{Blocked, Waiter};

/// How a look at all who wait came out.
enum Pass {
    Gone { key: KeyHash, ticket: u64 },
    Over(Option<Blocked>),
}

impl Room {
    /// Those who wait for their own key's limit hold back only those behind them with the same key;
    /// whoever waits for the limit of all keys together holds back everyone behind. Who is served may turn
    /// somebody ahead from the one to the other, so after everyone served all are looked at anew.
    pub(super) fn dispatch_all(
        &mut self,
        ledger: &impl Ledger,
        asks: Option<u64>,
        now: u64,
    ) -> Option<Blocked> {
        let mut served = false;
        loop {
            match self.pass(ledger, asks, served, now) {
                Pass::Over(blocked) => return blocked,
                Pass::Gone { key, ticket } => {
                    served |= asks == Some(ticket);
                    let waiter = self.waiters.get(&ticket);
                    let as_foreseen = waiter.is_some_and(Waiter::went_as_foreseen);
                    self.leave_line(key, ticket);
                    self.outlook.gone(as_foreseen, self.waiters.len());
                }
            }
        }
    }

    /// Looks at those who wait until somebody is granted, or refused for good.
    fn pass(&mut self, ledger: &impl Ledger, asks: Option<u64>, served: bool, now: u64) -> Pass {
        let mut held_back: KeyMap<Refused> = KeyMap::default();
        let mut blocked = None;
        for (&ticket, waiter) in self.waiters.iter_mut().filter(|(_, w)| w.is_waiting()) {
            let key = waiter.arrival.key;
            let itself = asks == Some(ticket);
            if let Some(&refused) = held_back.get(&key) {
                if itself {
                    blocked = Some(Blocked {
                        refused,
                        itself: false,
                    });
                }
                continue;
            }
            if served && waiter.would_be_granted(ledger, now).is_ok() {
                self.wakers.extend(waiter.is_due(now));
                break;
            }
            let Err(refused) = waiter.try_grant(ledger, now) else {
                self.wakers.extend(waiter.take_waker().filter(|_| !itself));
                return Pass::Gone { key, ticket };
            };
            self.wakers.extend(waiter.is_next(&refused, now));
            if refused.global {
                blocked = blocked.or(Some(Blocked { refused, itself }));
                break;
            }
            if itself {
                blocked = Some(Blocked { refused, itself });
            }
            held_back.insert(key, refused);
        }
        Pass::Over(blocked)
    }
}
