//! Many requests find one search index broken: one rebuilds it, some wait for that, and one that cannot wait goes without.
//!
//! Run with `cargo run --example repair_search_index`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use once_per_key_repair::{Outcome, RepairGate, Token, Turn};

const ARTICLES: [&str; 3] = ["red apples", "green apples", "pears"];

#[derive(Default)]
struct Site {
    gate: RepairGate<String>,
    /// All words; `None` when it could not be read.
    index: Mutex<Option<Vec<&'static str>>>,
}

impl Site {
    fn look_up(&self, word: &str) -> Option<String> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let hits = index.as_ref()?.iter().filter(|w| **w == word).count();
        Some(format!("{hits} hits, from the index"))
    }

    fn search(&self, word: &str, patience: Duration, pause: impl Fn()) -> String {
        if let Some(answer) = self.look_up(word) {
            return answer;
        }
        match self.gate.enter("articles") {
            Turn::Yours(permit) => {
                let rebuilt = permit.run(|token| self.rebuild(token, pause));
                assert!(rebuilt.is_ok());
            }
            // Told in time or not: what matters is whether the index answers now.
            Turn::InFlight(waiter) => drop(waiter.wait_timeout(patience)),
            Turn::Spent(_) => {}
        }
        let slowly = || ARTICLES.iter().filter(|a| a.contains(word)).count();
        let scan = || format!("{} hits, from a slow scan", slowly());
        self.look_up(word).unwrap_or_else(scan)
    }

    /// The token is the proof that nobody else rebuilds it.
    fn rebuild(&self, _token: Token<'_, String>, pause: impl Fn()) -> Result<(), String> {
        pause();
        let words = ARTICLES.iter().flat_map(|a| a.split(' ')).collect();
        *self.index.lock().map_err(|error| error.to_string())? = Some(words);
        Ok(())
    }
}

fn main() {
    let site = Site::default();
    // Only here so that the example always shows somebody who meets a rebuild. A second rebuild would wait for ever.
    let meanwhile = Barrier::new(2);
    let pause = || {
        meanwhile.wait();
        meanwhile.wait();
    };
    thread::scope(|scope| {
        let request = || site.search("apples", Duration::from_secs(10), pause);
        let patient: Vec<_> = (0..4).map(|_| scope.spawn(request)).collect();
        meanwhile.wait();
        let hasty = site.search("apples", Duration::ZERO, || unreachable!("one rebuild"));
        println!("in a hurry: {hasty}");
        assert_eq!(hasty, "2 hits, from a slow scan");
        meanwhile.wait();
        for request in patient {
            let answer = request.join().unwrap_or_default();
            println!("with patience: {answer}");
            assert_eq!(answer, "2 hits, from the index");
        }
    });
    assert_eq!(site.gate.outcome("articles"), Some(Outcome::Repaired));
}
