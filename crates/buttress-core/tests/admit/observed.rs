//! Every event of every path.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::{
    AdmitLayer, AsError, AtHead, End, Error, Event, KeyHash, Now, Observe, Observed, Outcome, Path,
    Permit, Policy, Rejection, Settle, Ticket,
};
use futures_util::poll;
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Gate, Mode, Positive, REFUSED};

#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<Event>>>);

impl Observe for Events {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

const ADMITTED: Event = Event::Admitted { shadowed: false };
const SUCCESS: Event = Event::Ended(End::Settled(Outcome::Success, None));

fn layer<A, C>(
    admission: A,
    settle: C,
    events: &Events,
) -> AdmitLayer<Positive, Observed<A, Events>, C> {
    AdmitLayer::from_path(Path {
        ask: Positive,
        admission: Observed::new(admission, events.clone()),
        settle,
        on_reject: AsError,
    })
}

#[tokio::test]
async fn what_is_decided_at_once_is_heard() {
    let (gate, events) = (Gate::new(Mode::Admit), Events::default());
    let service = layer(gate.clone(), AtHead::default(), &events)
        .layer(service_fn(|r: i32| ready(Ok::<_, Infallible>(r))));
    service.clone().oneshot(1).await.unwrap();
    assert_eq!(events.take(), [ADMITTED, SUCCESS]);
    gate.set(Mode::Refuse);
    service.clone().oneshot(1).await.unwrap_err();
    assert_eq!(events.take(), [Event::Rejected(REFUSED)]);
    service.clone().oneshot(-1).await.unwrap();
    service.oneshot(0).await.unwrap_err();
    assert_eq!(events.take(), [], "the admission was not asked");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_heard_and_how_it_ends() {
    let (gate, events) = (Gate::new(Mode::Wait), Events::default());
    let service = layer(gate.clone(), AtHead::default(), &events)
        .layer(service_fn(|r: i32| ready(Ok::<_, Infallible>(r))));
    let mut leaves = Box::pin(service.clone().oneshot(1));
    let mut stays = Box::pin(service.clone().oneshot(1));
    assert!(poll!(&mut leaves).is_pending());
    assert!(poll!(&mut stays).is_pending());
    assert_eq!(events.take(), [Event::Queued, Event::Queued]);
    advance(Duration::from_secs(2)).await;
    drop(leaves);
    let two = Event::Waited(Duration::from_secs(2));
    assert_eq!(events.take(), [two, Event::Left]);
    advance(Duration::from_secs(1)).await;
    gate.answer(Ok(()));
    stays.await.unwrap();
    let three = Event::Waited(Duration::from_secs(3));
    assert_eq!(events.take(), [three, ADMITTED, SUCCESS]);
    gate.answer(Err(REFUSED));
    service.oneshot(1).await.unwrap_err();
    let at_once = Event::Waited(Duration::ZERO);
    assert_eq!(
        events.take(),
        [Event::Queued, at_once, Event::Rejected(REFUSED)]
    );
}

#[tokio::test]
async fn heads_and_cancellations_are_heard() {
    /// Ends the permit with the response, which is its own body.
    #[derive(Clone, Copy)]
    struct Later;
    impl<E, T: Ticket> Settle<i32, E, T> for Later {
        type Response = Permit<T>;

        fn settle(
            &self,
            result: Result<i32, E>,
            mut permit: Permit<T>,
            now: &Now,
        ) -> Result<Permit<T>, E> {
            permit.head(Outcome::Success, now);
            result.map(|_| permit)
        }
    }
    let (gate, events) = (Gate::new(Mode::Admit), Events::default());
    let service = layer(gate.clone(), Later, &events)
        .layer(service_fn(|r: i32| ready(Ok::<_, Infallible>(r))));
    let body = service.oneshot(1).await.unwrap();
    assert_eq!(events.take(), [ADMITTED, Event::Head(Outcome::Success)]);
    assert!(body.ticket().unwrap().inner().is_some());
    drop(body);
    assert_eq!(events.take(), [Event::Ended(End::Cancelled(None))]);
    let hanging = layer(gate.clone(), AtHead::default(), &events)
        .layer(service_fn(|_: i32| pending::<Result<i32, Infallible>>()));
    let mut response = Box::pin(hanging.oneshot(1));
    assert!(poll!(&mut response).is_pending());
    drop(response);
    let cancelled = Event::Ended(End::Cancelled(None));
    assert_eq!(events.take(), [ADMITTED, cancelled]);
}

#[tokio::test]
async fn the_ticket_shows_through() {
    #[derive(Debug)]
    struct Shadow;
    impl Ticket for Shadow {
        fn end(self, _: End, _: &Now) {}

        fn shadowed(&self) -> bool {
            true
        }

        fn key(&self) -> Option<KeyHash> {
            Some(KeyHash::EVERYONE)
        }
    }
    struct Always;
    impl Policy for Always {
        type Demand = ();
        type Ticket = Shadow;

        fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
            Ok(())
        }

        fn try_admit(&self, (): &(), _: &Now) -> Result<Permit<Shadow>, Rejection> {
            Ok(Permit::new(Shadow))
        }
    }
    let events = Events::default();
    let observed = Observed::new(Always, events.clone());
    let verdict = buttress_core::Admission::admit(&observed, (), &Now::new());
    let buttress_core::Verdict::Now(Ok(permit)) = verdict else {
        panic!("it always admits");
    };
    assert_eq!(events.take(), [Event::Admitted { shadowed: true }]);
    assert!(permit.ticket().is_some_and(Ticket::shadowed));
    assert_eq!(
        permit.ticket().and_then(Ticket::key),
        Some(KeyHash::EVERYONE)
    );
    permit.end(End::Released, &Now::new());
    assert_eq!(events.take(), [Event::Ended(End::Released)]);
}

#[tokio::test]
async fn closures_and_shared_observers_hear_as_well() {
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    let observer = move |_: Event| *counted.lock().unwrap() += 1;
    let gate = Gate::new(Mode::Admit);
    let layer = AdmitLayer::new(Observed::new(gate, Arc::new(observer)));
    let service = layer.layer(service_fn(|r: u32| ready(Ok::<_, Infallible>(r))));
    let response: Result<u32, Error<Infallible>> = service.oneshot(1).await;
    response.unwrap();
    assert_eq!(*count.lock().unwrap(), 2);
}
