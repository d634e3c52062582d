//! What is wrong with an input, and where: in the words of the configuration, for policies and traces alike.

pub use buttress_config::{Place, Problem, expected_one_of, quoted};
