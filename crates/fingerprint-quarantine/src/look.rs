//! The two ways to bring a stamp: a look to take when it is needed, or one that has been taken already.

/// How to come by a stamp.
pub(crate) trait Look<T> {
    /// The stamp, if it costs nothing.
    fn given(self) -> Option<T>;
    /// The stamp. Runs the caller's code: no lock may be held.
    fn take(self) -> T;
}

/// By [`Quarantine::admit`](crate::Quarantine::admit).
pub(crate) struct Lazy<F>(pub(crate) F);

/// By [`Quarantine::admit_stamped`](crate::Quarantine::admit_stamped).
pub(crate) struct Taken<T>(pub(crate) T);

impl<T, F: FnOnce() -> T> Look<T> for Lazy<F> {
    #[inline]
    fn given(self) -> Option<T> {
        None
    }

    fn take(self) -> T {
        (self.0)()
    }
}

impl<T> Look<T> for Taken<T> {
    #[inline]
    fn given(self) -> Option<T> {
        Some(self.0)
    }

    fn take(self) -> T {
        self.0
    }
}
