//! reqwest's client with layers around it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::reqwest::{Body, Error, ResponseBuilderExt, Url};
use buttress_core::BoxError;
use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::Client;

/// Puts layers around reqwest's client.
///
/// Layers see `http::Request<reqwest::Body>` and `http::Response<reqwest::Body>`, so that all words of
/// this crate work: keys such as [`Upstream`](crate::Upstream), [`ByStatus`](crate::ByStatus),
/// [`received_retry_after`](crate::received_retry_after), and answers with responses. Errors stay
/// `reqwest::Error`, as the inner ones of [`Error`](buttress_core::Error) where a layer answers with
/// errors.
///
/// Requests are built with any reqwest client, as ever, and go through
/// [`execute`](Client::execute), since `send()` of reqwest's own builder knows no layers. Redirects are
/// followed below the layers: what they see is one request and its last response.
#[must_use]
pub const fn client(client: ::reqwest::Client) -> Client<HttpService> {
    Client::new(HttpService { client })
}

impl<S> Client<S> {
    /// Sends a request of reqwest through the layers, and gives a response of reqwest.
    ///
    /// A response that a layer made itself has the URL of the request.
    ///
    /// # Errors
    ///
    /// Those of the layers and of the client. A refusal is one too, unless its layer answers with a
    /// response.
    pub async fn execute<B>(
        &self,
        request: ::reqwest::Request,
    ) -> Result<::reqwest::Response, S::Error>
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone,
        B: http_body::Body + Send + Sync + 'static,
        B::Data: Into<Bytes>,
        B::Error: Into<BoxError>,
    {
        let asked = request.url().clone();
        let mut response = self.request(into_http(request)).await?;
        let answered = response.extensions_mut().remove::<LastUrl>();
        let url = answered.map_or(asked, |LastUrl(url)| url);
        // This is how reqwest takes a URL along.
        if let Ok(located) = Response::builder().url(url).body(()) {
            let extensions = located.into_parts().0.extensions;
            response.extensions_mut().extend(extensions);
        }
        Ok(response.map(Body::wrap).into())
    }
}

/// The URL that a response came from, after all redirects.
#[derive(Clone)]
struct LastUrl(Url);

/// The URL of a request that is no URI.
#[derive(Clone)]
struct Unsayable(Url);

/// reqwest's client as a service of `http`'s types. [`client`] makes it.
#[derive(Clone, Debug)]
pub struct HttpService {
    client: ::reqwest::Client,
}

impl<B: Into<Body>> Service<Request<B>> for HttpService {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.client.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let state = match from_http(request) {
            Ok(request) => State::Sent {
                pending: self.client.call(request),
            },
            Err(error) => State::Failed { error: Some(error) },
        };
        ResponseFuture { state }
    }
}

type Pending = <::reqwest::Client as Service<::reqwest::Request>>::Future;

pin_project! {
    /// The future of [`HttpService`].
    pub struct ResponseFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State {
        Sent { #[pin] pending: Pending },
        Failed { error: Option<Error> },
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match self.project().state.project() {
            StateProjection::Sent { pending } => ready!(pending.poll(context))?,
            StateProjection::Failed { error } => {
                let error = error.take();
                return Poll::Ready(Err(error.expect("a future is not polled after its end")));
            }
        };
        let url = response.url().clone();
        let mut response: Response<Body> = response.into();
        response.extensions_mut().insert(LastUrl(url));
        Poll::Ready(Ok(response))
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// reqwest refuses URLs that are no URIs. That is for it to say, below the layers, with an error of its
/// own; so they go along as they are, and without what would never be sent.
fn into_http(request: ::reqwest::Request) -> Request<Body> {
    let (method, url) = (request.method().clone(), request.url().clone());
    request.try_into().unwrap_or_else(|_: Error| {
        let mut unsayable = Request::new(Body::default());
        *unsayable.method_mut() = method;
        unsayable.extensions_mut().insert(Unsayable(url));
        unsayable
    })
}

fn from_http<B: Into<Body>>(mut request: Request<B>) -> Result<::reqwest::Request, Error> {
    match request.extensions_mut().remove() {
        Some(Unsayable(url)) => Ok(::reqwest::Request::new(request.method().clone(), url)),
        None => request.try_into(),
    }
}
