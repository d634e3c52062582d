//! Rate limits in front of tonic's servers and around its channels, over TCP.

mod channel;
mod echo;
mod places;
mod server;
mod streams;
mod support;
