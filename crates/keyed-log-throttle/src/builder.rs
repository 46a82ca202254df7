//! What can be set, and what it is when it is not.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use governor::clock::Clock;
use hashbrown::DefaultHashBuilder;

use crate::host::Coarse;
use crate::{ClassId, HostClock, LogThrottle};

/// 60 s: one line a minute is what an operator reads.
const WINDOW: Duration = Duration::from_secs(60);
/// About 2 MB with short string keys.
const CAPACITY: usize = 16_384;
/// A thing that fails each ten minutes still gets its recovery line at the default window.
const REMEMBER_WINDOWS: u32 = 10;

/// Sets up a [`LogThrottle`]; from [`LogThrottle::builder`].
///
/// # Examples
///
/// ```
/// use keyed_log_throttle::LogThrottle;
/// use std::time::Duration;
///
/// let throttle = LogThrottle::<String>::builder()
///     .window(Duration::from_secs(60))
///     .class_window(7, Duration::from_secs(3600))
///     .capacity(1_000)
///     .build();
/// assert_eq!(throttle.window(0), Duration::from_secs(60));
/// assert_eq!(throttle.window(7), Duration::from_secs(3600));
/// assert_eq!(throttle.capacity(), 1_000);
/// ```
#[derive(Clone)]
pub struct Builder<K, C = HostClock, S = DefaultHashBuilder> {
    window: Duration,
    class_windows: BTreeMap<ClassId, Duration>,
    capacity: usize,
    remember: Option<Duration>,
    clock: C,
    /// Whether the clock is the host's, at which one can look cheaply.
    is_host: bool,
    hasher: S,
    key: PhantomData<fn() -> K>,
}

// ===== impl Builder =====

impl<K> Builder<K> {
    pub(crate) fn new() -> Self {
        Self {
            window: WINDOW,
            class_windows: BTreeMap::new(),
            capacity: CAPACITY,
            remember: None,
            clock: HostClock::default(),
            is_host: true,
            hasher: DefaultHashBuilder::default(),
            key: PhantomData,
        }
    }
}

impl<K, C, S> Builder<K, C, S> {
    /// The least time between two lines of one key and class; 60 s unless set.
    ///
    /// Zero holds nothing back. Anything above 292 years counts as 292 years.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// # use std::time::Duration;
    /// let [rare, all] = [Duration::from_secs(3600), Duration::ZERO]
    ///     .map(|window| LogThrottle::<u64>::builder().window(window).build());
    /// assert_eq!(rare.window(0), Duration::from_secs(3600));
    /// assert!((0..3).all(|_| all.check(&7, 0).is_some()));
    /// ```
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// A window of its own for one class; the last one set counts.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// # use std::time::Duration;
    /// let minute = Duration::from_secs(60);
    /// let builder = LogThrottle::<u64>::builder().class_window(7, minute * 5).class_window(7, minute * 2);
    /// let throttle = builder.build();
    /// assert_eq!((throttle.window(0), throttle.window(7)), (minute, minute * 2));
    /// ```
    pub fn class_window(mut self, class: impl Into<ClassId>, window: Duration) -> Self {
        self.class_windows.insert(class.into(), window);
        self
    }

    /// The most entries that are ever held; 16,384 unless set, about 2 MB with short keys. Zero counts as one.
    ///
    /// An eighth of them, 64 at most and one at least, is kept for keys that find no room among the others: those of one class share
    /// an entry, and so a line per window. If there are more such classes than places, the last place is for all the rest of them, with
    /// the longest window there is. So fewer than 16 have one place for all classes, and one has no entry for any key.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// let throttle = LogThrottle::<u64>::builder().capacity(2).build();
    /// let lines = (0..3).filter_map(|key| throttle.check(&key, 0)).count();
    /// assert_eq!((lines, throttle.len(), throttle.totals().folded), (2, 2, 2));
    /// ```
    pub fn capacity(mut self, entries_max: usize) -> Self {
        self.capacity = entries_max;
        self
    }

    /// How long a silent incident is remembered for its recovery line; ten windows unless set.
    ///
    /// Counted from the end of the entry's window. A throttle that was full since the last sweep forgets at once.
    ///
    /// ```
    /// # use keyed_log_throttle::{LogThrottle, governor::clock::FakeRelativeClock};
    /// # use std::time::Duration;
    /// let (clock, minute) = (FakeRelativeClock::default(), Duration::from_secs(60));
    /// let throttle = LogThrottle::<u64>::builder().remember(minute).clock(clock.clone()).build();
    /// assert!(throttle.check(&7, 0).is_some());
    /// clock.advance(minute * 2); // The window, and a minute of silence.
    /// throttle.sweep(|_key, _class, _pending| ());
    /// assert!(throttle.recovered(&7).is_none());
    /// ```
    pub fn remember(mut self, remember: Duration) -> Self {
        self.remember = Some(remember);
        self
    }

    /// The clock to read, on each check; [`HostClock`] unless set, which is not read on each.
    ///
    /// It must be monotonic, as all of governor's are but `SystemClock`: after a step back, lines are held back (and
    /// counted) until the clock has caught up. Its clones must show the same time. It is read under a short lock and must
    /// not call the throttle.
    ///
    /// ```
    /// use keyed_log_throttle::{LogThrottle, governor::clock::FakeRelativeClock};
    /// use std::time::Duration;
    ///
    /// let clock = FakeRelativeClock::default();
    /// let throttle = LogThrottle::<u64>::builder().clock(clock.clone()).build();
    /// assert!(throttle.check(&1, 0).is_some());
    /// assert!(throttle.check(&1, 0).is_none());
    /// clock.advance(Duration::from_secs(60));
    /// assert!(throttle.check(&1, 0).is_some());
    /// ```
    pub fn clock<C2: Clock + Clone>(self, clock: C2) -> Builder<K, C2, S> {
        let Self {
            window,
            class_windows,
            capacity,
            remember,
            hasher,
            key,
            ..
        } = self;
        Builder {
            window,
            class_windows,
            capacity,
            remember,
            clock,
            is_host: false,
            hasher,
            key,
        }
    }

    /// The hasher for keys; `hashbrown`'s unless set, which is fast, and seeded by addresses in memory.
    ///
    /// Whoever chooses the keys and watches how long checks take could find some whose hashes collide; a look-up among those compares
    /// them one by one, up to the capacity. Where that matters take the standard library's, which costs a check by key 6 to 18 ns more.
    ///
    /// ```
    /// use keyed_log_throttle::LogThrottle;
    /// use std::hash::RandomState;
    ///
    /// let throttle = LogThrottle::<String>::builder().hasher(RandomState::new()).build();
    /// assert!(throttle.check("alpha", 0).is_some());
    /// ```
    pub fn hasher<S2>(self, hasher: S2) -> Builder<K, C, S2> {
        let Self {
            window,
            class_windows,
            capacity,
            remember,
            clock,
            is_host,
            key,
            ..
        } = self;
        Builder {
            window,
            class_windows,
            capacity,
            remember,
            clock,
            is_host,
            hasher,
            key,
        }
    }

    /// The throttle, empty. It allocates nothing yet that grows with the capacity.
    ///
    /// ```
    /// # use keyed_log_throttle::LogThrottle;
    /// let throttle = LogThrottle::<String>::builder().capacity(100).build();
    /// assert!(throttle.is_empty() && throttle.capacity() == 100);
    /// ```
    #[must_use]
    pub fn build(self) -> LogThrottle<K, C, S>
    where
        C: Clock + Clone,
    {
        let class_windows: Vec<_> = self.class_windows.into_iter().collect();
        let remember = self
            .remember
            .unwrap_or_else(|| self.window.saturating_mul(REMEMBER_WINDOWS));
        let settings = (self.window, &class_windows[..], self.capacity, remember);
        // Now, not when the builder was made: it counts from the same moment as the windows.
        let coarse = self.is_host.then(Coarse::start).flatten();
        LogThrottle::assemble(settings, self.clock, coarse, self.hasher)
    }
}

impl<K, C, S> fmt::Debug for Builder<K, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("window", &self.window)
            .field("class_windows", &self.class_windows)
            .field("capacity", &self.capacity)
            .field("remember", &self.remember)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(throttle_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_as_documented() {
        let throttle = LogThrottle::<u8>::builder().build();
        assert_eq!(throttle.window(0), Duration::from_secs(60));
        assert_eq!(throttle.capacity(), 16_384);
        assert_eq!(throttle.remember, Duration::from_secs(600));
    }

    #[test]
    fn an_incident_is_remembered_for_ten_windows_or_for_ever_unless_it_is_set() {
        let remember = |window, set: Option<Duration>| {
            let builder = LogThrottle::<u8>::builder().window(window);
            let builder = match set {
                Some(remember) => builder.remember(remember),
                None => builder,
            };
            builder.build().remember
        };
        let minute = Duration::from_secs(60);
        assert_eq!(remember(minute * 3, None), minute * 30);
        assert_eq!(remember(Duration::MAX, None), Duration::MAX);
        assert_eq!(remember(minute * 3, Some(minute)), minute);
    }

    #[test]
    fn another_clock_or_hasher_leaves_all_other_settings_as_they_are() {
        let minute = Duration::from_secs(60);
        let throttle = LogThrottle::<u8>::builder()
            .window(minute * 2)
            .class_window(7, minute * 3)
            .class_window(7, minute * 4)
            .capacity(5)
            .remember(minute)
            .hasher(std::hash::RandomState::new())
            .clock(governor::clock::FakeRelativeClock::default())
            .build();
        assert_eq!(throttle.window(0), minute * 2);
        assert_eq!(throttle.window(7), minute * 4, "the last one set");
        assert_eq!((throttle.capacity(), throttle.remember), (5, minute));
    }
}
