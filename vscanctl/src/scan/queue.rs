//! The files that wait for a worker.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// So many are known of at most before they are scanned.
const ROOM: usize = 100_000;

/// A file to be scanned.
pub struct Found {
    pub path: PathBuf,
    /// Which of the trees it is in.
    pub tree: usize,
}

/// They come in batches and go one by one: any of them may take long.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    news: Condvar,
    room: Condvar,
}

#[derive(Default)]
struct State {
    files: VecDeque<Found>,
    /// No more will come.
    is_closed: bool,
}

impl Queue {
    /// Adds files. Waits while there is no room for them.
    pub fn add(&self, files: Vec<Found>) {
        let has_no_room = |state: &mut State| state.files.len() >= ROOM;
        let state = self.room.wait_while(self.state(), has_no_room);
        state.unwrap_or_else(PoisonError::into_inner).files.extend(files);
        self.news.notify_all();
    }

    /// That was all.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.news.notify_all();
    }

    /// The next file, if there is one already.
    pub fn ready(&self) -> Option<Found> {
        self.next(&mut self.state())
    }

    /// The next file. None when that was all.
    pub fn wait(&self) -> Option<Found> {
        let has_none = |state: &mut State| state.files.is_empty() && !state.is_closed;
        let state = self.news.wait_while(self.state(), has_none);
        self.next(&mut state.unwrap_or_else(PoisonError::into_inner))
    }

    fn next(&self, state: &mut State) -> Option<Found> {
        let next = state.files.pop_front();
        if state.files.len() == ROOM - 1 {
            self.room.notify_one();
        }
        next
    }

    /// A panic elsewhere is no reason to lose the files.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn files(count: usize) -> Vec<Found> {
        (0..count).map(|number| Found { path: number.to_string().into(), tree: 0 }).collect()
    }

    #[test]
    fn files_come_in_their_order_and_then_no_more() {
        let queue = Queue::default();
        assert!(queue.ready().is_none());
        queue.add(files(3));
        let first = queue.ready().unwrap().path;
        queue.close();
        let rest: Vec<PathBuf> = std::iter::from_fn(|| queue.wait()).map(|found| found.path).collect();
        assert_eq!((first, rest), ("0".into(), vec!["1".into(), "2".into()]));
    }

    #[test]
    fn whoever_waits_hears_of_a_file_and_of_the_end() {
        let queue = Queue::default();
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..4).map(|_| scope.spawn(|| queue.wait().is_some())).collect();
            thread::sleep(Duration::from_millis(10));
            queue.add(files(1));
            queue.close();
            let served = waiting.into_iter().map(|thread| thread.join().unwrap());
            assert_eq!(served.filter(|served| *served).count(), 1);
        });
    }

    #[test]
    fn too_many_wait_for_room() {
        let queue = Queue::default();
        thread::scope(|scope| {
            let adding = scope.spawn(|| (0..2).for_each(|_| queue.add(files(ROOM))));
            thread::sleep(Duration::from_millis(10));
            assert!(!adding.is_finished());
            (0..ROOM).for_each(|_| assert!(queue.wait().is_some()));
            adding.join().unwrap();
        });
        assert!(queue.ready().is_some());
    }
}
