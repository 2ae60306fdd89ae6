//! What plugins do to the body of an answer on its way out.
//!
//! A body is either changed while it passes, or held until a plugin has seen all of it. Both are
//! asked for at the head of an answer and take effect in the order in which they were asked for.
//! An answer of which nothing is asked goes out as ever, without a look at any of this.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bartizan_core::{Denial, Reason, Stage};
use bytes::Bytes;

use crate::answer::AnswerHead;
use crate::context::RequestCx;

/// Changes a body while it passes, piece by piece.
///
/// The head is gone by then. An error cuts the answer off, so that the client can tell it from a
/// whole one.
pub trait BodyTransform {
    /// Takes a part of the body in, and appends what can be sent of it.
    fn chunk(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Denial>;

    /// Nothing more comes for now: appends what would otherwise wait inside for it.
    fn flush(&mut self, _out: &mut Vec<u8>) -> Result<(), Denial> {
        Ok(())
    }

    /// The body is complete: appends the rest.
    fn end(&mut self, _out: &mut Vec<u8>) -> Result<(), Denial> {
        Ok(())
    }
}

/// Work on a held body that does not hold up the event loop.
pub type Weighing<'a> = Pin<Box<dyn Future<Output = Result<(), Denial>> + 'a>>;

/// Decides on a body as a whole, before any of the answer goes out.
pub trait HeldBody {
    /// What must be done before [`decide`](Self::decide) and would hold up the event loop there:
    /// nothing, or work that waits for the CPU pool.
    fn weigh<'a>(&'a mut self, _body: &'a Bytes) -> Option<Weighing<'a>> {
        None
    }

    /// The body to send. Status and fields may be changed as well; a body that is not the one
    /// given takes the fields that described the old one with it.
    fn decide(
        self: Box<Self>,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        body: Bytes,
    ) -> Result<Bytes, Denial>;

    /// What comes of a body of more than `max` bytes. It is never sent unseen.
    fn over(&self, max: usize) -> Denial {
        let detail =
            format!("the answer is longer than {max} bytes, over `limits.inspected_response`");
        Denial::new(Reason::AnswerTooLarge, detail)
    }
}

/// Who asked for a step, for the event of what it refuses.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    pub(crate) plugin: &'static str,
    pub(crate) error_response: Option<(Arc<str>, bool)>,
}

enum Work {
    Pass(Box<dyn BodyTransform>),
    Hold(usize, Box<dyn HeldBody>),
}

struct Step {
    work: Work,
    author: Option<Author>,
}

/// What is asked of the body of one answer, in order.
#[derive(Default)]
pub struct BodyPlan {
    steps: Vec<Step>,
    /// The coding that the last step makes.
    pub(crate) coding: Option<&'static str>,
}

impl fmt::Debug for BodyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_held = |step: &Step| matches!(step.work, Work::Hold(..));
        f.debug_list().entries(self.steps.iter().map(is_held)).finish()
    }
}

impl BodyPlan {
    /// True if the body goes out as it is.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// True if some of it must be held before the head may go out.
    pub fn holds(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.work, Work::Hold(..)))
    }

    /// Takes out the transforms that come before anything is held.
    pub fn take_passing(&mut self) -> BodyChanges {
        let is_held = |step: &Step| matches!(step.work, Work::Hold(..));
        let count = self.steps.iter().position(is_held).unwrap_or(self.steps.len());
        let mut changes = BodyChanges::default();
        for step in self.steps.drain(..count) {
            if let Work::Pass(transform) = step.work {
                changes.steps.push((transform, step.author));
            }
        }
        changes
    }

    /// Takes out what holds the body, if that comes first.
    pub fn take_held(&mut self) -> Option<Held> {
        if !matches!(self.steps.first(), Some(Step { work: Work::Hold(..), .. })) {
            return None;
        }
        let Step { work: Work::Hold(max, body), author } = self.steps.remove(0) else {
            return None;
        };
        Some(Held { max, body, author })
    }

    pub(crate) fn pass(&mut self, transform: Box<dyn BodyTransform>) {
        self.steps.push(Step { work: Work::Pass(transform), author: None });
    }

    pub(crate) fn hold(&mut self, max: usize, body: Box<dyn HeldBody>) {
        self.steps.push(Step { work: Work::Hold(max, body), author: None });
    }

    pub(crate) fn clear(&mut self) {
        self.steps.clear();
        self.coding = None;
    }

    /// Takes back the last step.
    pub(crate) fn take_back(&mut self) {
        self.steps.pop();
    }

    /// Says who asked for the steps that have no author yet.
    pub(crate) fn sign(&mut self, author: impl Fn() -> Author) {
        for step in self.steps.iter_mut().filter(|step| step.author.is_none()) {
            step.author = Some(author());
        }
    }
}

fn sign(mut denial: Denial, author: Option<&Author>) -> Denial {
    if let Some(author) = author {
        denial.plugin.get_or_insert(author.plugin);
        denial.stage.get_or_insert(Stage::Reply);
        if denial.error_response.is_none() {
            denial.error_response.clone_from(&author.error_response);
        }
    }
    denial
}

/// A body that must be complete before it is decided on.
pub struct Held {
    max: usize,
    body: Box<dyn HeldBody>,
    author: Option<Author>,
}

impl Held {
    /// The most that is held.
    pub fn max(&self) -> usize {
        self.max
    }

    /// What comes of a longer body.
    pub fn over(&self) -> Denial {
        sign(self.body.over(self.max), self.author.as_ref())
    }

    /// See [`HeldBody::weigh`].
    pub async fn weigh(&mut self, body: &Bytes) -> Result<(), Denial> {
        let Some(work) = self.body.weigh(body) else { return Ok(()) };
        work.await.map_err(|denial| sign(denial, self.author.as_ref()))
    }

    /// See [`HeldBody::decide`].
    pub fn decide(
        self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        body: &Bytes,
    ) -> Result<Bytes, Denial> {
        let Self { body: held, author, .. } = self;
        let sent = held.decide(cx, answer, body.clone());
        let sent = sent.map_err(|denial| sign(denial, author.as_ref()))?;
        if sent != *body {
            answer.forget_body();
        }
        Ok(sent)
    }
}

/// The transforms of a body, one after the other.
#[derive(Default)]
pub struct BodyChanges {
    steps: Vec<(Box<dyn BodyTransform>, Option<Author>)>,
    out: Vec<u8>,
    between: Vec<u8>,
}

/// What happens to a transform after it was given what there is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    More,
    Pause,
    End,
}

impl BodyChanges {
    /// True if it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What is to be sent of a further part of the body; nothing, where it all waits for more.
    pub fn chunk(&mut self, input: &[u8]) -> Result<&[u8], Denial> {
        self.drive(input, After::More)
    }

    /// What is to be sent while the sender pauses.
    pub fn flush(&mut self) -> Result<&[u8], Denial> {
        self.drive(&[], After::Pause)
    }

    /// What is to be sent at the end of the body.
    pub fn end(&mut self) -> Result<&[u8], Denial> {
        self.drive(&[], After::End)
    }

    fn drive(&mut self, input: &[u8], after: After) -> Result<&[u8], Denial> {
        self.out.clear();
        let mut is_first = true;
        for (transform, author) in &mut self.steps {
            std::mem::swap(&mut self.out, &mut self.between);
            self.out.clear();
            let input = if is_first { input } else { &self.between };
            is_first = false;
            advance(&mut **transform, input, after, &mut self.out)
                .map_err(|denial| sign(denial, author.as_ref()))?;
        }
        Ok(&self.out)
    }
}

fn advance(
    transform: &mut dyn BodyTransform,
    input: &[u8],
    after: After,
    out: &mut Vec<u8>,
) -> Result<(), Denial> {
    if !input.is_empty() {
        transform.chunk(input, out)?;
    }
    match after {
        After::More => Ok(()),
        After::Pause => transform.flush(out),
        After::End => transform.end(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts brackets around a body, and passes it on in pairs of bytes.
    struct Pairs(&'static str, &'static str, Vec<u8>);

    impl Pairs {
        fn boxed(before: &'static str, after: &'static str) -> Box<dyn BodyTransform> {
            Box::new(Self(before, after, Vec::new()))
        }
    }

    impl BodyTransform for Pairs {
        fn chunk(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Denial> {
            out.extend_from_slice(std::mem::take(&mut self.0).as_bytes());
            if input == b"!" {
                return Err(Denial::new(Reason::AnswerUnreadable, "a mark"));
            }
            self.2.extend_from_slice(input);
            let even = self.2.len() & !1;
            out.extend(self.2.drain(..even));
            Ok(())
        }

        fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Denial> {
            out.append(&mut self.2);
            Ok(())
        }

        fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Denial> {
            self.flush(out)?;
            out.extend_from_slice(self.1.as_bytes());
            Ok(())
        }
    }

    fn plan() -> BodyPlan {
        let mut plan = BodyPlan::default();
        plan.pass(Pairs::boxed("(", ")"));
        plan.pass(Pairs::boxed("[", "]"));
        plan
    }

    #[test]
    fn transforms_follow_each_other_in_the_order_they_were_asked_for() {
        let mut changes = plan().take_passing();
        let mut sent = Vec::new();
        for part in ["a", "bcd", "", "ef", "g"] {
            sent.extend_from_slice(changes.chunk(part.as_bytes()).unwrap());
        }
        sent.extend_from_slice(changes.end().unwrap());
        assert_eq!(String::from_utf8(sent).unwrap(), "[(abcdefg)]");
    }

    #[test]
    fn what_waits_inside_goes_out_when_the_sender_pauses() {
        let mut changes = plan().take_passing();
        assert_eq!(changes.chunk(b"abc").unwrap(), b"[(a");
        assert_eq!(changes.flush().unwrap(), b"bc");
        assert_eq!(changes.end().unwrap(), b")]");
    }

    #[test]
    fn an_empty_body_has_an_end_all_the_same() {
        assert_eq!(plan().take_passing().end().unwrap(), b"[)]");
    }

    #[test]
    fn a_fault_names_who_asked_for_the_step() {
        let mut plan = plan();
        plan.sign(|| Author { plugin: "pairs", error_response: None });
        let mut changes = plan.take_passing();
        assert_eq!(changes.chunk(b"!").unwrap_err().plugin, Some("pairs"));
    }

    #[test]
    fn what_is_held_divides_the_transforms() {
        struct Same;
        impl HeldBody for Same {
            fn decide(
                self: Box<Self>,
                _: &RequestCx,
                _: &mut AnswerHead,
                body: Bytes,
            ) -> Result<Bytes, Denial> {
                Ok(body)
            }
        }
        let mut plan = plan();
        plan.hold(7, Box::new(Same));
        plan.pass(Pairs::boxed("{", "}"));
        assert!(plan.holds() && plan.take_held().is_none());
        assert_eq!(plan.take_passing().steps.len(), 2);
        let held = plan.take_held().unwrap();
        assert_eq!((held.max(), held.over().reason), (7, Reason::AnswerTooLarge));
        assert!(!plan.holds());
        assert_eq!(plan.take_passing().steps.len(), 1);
        assert!(plan.is_empty());
    }
}
