//! hyper-util's client with layers around it.

use ::hyper_util::client::legacy;

use super::Client;

/// Puts layers around hyper-util's client.
///
/// It is a service of `http::Request<B>` already, for the `B` that it was built for, and answers with an
/// `http::Response<hyper::body::Incoming>`; so a layer that answers refusals with responses needs
/// `respond_http_any_body()`, whose body reads like the client's own. Errors stay
/// `hyper_util::client::legacy::Error`, as the inner ones of [`Error`](buttress_core::Error) where a layer
/// answers with errors.
pub const fn client<C, B>(client: legacy::Client<C, B>) -> Client<legacy::Client<C, B>> {
    Client::new(client)
}
