//! What the layers say.

use std::fmt;
use std::sync::Arc;

use buttress::core::{Event, Observe};

/// Where lines go.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// Says what a layer does.
#[derive(Clone)]
pub struct Voice {
    layer: &'static str,
    say: Say,
}

impl Voice {
    pub(crate) fn new(layer: &'static str, say: &Say) -> Self {
        let say = Arc::clone(say);
        Self { layer, say }
    }
}

impl Observe for Voice {
    fn event(&self, event: Event) {
        if let Some(words) = words(event) {
            (self.say)(&format!("  {:8} {words}", self.layer));
        }
    }
}

/// What is worth a line.
fn words(event: Event) -> Option<String> {
    Some(match event {
        Event::Queued => "waits for its turn".to_owned(),
        Event::Rejected(rejection) => match rejection.retry_after() {
            Some(wait) => format!("refuses, and says to come back in {wait:.0?}"),
            None => "refuses".to_owned(),
        },
        Event::StateChanged { from, to, .. } => format!("goes from {from} to {to}"),
        Event::Retrying {
            attempt,
            cause,
            pause,
        } => format!("attempt {attempt} failed ({cause:?}), the next comes in {pause:.0?}"),
        Event::GivenUp {
            attempt, reason, ..
        } => format!("attempt {attempt} was the last: {}", reason.as_str()),
        _ => return None,
    })
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Voice").field(&self.layer).finish()
    }
}
