//! An answer while it is produced.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use buttress_core::time::{Instant, now};
use futures_util::stream;
use serde_json::{Value, json};

use crate::account::{Account, Running};
use crate::chat::{Question, text};

/// Whoever panics while holding it has nothing left to say.
pub(crate) const UNBROKEN: &str = "nobody panics while holding it";

/// The debit of an answer, which is corrected when the answer ends, also if nobody wants its end.
pub(crate) struct Debited {
    account: Arc<Mutex<Account>>,
    running: Option<Running>,
}

impl Debited {
    pub(crate) const fn new(account: Arc<Mutex<Account>>, running: Running) -> Self {
        Self {
            account,
            running: Some(running),
        }
    }

    pub(crate) fn produce(&mut self, tokens: u64) {
        if let Some(running) = &mut self.running {
            let mut account = self.account.lock().expect(UNBROKEN);
            account.produce(running, tokens, now());
        }
    }

    fn end(&mut self) {
        if let Some(running) = self.running.take()
            && let Ok(mut account) = self.account.lock()
        {
            account.end(&running, now());
        }
    }
}

impl Drop for Debited {
    fn drop(&mut self) {
        self.end();
    }
}

/// An answer that is streamed, piece by piece.
pub(crate) struct Streamed {
    pub(crate) question: Question,
    pub(crate) id: String,
    pub(crate) tokens: u64,
    pub(crate) debited: Debited,
    pub(crate) begin: Instant,
    pub(crate) time: Duration,
    pub(crate) pieces: u32,
}

impl Streamed {
    pub(crate) fn into_body(self) -> Body {
        let pieces = stream::unfold((self, 0), |(mut answer, number)| async move {
            let piece = answer.piece(number).await?;
            Some((
                Ok::<_, Infallible>(Bytes::from(piece)),
                (answer, number + 1),
            ))
        });
        Body::from_stream(pieces)
    }

    /// The role, the pieces of the text, and what remains to be said of it.
    async fn piece(&mut self, number: u32) -> Option<String> {
        if number == 0 {
            return Some(self.event(json!({"role": "assistant", "content": ""}), None));
        }
        if number > self.pieces {
            return None;
        }
        tokio::time::sleep_until(self.begin + self.time * number / self.pieces).await;
        let (from, to) = (self.until(number - 1), self.until(number));
        self.debited.produce(to - from);
        let mut piece = self.event(json!({"content": text(from, to)}), None);
        if number == self.pieces {
            self.debited.end();
            let reason = self.question.finish_reason(self.tokens);
            piece += &self.event(json!({}), Some(reason));
            if self.question.include_usage {
                let usage = self.question.usage(self.tokens);
                piece += &event(&self.question.chunk(&self.id, json!([]), usage));
            }
            piece += "data: [DONE]\n\n";
        }
        Some(piece)
    }

    /// How many tokens there are up to the end of a piece.
    fn until(&self, number: u32) -> u64 {
        self.tokens * u64::from(number) / u64::from(self.pieces)
    }

    fn event(&self, delta: Value, finish_reason: Option<&str>) -> String {
        let choice = json!([{
            "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason,
        }]);
        event(&self.question.chunk(&self.id, choice, Value::Null))
    }
}

fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}
