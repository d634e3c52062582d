//! A tonic server on a port of its own.

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::codegen::{Body, Bytes, StdError};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Error};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Serves until it is dropped.
pub(crate) struct Running {
    pub(crate) channel: Channel,
    task: JoinHandle<Result<(), Error>>,
}

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

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks for the health of the server.
pub(crate) fn question() -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest::default())
}

/// Asks through a channel, or through what is around it.
pub(crate) async fn check<S>(service: S, request: Request<HealthCheckRequest>) -> Result<(), Status>
where
    S: tonic::client::GrpcService<tonic::body::Body>,
    S::Error: Into<StdError>,
    S::ResponseBody: Body<Data = Bytes> + Send + 'static,
    <S::ResponseBody as Body>::Error: Into<StdError> + Send,
{
    HealthClient::new(service).check(request).await.map(|_| ())
}
