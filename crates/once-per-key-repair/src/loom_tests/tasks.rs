//! Tasks that wait, in every order. Beside a thread that waits as well: in [`three`](super::three).

use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::World;
use crate::{Outcome, Turn, Waited};

/// The end of a turn and the first poll of a future meet in every order: the future is woken, or sees the end itself.
#[test]
fn loom_a_task_that_waits_is_never_left_asleep() {
    #[derive(Default)]
    struct Bell(Mutex<bool>, Condvar);
    impl Wake for Bell {
        fn wake(self: std::sync::Arc<Self>) {
            *self.0.lock().unwrap() = true;
            self.1.notify_all();
        }
    }

    fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
        let bell = std::sync::Arc::new(Bell::default());
        let waker = std::sync::Arc::clone(&bell).into();
        loop {
            if let Poll::Ready(done) = Pin::new(&mut future).poll(&mut Context::from_waker(&waker))
            {
                return done;
            }
            // A lost wake-up is a deadlock here, which loom reports.
            let mut rung = bell.0.lock().unwrap();
            while !std::mem::take(&mut *rung) {
                rung = bell.1.wait(rung).unwrap();
            }
        }
    }

    loom::model(|| {
        let world = World::new();
        let Turn::Yours(permit) = world.gate.enter(&0) else {
            panic!("a new key")
        };
        let task = thread::spawn({
            let world = Arc::clone(&world);
            move || match world.gate.enter(&0) {
                Turn::InFlight(waiter) => {
                    assert_eq!(block_on(waiter), Waited::Settled(Outcome::Repaired));
                }
                Turn::Spent(outcome) => assert_eq!(outcome, Outcome::Repaired),
                Turn::Yours(_) => panic!("a second grant"),
            }
        });
        permit.run(|_| Ok::<(), ()>(())).unwrap();
        task.join().unwrap();
    });
}

/// A future that is dropped while the turn ends leaves nothing behind, in every order.
#[test]
fn loom_a_task_that_gives_up_while_the_turn_ends_is_forgotten() {
    loom::model(|| {
        let world = World::new();
        let Turn::Yours(permit) = world.gate.enter(&0) else {
            panic!("a new key")
        };
        let other = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                if let Turn::InFlight(mut waiter) = world.gate.enter(&0) {
                    let mut cx = Context::from_waker(Waker::noop());
                    let _ = Pin::new(&mut waiter).poll(&mut cx);
                }
            }
        });
        permit.forfeit();
        other.join().unwrap();
    });
}
