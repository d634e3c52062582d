//! Who goes next when not everyone can: concurrency limits, and an ordered queue in front of them.
//!
//! A [`PriorityQueueLayer`] lets so many requests go at once and the others wait: by priority, inside a
//! priority in order of arrival or by turns of tenants, each for as long as its answer is of use. When the
//! queue is full, the urgent push out the least urgent. It can ask other layers, a breaker, a budget, a rate
//! limit, before it hands out a place, so that nobody takes a place that it cannot use:
//!
//! ```
//! use buttress_priority_queue::{Priority, PriorityQueueLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! struct Call {
//!     priority: Priority,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let queue = PriorityQueueLayer::new(12).capacity(100).by(|call: &Call| call.priority);
//! let handle = queue.queue().clone();
//! let mut service = ServiceBuilder::new()
//!     .layer(queue)
//!     .service(service_fn(async |_: Call| Ok::<_, std::io::Error>("done")));
//!
//! let call = Call { priority: Priority::High };
//! assert_eq!(service.ready().await.unwrap().call(call).await.unwrap(), "done");
//! assert_eq!(handle.status().in_flight, 0);
//! # }
//! ```
//!
//! The limit is a number, or adaptive ([`limit`]). A [`ConcurrencyLimitLayer`] is the limit without a queue:
//! it refuses at once. With feature `http` refusals become responses, and places are held until the body of
//! the response has ended.
//!
//! No task is spawned and nobody polls: whoever gives a place back hands it on, and one of those who wait
//! keeps the one timer that the queue needs.

mod after;
mod ask;
mod blocked;
mod concurrency;
#[cfg(feature = "serde")]
mod config;
mod demand;
mod dispatch;
mod drain_rate;
mod drained;
mod fair;
#[cfg(feature = "http")]
mod fields;
mod free_places;
mod gates;
mod handle;
mod layer;
pub mod limit;
mod notifier;
mod priority;
mod queue;
mod report;
#[cfg(feature = "http")]
mod respond;
mod sample;
mod settings;
mod shed;
mod state;
mod sync;
mod ticket;
mod wait;

/// The order, the turns and the lines of those held back, without lock or clock: pure values, for a queue of
/// your own.
pub mod algorithm {
    pub use crate::blocked::Lines;
    pub use crate::drain_rate::DrainRate;
    pub use crate::fair::{Item, Ring};
    pub use crate::queue::{Arrival, Entry, Key, Queue, Rules, Stand};
}

pub use after::After;
pub use ask::{
    ByCost, ByDeadline, ByOrder, ByPartition, ByPriority, ByTenant, DeadlineOf, QueueAsk, Reading,
    Unless, Word,
};
pub use concurrency::{ConcurrencyLimit, ConcurrencyTicket};
#[cfg(feature = "serde")]
pub use config::PriorityQueueConfig;
pub use demand::{NoGate, QueueDemand};
pub use drained::Drained;
#[cfg(feature = "http")]
pub use fields::{DeadlineFields, PriorityField, TenantField, Trust};
pub use handle::{PriorityQueue, QueueStatus};
pub use layer::{PriorityQueueLayer, Queued, Saying};
pub use limit::{Limit, Reading as LimitReading};
pub use priority::{InOrder, MAX_LEVELS, Priority, PriorityOf, Urgency};
#[cfg(feature = "http")]
pub use respond::{
    Described, GrpcConcurrencyLimitLayer, GrpcPriorityQueueLayer, HttpConcurrencyLimitLayer,
    HttpPriorityQueueLayer, Measures,
};
pub use settings::{DEFAULT_CAPACITY, MAX_CAPACITY, MAX_PARTITIONS, Settings, SettingsError};
pub use shed::{ConcurrencyLimitLayer, ConcurrencyLimited};
pub use ticket::QueueTicket;
pub use wait::QueueWait;
