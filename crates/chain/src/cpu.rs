//! Work that would hold up an event loop runs on a few threads of its own.
//!
//! Hashing a password takes tens of milliseconds on purpose, in which an event loop would serve
//! thousands of requests. The pool bounds what such work can cost: its threads are few, its queue
//! is `limits.cpu_queue` long, and nobody waits longer than `limits.cpu_wait`. Whatever finds no
//! room is refused with 503; what nobody waits for any more is not begun. A panic ends the one
//! piece of work.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bartizan_core::{Denial, Limits, Reason};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Most threads: what they do must leave the cores to the event loops.
const THREADS_MAX: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// The pool of a node; clones are the same pool.
#[derive(Clone)]
pub struct CpuPool(Place);

#[derive(Clone)]
enum Place {
    Nowhere,
    Here,
    Threads(Arc<Threads>),
}

struct Threads {
    count: usize,
    queue: usize,
    wait: Duration,
    /// Where work is put in, once there was some; `None` where no thread could be started.
    jobs: OnceLock<Option<SyncSender<Job>>>,
}

/// Why work on the pool came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuFault {
    /// The queue is full.
    #[error("the CPU pool is full: over `limits.cpu_queue`")]
    Full,
    /// It was not done in time.
    #[error("the CPU pool took too long: over `limits.cpu_wait`")]
    Slow,
    /// The work panicked, or the pool has no threads.
    #[error("work on the CPU pool broke off")]
    Broken,
}

impl From<CpuFault> for Denial {
    fn from(fault: CpuFault) -> Self {
        match fault {
            CpuFault::Full | CpuFault::Slow => Self::new(Reason::CpuBusy, fault.to_string())
                .with_field("retry-after", "1".to_owned()),
            CpuFault::Broken => Self::new(Reason::Internal, fault.to_string()),
        }
    }
}

impl CpuPool {
    /// A pool within these limits. Its threads are started by the first work.
    pub fn new(limits: &Limits) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with_threads((cores / 4).clamp(1, THREADS_MAX), limits)
    }

    fn with_threads(count: usize, limits: &Limits) -> Self {
        if limits.cpu_queue == 0 {
            return Self(Place::Nowhere);
        }
        Self(Place::Threads(Arc::new(Threads {
            count,
            queue: usize::try_from(limits.cpu_queue).unwrap_or(usize::MAX),
            wait: limits.cpu_wait.0,
            jobs: OnceLock::new(),
        })))
    }

    /// A pool that does its work on the calling thread, at once. For tests on virtual time: a
    /// clock that moves on when all tasks wait must not see them wait for a thread.
    pub fn inline(limits: &Limits) -> Self {
        Self(if limits.cpu_queue == 0 { Place::Nowhere } else { Place::Here })
    }

    /// Does the work and gives back what came of it.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CpuFault> {
        match &self.0 {
            Place::Nowhere => Err(CpuFault::Full),
            Place::Here => catch_unwind(AssertUnwindSafe(work)).map_err(|_| CpuFault::Broken),
            Place::Threads(threads) => threads.run(work).await,
        }
    }
}

impl fmt::Debug for CpuPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = match &self.0 {
            Place::Nowhere | Place::Here => 0,
            Place::Threads(threads) => threads.count,
        };
        f.debug_struct("CpuPool").field("threads", &threads).finish_non_exhaustive()
    }
}

impl Threads {
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CpuFault> {
        let (answer, waiting) = oneshot::channel();
        let job = move || {
            if answer.is_closed() {
                return;
            }
            if let Ok(result) = catch_unwind(AssertUnwindSafe(work)) {
                // Whoever asked may have gone meanwhile.
                let _ = answer.send(result);
            }
        };
        let jobs = self.jobs.get_or_init(|| self.start()).as_ref().ok_or(CpuFault::Broken)?;
        jobs.try_send(Box::new(job)).map_err(|_| CpuFault::Full)?;
        // Boxed: every request's future would have room for a timer that few of them need.
        match Box::pin(timeout(self.wait, waiting)).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(CpuFault::Broken),
            Err(_) => Err(CpuFault::Slow),
        }
    }

    /// Starts the threads. They end when the pool is dropped.
    fn start(&self) -> Option<SyncSender<Job>> {
        let (jobs, queue) = sync_channel(self.queue);
        let queue = Arc::new(Mutex::new(queue));
        let started = (0..self.count).filter(|number| {
            let queue = queue.clone();
            let thread = std::thread::Builder::new().name(format!("cpu-{number}"));
            let result = thread.spawn(move || serve(&queue));
            result.inspect_err(|error| tracing::error!(%error, "a CPU thread cannot start")).is_ok()
        });
        (started.count() > 0).then_some(jobs)
    }
}

fn serve(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use bartizan_core::Span;

    use super::*;

    fn pool(queue: u32, wait: Duration) -> CpuPool {
        let limits = Limits { cpu_queue: queue, cpu_wait: Span(wait), ..Limits::default() };
        CpuPool::with_threads(1, &limits)
    }

    fn inline() -> CpuPool {
        CpuPool::inline(&Limits::default())
    }

    const LONG: Duration = Duration::from_secs(600);

    /// Occupies the only thread until the sender is dropped, whatever the pool lets others wait.
    async fn occupied(pool: &CpuPool) -> std::sync::mpsc::Sender<()> {
        let (hold, held) = channel::<()>();
        let (began, begins) = oneshot::channel();
        let Place::Threads(threads) = &pool.0 else { panic!("a pool without threads") };
        let jobs = threads.jobs.get_or_init(|| threads.start()).as_ref().unwrap();
        let job: Job = Box::new(move || {
            let _ = began.send(());
            // An error once the sender is gone.
            let _ = held.recv();
        });
        jobs.try_send(job).unwrap();
        begins.await.unwrap();
        hold
    }

    #[tokio::test]
    async fn work_is_done_elsewhere_and_its_result_comes_back() {
        let here = std::thread::current().id();
        let pool = pool(1, LONG);
        let there = pool.run(|| std::thread::current().id()).await.unwrap();
        assert_ne!(here, there);
        assert_eq!(inline().run(|| std::thread::current().id()).await, Ok(here));
    }

    #[tokio::test]
    async fn what_finds_no_room_is_refused() {
        let pool = pool(1, LONG);
        let hold = occupied(&pool).await;
        let waits = {
            let own = pool.clone();
            tokio::spawn(async move { own.run(|| 1).await })
        };
        tokio::task::yield_now().await;
        assert_eq!(pool.run(|| 2).await, Err(CpuFault::Full));
        drop(hold);
        assert_eq!(waits.await.unwrap(), Ok(1));
        assert_eq!(pool.run(|| 3).await, Ok(3));
    }

    #[tokio::test]
    async fn without_a_queue_nothing_is_done() {
        let none = Limits { cpu_queue: 0, ..Limits::default() };
        for pool in [CpuPool::new(&none), CpuPool::inline(&none)] {
            assert_eq!(pool.run(|| 1).await, Err(CpuFault::Full));
        }
    }

    #[tokio::test]
    async fn nobody_waits_forever_and_what_nobody_waits_for_is_not_begun() {
        let hasty = pool(8, Duration::ZERO);
        let hold = occupied(&hasty).await;
        let (tell, told) = channel();
        let late = hasty.run(move || tell.send(())).await;
        assert_eq!(late.map(drop), Err(CpuFault::Slow));
        drop(hold);
        // The work is dropped with its sender, and was not done before.
        assert!(told.recv().is_err());
    }

    #[tokio::test]
    async fn a_panic_ends_one_piece_of_work_and_not_the_pool() {
        for pool in [pool(1, LONG), inline()] {
            assert_eq!(
                pool.run(|| panic!("contained")).await.map(|(): ()| 0),
                Err(CpuFault::Broken)
            );
            assert_eq!(pool.run(|| 7).await, Ok(7));
        }
    }

    #[test]
    fn a_full_pool_is_a_limit_that_was_hit() {
        for (fault, limit) in [(CpuFault::Full, "cpu_queue"), (CpuFault::Slow, "cpu_wait")] {
            let denial = Denial::from(fault);
            assert_eq!((denial.reason, denial.status()), (Reason::CpuBusy, 503));
            assert_eq!(bartizan_core::limit_named_in(&denial.detail), Some(limit));
        }
        assert_eq!(Denial::from(CpuFault::Broken).status(), 500);
    }
}
