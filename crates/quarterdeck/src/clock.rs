//! Whether this machine's clock is set. Ids, leases, timers and certificates all go by it.

use quarterdeck_api::Timestamp;

/// The beginning of 2025, in seconds since 1970: there was no release before.
const EARLIEST: i64 = 1_735_689_600;

/// # Errors
/// When it cannot be now.
pub(crate) fn check(now: Timestamp) -> anyhow::Result<()> {
    anyhow::ensure!(
        now.timestamp() >= EARLIEST,
        "this machine's clock says {}, which cannot be: set it, since sessions, leases and certificates go by it",
        now.to_rfc3339()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;
    use quarterdeck_api::Timestamp;

    #[test]
    fn a_clock_that_was_never_set_is_told() {
        for seconds in [i64::from(i32::MIN), -1, 0, 1_700_000_000] {
            let told = check(Timestamp::from_timestamp(seconds, 0).unwrap()).unwrap_err().to_string();
            assert!(told.contains("set it"), "{told}");
        }
        check(Timestamp::from_timestamp(1_764_345_600, 0).unwrap()).unwrap();
    }
}
