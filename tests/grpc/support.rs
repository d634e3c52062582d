//! A tonic server on loopback, and what a refusal looks like to its clients.

use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Error};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Serves until it is dropped.
pub(crate) struct Running {
    pub(crate) channel: Channel,
    task: JoinHandle<Result<(), Error>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a server on a free port, and connects to it.
pub(crate) async fn start<F>(serve: impl FnOnce(TcpIncoming) -> F) -> Running
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let task = tokio::spawn(serve(TcpIncoming::from(listener)));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let channel = endpoint.connect().await.expect("the server listens");
    Running { channel, task }
}

/// That the default quota of `capacity` an hour refused the call, and that status, metadata and details
/// say the same about when to come back.
pub(crate) fn assert_used_up(status: &Status, capacity: u64) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(status.message(), "The rate limit \"default\" is used up.");

    let details = status.get_error_details();
    let delay = details.retry_info().and_then(|info| info.retry_delay);
    let delay = delay.expect("the wait is known");
    let refill = Duration::from_secs(3600 / capacity);
    assert!(
        delay <= refill && delay > refill - Duration::from_secs(60),
        "{delay:?}"
    );
    assert_eq!(
        u128::from(pushback(status)),
        delay.as_nanos().div_ceil(1_000_000)
    );

    let violations = &details.quota_failure().expect("the quotas").violations;
    let subjects: Vec<_> = violations.iter().map(|each| &*each.subject).collect();
    assert_eq!(subjects, ["default"]);
}

/// `grpc-retry-pushback-ms`.
pub(crate) fn pushback(status: &Status) -> u64 {
    let value = status.metadata().get("grpc-retry-pushback-ms");
    let text = value.expect("a pushback").to_str().expect("digits");
    text.parse().expect("a wait")
}

/// Messages that are sent when the test says so.
pub(crate) fn dictated() -> (mpsc::Sender<String>, impl Stream<Item = String> + Send) {
    let (sender, receiver) = mpsc::channel(1);
    let messages = unfold(receiver, async |mut receiver: mpsc::Receiver<String>| {
        receiver.recv().await.map(|message| (message, receiver))
    });
    (sender, messages)
}
