//! What an answer says it used, read while it goes by.

use buttress::Amounts;
use http::response::Parts;
use serde::Deserialize;

const FIELD: &[u8] = b"\"usage\":";

/// The longest usage that is waited for: a real one has some three hundred bytes.
const LONGEST: usize = 4_096;

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// Follows an answer piece by piece and tells every usage that it sees, whether the answer is one document or
/// a stream of events. Inside a text the field's quotes would be escaped, so that no answer can pretend.
pub fn reader(_: &Parts) -> impl FnMut(&[u8]) -> Option<Amounts> + Send + Sync + use<> {
    // What has come, from the first byte that may belong to a usage whose end has not.
    let mut held = Vec::new();
    move |piece| {
        held.extend_from_slice(piece);
        let mut found = None;
        loop {
            let Some(at) = held.windows(FIELD.len()).position(|word| word == FIELD) else {
                held.drain(..held.len().saturating_sub(FIELD.len() - 1));
                return found;
            };
            let value = held.get(at + FIELD.len()..).unwrap_or_default();
            match read(value) {
                Read::Usage(amounts) => found = Some(amounts),
                Read::Unfinished if value.len() < LONGEST => {
                    held.drain(..at);
                    return found;
                }
                Read::Unfinished | Read::Other => {}
            }
            held.drain(..at + FIELD.len());
        }
    }
}

enum Read {
    Usage(Amounts),
    /// Its end has not come yet.
    Unfinished,
    /// Null, or something that is no usage.
    Other,
}

fn read(value: &[u8]) -> Read {
    // What follows the value is not its business.
    let mut values = serde_json::Deserializer::from_slice(value).into_iter::<Option<Usage>>();
    match values.next() {
        Some(Ok(Some(usage))) => Read::Usage(Amounts::tokens(
            usage.prompt_tokens,
            usage.completion_tokens,
        )),
        None => Read::Unfinished,
        Some(Err(error)) if error.is_eof() => Read::Unfinished,
        Some(Ok(None) | Err(_)) => Read::Other,
    }
}
