//! The problem document of a refusal (RFC 9457), with the problem types of
//! draft-ietf-httpapi-ratelimit-headers-11, section 5.

use std::fmt::Write;

use buttress_core::{Reason, Rejection, When};
use http::StatusCode;

/// The media type of the document.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// The status with which a refusal is answered.
pub(crate) const fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::RateLimit | Reason::TokenBudget | Reason::Banned => StatusCode::TOO_MANY_REQUESTS,
        Reason::Deadline | Reason::AttemptTimeout => StatusCode::GATEWAY_TIMEOUT,
        Reason::MissingKey => StatusCode::INTERNAL_SERVER_ERROR,
        // Whatever refuses for another reason has no room.
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// One sentence for a human. It contains no number that changes, so that it can be prepared.
pub(crate) fn detail(rejection: &Rejection, violated: &[&str]) -> String {
    let kind = match rejection.reason() {
        Reason::RateLimit => "rate limit",
        Reason::TokenBudget => "token budget",
        Reason::CircuitOpen => {
            return "The service failed too often and is given time to recover.".into();
        }
        Reason::QueueFull => return "Too many requests are waiting already.".into(),
        Reason::QueueTimeout => return "The request waited too long for its turn.".into(),
        Reason::Banned => {
            return "Requests came too fast for too often, and are refused for a time.".into();
        }
        Reason::Deadline => return "The answer would have come too late to be of use.".into(),
        Reason::AttemptTimeout => return "The service did not answer in time.".into(),
        _ => return "There is no capacity for the request at the moment.".into(),
    };
    let (subject, one) = match violated {
        [] => (format!("the {kind}"), true),
        [name] => (format!("the {kind} \"{name}\""), true),
        names => (
            format!("the {kind}s \"{}\"", names.join("\" and \"")),
            false,
        ),
    };
    if rejection.when() == When::Never {
        let hold = if one { "holds" } else { "hold" };
        return format!(
            "The request costs more than {subject} ever {hold}; it can never be admitted as it is."
        );
    }
    let verb = if one { "is" } else { "are" };
    let subject = subject.strip_prefix("the").unwrap_or(&subject);
    format!("The{subject} {verb} used up.")
}

/// The document.
pub(crate) fn document(reason: Reason, detail: &str, violated: &[&str]) -> String {
    let status = status(reason);
    let (problem_type, title) = match status {
        StatusCode::TOO_MANY_REQUESTS => (QUOTA_EXCEEDED, "Quota Exceeded"),
        StatusCode::SERVICE_UNAVAILABLE => (REDUCED_CAPACITY, "Temporary Reduced Capacity"),
        // RFC 9457, section 4.2.1: without a type of its own, the title is the status's.
        status => ("about:blank", status.canonical_reason().unwrap_or_default()),
    };
    let mut json = String::with_capacity(256);
    json.push_str("{\"type\":");
    push_string(&mut json, problem_type);
    json.push_str(",\"title\":");
    push_string(&mut json, title);
    json.push_str(",\"status\":");
    json.push_str(status.as_str());
    json.push_str(",\"detail\":");
    push_string(&mut json, detail);
    if status == StatusCode::TOO_MANY_REQUESTS || !violated.is_empty() {
        json.push_str(",\"violated-policies\":[");
        for (index, name) in violated.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            push_string(&mut json, name);
        }
        json.push(']');
    }
    json.push('}');
    json
}

/// Appends a string of JSON (RFC 8259, section 7).
fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\0'..='\x1f' => {
                write!(json, "\\u{:04x}", u32::from(character)).expect("a string takes any text");
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}
