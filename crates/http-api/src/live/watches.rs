//! The listeners of one ticket or show: found without looking at all of them, since there may
//! be tens of thousands, and in one block of memory, since there may be that many tickets.

use std::sync::Arc;

use super::listener::Listener;

/// What a listener has been told.
pub(super) trait Watch {
    fn listener(&self) -> &Arc<Listener>;
}

/// In sequence of the listeners' addresses.
pub(super) struct Watches<W>(Vec<W>);

impl<W> Default for Watches<W> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<W: Watch> Watches<W> {
    fn position(&self, listener: &Listener) -> Result<usize, usize> {
        let address = std::ptr::from_ref(listener).addr();
        self.0
            .binary_search_by_key(&address, |watch| Arc::as_ptr(watch.listener()).addr())
    }

    /// The listener's watch, if it has one; else a place for one.
    pub(super) fn entry(&mut self, listener: &Listener) -> Result<&mut W, Vacant<'_, W>> {
        match self.position(listener) {
            Ok(index) => Ok(&mut self.0[index]),
            Err(index) => Err(Vacant {
                watches: &mut self.0,
                index,
            }),
        }
    }

    pub(super) fn contains(&self, listener: &Listener) -> bool {
        self.position(listener).is_ok()
    }

    pub(super) fn get_mut(&mut self, listener: &Listener) -> Option<&mut W> {
        let index = self.position(listener).ok()?;
        self.0.get_mut(index)
    }

    pub(super) fn remove(&mut self, listener: &Listener) {
        if let Ok(index) = self.position(listener) {
            self.0.remove(index);
        }
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&W) -> bool) {
        self.0.retain(keep);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &W> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut W> {
        self.0.iter_mut()
    }
}

/// Where a listener's watch belongs.
pub(super) struct Vacant<'a, W> {
    watches: &'a mut Vec<W>,
    index: usize,
}

impl<W> Vacant<'_, W> {
    /// `watch` is of the listener that the place was asked for.
    pub(super) fn insert(self, watch: W) {
        // Most have one listener.
        if self.watches.is_empty() {
            self.watches.reserve_exact(1);
        }
        self.watches.insert(self.index, watch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::message::Dialect;

    impl Watch for Arc<Listener> {
        fn listener(&self) -> &Arc<Listener> {
            self
        }
    }

    #[test]
    fn each_listener_is_there_once_and_found_until_it_is_removed() {
        let listeners: Vec<_> = (0..100)
            .map(|_| Arc::new(Listener::new(Arc::default(), Dialect::WebSocket, 1)))
            .collect();
        let mut watches = Watches::default();
        for listener in &listeners {
            for is_new in [true, false] {
                assert_eq!(watches.contains(listener), !is_new);
                let vacant = watches.entry(listener).err();
                assert_eq!(vacant.is_some(), is_new);
                if let Some(vacant) = vacant {
                    vacant.insert(Arc::clone(listener));
                }
            }
        }
        assert_eq!(watches.iter().count(), listeners.len());
        for (number, listener) in listeners.iter().enumerate().rev() {
            let found = watches.get_mut(listener).map(|watch| Arc::clone(watch));
            assert!(found.is_some_and(|found| Arc::ptr_eq(&found, listener)));
            watches.remove(listener);
            watches.remove(listener);
            assert_eq!(watches.iter().count(), number);
        }
        assert!(watches.is_empty());
    }
}
