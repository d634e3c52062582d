//! Requests and responses of HTTP.

use buttress_core::{ByError, Now, Outcome, Permit, Ticket};
use buttress_http::{ByGrpcStatus, ByStatus, MatchedRoute};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;

use crate::body::MeasuredBody;
use crate::call::{Asked, Call};
use crate::grpc::Grpc;
use crate::kind::{Kind, Side, class_of};
use crate::layer::MetricsLayer;
use crate::protocol::{Answered, Protocol, Seen, sealed};

/// What stands for the route of requests that matched none.
const UNMATCHED: &str = "unmatched";

/// HTTP: requests are told apart by method and matched route, responses by the class of their status.
///
/// The route is what [`MatchedRoute`] finds: axum's `MatchedPath` with feature `axum`, or the extension
/// [`Route`](buttress_http::Route). The path is never a label. Methods that HTTP does not define are `_OTHER`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Http;

impl<P, C> MetricsLayer<P, C> {
    /// Measures a server of HTTP: `http.server.request.duration` and its relatives.
    #[must_use]
    pub fn http(self) -> MetricsLayer<Http, ByStatus<ByError>> {
        self.speaking(Kind::Http(Side::Server), Http, ByStatus(ByError))
    }

    /// Measures a client of HTTP: `http.client.request.duration` and its relatives. Without a
    /// [`Route`](buttress_http::Route) among a request's extensions its route is `unmatched`.
    #[must_use]
    pub fn http_client(self) -> MetricsLayer<Http, ByStatus<ByError>> {
        self.speaking(Kind::Http(Side::Client), Http, ByStatus(ByError))
    }

    /// Measures a server of gRPC: `rpc.server.call.duration` and its relatives, by service, method and code.
    #[must_use]
    pub fn grpc(self) -> MetricsLayer<Grpc, ByGrpcStatus<ByError>> {
        self.speaking(Kind::Grpc(Side::Server), Grpc, ByGrpcStatus(ByError))
    }

    /// Measures a client of gRPC: `rpc.client.call.duration` and its relatives, by service, method and code.
    #[must_use]
    pub fn grpc_client(self) -> MetricsLayer<Grpc, ByGrpcStatus<ByError>> {
        self.speaking(Kind::Grpc(Side::Client), Grpc, ByGrpcStatus(ByError))
    }
}

impl sealed::Sealed for Http {}

impl<B: Body, B2: Body> Protocol<Request<B>, Response<B2>> for Http {
    #[inline]
    fn asked(&self, request: &Request<B>, seen: &Seen<'_>) -> Asked {
        let method = method(request.method());
        let name = crate::shared::METHODS[usize::from(method)];
        let route = MatchedRoute::find(request.extensions()).unwrap_or(UNMATCHED);
        Asked {
            place: seen.0.place((name, route)),
            method,
            sent: length(request.headers(), request.body()).unwrap_or(0),
        }
    }
}

impl<B: Body> Answered<Response<B>> for Http {
    type Response = Response<MeasuredBody<B>>;

    #[inline]
    fn answered(
        &self,
        response: Response<B>,
        outcome: Outcome,
        mut call: Permit<Call>,
        now: &Now,
    ) -> Self::Response {
        if let Some(call) = call.ticket_mut() {
            call.set_code(class_of(response.status()));
            call.head(outcome, now);
        }
        MeasuredBody::follow(response, call, outcome, now)
    }
}

/// Where a method stands among those that are told apart.
#[inline]
fn method(method: &Method) -> u8 {
    match *method {
        Method::GET => 0,
        Method::POST => 1,
        Method::PUT => 2,
        Method::DELETE => 3,
        Method::PATCH => 4,
        Method::HEAD => 5,
        Method::OPTIONS => 6,
        Method::TRACE => 7,
        Method::CONNECT => 8,
        _ => 9,
    }
}

/// How many bytes a body has, if that is known.
#[inline]
pub(crate) fn length(headers: &HeaderMap, body: &impl Body) -> Option<u64> {
    let stated = headers.get(CONTENT_LENGTH);
    stated
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .or_else(|| body.size_hint().exact())
}
