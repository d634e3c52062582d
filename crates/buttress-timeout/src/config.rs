//! A timeout as a configuration file writes it.

use buttress_core::duration::Setting;
use serde::Deserialize;

use crate::layer::TimeoutLayer;
use crate::limits::Limits;

/// A timeout as a configuration file writes it: `to_head`, `to_body_end` and `deadline`, at least one of
/// them, and `enabled`.
///
/// ```
/// use buttress_timeout::TimeoutConfig;
///
/// let config: TimeoutConfig = serde_json::from_str(r#"{"to_head": "5s", "deadline": "1m30s"}"#)?;
/// let layer = config.layer();
/// # let _ = layer;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Fields")]
#[non_exhaustive]
pub struct TimeoutConfig {
    /// Whether the layer stands in the stack.
    pub enabled: bool,
    /// The limits.
    pub limits: Limits,
}

impl TimeoutConfig {
    /// A layer as configured. With feature `http`, say `through_body()` if `to_body_end` is set: without
    /// it that limit, too, ends with the head.
    #[must_use]
    pub fn layer(&self) -> TimeoutLayer {
        TimeoutLayer::from(self.limits)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default = "enabled")]
    enabled: bool,
    to_head: Option<Setting>,
    to_body_end: Option<Setting>,
    deadline: Option<Setting>,
}

fn enabled() -> bool {
    true
}

impl TryFrom<Fields> for TimeoutConfig {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let duration = |setting: Option<Setting>| setting.map(|setting| setting.0);
        let limits = Limits {
            to_head: duration(fields.to_head),
            to_body_end: duration(fields.to_body_end),
            deadline: duration(fields.deadline),
        };
        if limits == Limits::default() {
            return Err(
                "expected at least one of `to_head`, `to_body_end` and `deadline`, such as to_head = \"5s\""
                    .into(),
            );
        }
        if let (Some(head), Some(end)) = (limits.to_head, limits.to_body_end)
            && head > end
        {
            return Err(format!(
                "expected a `to_head` of at most `to_body_end`, which cuts off first: found {head:?} and {end:?}"
            ));
        }
        Ok(Self {
            enabled: fields.enabled,
            limits,
        })
    }
}
