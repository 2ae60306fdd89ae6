//! Long lists, on which several threads work at once.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread::{Builder, available_parallelism, scope};

/// Threads that work on one list, at most: what is shared makes more of them wait for each other.
const THREADS_MAX: usize = 4;

/// Items that are worth a thread.
const ITEMS_MIN: usize = 1_000;

/// As large as that of the main thread: documents are deep.
const STACK: usize = 8 * 1_024 * 1_024;

/// Does `work` on consecutive parts of a list, and gives what each came to, in their order. A short
/// list is one part.
pub(crate) fn in_parts<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let threads = available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    work_in_parts(items, threads.min(items.len() / ITEMS_MIN), &work)
}

fn work_in_parts<T: Sync, R: Send>(
    items: &[T],
    parts: usize,
    work: &(impl Fn(&[T]) -> R + Sync),
) -> Vec<R> {
    if parts < 2 {
        return vec![work(items)];
    }
    let length = items.len().div_ceil(parts).max(1);
    let (first, others) = items.split_at(length.min(items.len()));
    scope(|scope| {
        let begin = |part| {
            let thread = Builder::new().name("read".to_owned()).stack_size(STACK);
            (part, thread.spawn_scoped(scope, move || work(part)))
        };
        let begun: Vec<_> = others.chunks(length).map(begin).collect();
        let mut done = vec![work(first)];
        for (part, thread) in begun {
            done.push(match thread {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                // A system that has no thread to give has the work done all the same.
                Err(_) => work(part),
            });
        }
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_consecutive_and_leave_nothing_out() {
        for count in [0, 1, 5, 6, 7, 100] {
            let items: Vec<usize> = (0..count).collect();
            for parts in 0..9 {
                let done = work_in_parts(&items, parts, &<[usize]>::to_vec);
                assert_eq!(done.concat(), items, "{count} in {parts}");
                assert!(done.len() <= parts.max(1), "{count} in {parts}");
            }
        }
    }

    #[test]
    fn a_short_list_is_one_part() {
        let count = |length: usize| in_parts(&vec![0; length], <[i32]>::len).len();
        assert_eq!((count(0), count(ITEMS_MIN), count(2 * ITEMS_MIN - 1)), (1, 1, 1));
        assert!(count(100 * ITEMS_MIN) <= THREADS_MAX);
    }
}
