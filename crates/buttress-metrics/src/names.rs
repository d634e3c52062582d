//! Every metric's name, unit and labels: the one list that code, documentation and dashboards go by.

use metrics::Unit;

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// As the facade gets it. Exporters to Prometheus write an underscore for each point.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// What it is measured in.
    pub unit: Unit,
    /// The keys of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

const fn metric(
    kind: Kind,
    name: &'static str,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Name {
    Name {
        name,
        kind,
        unit,
        labels,
        help,
    }
}

/// The metrics of a service by what it speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub(crate) requests: Name,
    pub(crate) active: Name,
    pub(crate) duration: Name,
    /// None where the head is all there is.
    pub(crate) to_head: Option<Name>,
    pub(crate) request_bytes: Option<Name>,
    pub(crate) response_bytes: Option<Name>,
}

const LAYER: &[&str] = &["layer"];
const CALL: &[&str] = &["layer", "outcome"];
const HTTP_ACTIVE: &[&str] = &["layer", "http.request.method"];
const HTTP_ROUTE: &[&str] = &["layer", "http.request.method", "http.route"];
const HTTP: &[&str] = &[
    "layer",
    "http.request.method",
    "http.route",
    "http.response.status_class",
    "outcome",
];
const RPC_METHOD: &[&str] = &["layer", "rpc.service", "rpc.method"];
const RPC: &[&str] = &[
    "layer",
    "rpc.service",
    "rpc.method",
    "rpc.response.status_code",
    "outcome",
];

const REQUESTS: &str = "Requests that have ended.";
const ACTIVE: &str = "Requests that run, until the end of the response's body.";
const DURATION: &str =
    "Time from the call to the end of the response's body, or to whatever else ended it.";
const TO_HEAD: &str = "Time from the call to the head of the response.";
const SENT: &str = "Bytes of requests' bodies, as far as their length is known at the head.";
const RECEIVED: &str = "Bytes of responses' bodies that were read.";

pub(crate) const CALLS: Family = Family {
    requests: metric(
        Kind::Counter,
        "buttress.calls",
        Unit::Count,
        CALL,
        "Calls that have ended.",
    ),
    active: metric(
        Kind::Gauge,
        "buttress.calls.active",
        Unit::Count,
        LAYER,
        "Calls that run.",
    ),
    duration: metric(
        Kind::Histogram,
        "buttress.call.duration",
        Unit::Seconds,
        CALL,
        "Time from the call to its response or error.",
    ),
    to_head: None,
    request_bytes: None,
    response_bytes: None,
};

// The names are put together here, so that all families stay alike.
macro_rules! family {
    ($own:literal, $active:literal, $duration:literal, $labels:ident, $route:ident, $by:ident) => {
        Family {
            requests: metric(
                Kind::Counter,
                concat!("buttress.", $own, ".requests"),
                Unit::Count,
                $labels,
                REQUESTS,
            ),
            active: metric(Kind::Gauge, $active, Unit::Count, $by, ACTIVE),
            duration: metric(Kind::Histogram, $duration, Unit::Seconds, $labels, DURATION),
            to_head: Some(metric(
                Kind::Histogram,
                concat!("buttress.", $own, ".time_to_head"),
                Unit::Seconds,
                $route,
                TO_HEAD,
            )),
            request_bytes: Some(metric(
                Kind::Counter,
                concat!("buttress.", $own, ".request.bytes"),
                Unit::Bytes,
                $route,
                SENT,
            )),
            response_bytes: Some(metric(
                Kind::Counter,
                concat!("buttress.", $own, ".response.bytes"),
                Unit::Bytes,
                $route,
                RECEIVED,
            )),
        }
    };
}

pub(crate) const HTTP_SERVER: Family = family!(
    "http.server",
    "http.server.active_requests",
    "http.server.request.duration",
    HTTP,
    HTTP_ROUTE,
    HTTP_ACTIVE
);
pub(crate) const HTTP_CLIENT: Family = family!(
    "http.client",
    "http.client.active_requests",
    "http.client.request.duration",
    HTTP,
    HTTP_ROUTE,
    HTTP_ACTIVE
);
pub(crate) const RPC_SERVER: Family = family!(
    "rpc.server",
    "buttress.rpc.server.active_requests",
    "rpc.server.call.duration",
    RPC,
    RPC_METHOD,
    LAYER
);
pub(crate) const RPC_CLIENT: Family = family!(
    "rpc.client",
    "buttress.rpc.client.active_requests",
    "rpc.client.call.duration",
    RPC,
    RPC_METHOD,
    LAYER
);

macro_rules! names {
    ($($kind:ident $constant:ident $name:literal $unit:ident [$($label:literal),*] $help:literal)+) => {
        $(
            pub(crate) const $constant: Name =
                metric(Kind::$kind, $name, Unit::$unit, &["layer" $(, $label)*], $help);
        )+

        /// Those that are not a family's.
        const SINGLE: &[Name] = &[$($constant),+];
    };
}

names! {
    Counter OVERFLOW "buttress.labels.overflow" Count []
        "Requests counted under `other`, or numbers not told, because there were too many values of a label."
    Counter ADMITTED "buttress.admitted" Count [] "Requests that the layer admitted."
    Counter SHADOWED "buttress.shadowed" Count []
        "Those of them that it would have refused if it were not in shadow mode."
    Counter REJECTED "buttress.rejected" Count ["reason"] "Requests that the layer refused, or cut off."
    Counter ENDED "buttress.ended" Count ["end"] "Admitted requests that have ended, and how."
    Counter QUEUED "buttress.queued" Count [] "Requests that had to wait."
    Counter LEFT "buttress.left" Count [] "Requests that went away while they waited."
    Histogram WAIT "buttress.wait.duration" Seconds [] "Time waited, whatever became of the request."
    Counter PROBES "buttress.circuit_breaker.probes" Count [] "Calls that an open circuit let through to try."
    Counter TRANSITIONS "buttress.circuit_breaker.transitions" Count ["to"]
        "Changes of state of all circuits; those to `open` are trips."
    Counter RETRIES "buttress.retry.retries" Count ["cause"] "Failed attempts that another followed."
    Counter GIVEN_UP "buttress.retry.given_up" Count ["reason"]
        "Failed attempts that another could have followed, but did not."
    Counter HEDGES "buttress.retry.hedges" Count [] "Second attempts sent beside one that took long."
    Counter THRESHOLDS "buttress.budget.thresholds" Count []
        "Times a quota was used to a threshold for the first time in its window."
    Gauge KEYS_LIVE "buttress.keys.live" Count [] "Keys that something is remembered of."
    Counter KEYS_EVICTED "buttress.keys.evicted" Count [] "Keys forgotten before their time, for want of room."
    Gauge IN_FLIGHT "buttress.concurrency.in_flight" Count [] "Calls that hold a place."
    Gauge LIMIT "buttress.concurrency.limit" Count [] "Places there are."
    Gauge WAITING "buttress.queue.depth" Count ["priority"]
        "Requests that wait, by priority; `all` where there are none."
    Gauge CAPACITY "buttress.queue.capacity" Count [] "Requests that may wait."
    Gauge STATE "buttress.circuit_breaker.state" Count ["state"]
        "1 for the state of the circuit that all calls without a key share, 0 for every other."
    Gauge KEY_CIRCUITS "buttress.circuit_breaker.keys" Count ["state"]
        "Circuits of keys that are in this state."
    Gauge BUDGET_LEFT "buttress.budget.left" Count ["quota"]
        "Units left of a quota that is kept for all keys together."
    Gauge BUDGET_LIMIT "buttress.budget.limit" Count ["quota"]
        "Units that a quota kept for all keys together holds at most."
    Gauge BUDGET_DEBT "buttress.budget.debt" Count ["quota"]
        "Units that a quota kept for all keys together is below zero."
    Gauge TOKENS_RESERVED "buttress.tokens.reserved" Count ["dimension"]
        "What running reservations hold."
    Counter TOKENS_GRANTED "buttress.tokens.granted" Count ["dimension"] "What has been reserved altogether."
    Counter TOKENS_REFUNDED "buttress.tokens.refunded" Count ["dimension"] "What of it was given back."
    Counter TOKENS_OVERSHOT "buttress.tokens.overshot" Count ["dimension"]
        "What was used beyond what had been reserved."
    Counter TOKENS_USED "buttress.tokens.used" Count ["dimension"] "What settled calls have used."
    Gauge SETTLE_ERROR "buttress.tokens.settle_error" Percent ["dimension"]
        "What was used in percent of what had been reserved, as `dimension/p50`, `/p90` and `/p99`."
    Gauge RETRIES_LEFT "buttress.retry.budget.left" Count [] "Retries that the budget would allow now."
    Counter RETRIES_REFUSED "buttress.retry.budget.refused" Count [] "Retries that the budget has refused."
}

/// All metrics, in the order of the documentation.
#[must_use]
pub fn all() -> Vec<Name> {
    let families = [CALLS, HTTP_SERVER, HTTP_CLIENT, RPC_SERVER, RPC_CLIENT];
    let of_families = families.iter().flat_map(|family| {
        let always = [family.requests, family.active, family.duration];
        let over_http = [family.to_head, family.request_bytes, family.response_bytes];
        always.into_iter().chain(over_http.into_iter().flatten())
    });
    of_families.chain(SINGLE.iter().copied()).collect()
}

/// All metrics as a table of Markdown, as `docs/operations/metrics.md` and this crate's documentation have it.
#[must_use]
pub fn table() -> String {
    let mut table =
        String::from("| name | kind | unit | labels | what it tells |\n|---|---|---|---|---|\n");
    for Name {
        name,
        kind,
        unit,
        labels,
        help,
    } in all()
    {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format!(
            "| `{name}` | {} | {} | {} | {help} |\n",
            kind.as_str(),
            unit.as_str(),
            labels.join(", ")
        );
        table.push_str(&row);
    }
    table
}
