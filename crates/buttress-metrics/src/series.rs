//! The handles of one set of labels, resolved once and held.

use std::sync::OnceLock;

use metrics::{Counter, Histogram, Label, SharedString};

use crate::ending::Ending;
use crate::kind::Kind;
use crate::sink::{Sink, counter, histogram};

/// What tells requests apart whose values are few: a method and a route, or a service and a method.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) first: Box<str>,
    pub(crate) second: Box<str>,
    bodies: OnceLock<Bodies>,
    /// By code and ending.
    ends: Box<[OnceLock<End>]>,
}

/// What is known without the response's status.
#[derive(Debug)]
struct Bodies {
    to_head: Histogram,
    sent: Counter,
    received: Counter,
}

#[derive(Debug)]
struct End {
    requests: Counter,
    duration: Histogram,
}

/// Whose series it is, and where its numbers go.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) layer: SharedString,
    pub(crate) kind: Kind,
    pub(crate) sink: Sink,
}

impl Context {
    pub(crate) fn label(&self) -> Label {
        Label::new("layer", self.layer.clone())
    }
}

impl Series {
    pub(crate) fn new(kind: Kind, (first, second): (&str, &str)) -> Self {
        let ends = kind.codes().len() * Ending::COUNT;
        Self {
            first: first.into(),
            second: second.into(),
            bodies: OnceLock::new(),
            ends: (0..ends).map(|_| OnceLock::new()).collect(),
        }
    }

    #[inline]
    pub(crate) fn is(&self, (first, second): (&str, &str)) -> bool {
        *self.second == *second && *self.first == *first
    }

    /// A head has come, after so many seconds.
    #[inline]
    pub(crate) fn head(&self, context: &Context, seconds: f64, sent: u64) {
        if let Some(bodies) = self.bodies(context) {
            bodies.to_head.record(seconds);
            if sent > 0 {
                bodies.sent.increment(sent);
            }
        }
    }

    /// So much of a body was read.
    #[inline]
    pub(crate) fn received(&self, context: &Context, bytes: u64) {
        if let Some(bodies) = self.bodies(context) {
            bodies.received.increment(bytes);
        }
    }

    /// A request has ended, after so many seconds.
    #[inline]
    pub(crate) fn end(&self, context: &Context, code: u8, ending: Ending, seconds: f64) {
        let index = usize::from(code) * Ending::COUNT + ending.index();
        let Some(cell) = self.ends.get(index) else {
            return;
        };
        let end = match cell.get() {
            Some(end) => Some(end),
            None => self.make_end(context, cell, code, ending),
        };
        if let Some(end) = end {
            end.requests.increment(1);
            end.duration.record(seconds);
        }
    }

    #[inline]
    fn bodies(&self, context: &Context) -> Option<&Bodies> {
        match self.bodies.get() {
            Some(bodies) => Some(bodies),
            None => self.make_bodies(context),
        }
    }

    #[cold]
    fn make_bodies(&self, context: &Context) -> Option<&Bodies> {
        let family = context.kind.family();
        let (Some(to_head), Some(sent), Some(received)) = (
            &family.to_head,
            &family.request_bytes,
            &family.response_bytes,
        ) else {
            return None;
        };
        context.sink.with(|recorder| {
            self.bodies.get_or_init(|| {
                let labels = self.labels(context);
                Bodies {
                    to_head: histogram(recorder, to_head, &labels),
                    sent: counter(recorder, sent, &labels),
                    received: counter(recorder, received, &labels),
                }
            })
        })
    }

    #[cold]
    fn make_end<'a>(
        &self,
        context: &Context,
        cell: &'a OnceLock<End>,
        code: u8,
        ending: Ending,
    ) -> Option<&'a End> {
        let family = context.kind.family();
        context.sink.with(|recorder| {
            cell.get_or_init(|| {
                let mut labels = self.labels(context);
                labels.extend(context.kind.code_label(code));
                labels.push(Label::from_static_parts("outcome", ending.as_str()));
                End {
                    requests: counter(recorder, &family.requests, &labels),
                    duration: histogram(recorder, &family.duration, &labels),
                }
            })
        })
    }

    fn labels(&self, context: &Context) -> Vec<Label> {
        let mut labels = vec![context.label()];
        let names = (&*self.first, &*self.second);
        labels.extend(context.kind.request_labels(names));
        labels
    }
}
