//! The places of a port's connections: so many at a time, and so many of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::Unserved;

/// The places there are, and who has how many of them.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    per_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    /// Only addresses that hold a place, so the map has at most `total` rows.
    by_address: HashMap<IpAddr, usize>,
}

impl Places {
    pub(super) fn new(max: usize, per_address_max: usize) -> Self {
        Self { max, per_address_max, taken: Mutex::default() }
    }

    /// A place for a connection of `address`, until it is dropped.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, Unserved> {
        // One client is one address, whether the port sees it as IPv4 or within IPv6.
        let address = address.to_canonical();
        let mut taken = self.lock();
        if taken.total >= self.max {
            return Err(Unserved::Total);
        }
        let of_address = taken.by_address.get(&address).copied().unwrap_or_default();
        if of_address >= self.per_address_max {
            return Err(Unserved::Address);
        }
        taken.total += 1;
        taken.by_address.insert(address, of_address + 1);
        Ok(Place { places: Arc::clone(self), address })
    }

    /// How many places are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // A poisoned lock is fine: nothing panics between two changes that belong together.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one open connection.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.total -= 1;
        if let Some(of_address) = taken.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_bounded_in_total_and_by_address_and_come_back() {
        let places = Arc::new(Places::new(3, 2));
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = places.take(one).unwrap();
        let _second = places.take(address("::ffff:192.0.2.1")).unwrap();
        assert_eq!(places.take(one).unwrap_err(), Unserved::Address);
        let _third = places.take(other).unwrap();
        assert_eq!(places.take(other).unwrap_err(), Unserved::Total);
        drop(first);
        let again = places.take(one).unwrap();
        assert_eq!(places.take(one).unwrap_err(), Unserved::Total);
        drop(again);
        drop(places.take(other).unwrap());
    }

    #[test]
    fn addresses_without_a_connection_are_forgotten() {
        let places = Arc::new(Places::new(3, 2));
        for last in 0..=255 {
            drop(places.take(IpAddr::from([192, 0, 2, last])).unwrap());
        }
        assert_eq!(places.taken(), 0);
        assert!(places.lock().by_address.is_empty());
    }
}
