//! A service that does what it is told, and how its answers are read.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use buttress_circuit_breaker::CircuitBreakerLayer;
use buttress_core::{Error, Outcome, Reason, Rejection};
use tokio::time::sleep;
use tower::{Service, ServiceExt, service_fn};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What the upstream does: how long it takes, and with which status it answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) takes: Duration,
    pub(crate) status: u16,
    pub(crate) host: Option<&'static str>,
}

pub(crate) const fn answers(status: u16) -> Call {
    Call {
        takes: Duration::ZERO,
        status,
        host: None,
    }
}

pub(crate) const OK: Call = answers(200);
pub(crate) const FAILS: Call = answers(500);

impl Call {
    pub(crate) const fn taking(self, takes: Duration) -> Self {
        Self { takes, ..self }
    }

    pub(crate) const fn to(self, host: &'static str) -> Self {
        let host = Some(host);
        Self { host, ..self }
    }
}

pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<u16, Infallible>> + Send>>;

fn serve(call: Call) -> Answer {
    Box::pin(async move {
        sleep(call.takes).await;
        Ok(call.status)
    })
}

pub(crate) type Upstream = tower::util::ServiceFn<fn(Call) -> Answer>;

pub(crate) fn upstream() -> Upstream {
    service_fn(serve as fn(Call) -> Answer)
}

pub(crate) fn by_status(result: Result<&u16, &Infallible>) -> Outcome {
    match result {
        Ok(429) => Outcome::Throttled(None),
        Ok(418) => Outcome::Refused,
        Ok(500..) => Outcome::Failure,
        _ => Outcome::Success,
    }
}

/// Trips at so many failures in a row, for 10 s.
pub(crate) fn at(failures: u32) -> CircuitBreakerLayer {
    CircuitBreakerLayer::consecutive_failures(failures).open_for(10 * SECOND)
}

pub(crate) async fn send<S>(service: &S, call: Call) -> Result<S::Response, S::Error>
where
    S: Service<Call> + Clone,
{
    service.clone().oneshot(call).await
}

pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Error<Infallible>>) -> Rejection {
    match result {
        Err(Error::Rejected(rejection)) => {
            assert_eq!(rejection.reason(), Reason::CircuitOpen);
            rejection
        }
        other => panic!("it should be refused: {other:?}"),
    }
}
