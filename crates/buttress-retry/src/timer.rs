//! A timer that costs nothing until it is waited for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_core::time::Instant;
use tokio::time::{Sleep, sleep_until};

/// A timer that is made when it is first waited for, and used again for every later wait.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    pub(crate) fn poll_until(&mut self, instant: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(instant)));
        if sleep.deadline() != instant {
            sleep.as_mut().reset(instant);
        }
        sleep.as_mut().poll(cx)
    }
}
