//! OpenAI's chat completions: what is asked, and the shapes of answers and errors.

use serde_json::{Value, json};

use crate::account::{Kind, Refusal};
use crate::answers::hash;

/// How long an answer may be if the request does not say.
const MOST_OUTPUT: u64 = 4_096;

/// A request, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) model: String,
    pub(crate) input: u64,
    pub(crate) most_output: u64,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    /// What is asked, hashed.
    pub(crate) hash: u64,
}

/// An error as OpenAI writes it.
#[derive(Debug, PartialEq)]
pub(crate) struct Wrong {
    message: String,
    param: Option<&'static str>,
}

impl Wrong {
    fn new(message: impl Into<String>, param: Option<&'static str>) -> Self {
        let message = message.into();
        Self { message, param }
    }

    pub(crate) fn body(&self) -> Value {
        error(&self.message, "invalid_request_error", self.param, None)
    }
}

impl Question {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Wrong> {
        let invalid = |_| {
            let message = "We could not parse the JSON body of your request. (HINT: This likely means you \
                           aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, \
                           but what was sent was not valid JSON.)";
            Wrong::new(message, None)
        };
        let body: Value = serde_json::from_slice(body).map_err(invalid)?;
        let missing = |name| {
            let message = format!("Missing required parameter: '{name}'.");
            Wrong::new(message, Some(name))
        };
        let model = body.get("model").ok_or_else(|| missing("model"))?;
        let messages = body.get("messages").ok_or_else(|| missing("messages"))?;
        let model = model
            .as_str()
            .ok_or_else(|| wrong_type("model", "a string", model))?;
        let messages = messages
            .as_array()
            .ok_or_else(|| wrong_type("messages", "an array of objects", messages))?;
        if messages.is_empty() {
            let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got \
                           an empty array instead.";
            return Err(Wrong::new(message, Some("messages")));
        }
        let mut input = 3;
        let mut asked = String::from(model);
        for message in messages {
            let known = message.get("role").and_then(Value::as_str);
            let content = message.get("content").and_then(Value::as_str);
            let (Some(role), Some(content)) = (known, content) else {
                return Err(wrong_type("messages", "an array of objects", message));
            };
            input += tokens_of(content) + 4; // what a message is framed with
            asked.push_str(role);
            asked.push_str(content);
        }
        Ok(Self {
            model: model.to_owned(),
            input,
            most_output: most_output(&body)?,
            stream: flag(&body, "stream")?,
            include_usage: body
                .get("stream_options")
                .map_or(Ok(false), |options| flag(options, "include_usage"))?,
            hash: hash(asked.as_bytes()),
        })
    }

    /// A whole answer.
    pub(crate) fn answer(&self, id: &str, tokens: u64) -> Value {
        json!({
            "id": id,
            "object": "chat.completion",
            "created": CREATED,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text(0, tokens), "refusal": null},
                "logprobs": null,
                "finish_reason": self.finish_reason(tokens),
            }],
            "usage": self.usage(tokens),
        })
    }

    /// A piece of a streamed answer; `choice` is empty in the last one, which tells the usage.
    pub(crate) fn chunk(&self, id: &str, choice: Value, usage: Value) -> Value {
        let mut chunk = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self.model,
            "choices": choice,
        });
        if self.include_usage {
            chunk["usage"] = usage;
        }
        chunk
    }

    pub(crate) fn finish_reason(&self, tokens: u64) -> &'static str {
        match tokens < self.most_output {
            true => "stop",
            false => "length",
        }
    }

    pub(crate) fn usage(&self, tokens: u64) -> Value {
        json!({
            "prompt_tokens": self.input,
            "completion_tokens": tokens,
            "total_tokens": self.input.saturating_add(tokens),
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        })
    }
}

/// When answers were created: in a run that is the same each time, always then.
const CREATED: u64 = 1_767_225_600;

/// How many tokens a text has, as this provider counts: one for four bytes.
#[must_use]
pub fn tokens_of(text: &str) -> u64 {
    text.len().div_ceil(4) as u64
}

/// A text of the tokens from `from` up to `to` of an answer.
pub(crate) fn text(from: u64, to: u64) -> String {
    const WORDS: [&str; 8] = [
        "the ", "bolt", "s of", " the", " wal", "l ar", "e so", "und ",
    ];
    let words = WORDS.iter().cycle().skip((from % 8) as usize);
    let tokens = usize::try_from(to - from).unwrap_or(usize::MAX);
    words.take(tokens).copied().collect()
}

fn most_output(body: &Value) -> Result<u64, Wrong> {
    for name in ["max_completion_tokens", "max_tokens"] {
        match body.get(name) {
            None | Some(Value::Null) => {}
            Some(value) => {
                let number = value.as_u64().filter(|number| *number > 0);
                return number.ok_or_else(|| {
                    let message = format!(
                        "Invalid '{name}': integer below minimum value. Expected a value >= 1, but got \
                         {value} instead."
                    );
                    Wrong::new(message, Some(name))
                });
            }
        }
    }
    Ok(MOST_OUTPUT)
}

fn flag(body: &Value, name: &'static str) -> Result<bool, Wrong> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| wrong_type(name, "a boolean", value)),
    }
}

fn wrong_type(name: &'static str, expected: &str, found: &Value) -> Wrong {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message =
        format!("Invalid type for '{name}': expected {expected}, but got {found} instead.");
    Wrong::new(message, Some(name))
}

fn error(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

/// The body of a 404.
pub(crate) fn unknown(method: &str, path: &str) -> Value {
    let message = format!("Unknown request URL: {method} {path}. Please check the URL for typos.");
    let kind = "invalid_request_error";
    error(&message, kind, None, Some("unknown_url"))
}

/// The body of a 429.
pub(crate) fn too_many(model: &str, refusal: &Refusal) -> Value {
    let Refusal {
        kind,
        limit,
        used,
        requested,
        retry_in,
    } = refusal;
    let (kind, name) = match kind {
        Kind::Requests => ("requests", "requests per min (RPM)"),
        Kind::Tokens => ("tokens", "tokens per min (TPM)"),
    };
    let organization = "in organization org-stub on";
    let message = match retry_in {
        Some(wait) => format!(
            "Rate limit reached for {model} {organization} {name}: Limit {limit}, Used {used}, Requested \
             {requested}. Please try again in {}. Visit https://platform.openai.com/account/rate-limits to \
             learn more.",
            crate::head::go_duration(*wait)
        ),
        None => format!(
            "Request too large for {model} {organization} {name}: Limit {limit}, Requested {requested}. The \
             input or output tokens must be reduced in order to run successfully. Visit \
             https://platform.openai.com/account/rate-limits to learn more."
        ),
    };
    error(&message, kind, None, Some("rate_limit_exceeded"))
}
