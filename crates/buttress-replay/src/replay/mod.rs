//! A trace driven through the real layers, on tokio's paused clock.
//!
//! Nothing here decides about a request: [`stack`] builds the layers of the policy around an [`upstream`]
//! that does what the trace says, and the [`driver`] lets virtual time pass and hands out the events of an
//! instant in the order of the format.

mod attempts;
mod driver;
mod gates;
mod layers;
mod paid;
mod queue;
mod ready;
mod repeat;
mod stack;
mod timeline;
mod upstream;
mod world;

use tokio::task::unconstrained;

use crate::decision::Decision;
use crate::policy::Policy;
use crate::summary::Summary;
use crate::trace::Request;

/// Drives a trace through the layers of a policy.
///
/// Both have been found good. Every request has its decision, in the order of the trace; of the summary only
/// the real time is missing.
///
/// # Panics
///
/// If the operating system refuses what a single-threaded runtime with a clock needs.
pub fn replay(policy: &Policy, trace: &[Request]) -> (Vec<Decision>, Summary) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing that could be missing");
    // All requests live in one task, whose share of time ends at no request in particular.
    runtime.block_on(unconstrained(driver::drive(policy, trace)))
}
