//! A provider of language models that is none, to try clients on: OpenAI's chat completions, streamed and
//! not, with limits, their fields, and 429s as OpenAI writes them.
//!
//! It keeps an exact account of what it debits ([`Account`]), which shares no code with any layer, so that a
//! client that says it stayed within its quota can be held to it. Answers have lognormal lengths that follow
//! from a seed and the question, and take their time: tokio's, so that hours pass at once on a paused clock.
//! One token is four bytes; there are no models, and no keys.

mod account;
mod answers;
mod chat;
mod head;
mod stream;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use buttress_core::time::now;
use serde_json::Value;

pub use account::{Account, Debit, Kind, Limits, Refusal, Running, Standing, Totals};
pub use answers::{Answers, Draws};
pub use chat::tokens_of;

use chat::{Question, too_many, unknown};
use stream::{Debited, Streamed, UNBROKEN};

/// How the provider behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What it allows.
    pub limits: Limits,
    /// When it debits tokens.
    pub debit: Debit,
    /// Whether a request that it refuses counts as a request.
    pub count_refused: bool,
    /// How long its answers are.
    pub answers: Answers,
    /// Between which times a request takes to arrive, which is when it is debited.
    pub arrival: [Duration; 2],
    /// How much time lies between the pieces of a streamed answer, about.
    pub beat: Duration,
    /// What answers' lengths follow from.
    pub seed: u64,
}

impl Default for Settings {
    /// 60 requests and 150,000 tokens a minute, debited as OpenAI does; answers of 400 tokens, half of them
    /// shorter, in 2 to 30 seconds.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            limits: Limits {
                requests: 60,
                tokens: 150_000,
                window: seconds(60),
            },
            debit: Debit::Maximum,
            count_refused: false,
            answers: Answers {
                median: 400.0,
                sigma: 0.6,
                per_second: 50.0,
                shortest: seconds(2),
                longest: seconds(30),
            },
            arrival: [Duration::from_millis(5), Duration::from_millis(500)],
            beat: Duration::from_millis(500),
            seed: 1,
        }
    }
}

impl Settings {
    /// With all times so many times shorter, the limits' window among them.
    #[must_use]
    pub fn faster(mut self, times: u32) -> Self {
        let answers = &mut self.answers;
        answers.per_second *= f64::from(times);
        let [least, most] = &mut self.arrival;
        let durations = [
            &mut self.limits.window,
            &mut answers.shortest,
            &mut answers.longest,
            &mut self.beat,
            least,
            most,
        ];
        durations
            .into_iter()
            .for_each(|duration| *duration /= times);
        self
    }
}

/// A provider. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Provider {
    settings: Settings,
    account: Arc<Mutex<Account>>,
    draws: Arc<Mutex<Draws>>,
}

impl Provider {
    /// A provider that has not been asked yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let account = Account::new(settings.limits, settings.debit, settings.count_refused);
        Self {
            settings,
            account: Arc::new(Mutex::new(account)),
            draws: Arc::new(Mutex::new(Draws::new(settings.seed))),
        }
    }

    /// Its routes: `POST /v1/chat/completions`.
    pub fn router(&self) -> Router {
        let provider = self.clone();
        let complete = move |body: Bytes| {
            let provider = provider.clone();
            async move { provider.complete(&body).await }
        };
        Router::new()
            .route("/v1/chat/completions", post(complete))
            .fallback(async |method: Method, uri: Uri| {
                let body = unknown(method.as_str(), uri.path());
                respond(StatusCode::NOT_FOUND, HeaderMap::new(), &body)
            })
    }

    /// What has come of it.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.account().totals()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().expect(UNBROKEN)
    }

    async fn complete(self, body: &[u8]) -> Response {
        let [least, most] = self.settings.arrival;
        let (travel, id) = {
            let mut draws = self.draws.lock().expect(UNBROKEN);
            (draws.between(least, most), draws.next())
        };
        tokio::time::sleep_until(now() + travel).await;
        let question = match Question::parse(body) {
            Ok(question) => question,
            Err(wrong) => return respond(StatusCode::BAD_REQUEST, HeaderMap::new(), &wrong.body()),
        };
        let mut headers = HeaderMap::new();
        head::set(&mut headers, "x-request-id", &format!("req_{id:016x}"));
        let arrived = {
            let (mut account, now) = (self.account(), now());
            let arrived = account.arrive(question.input, question.most_output, now);
            head::limits(&mut headers, account.standings(now));
            arrived
        };
        match arrived {
            Err(refusal) => {
                head::retry_after(&mut headers, &refusal);
                let body = too_many(&question.model, &refusal);
                respond(StatusCode::TOO_MANY_REQUESTS, headers, &body)
            }
            Ok(running) => {
                let debited = Debited::new(Arc::clone(&self.account), running);
                self.answer(question, debited, headers, id).await
            }
        }
    }

    async fn answer(
        &self,
        question: Question,
        mut debited: Debited,
        headers: HeaderMap,
        id: u64,
    ) -> Response {
        let Settings {
            answers,
            seed,
            beat,
            ..
        } = self.settings;
        let tokens = answers.tokens(seed, question.hash, question.most_output);
        let (begin, time) = (now(), answers.time(tokens));
        let id = format!("chatcmpl-{id:016x}");
        if !question.stream {
            tokio::time::sleep_until(begin + time).await;
            debited.produce(tokens);
            drop(debited);
            return respond(StatusCode::OK, headers, &question.answer(&id, tokens));
        }
        let beats = time.as_nanos() / beat.as_nanos().max(1);
        let streamed = Streamed {
            question,
            id,
            tokens,
            debited,
            begin,
            time,
            pieces: u32::try_from(beats).unwrap_or(u32::MAX).max(1),
        };
        let mut response = streamed.into_body().into_response();
        *response.headers_mut() = headers;
        head::set(response.headers_mut(), "content-type", "text/event-stream");
        response
    }
}

fn respond(status: StatusCode, mut headers: HeaderMap, body: &Value) -> Response {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, headers, body.to_string()).into_response()
}
