//! Retries and breakers of the format, sentence by sentence, through the real layers.

mod breaker;
mod budget;
mod half_open;
mod instants;
mod retry;
mod support;
mod together;
