//! Token budgets among the other layers.

mod gates;
mod http;
