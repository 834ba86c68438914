//! Containing panics: a panic of one task becomes an error of that task, and everything else goes on. This crate's own
//! tasks run so; it is public for the programs around it. A program built with `panic = "abort"` has no use for it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use tokio::task::spawn_blocking;

tokio::task_local! {
    static CONTAINED: ();
}

/// Runs a future whose panic is returned as an error. A panic hook can pass it over by asking [`is_contained`]. Tasks
/// that the future spawns are not contained.
///
/// # Errors
/// The panic's message.
///
/// # Cancel safety
/// As cancel safe as `task` itself, which is dropped with the returned future.
pub fn contain<T>(task: impl Future<Output = T>) -> impl Future<Output = Result<T, String>> {
    // Such tasks are large.
    let task = AssertUnwindSafe(CONTAINED.scope((), Box::pin(task))).catch_unwind();
    async move { task.await.map_err(|panic| words(panic.as_ref())) }
}

/// Runs a blocking closure on a thread of tokio's blocking pool; its panic is returned as an error, as by [`contain`].
///
/// # Errors
/// The panic's message.
///
/// # Cancel safety
/// Dropping the future does not stop `work`: it runs to its end and its result is lost.
pub async fn contain_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let working = spawn_blocking(|| CONTAINED.sync_scope((), || catch_unwind(AssertUnwindSafe(work))));
    match working.await {
        Ok(done) => done.map_err(|panic| words(panic.as_ref())),
        // The runtime ends.
        Err(error) => Err(error.to_string()),
    }
}

/// Returns whether the code that runs on this thread just now is [contained](contain). For panic hooks.
pub fn is_contained() -> bool {
    CONTAINED.try_with(|()| ()).is_ok()
}

/// Locks a mutex. Nothing here leaves its data half changed in a panic, so that poisoning says nothing.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_returned_in_words() {
        assert!(!is_contained());
        assert_eq!(contain(async { is_contained() }).await, Ok(true));
        let broken = async {
            tokio::task::yield_now().await;
            panic!("something {}", "broke");
        };
        assert_eq!(contain(broken).await.map(|()| 0), Err("something broke".to_owned()));
        assert!(!is_contained());
        assert_eq!(contain_blocking(is_contained).await, Ok(true));
        assert_eq!(contain_blocking(|| panic!("so did this")).await.map(|()| 0), Err("so did this".to_owned()));
    }
}
