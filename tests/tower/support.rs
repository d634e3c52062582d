//! A service to limit, and many calls of it.

use std::convert::Infallible;
use std::fmt::Debug;
use std::time::Duration;

use buttress::Rejection;
use buttress::core::time;
use futures_util::future::join_all;
use tower::{BoxError, Service, ServiceExt};

/// Answers at once.
pub(crate) async fn echo(request: u32) -> Result<u32, Infallible> {
    Ok(request)
}

/// Answers after a second.
pub(crate) async fn slow_echo(request: u32) -> Result<u32, Infallible> {
    tokio::time::sleep_until(time::later(time::now(), SECOND)).await;
    Ok(request)
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Calls one clone of a service, which is dropped afterwards.
pub(crate) async fn call<S: Service<u32> + Clone>(service: &S) -> Result<S::Response, S::Error> {
    service.clone().oneshot(7).await
}

/// Calls as many clones at once, and tells after how long each was answered, in milliseconds.
pub(crate) async fn at_once<S>(service: &S, calls: usize) -> Vec<Result<u64, S::Error>>
where
    S: Service<u32> + Clone,
{
    let begin = time::now();
    let timed = async || {
        let answer = call(service).await;
        answer.map(|_| u64::try_from(begin.elapsed().as_millis()).expect("not that long"))
    };
    join_all((0..calls).map(|_| timed())).await
}

/// When calls were answered, none of which may have failed.
pub(crate) fn all_ok<E: Debug>(answers: Vec<Result<u64, E>>) -> Vec<u64> {
    let answers = answers.into_iter();
    answers.map(|answer| answer.expect("an answer")).collect()
}

/// The rejection that is somewhere in an error.
pub(crate) fn rejection(error: &BoxError) -> Option<Rejection> {
    Rejection::find(&**error).copied()
}
