//! Clients with layers around them.

use std::future::poll_fn;
use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

#[cfg(feature = "hyper-util")]
pub mod hyper_util;
#[cfg(feature = "reqwest")]
pub mod reqwest;

/// A client of HTTP that layers are put around in the same line in which it is made.
///
/// It is a service as the client below is, and can be asked like a client too:
/// [`request`](Self::request), and `execute` around reqwest. Every request goes through all layers.
///
/// It is as cheap to clone as what it is made of, and all clones share the state of the layers.
#[derive(Clone, Copy, Debug)]
pub struct Client<S> {
    service: S,
}

impl<S> Client<S> {
    /// A client of any service.
    pub const fn new(service: S) -> Self {
        Self { service }
    }

    /// Puts a layer around what is there: what is said last sees a request first, as with axum's routers.
    /// For several at once, outermost first, give it a `tower::ServiceBuilder`.
    #[must_use]
    pub fn layer<L: Layer<S>>(self, layer: L) -> Client<L::Service> {
        Client::new(layer.layer(self.service))
    }

    /// The service with its layers.
    pub const fn get_ref(&self) -> &S {
        &self.service
    }

    /// The service with its layers, to go on with as with any other.
    pub fn into_service(self) -> S {
        self.service
    }

    /// Sends a request, as soon as the client is ready.
    ///
    /// # Errors
    ///
    /// Those of the layers and of the client. A refusal is one too, unless its layer answers with a
    /// response.
    pub async fn request<B>(&self, request: Request<B>) -> Result<S::Response, S::Error>
    where
        S: Service<Request<B>> + Clone,
    {
        let mut service = self.service.clone();
        poll_fn(|context| service.poll_ready(context)).await?;
        service.call(request).await
    }
}

impl<S: Service<Req>, Req> Service<Req> for Client<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Req) -> S::Future {
        self.service.call(request)
    }
}
