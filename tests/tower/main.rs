//! Rate limits among tower's own middleware, in process and in virtual time.

mod above;
mod axum_stack;
mod below;
mod support;
mod types;
mod upstream;
