//! A team of agents, each of which asks, reads the answer, thinks, and asks again.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::core::time::{Instant, now};
use buttress::{Amounts, Priority, Rejection};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use provider_stub::{Draws, tokens_of};
use reqwest::Body;
use serde_json::json;
use tokio::task::JoinSet;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::ledger::Ledger;
use crate::stack::{Call, Client};
use crate::usage;

/// What a team does.
#[derive(Clone, Debug)]
pub struct Team {
    /// How many agents there are: of ten, one asks critical questions, two high ones, three medium ones.
    pub agents: u32,
    /// How many requests they make together; no end if not said.
    pub requests: Option<u64>,
    /// How long they go on making requests; no end if not said.
    pub time: Option<Duration>,
    /// Where they ask.
    pub endpoint: Uri,
    /// The key that they ask with.
    pub key: Option<String>,
    /// Which model they ask.
    pub model: String,
    /// Whether answers are streamed.
    pub stream: bool,
    /// How long questions are, in tokens.
    pub input: [u64; 2],
    /// How long an answer may be.
    pub most_output: u64,
    /// How long an answer is estimated to be.
    pub output: u64,
    /// How long an agent thinks after an answer.
    pub think: [Duration; 2],
}

/// When a request was made, until it first leaves: it travels with it and all its attempts, so that its wait
/// is known.
#[derive(Clone)]
struct Made(Arc<Mutex<Option<Instant>>>);

impl Team {
    /// Lets the agents work. Dropping the future stops them.
    pub async fn work<E>(&self, client: &Client<E>, ledger: &Ledger)
    where
        E: Error + Send + Sync + 'static,
    {
        let left = Arc::new(AtomicU64::new(self.requests.unwrap_or(u64::MAX)));
        let until = self.time.map(|time| now() + time);
        let mut agents = JoinSet::new();
        for number in 0..self.agents {
            let agent = Agent {
                team: self.clone(),
                priority: match number % 10 {
                    0 => Priority::Critical,
                    1 | 2 => Priority::High,
                    3..=5 => Priority::Medium,
                    _ => Priority::Low,
                },
                client: client.clone(),
                ledger: ledger.clone(),
                draws: Draws::new(u64::from(number)),
            };
            agents.spawn(agent.work(Arc::clone(&left), until));
        }
        while agents.join_next().await.is_some() {}
    }
}

struct Agent<E> {
    team: Team,
    priority: Priority,
    client: Client<E>,
    ledger: Ledger,
    draws: Draws,
}

impl<E: Error + Send + Sync + 'static> Agent<E> {
    async fn work(mut self, left: Arc<AtomicU64>, until: Option<Instant>) {
        let take = |left: u64| left.checked_sub(1);
        while until.is_none_or(|until| now() < until)
            && left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_ok()
        {
            let request = self.request();
            self.ledger.at(self.priority, |row| row.sent += 1);
            match self.client.ready().await {
                Ok(client) => {
                    let answer = client.call(request).await;
                    self.read(answer).await;
                }
                Err(_) => self.ledger.at(self.priority, |row| row.failed += 1),
            }
            let [least, most] = self.team.think;
            tokio::time::sleep(self.draws.between(least, most)).await;
        }
    }

    fn request(&mut self) -> Request<Body> {
        let [shortest, longest] = self.team.input;
        let words = shortest + self.draws.next() % (longest - shortest + 1);
        let mut question = format!("{:016x}", self.draws.next());
        question.extend((4..words).map(|_| " why"));
        let body = json!({
            "model": self.team.model,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": self.team.most_output,
            "stream": self.team.stream,
            "stream_options": self.team.stream.then(|| json!({"include_usage": true})),
        });
        let mut request = Request::new(Body::from(body.to_string()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.team.endpoint.clone();
        let json = http::HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        let key = self.team.key.as_ref().map(|key| format!("Bearer {key}"));
        if let Some(Ok(mut key)) = key.map(http::HeaderValue::try_from) {
            key.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, key);
        }
        // What a provider adds to the text: four for the message, and three for the answer's begin.
        let input = tokens_of(&question) + 7;
        let call = Call {
            priority: self.priority,
            estimate: Amounts::tokens(input, self.team.output),
        };
        request.extensions_mut().insert(call);
        request
            .extensions_mut()
            .insert(Made(Arc::new(Mutex::new(Some(now())))));
        request
    }

    /// Reads an answer to its end.
    async fn read(&mut self, answer: Result<Response<Body>, E>) {
        let (status, refused, used) = match answer {
            Err(_) => (None, false, None),
            Ok(response) => {
                let (head, mut body) = response.into_parts();
                let refused = head.extensions.get::<Rejection>().is_some();
                let (mut read, mut used) = (usage::reader(&head), None);
                let mut status = Some(head.status);
                while let Some(frame) = body.frame().await {
                    match frame {
                        Ok(frame) => used = frame.data_ref().and_then(|data| read(data)).or(used),
                        Err(_) => status = None,
                    }
                }
                (status, refused, used)
            }
        };
        self.ledger.at(self.priority, |row| match status {
            _ if refused => row.refused += 1,
            Some(status) if status.is_success() => row.done += 1,
            _ => row.failed += 1,
        });
        if let Some(used) = used {
            self.ledger.counts().used += used.get(buttress::Dimension::TOTAL);
        }
    }
}

/// Notes what goes to the provider and what it refuses: the innermost of all layers.
pub fn noted<S, E>(
    ledger: &Ledger,
    service: S,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = E, Future: Send>
+ Clone
+ Send
+ 'static
where
    S: Service<Request<Body>, Response = Response<Body>, Error = E> + Clone + Send + 'static,
    S::Future: Send,
{
    let (sending, answered) = (ledger.clone(), ledger.clone());
    ServiceBuilder::new()
        .map_request(move |request: Request<Body>| {
            let made = request.extensions().get::<Made>();
            let made = made.and_then(|Made(made)| made.lock().ok()?.take());
            let call = request.extensions().get::<Call>();
            if let (Some(at), Some(call)) = (made, call) {
                sending.at(call.priority, |row| row.waits.push(now() - at));
            }
            request
        })
        .map_response(move |response: Response<Body>| {
            if response.status() == StatusCode::TOO_MANY_REQUESTS {
                answered.counts().throttled += 1;
            }
            response
        })
        .service(service)
}
