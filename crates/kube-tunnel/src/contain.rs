//! Panics that stay where they are: what one context's task meets is that context's, and everything else goes on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use tokio::task::spawn_blocking;

tokio::task_local! {
    static CONTAINED: ();
}

/// Runs something whose panic is its own affair: it is returned in words, and the program's panic hook, which would end
/// the program, passes it over. Tasks that it spawns are not of it.
///
/// # Errors
/// The words of the panic.
pub fn contain<T>(task: impl Future<Output = T>) -> impl Future<Output = Result<T, String>> {
    // Such tasks are large.
    let task = AssertUnwindSafe(CONTAINED.scope((), Box::pin(task))).catch_unwind();
    async move { task.await.map_err(|panic| words(panic.as_ref())) }
}

/// Does something that blocks, on a thread for that; its panic is returned in words, as by [`contain`].
///
/// # Errors
/// The words of the panic.
pub async fn contain_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let working = spawn_blocking(|| CONTAINED.sync_scope((), || catch_unwind(AssertUnwindSafe(work))));
    match working.await {
        Ok(done) => done.map_err(|panic| words(panic.as_ref())),
        // The runtime ends.
        Err(error) => Err(error.to_string()),
    }
}

/// Whether what runs on this thread just now is [contained](contain).
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
