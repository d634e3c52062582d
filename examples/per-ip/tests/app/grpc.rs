//! The gRPC sibling, over TCP, next to the app in process.

use std::net::SocketAddr;

use axum::http::uri::PathAndQuery;
use buttress::ClientIp;
use per_ip::{Limiters, Operations, serve_grpc};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::support::{chat, direct, limiters};

/// A server that stops when it is told to.
struct Running {
    client: Grpc<Channel>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Running {
    async fn start(limiters: &Limiters) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel::<()>();
        let limiters = limiters.clone();
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            let operations = Operations::new(&limiters);
            serve_grpc(listener, &limiters, ClientIp::peer(), &operations, stopped).await
        });
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        Self {
            client: Grpc::new(endpoint.connect().await.expect("the server listens")),
            stop,
            task,
        }
    }

    async fn call(&mut self, method: &'static str) -> Result<String, Status> {
        self.client.ready().await.expect("the server lives");
        let request = Request::new("hello".to_owned());
        let path = PathAndQuery::from_static(method);
        let codec = ProstCodec::<String, String>::default();
        let response = self.client.unary(request, path, codec).await;
        response.map(Response::into_inner)
    }

    async fn say(&mut self) -> Result<String, Status> {
        self.call("/per_ip.Chat/Say").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_one_limit_over_http_and_grpc() {
    let limiters = limiters("quotas = [\"5/hour rolling\"]");
    let app = direct(&limiters);
    let mut grpc = Running::start(&limiters).await;

    for _ in 0..2 {
        assert_eq!(chat(&app, "127.0.0.1").await.status, 200);
        assert_eq!(grpc.say().await.unwrap(), "heard 5 bytes\n");
    }
    assert_eq!(grpc.say().await.unwrap(), "heard 5 bytes\n");
    let refused = grpc.say().await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.metadata().contains_key("grpc-retry-pushback-ms"));
    assert_eq!(chat(&app, "127.0.0.1").await.status, 429);
    assert_eq!(chat(&app, "192.0.2.1").await.status, 200);

    grpc.stop.send(()).unwrap();
    drop(grpc.client);
    grpc.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_method_is_unknown() {
    let mut grpc = Running::start(&limiters("")).await;
    let unknown = grpc.call("/per_ip.Chat/Sing").await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented);
    assert!(unknown.message().contains("per_ip.Chat/Say"));
}
