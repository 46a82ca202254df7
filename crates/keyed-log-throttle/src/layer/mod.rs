//! A layer around another layer, for lines of code that one cannot change.

mod companion;
mod key;
mod spans;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use governor::clock::Clock;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

pub use self::key::LineKey;
use crate::{ClassId, HostClock, Line, LogThrottle, Pending};

/// The throttle of a [`ThrottleLayer`]. Its classes are the levels: see `ClassId::from(Level)`.
pub type LineThrottle<C = HostClock> = LogThrottle<LineKey, C>;

/// Sits around the layer that writes, and passes on one event per callsite and key in each window.
///
/// The key of an event is the callsite and the values of the fields that [`keyed_by`](Self::keyed_by) names, from the event
/// itself or else from the spans it is in, the innermost first. A field that is found in neither is not part of the key:
/// without any, all events of a callsite share one line per window. Fields that are not named do not matter, so a changing
/// message is no new line. The class is the level, for [`Builder::class_window`](crate::Builder::class_window).
///
/// A layer cannot add to an event. What was held back is written as a line of its own just before the next one, with the
/// target, level, file and line of the event and the fields `suppressed`, `since` and, if it has one, `key`. When trouble ends in silence,
/// the next event of any kind that is written brings the summary. For a program that may fall silent altogether, and for its
/// end, call `throttle.sweep(LineKey::tell)` and `throttle.drain(LineKey::tell)`.
///
/// # Limits
///
/// - What an event costs before a layer sees it is spent: its fields and message arguments have been evaluated. The macro
///   `throttled!` and [`LogThrottle::check`] cost a tenth.
/// - Put filters around this layer, not into it: `ThrottleLayer::new(fmt, throttle).with_filter(filter)`. Then a line that
///   the filter refuses neither counts nor spends. A layer with a filter *inside* is not seen as one by tracing-subscriber:
///   lines that it refuses can be written.
/// - What finds a layer by its type (`OpenTelemetryLayer`, `ErrorLayer`) does not find it inside of this one.
/// - Wrap each layer with a throttle of its own: an event that passes two layers with one throttle is counted twice.
/// - Events of the `log` crate, bridged, have one callsite per level. Key them by `log.target` and `log.line`;
///   `only` sees the target `log`.
///
/// # Examples
///
/// ```
/// use keyed_log_throttle::{LineKey, LineThrottle, ThrottleLayer};
/// use std::{sync::Arc, time::Duration};
/// use tracing_subscriber::{filter::{LevelFilter, Targets}, prelude::*};
///
/// let throttle = Arc::new(LineThrottle::new(Duration::from_secs(60)));
/// let fmt = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
/// let layer = ThrottleLayer::new(fmt, Arc::clone(&throttle))
///     .only(Targets::new().with_target("flaky_driver", LevelFilter::WARN))
///     .keyed_by(["device"]);
/// let subscriber = tracing_subscriber::registry().with(layer.with_filter(LevelFilter::INFO));
///
/// tracing::subscriber::with_default(subscriber, || {
///     for round in 0..100 {
///         tracing::error!(target: "flaky_driver", device = 7, "no answer in round {round}");
///         tracing::info!("not chosen, passes untouched");
///     }
///     throttle.drain(LineKey::tell); // "more like this: +99 in 0ms"
/// });
/// assert_eq!((throttle.totals().permitted, throttle.totals().reported), (1, 99));
/// ```
pub struct ThrottleLayer<L, C: Clock = HostClock> {
    inner: L,
    throttle: Arc<LineThrottle<C>>,
    /// `None`: all.
    only: Option<Targets>,
    fields: Box<[Box<str>]>,
    /// When the next sweep is due, in the throttle's nanoseconds.
    sweep_at: AtomicU64,
    sweep_every: u64,
}

impl From<Level> for ClassId {
    /// 1 for `ERROR` to 5 for `TRACE`.
    fn from(level: Level) -> Self {
        Self::new(match level {
            Level::ERROR => 1,
            Level::WARN => 2,
            Level::INFO => 3,
            Level::DEBUG => 4,
            Level::TRACE => 5,
        })
    }
}

// ===== impl ThrottleLayer =====

impl<L, C: Clock> ThrottleLayer<L, C> {
    /// Throttles all events on their way to `inner`, by callsite, until told otherwise.
    ///
    /// ```
    /// # use keyed_log_throttle::{LineThrottle, ThrottleLayer};
    /// # use tracing_subscriber::{layer::Identity, prelude::*};
    /// let throttle = std::sync::Arc::new(LineThrottle::builder().build());
    /// let layer = ThrottleLayer::new(Identity::new(), throttle.clone());
    /// tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
    ///     [7, 8, 7].map(|device| tracing::error!(device, "no answer"));
    /// });
    /// assert_eq!((throttle.totals().permitted, throttle.totals().pending), (1, 2));
    /// ```
    pub fn new(inner: L, throttle: Arc<LineThrottle<C>>) -> Self {
        let levels = [
            Level::ERROR,
            Level::WARN,
            Level::INFO,
            Level::DEBUG,
            Level::TRACE,
        ];
        let window = levels.map(|level| throttle.window(level)).into_iter().min();
        // Late by a quarter of a window at most; a sweep walks all entries.
        let every = (window.unwrap_or_default() / 4).max(Duration::from_millis(1));
        Self {
            inner,
            throttle,
            only: None,
            fields: Box::default(),
            sweep_at: AtomicU64::new(0),
            sweep_every: u64::try_from(every.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// Throttles what these targets and levels name; all else passes untouched.
    ///
    /// ```
    /// # use keyed_log_throttle::{LineThrottle, ThrottleLayer};
    /// # use tracing_subscriber::{filter::{LevelFilter, Targets}, layer::Identity, prelude::*};
    /// let throttle = std::sync::Arc::new(LineThrottle::builder().build());
    /// let driver = Targets::new().with_target("flaky_driver", LevelFilter::WARN);
    /// let layer = ThrottleLayer::new(Identity::new(), throttle.clone()).only(driver);
    /// tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
    ///     [7, 8].map(|device| tracing::error!(target: "flaky_driver", device, "no answer"));
    ///     [7, 8].map(|device| tracing::error!(target: "other", device, "no answer"));
    /// });
    /// assert_eq!((throttle.totals().permitted, throttle.totals().pending), (1, 1));
    /// ```
    pub fn only(mut self, lines: Targets) -> Self {
        self.only = Some(lines);
        self
    }

    /// The fields whose values make the key, beside the callsite.
    ///
    /// # Panics
    ///
    /// If they are more than 64.
    ///
    /// ```
    /// # use keyed_log_throttle::{LineThrottle, ThrottleLayer};
    /// # use tracing_subscriber::{layer::Identity, prelude::*};
    /// let throttle = std::sync::Arc::new(LineThrottle::builder().build());
    /// let layer = ThrottleLayer::new(Identity::new(), throttle.clone()).keyed_by(["device"]);
    /// tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
    ///     [7, 8, 7].map(|device| tracing::error!(device, "no answer"));
    /// });
    /// assert_eq!((throttle.totals().permitted, throttle.totals().pending), (2, 1));
    /// ```
    pub fn keyed_by<N: Into<Box<str>>>(mut self, fields: impl IntoIterator<Item = N>) -> Self {
        self.fields = fields.into_iter().map(Into::into).collect();
        assert!(self.fields.len() <= 64, "a key of at most 64 fields");
        self
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = |only: &Targets| only.would_enable(metadata.target(), metadata.level());
        !companion::is_one(metadata) && self.only.as_ref().is_none_or(wanted)
    }
}

impl<L, C: Clock> ThrottleLayer<L, C> {
    /// Writes what is pending for silent keys, at most once per a quarter of a window.
    fn sweep_if_due<S>(&self, ctx: &Context<'_, S>)
    where
        L: Layer<S>,
        S: Subscriber,
    {
        let (now, due) = (
            self.throttle.inner.core.lately(),
            self.sweep_at.load(Relaxed),
        );
        let next = now.saturating_add(self.sweep_every);
        // Who moves the date sweeps; an event of the sink itself, inside of a sweep, finds it moved.
        if now < due
            || self
                .sweep_at
                .compare_exchange(due, next, Relaxed, Relaxed)
                .is_err()
        {
            return;
        }
        self.throttle.sweep(|key, _class, pending| {
            companion::with_event(key.metadata(), key.shown(), None, &pending, |event| {
                self.inner.on_event(event, ctx.clone());
            });
        });
    }

    /// Writes what `line` has to tell before `event` is written.
    fn tell<S>(&self, line: &Line, key: &key::Shown<'_>, event: &Event<'_>, ctx: &Context<'_, S>)
    where
        L: Layer<S>,
        S: Subscriber,
    {
        let (Some(since), true) = (line.since, line.suppressed > 0) else {
            return;
        };
        let pending = Pending {
            suppressed: line.suppressed,
            since,
            folded_keys: line.folded_keys,
        };
        let shown = (!key.0.is_empty()).then_some(key as &dyn fmt::Display);
        companion::with_event(
            event.metadata(),
            shown,
            Some(event),
            &pending,
            |companion| {
                self.inner.on_event(companion, ctx.clone());
            },
        );
    }
}

impl<L, C, S> Layer<S> for ThrottleLayer<L, C>
where
    L: Layer<S>,
    C: Clock + Send + Sync + 'static,
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        if self.wants(event.metadata()) {
            let class = ClassId::from(*event.metadata().level());
            let permitted = key::gather(&self.fields, event, &ctx, |key| {
                let line = self.throttle.check_as(&key, class, |key| key.to_owned())?;
                // Rare from here on: a copy of the key outlives the borrowed buffer, which the sink may need.
                Some((
                    line,
                    if line.suppressed > 0 {
                        key.text.to_owned()
                    } else {
                        String::new()
                    },
                ))
            });
            let Some((line, key)) = permitted else {
                return;
            };
            self.tell(&line, &key::Shown(&key), event, &ctx);
        }
        self.sweep_if_due(&ctx);
        self.inner.on_event(event, ctx);
    }

    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        if spans::has_any(attrs.metadata(), &self.fields) {
            spans::keep(&self.fields, |visit| attrs.record(visit), id, &ctx);
        }
        self.inner.on_new_span(attrs, id, ctx);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if ctx
            .metadata(id)
            .is_some_and(|metadata| spans::has_any(metadata, &self.fields))
        {
            spans::keep(&self.fields, |visit| values.record(visit), id, &ctx);
        }
        self.inner.on_record(id, values, ctx);
    }

    // All else goes to the inner layer as it is.

    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        self.inner.on_register_dispatch(subscriber);
    }

    fn on_layer(&mut self, subscriber: &mut S) {
        self.inner.on_layer(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.inner.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, ctx: Context<'_, S>) -> bool {
        self.inner.enabled(metadata, ctx)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.inner.max_level_hint()
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: Context<'_, S>) {
        self.inner.on_follows_from(id, follows, ctx);
    }

    fn event_enabled(&self, event: &Event<'_>, ctx: Context<'_, S>) -> bool {
        self.inner.event_enabled(event, ctx)
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        self.inner.on_enter(id, ctx);
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        self.inner.on_exit(id, ctx);
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        self.inner.on_close(id, ctx);
    }

    fn on_id_change(&self, old: &Id, new: &Id, ctx: Context<'_, S>) {
        self.inner.on_id_change(old, new, ctx);
    }
}

impl<L: fmt::Debug, C: Clock> fmt::Debug for ThrottleLayer<L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleLayer")
            .field("inner", &self.inner)
            .field("throttle", &self.throttle)
            .field("only", &self.only)
            .field("keyed_by", &self.fields)
            .finish_non_exhaustive()
    }
}
