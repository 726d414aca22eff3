//! Tries to sign in. A key of this server is not found by trying, but people choose keys, too.
//!
//! Invariant: what is remembered has a limit, whoever tries from wherever.

use chrono::TimeDelta;
use quarterdeck_api::Timestamp;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Tries that an address has in a window; those that sign in do not count.
const TRIES_MAX: u32 = 10;
const TRIES_TTL: TimeDelta = TimeDelta::minutes(1);
/// Addresses that are remembered. Whoever has more starts anew each time, as with any limit by address.
const ADDRESSES_MAX: usize = 10_000;

/// Tries by address. Who has no address, in a test, shares one.
#[derive(Default)]
pub(crate) struct Tries(Mutex<HashMap<Option<IpAddr>, Window>>);

#[derive(Clone, Copy)]
struct Window {
    begun: Timestamp,
    taken: u32,
}

impl Tries {
    /// Takes a try; where none is left, says after how many seconds there is one.
    pub(super) fn take(&self, address: Option<IpAddr>, now: Timestamp) -> Result<(), u64> {
        let mut windows = self.lock();
        if windows.len() >= ADDRESSES_MAX {
            windows.retain(|_, window| window.end() > now);
        }
        if windows.len() >= ADDRESSES_MAX {
            windows.clear();
        }
        let window = windows.entry(address.map(network)).or_insert(Window { begun: now, taken: 0 });
        if window.end() <= now {
            *window = Window { begun: now, taken: 0 };
        }
        if window.taken >= TRIES_MAX {
            return Err((window.end() - now).num_seconds().unsigned_abs() + 1);
        }
        window.taken += 1;
        Ok(())
    }

    /// Gives a try back: it has signed in.
    pub(super) fn give_back(&self, address: Option<IpAddr>) {
        if let Some(window) = self.lock().get_mut(&address.map(network)) {
            window.taken = window.taken.saturating_sub(1);
        }
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn end(&self) -> Timestamp {
        self.begun + TRIES_TTL
    }
}

/// What one machine has: all of a version 6 address but its lower half, which it may choose.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::{ADDRESSES_MAX, TRIES_MAX, TRIES_TTL, Tries};
    use chrono::{DateTime, TimeDelta};
    use std::net::Ipv4Addr;

    const NOW: DateTime<chrono::Utc> = DateTime::UNIX_EPOCH;

    fn take(tries: &Tries, address: &str, now: DateTime<chrono::Utc>) -> Result<(), u64> {
        tries.take(Some(address.parse().unwrap()), now)
    }

    #[test]
    fn an_address_has_so_many_tries_in_a_window() {
        let tries = Tries::default();
        for _ in 0..TRIES_MAX {
            assert_eq!(take(&tries, "10.0.0.1", NOW), Ok(()));
        }
        let later = NOW + TimeDelta::seconds(20);
        assert_eq!(take(&tries, "10.0.0.1", later), Err(41));
        assert_eq!(take(&tries, "::ffff:10.0.0.1", later), Err(41));
        assert_eq!(take(&tries, "10.0.0.2", later), Ok(()));
        assert_eq!(take(&tries, "10.0.0.1", NOW + TRIES_TTL), Ok(()));
    }

    #[test]
    fn what_signs_in_counts_for_nothing() {
        let tries = Tries::default();
        for _ in 0..3 * TRIES_MAX {
            assert_eq!(tries.take(None, NOW), Ok(()));
            tries.give_back(None);
        }
    }

    #[test]
    fn a_network_of_version_6_is_one_address() {
        let tries = Tries::default();
        for host in 0..TRIES_MAX {
            assert_eq!(take(&tries, &format!("2001:db8::{host}"), NOW), Ok(()));
        }
        assert!(take(&tries, "2001:db8::ffff", NOW).is_err());
        assert_eq!(take(&tries, "2001:db8:0:1::1", NOW), Ok(()));
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let tries = Tries::default();
        for number in 0..3 * u32::try_from(ADDRESSES_MAX).unwrap() {
            assert_eq!(tries.take(Some(Ipv4Addr::from_bits(number).into()), NOW), Ok(()));
            assert!(tries.0.lock().unwrap().len() <= ADDRESSES_MAX);
        }
    }
}
