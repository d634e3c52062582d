//! The body types of servers without axum.

use std::convert::Infallible;
use std::net::SocketAddr;

use buttress::http::PeerAddr;
use buttress::{ClientIp, Quota, RateLimitLayer};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{get, listen};

type Refused = Box<dyn std::error::Error + Send + Sync>;

/// Serves a tower service with hyper alone, and tells it the peers' addresses.
async fn serve<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Refused>,
    B: Body<Error: Into<Refused>, Data: Send> + Send + 'static,
{
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let service = service
                .clone()
                .map_request(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(PeerAddr(peer));
                    request
                });
            let service = TowerToHyperService::new(service);
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

fn limit() -> RateLimitLayer<buttress::rate_limit::RateAsk<ClientIp>> {
    RateLimitLayer::new(Quota::per_hour(2)).by(ClientIp::peer())
}

/// Two are answered by the service, the third by the limit.
async fn assert_two(address: SocketAddr, body: &str) {
    for left in [1, 0] {
        let admitted = get(address, "/").await;
        assert_eq!((admitted.status, &*admitted.body), (200, body));
        assert_eq!(admitted.left(), [("default".to_owned(), left)]);
        assert_eq!(admitted.number("content-length"), body.len() as u64);
    }
    let refused = get(address, "/").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["status"], 429);
    assert_eq!(refused.number("content-length"), refused.body.len() as u64);
}

async fn full(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("full")))
}

async fn boxed(_: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    Ok(Response::new(Full::from("boxed").boxed()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_made_of_bytes_stays_as_it_is() {
    let service = limit().respond_http().headers().layer(service_fn(full));
    assert_two(serve(service).await, "full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boxed_body_becomes_an_answer_body() {
    let service = limit().respond_http_any_body().headers();
    assert_two(serve(service.layer(service_fn(boxed))).await, "boxed").await;

    let unsync = service_fn(async |_: Request<Incoming>| {
        let body: UnsyncBoxBody<Bytes, std::io::Error> =
            UnsyncBoxBody::new(Full::from("unsync").map_err(|never| match never {}));
        Ok::<_, std::io::Error>(Response::new(body))
    });
    let service = limit().respond_http_any_body().headers();
    assert_two(serve(service.layer(unsync)).await, "unsync").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_received_passes_through_a_limit() {
    let origin = serve(service_fn(full)).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Incoming>();
    let to_origin = move |mut request: Request<Incoming>| {
        let path = request.uri().path().to_owned();
        *request.uri_mut() = format!("http://{origin}{path}")
            .parse()
            .expect("an address");
        request
    };
    let proxy = ServiceBuilder::new()
        .layer(limit().respond_http_any_body().headers())
        .map_request(to_origin)
        .service(client);
    assert_two(serve(proxy).await, "full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_nest_whatever_they_make_of_bodies() {
    let service = ServiceBuilder::new()
        .layer(limit().respond_http_any_body().headers())
        .layer(limit().respond_http_any_body())
        .layer(limit().respond_http_any_body())
        .service_fn(boxed);
    assert_two(serve(service).await, "boxed").await;

    // A box around all gives one type whatever is inside.
    let service = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(BodyExt::boxed))
        .layer(limit().respond_http_any_body().headers())
        .service_fn(full);
    assert_two(serve(service).await, "full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_the_users_words_needs_no_particular_body() {
    let limit = limit().respond_http_with(|refusal| {
        let body = Full::from(refusal.detail().to_owned()).boxed();
        Response::builder()
            .status(refusal.status())
            .body(body)
            .expect("a response")
    });
    let address = serve(limit.layer(service_fn(boxed))).await;
    assert_eq!(get(address, "/").await.body, "boxed");
    assert_eq!(get(address, "/").await.body, "boxed");
    let refused = get(address, "/").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.body, "The rate limit \"default\" is used up.");
}
