//! Bodies against a slow and obvious model.

use std::collections::VecDeque;
use std::task::Poll;
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{BoxError, End, Outcome, Rejection};
use buttress_timeout::TimeoutLayer;
use futures_util::poll;
use http::Request;
use http_body::Frame;
use http_body_util::BodyExt;
use proptest::prelude::*;
use tower::{Layer, ServiceExt};

use crate::support::{Bytes, MILLISECOND, SECOND, SETTLED, TIMED_OUT, data, streaming};

/// What a test does with a body, one step after the other.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    End,
    Break,
    Pass(u16),
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Send),
        1 => Just(Step::End),
        1 => Just(Step::Break),
        3 => (0_u16..700).prop_map(Step::Pass),
        6 => Just(Step::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A body hands on what its upstream has, and is cut off exactly when it is waited for at or after its
    /// time.
    #[test]
    fn a_body_is_as_the_model(steps in prop::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(against_model(steps))?;
    }
}

async fn against_model(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let layer = TimeoutLayer::default().to_body_end(SECOND);
    let (below, frames, ends) = streaming(Duration::ZERO);
    let start = now();
    let response = layer.layer(below).oneshot(Request::new(())).await;
    let mut body = Box::pin(response.expect("the head comes at once").into_body());
    let mut frames = Some(frames);
    let mut queued = VecDeque::new();
    let mut end = None;
    for step in steps {
        match (step, &frames) {
            (Step::Send, Some(sender)) if sender.send(data("x")).is_ok() => queued.push_back('d'),
            (Step::Break, Some(sender)) if sender.send(Err("broken".into())).is_ok() => {
                queued.push_back('e');
            }
            (Step::End, Some(_)) => {
                frames = None;
                queued.push_back('.');
            }
            (Step::Pass(millis), _) => {
                tokio::time::advance(MILLISECOND * u32::from(millis)).await;
            }
            (Step::Read, _) => {
                let modelled = match queued.pop_front() {
                    Some(frame) => frame,
                    None if start.elapsed() >= SECOND => 't',
                    None => 'p',
                };
                prop_assert_eq!(told(poll!(body.frame())), modelled);
                end = match modelled {
                    't' => Some(TIMED_OUT),
                    'e' => Some(End::Settled(Outcome::Failure, None)),
                    '.' => Some(SETTLED),
                    _ => continue,
                };
                break;
            }
            _ => {}
        }
    }
    let dropped = match start.elapsed() >= SECOND {
        true => TIMED_OUT,
        false => End::Cancelled(None),
    };
    drop(body);
    prop_assert_eq!(ends.take(), [end.unwrap_or(dropped)]);
    Ok(())
}

/// A frame, an error, a timeout, the end, or nothing yet.
fn told(read: Poll<Option<Result<Frame<Bytes>, BoxError>>>) -> char {
    match read {
        Poll::Pending => 'p',
        Poll::Ready(None) => '.',
        Poll::Ready(Some(Ok(_))) => 'd',
        Poll::Ready(Some(Err(error))) => match Rejection::find(&*error) {
            Some(_) => 't',
            None => 'e',
        },
    }
}
