//! The same over gRPC.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http;
use axum::http::uri::PathAndQuery;
use buttress::MetricsLayer;
use buttress::core::{BoxError, ByError};
use buttress::http::ByGrpcStatus;
use buttress::metrics;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::{Service, ServiceBuilder};

use crate::layers::Layers;
use crate::upstream::{Does, Upstream};
use crate::voice::Say;

const SAY: &str = "/resilient.Greeter/Say";

pub(crate) async fn serve(
    listener: TcpListener,
    upstream: Upstream,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        .add_service(Greeter(upstream))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await
}

pub(crate) async fn ask(
    address: SocketAddr,
    measure: MetricsLayer<metrics::Grpc, ByGrpcStatus<ByError>>,
    layers: Layers,
    requests: u32,
    say: &Say,
) -> Result<u32, BoxError> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
    let channel = ServiceBuilder::new()
        .layer(measure)
        .layer(layers.retry.grpc().wrap_bodies(Body::new))
        .layer(layers.pace.respond_grpc())
        .layer(layers.breaker.respond_grpc())
        .layer(layers.timeout.respond_grpc())
        .service(channel);
    let mut client = Grpc::new(channel);
    let mut served = 0;
    for number in 1..=requests {
        client.ready().await?;
        let codec = ProstCodec::<String, String>::default();
        let path = PathAndQuery::from_static(SAY);
        let answer = client
            .unary(Request::new("hello".to_owned()), path, codec)
            .await;
        served += u32::from(answer.is_ok());
        say(&match answer {
            Ok(response) => format!("request {number}: OK {}", response.into_inner()),
            Err(status) => format!("request {number}: {:?} {}", status.code(), status.message()),
        });
    }
    Ok(served)
}

/// What tonic's generator would make of this, which needs no generator:
///
/// ```protobuf
/// package resilient;
/// service Greeter {
///   rpc Say(google.protobuf.StringValue) returns (google.protobuf.StringValue);
/// }
/// ```
#[derive(Clone, Debug)]
struct Greeter(Upstream);

impl NamedService for Greeter {
    const NAME: &'static str = "resilient.Greeter";
}

impl Service<http::Request<Body>> for Greeter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let greeter = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                SAY => {
                    let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
                    grpc.unary(greeter, request).await
                }
                _ => Status::unimplemented("there is only resilient.Greeter/Say").into_http(),
            })
        })
    }
}

type Answering<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl UnaryService<String> for Greeter {
    type Response = String;
    type Future = Answering<Response<String>, Status>;

    fn call(&mut self, message: Request<String>) -> Self::Future {
        let does = self.0.next();
        Box::pin(async move {
            match does {
                Does::Works => Ok(Response::new(message.into_inner())),
                Does::Fails => Err(Status::unavailable("no")),
                Does::Hangs => std::future::pending().await,
            }
        })
    }
}
