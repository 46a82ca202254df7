//! `throttled!`: tracing's `event!` with a throttle between "is it enabled?" and "what does it say?".

/// Writes a `tracing` event if it is enabled and the throttle permits it.
///
/// The first argument is the check, the rest is what [`tracing::event!`] takes:
/// `throttled!(CHECK, [name: ..,] [target: ..,] [parent: ..,] LEVEL, fields and message)`.
/// `CHECK` is any expression of type `Option<Line>`: [`throttle.check(key, class)`](crate::LogThrottle::check),
/// [`handle.check()`](crate::Handle::check), or what you make of them.
///
/// What happens, in this order, each only if the one before said yes:
///
/// 1. tracing is asked whether this very callsite is enabled, as `event!` asks. A disabled line neither counts nor spends
///    the window. Nothing about it is cached but what tracing itself caches and renews.
/// 2. `CHECK` is evaluated. `None` ends it: the line is held back and counted.
/// 3. Fields and message are evaluated, and the event is written: with the file, line, module and target of the caller, and
///    no lock held. It has three more fields if there is something to tell: `suppressed`, `since` and `folded_keys`, from
///    the [`Line`](crate::Line), right behind the message.
///
/// With several filters per layer, enabled means: by one of them at least. A line that is held back is held back for all.
///
/// Inside of an event (a sink that logs), tracing's scoped dispatcher swallows events; those are not enabled and not counted.
///
/// # Examples
///
/// ```
/// use keyed_log_throttle::{LogThrottle, throttled};
/// use std::time::Duration;
/// use tracing::Level;
///
/// let throttle = LogThrottle::<String>::new(Duration::from_secs(60));
/// # let subscriber = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
/// # tracing::subscriber::with_default(subscriber, || {
/// let handle = throttle.handle("alpha", 1);
/// let (board, error) = ("alpha", "database is locked");
/// for tick in 0..100 {
///     throttled!(throttle.check(board, 0), Level::ERROR, board, "tick {tick}: {error}");
///     throttled!(handle.check(), target: "boards", Level::WARN, { %error, code = 5 }, "board failed");
/// }
/// assert_eq!((throttle.totals().permitted, throttle.totals().pending), (2, 198));
///
/// // Nobody listens at this level: nothing is counted, and the window is not spent.
/// throttled!(throttle.check("beta", 0), Level::TRACE, "details");
/// assert_eq!(throttle.totals().observed, 200);
/// # });
/// ```
#[macro_export]
macro_rules! throttled {
    // The head: what must come before the level is moved along as it is.
    ($check:expr, name: $name:expr, $($rest:tt)+) => {
        $crate::__throttled!(@head $check, [name: $name,] $($rest)+)
    };
    ($check:expr, $($rest:tt)+) => {
        $crate::__throttled!(@head $check, [] $($rest)+)
    };
}

/// The steps of `throttled!`. Not public: it may change with any version.
///
/// tracing evaluates the message before the fields, wherever it stands. So the message is looked for and made the first
/// field; the check, within that field, is evaluated before all else, and can leave by `break`.
#[doc(hidden)]
#[macro_export]
macro_rules! __throttled {
    (@head $check:expr, [$($head:tt)*] target: $target:expr, $($rest:tt)+) => {
        $crate::__throttled!(@head $check, [$($head)* target: $target,] $($rest)+)
    };
    (@head $check:expr, [$($head:tt)*] parent: $parent:expr, $($rest:tt)+) => {
        $crate::__throttled!(@head $check, [$($head)* parent: $parent,] $($rest)+)
    };
    (@head $check:expr, [$($head:tt)*] $level:expr, { $($fields:tt)* } $(,)?) => {
        $crate::__throttled!(@event $check, [$($head)* $level,] { $($fields)* })
    };
    (@head $check:expr, [$($head:tt)*] $level:expr, { $($fields:tt)* }, $($message:tt)+) => {
        $crate::__throttled!(
            @event $check, [$($head)* $level,] { $($fields)* } $($message)+
        )
    };
    (@head $check:expr, [$($head:tt)*] $level:expr, $($rest:tt)+) => {
        $crate::__throttled!(@fields $check, [$($head)* $level,] {} $($rest)+)
    };

    // One field after the other, in each of its spellings; what is then left is the message.
    (@fields $check:expr, $head:tt { $($out:tt)* }) => {
        $crate::__throttled!(@event $check, $head { $($out)* })
    };
    (@fields $check:expr, $head:tt { $($out:tt)* } $($k:ident).+ = ?$v:expr $(, $($rest:tt)*)?) => {
        $crate::__throttled!(@fields $check, $head { $($out)* $($k).+ = ?$v, } $($($rest)*)?)
    };
    (@fields $check:expr, $head:tt { $($out:tt)* } $($k:ident).+ = %$v:expr $(, $($rest:tt)*)?) => {
        $crate::__throttled!(@fields $check, $head { $($out)* $($k).+ = %$v, } $($($rest)*)?)
    };
    (@fields $check:expr, $head:tt { $($out:tt)* } $($k:ident).+ = $v:expr $(, $($rest:tt)*)?) => {
        $crate::__throttled!(@fields $check, $head { $($out)* $($k).+ = $v, } $($($rest)*)?)
    };
    (@fields $check:expr, $head:tt { $($out:tt)* } ?$($k:ident).+ $(, $($rest:tt)*)?) => {
        $crate::__throttled!(@fields $check, $head { $($out)* ?$($k).+, } $($($rest)*)?)
    };
    (@fields $check:expr, $head:tt { $($out:tt)* } %$($k:ident).+ $(, $($rest:tt)*)?) => {
        $crate::__throttled!(@fields $check, $head { $($out)* %$($k).+, } $($($rest)*)?)
    };
    (@fields $check:expr, $head:tt { $($out:tt)* } $($k:ident).+ $(, $($rest:tt)*)?) => {
        $crate::__throttled!(@fields $check, $head { $($out)* $($k).+, } $($($rest)*)?)
    };
    (@fields $check:expr, $head:tt { $($out:tt)* } $k:literal = ?$v:expr $(, $($rest:tt)*)?) => {
        $crate::__throttled!(@fields $check, $head { $($out)* $k = ?$v, } $($($rest)*)?)
    };
    (@fields $check:expr, $head:tt { $($out:tt)* } $k:literal = %$v:expr $(, $($rest:tt)*)?) => {
        $crate::__throttled!(@fields $check, $head { $($out)* $k = %$v, } $($($rest)*)?)
    };
    (@fields $check:expr, $head:tt { $($out:tt)* } $k:literal = $v:expr $(, $($rest:tt)*)?) => {
        $crate::__throttled!(@fields $check, $head { $($out)* $k = $v, } $($($rest)*)?)
    };
    (@fields $check:expr, $head:tt { $($out:tt)* } $($message:tt)+) => {
        $crate::__throttled!(
            @event $check, $head { $($out)* } $($message)+
        )
    };

    // The message stands first, as everywhere. The check is its first argument, which says nothing.
    (@event $check:expr, [$($head:tt)*] { $($fields:tt)* } $($message:tt)+) => {
        '__throttled: {
            let __line: $crate::Line;
            $crate::__macro_support::tracing::event!(
                $($head)*
                message = $crate::__macro_support::format_args!(
                    "{}{}",
                    $crate::__throttled!(@check $check, '__throttled, __line, ""),
                    $crate::__macro_support::format_args!($($message)+)
                ),
                suppressed = $crate::__macro_support::suppressed(&__line),
                since = $crate::__macro_support::since(&__line),
                folded_keys = $crate::__macro_support::folded_keys(&__line),
                $($fields)*
            );
        }
    };
    (@event $check:expr, [$($head:tt)*] { $($fields:tt)* }) => {
        '__throttled: {
            let __line: $crate::Line;
            $crate::__macro_support::tracing::event!(
                $($head)*
                suppressed = $crate::__throttled!(
                    @check $check, '__throttled, __line, $crate::__macro_support::suppressed(&__line)
                ),
                since = $crate::__macro_support::since(&__line),
                folded_keys = $crate::__macro_support::folded_keys(&__line),
                $($fields)*
            );
        }
    };

    (@check $check:expr, $out:lifetime, $line:ident, $then:expr) => {{
        // However the check ends but with a line: `None`, `?`, `return`, a panic.
        let __not_written = $crate::__macro_support::NotWritten;
        $line = match $check {
            $crate::__macro_support::Some(line) => line,
            $crate::__macro_support::None => break $out,
        };
        __not_written.after_all();
        $then
    }};
}
