//! Asking an error whether it is of a certain type, as cheaply as can be.

use std::error::Error;

/// The error as a `T`, if it is one: `downcast_ref` behind a look at size and alignment.
///
/// `downcast_ref` calls a function through the vtable, and a walk asks every error of the chain for several types.
/// Size and alignment stand in the vtable itself, so that almost every "no" costs two loads and no call.
#[inline(always)]
pub(crate) fn cast<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    if size_of_val(error) != size_of::<T>() || align_of_val(error) != align_of::<T>() {
        return None;
    }
    error.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::cast;
    use std::error::Error;
    use std::{fmt, io, num};

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Like<T>(T);

    impl<T: fmt::Debug> fmt::Display for Like<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("like")
        }
    }

    impl<T: fmt::Debug> Error for Like<T> {}

    #[test]
    fn it_says_what_a_downcast_says() {
        fn agree<T: Error + 'static>(error: &(dyn Error + 'static)) {
            let plain = error.downcast_ref::<T>().map(std::ptr::from_ref);
            assert_eq!(cast::<T>(error).map(std::ptr::from_ref), plain, "{error:?}");
        }
        let errors: [Box<dyn Error>; 7] = [
            Box::new(io::Error::other("x")),
            Box::new(fmt::Error),
            Box::new(Like(())),
            Box::new(Like(7_u64)),
            Box::new(Like([7_u8; 8])),
            Box::new(Like(7_usize)),
            Box::new(Box::new(Like(0_u8))),
        ];
        for error in &errors {
            agree::<io::Error>(&**error);
            agree::<fmt::Error>(&**error);
            agree::<num::ParseIntError>(&**error);
            agree::<Like<()>>(&**error);
            agree::<Like<u64>>(&**error);
            agree::<Like<usize>>(&**error);
            agree::<Like<[u8; 8]>>(&**error);
            agree::<Box<Like<u8>>>(&**error);
        }
    }
}
