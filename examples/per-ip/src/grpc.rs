//! The same chat over gRPC, under the same limit.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http;
use buttress::{ClientIp, RateLimitLayer};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

use crate::limiters::Limiters;
use crate::operations::Operations;

/// Serves `per_ip.Chat` until `stop`. A client has one limit, whichever way it comes.
///
/// # Errors
///
/// If the server fails.
pub async fn serve_grpc(
    listener: TcpListener,
    limiters: &Limiters,
    client: ClientIp,
    operations: &Operations,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let per_ip = RateLimitLayer::from(limiters.chat.clone())
        .by(client)
        .observe(operations.observer("chat"))
        .respond_grpc();
    Server::builder()
        .layer(per_ip)
        .add_service(Chat)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop)
        .await
}

/// What tonic's generator would make of this, which needs no generator:
///
/// ```protobuf
/// package per_ip;
/// service Chat {
///   rpc Say(google.protobuf.StringValue) returns (google.protobuf.StringValue);
/// }
/// ```
#[derive(Clone, Debug)]
struct Chat;

impl NamedService for Chat {
    const NAME: &'static str = "per_ip.Chat";
}

impl Service<http::Request<Body>> for Chat {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/per_ip.Chat/Say" => Grpc::new(ProstCodec::default()).unary(Say, request).await,
                _ => Status::unimplemented("there is only per_ip.Chat/Say").into_http(),
            })
        })
    }
}

struct Say;

impl UnaryService<String> for Say {
    type Response = String;
    type Future = Ready<Result<Response<String>, Status>>;

    fn call(&mut self, message: Request<String>) -> Self::Future {
        let heard = format!("heard {} bytes\n", message.get_ref().len());
        ready(Ok(Response::new(heard)))
    }
}
