//! Types that must not lose what users need of them.

use buttress_core::Admit;
use buttress_core::test_util::Scripted;
use buttress_core::time::Instant;
use buttress_priority_queue::{ConcurrencyLimitLayer, Priority, PriorityQueueLayer, Queued, limit};
use tower::{Layer, Service};

struct Call;

type Upstream = Scripted<Call, (), std::io::Error>;

fn sent<T: Send + Sync + Clone + 'static>(_: &T) {}

fn call_is_sent<S: Service<Call>>(_: &S)
where
    S::Future: Send + Unpin,
{
}

#[test]
fn layers_services_and_futures_have_the_auto_traits() {
    let upstream = || Upstream::new(|_| panic!("nothing is called"));
    let layer = PriorityQueueLayer::new(limit::Gradient2::default())
        .by(|_: &Call| Priority::Low)
        .tenant(|_: &Call| Some(1))
        .cost(|_: &Call| 2)
        .deadline(|_: &Call| None::<Instant>)
        .partitions([1.0], |_: &Call| 0)
        .observe(|_| ());
    sent(&layer);
    let service = layer.layer(upstream());
    sent(&service);
    let shed: Admit<_, _, _, _, _> = ConcurrencyLimitLayer::new(1).layer(upstream());
    sent(&shed);
    call_is_sent(&shed);
    let plain: Queued<Upstream> = PriorityQueueLayer::new(1).layer(upstream());
    call_is_sent(&plain);
}
