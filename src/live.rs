//! A value that is exchanged whole while others use it.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// A shared value. Clones change together; whoever has taken it keeps what was taken.
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> From<Arc<T>> for Live<T> {
    fn from(value: Arc<T>) -> Self {
        Self(Arc::new(ArcSwap::new(value)))
    }
}

impl<T> std::fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

impl<T> Live<T> {
    /// The value of this moment.
    pub fn now(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Exchanges it.
    pub fn replace(&self, value: Arc<T>) {
        self.0.store(value);
    }
}
