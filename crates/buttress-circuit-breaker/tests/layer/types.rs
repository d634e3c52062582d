//! What the types are, whatever stands behind them.

use std::rc::Rc;

use buttress_circuit_breaker::{
    Changes, CircuitBreaker, CircuitBreakerLayer, CircuitBroken, CircuitTicket, FallbackLayer,
    KeyCircuit, PendingWhileOpen, Settings,
};

fn is_shared<T: Send + Sync + Clone + Unpin + 'static>() {}
fn is_sent<T: Send + Sync + Unpin + 'static>() {}

#[test]
fn auto_traits_hold() {
    is_shared::<CircuitBreaker>();
    is_shared::<CircuitBreakerLayer>();
    is_shared::<CircuitBroken<()>>();
    is_shared::<KeyCircuit>();
    is_shared::<Settings>();
    is_shared::<FallbackLayer<buttress_circuit_breaker::Value<u8>>>();
    is_shared::<PendingWhileOpen<CircuitBroken<()>>>();
    is_sent::<CircuitTicket>();
    is_sent::<Changes>();
}

#[test]
fn a_layer_need_not_know_what_it_wraps() {
    let layer = CircuitBreakerLayer::consecutive_failures(1);
    let _ = tower::Layer::layer(&layer, Rc::new(()));
}

#[test]
fn a_ticket_is_three_words() {
    assert!(size_of::<CircuitTicket>() <= 24);
    assert!(size_of::<Option<CircuitTicket>>() <= 24);
}
