//! `[priority_queue]`: the layer, and who waits in it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::time::{later, now};
use buttress_core::{BoxError, ByBoxError};
use buttress_http::{ByStatus, FromFrames, Throughout};
use buttress_priority_queue::{Priority, PriorityQueueConfig};
use tower::util::MapRequest;
use tower::{Layer, Service};

use super::gates::Gate;
use super::layers::{Reader, reader};
use super::stack::{Stack, boxed};
use super::upstream::{Call, Reply};
use super::world::{Patience, World};
use crate::trace;

/// Puts the queue around a stack. A queue without gates is asked for places only.
pub(super) fn queued(
    inner: Stack,
    config: &PriorityQueueConfig,
    gates: Vec<Gate>,
    world: &World,
) -> Stack {
    let reader: Reader = FromFrames(reader);
    let settle = Throughout::new(ByStatus(ByBoxError)).measure(reader);
    let layer = config.layer().settling(settle).as_box_error();
    let layer = layer
        .by(|call: &Call| priority(call.priority))
        .tenant(|call: &Call| Some(Arc::clone(&call.tenant)))
        .fair(config.fair)
        .cost(|call: &Call| call.cost)
        .deadline(|call: &Call| call.deadline);
    let below = world.clone();
    let inner = MapRequest::new(inner, move |call: Call| {
        below.lock().leave_queue(call.request);
        call
    });
    let inner = match gates.is_empty() {
        true => boxed(layer.layer(inner)),
        false => boxed(layer.after(Gate::three(gates)).layer(inner)),
    };
    Stack::new(Watched {
        inner,
        world: world.clone(),
        max_wait: config.max_wait,
    })
}

const fn priority(priority: trace::Priority) -> Priority {
    match priority {
        trace::Priority::Critical => Priority::Critical,
        trace::Priority::High => Priority::High,
        trace::Priority::Medium => Priority::Medium,
        trace::Priority::Low => Priority::Low,
    }
}

/// Stands just outside the queue and tells the world who waits in it, until when.
#[derive(Clone)]
struct Watched {
    inner: Stack,
    world: World,
    max_wait: Option<Duration>,
}

impl Service<Call> for Watched {
    type Response = Reply;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let waits = Waits {
            world: self.world.clone(),
            request: call.request,
        };
        let patience = Patience {
            longest: self.max_wait.map(|wait| later(now(), wait)),
            deadline: call.deadline,
        };
        self.world.lock().enter_queue(call.request, patience);
        let inner = self.inner.call(call);
        Box::pin(async move {
            let answer = inner.await;
            drop(waits);
            answer
        })
    }
}

/// Whoever has it may wait in the queue.
struct Waits {
    world: World,
    request: usize,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.world.lock().leave_queue(self.request);
    }
}
