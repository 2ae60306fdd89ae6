//! The exchanges of one connection, driven by its one task.
//!
//! Each has a waker that puts its number on the list of those to be polled, so that what one
//! upstream sends costs no look at the others, and all that is ready at a time leaves in one write.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Numbers of exchanges that are to be polled, in the order in which they were woken.
#[derive(Default)]
struct Ready(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    list: Vec<u32>,
    /// The connection's task.
    driver: Option<Waker>,
    /// It is at work, and will look at the list again before it rests.
    is_awake: bool,
}

impl Ready {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct SlotWaker {
    number: u32,
    is_listed: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut queue = self.ready.lock();
        queue.list.push(self.number);
        if !queue.is_awake
            && let Some(driver) = &queue.driver
        {
            driver.wake_by_ref();
        }
    }
}

struct Slot {
    task: Option<Task>,
    stream: u32,
    shared: Arc<SlotWaker>,
    waker: Waker,
}

/// How the exchange of a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    Panicked,
}

/// Places for exchanges; their wakers are used again.
#[derive(Default)]
pub(super) struct Slots {
    list: Vec<Slot>,
    free: Vec<u32>,
    ready: Arc<Ready>,
    /// Those that are polled in this round.
    round: Vec<u32>,
}

impl Slots {
    /// A place for the exchange of this stream.
    pub(super) fn claim(&mut self, stream: u32) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            self.list.get_mut(usize::try_from(number).ok()?)?.stream = stream;
            return Some(number);
        }
        let number = u32::try_from(self.list.len()).ok()?;
        let shared = Arc::new(SlotWaker {
            number,
            is_listed: AtomicBool::new(false),
            ready: self.ready.clone(),
        });
        let waker = Waker::from(shared.clone());
        self.list.push(Slot { task: None, stream, shared, waker });
        Some(number)
    }

    fn slot(&mut self, number: u32) -> Option<&mut Slot> {
        self.list.get_mut(usize::try_from(number).ok()?)
    }

    /// Puts the exchange into its place; it is polled next.
    pub(super) fn start(&mut self, number: u32, task: Task) {
        if let Some(slot) = self.slot(number) {
            slot.task = Some(task);
        }
        self.wake(number);
    }

    /// Has an exchange polled.
    pub(super) fn wake(&mut self, number: u32) {
        if let Some(slot) = self.slot(number) {
            slot.shared.wake_by_ref();
        }
    }

    /// Drops an exchange, or gives a place back that was never used.
    pub(super) fn stop(&mut self, number: u32) {
        if let Some(slot) = self.slot(number) {
            slot.task = None;
            self.free.push(number);
        }
    }

    /// Drops all exchanges.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.free.clear();
    }

    /// The connection's task is at work.
    pub(super) fn begin(&mut self, cx: &Context<'_>) {
        let mut queue = self.ready.lock();
        queue.is_awake = true;
        match &mut queue.driver {
            Some(driver) if driver.will_wake(cx.waker()) => {}
            driver => *driver = Some(cx.waker().clone()),
        }
    }

    /// The connection's task has done what there is; false if there is more.
    pub(super) fn rest(&mut self) -> bool {
        let mut queue = self.ready.lock();
        queue.is_awake = !queue.list.is_empty();
        !queue.is_awake
    }

    /// Polls each exchange that was woken before this, and tells which have ended.
    pub(super) fn run(&mut self, mut ended: impl FnMut(u32, Ended)) {
        let mut round = std::mem::take(&mut self.round);
        std::mem::swap(&mut round, &mut self.ready.lock().list);
        for number in round.drain(..) {
            let Some(slot) = self.slot(number) else { continue };
            slot.shared.is_listed.store(false, Ordering::Release);
            let Some(task) = &mut slot.task else { continue };
            let mut cx = Context::from_waker(&slot.waker);
            let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut cx)));
            let outcome = match polled {
                Ok(Poll::Pending) => continue,
                Ok(Poll::Ready(())) => Ended::Done,
                Err(_) => Ended::Panicked,
            };
            let stream = slot.stream;
            self.stop(number);
            ended(stream, outcome);
        }
        self.round = round;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn run(slots: &mut Slots) -> Vec<(u32, Ended)> {
        let mut list = Vec::new();
        slots.run(|stream, how| list.push((stream, how)));
        list
    }

    #[test]
    fn only_those_that_were_woken_are_polled_in_the_order_of_waking() {
        let mut slots = Slots::default();
        let polled = Rc::new(RefCell::new(Vec::new()));
        for stream in [1_u32, 3, 5] {
            let number = slots.claim(stream).unwrap();
            let polled = polled.clone();
            let task = std::future::poll_fn(move |_| {
                polled.borrow_mut().push(stream);
                Poll::Pending
            });
            slots.start(number, Box::pin(task));
        }
        run(&mut slots);
        run(&mut slots);
        slots.wake(2);
        slots.wake(0);
        slots.wake(2);
        run(&mut slots);
        assert_eq!(*polled.borrow(), [1, 3, 5, 5, 1]);
    }

    #[test]
    fn places_are_used_again_and_a_panic_ends_one_exchange() {
        let mut slots = Slots::default();
        let first = slots.claim(1).unwrap();
        slots.start(first, Box::pin(async { panic!("contained") }));
        let second = slots.claim(3).unwrap();
        slots.start(second, Box::pin(async {}));
        assert_eq!(run(&mut slots), [(1, Ended::Panicked), (3, Ended::Done)]);
        assert_eq!(slots.claim(5), Some(second));
        assert_eq!(slots.claim(7), Some(first));
        assert_eq!(slots.claim(9), Some(2));
    }

    #[test]
    fn the_connection_is_woken_when_it_rests_and_only_then() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut slots = Slots::default();
        let number = slots.claim(1).unwrap();
        slots.start(number, Box::pin(std::future::pending()));
        slots.begin(&Context::from_waker(&waker));
        assert!(!slots.rest(), "there is something to poll");
        run(&mut slots);
        slots.wake(number);
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        run(&mut slots);
        assert!(slots.rest());
        slots.wake(number);
        slots.wake(number);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }
}
