//! A service with one method of each kind, written as tonic's generator would.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::server::NamedService;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

type Messages = BoxStream<'static, Result<String, Status>>;

/// Answers with what it was told.
///
/// `One` with the message; `Words` with a message for each word, but `fail` ends in a failure and `hang` never ends;
/// `Join` with all messages in one; `Each` with each message as it comes.
#[derive(Clone, Debug)]
pub(crate) struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "tests.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(codec());
            Ok(match request.uri().path() {
                "/tests.Echo/One" => grpc.unary(service_fn(one), request).await,
                "/tests.Echo/Words" => grpc.server_streaming(service_fn(words), request).await,
                "/tests.Echo/Join" => grpc.client_streaming(service_fn(join), request).await,
                "/tests.Echo/Each" => grpc.streaming(service_fn(each), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

fn codec() -> ProstCodec<String, String> {
    ProstCodec::default()
}

async fn one(request: Request<String>) -> Result<Response<String>, Status> {
    Ok(Response::new(request.into_inner()))
}

async fn words(request: Request<String>) -> Result<Response<Messages>, Status> {
    let words: Vec<_> = request.get_ref().split(' ').map(str::to_owned).collect();
    let messages = stream::iter(words).then(async |word| match &*word {
        "fail" => Err(Status::internal("told to")),
        "hang" => std::future::pending().await,
        _ => Ok(word),
    });
    Ok(Response::new(messages.boxed()))
}

async fn join(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
    let messages: Vec<_> = request.into_inner().try_collect().await?;
    Ok(Response::new(messages.join(" ")))
}

async fn each(request: Request<Streaming<String>>) -> Result<Response<Messages>, Status> {
    Ok(Response::new(request.into_inner().boxed()))
}

/// Calls the methods of [`Echo`] through a channel, or through what is around it.
#[derive(Clone, Debug)]
pub(crate) struct EchoClient<S>(Grpc<S>);

impl<S> EchoClient<S>
where
    S: GrpcService<Body>,
    S::Error: Into<StdError>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    pub(crate) fn new(service: S) -> Self {
        Self(Grpc::new(service))
    }

    pub(crate) async fn one(&mut self, message: &str) -> Result<String, Status> {
        self.one_with(Request::new(message.to_owned())).await
    }

    pub(crate) async fn one_with(&mut self, request: Request<String>) -> Result<String, Status> {
        self.ready().await;
        let path = PathAndQuery::from_static("/tests.Echo/One");
        let response = self.0.unary(request, path, codec()).await;
        response.map(Response::into_inner)
    }

    pub(crate) async fn words(&mut self, message: &str) -> Result<Streaming<String>, Status> {
        self.ready().await;
        let path = PathAndQuery::from_static("/tests.Echo/Words");
        let request = Request::new(message.to_owned());
        let response = self.0.server_streaming(request, path, codec()).await;
        response.map(Response::into_inner)
    }

    pub(crate) async fn join(&mut self, messages: &[&str]) -> Result<String, Status> {
        self.ready().await;
        let path = PathAndQuery::from_static("/tests.Echo/Join");
        let messages: Vec<_> = messages.iter().map(|&message| message.to_owned()).collect();
        let request = Request::new(stream::iter(messages));
        let response = self.0.client_streaming(request, path, codec()).await;
        response.map(Response::into_inner)
    }

    pub(crate) async fn each(
        &mut self,
        messages: impl stream::Stream<Item = String> + Send + 'static,
    ) -> Result<Streaming<String>, Status> {
        self.ready().await;
        let path = PathAndQuery::from_static("/tests.Echo/Each");
        let response = self
            .0
            .streaming(Request::new(messages), path, codec())
            .await;
        response.map(Response::into_inner)
    }

    async fn ready(&mut self) {
        if let Err(error) = self.0.ready().await {
            panic!("not ready: {}", error.into());
        }
    }
}
