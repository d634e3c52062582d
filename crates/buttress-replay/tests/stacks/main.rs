//! The layers of the format, sentence by sentence.

mod breaker;
mod budget;
mod half_open;
mod instants;
mod queue;
mod rate_aware;
mod retry;
mod support;
mod together;
mod tokens;
