//! The layers in front of tonic's servers and around its channels, over TCP.

mod channel;
mod echo;
mod failing;
mod places;
mod server;
mod streams;
mod support;
