//! The rights of root, for as long as one piece of work needs them.

/// Who can raise rights. Inside smbd a hook runs with the client's user; only the module knows how to change that.
pub trait Privilege {
    /// Runs the work as root and returns to the former user, whatever the work does.
    fn as_root(&self, work: &mut dyn FnMut());
}

impl dyn Privilege + '_ {
    /// [`Privilege::as_root`] with a result.
    pub fn raised<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut work = Some(work);
        let mut result = None;
        self.as_root(&mut || result = work.take().map(|w| w()));
        match result {
            Some(result) => result,
            // Either way the result is needed; an implementation that does not call is a bug the guard reports.
            None => unreachable!("as_root() must call its work"),
        }
    }
}

/// For a process that is what it should be already: vscanctl, tests.
pub struct AsIs;

impl Privilege for AsIs {
    fn as_root(&self, work: &mut dyn FnMut()) {
        work();
    }
}
