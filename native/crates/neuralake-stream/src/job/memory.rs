//! Memory that was freed goes back to the system.
//!
//! glibc keeps what each thread once held for that thread alone. A checkpoint reads a table's log on whichever threads
//! are free, so that after thousands of commits each of them keeps as much as the largest checkpoint took.

#![allow(unsafe_code)] // the C library's own interface

/// Return free memory of all threads; does nothing where the C library has no such call.
pub(super) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes no pointer and may be called from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// Below the size from which glibc maps a block of its own, which goes back by itself.
    const BLOCK_BYTES: usize = 64 << 10;
    const BLOCKS: usize = 3_000;
    const PAGE_BYTES: usize = 4096;

    fn resident_bytes() -> usize {
        let told = std::fs::read_to_string("/proc/self/statm").unwrap();
        told.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * PAGE_BYTES
    }

    #[test]
    fn what_was_freed_below_a_block_in_use_goes_back() {
        let mut blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|_| vec![1; BLOCK_BYTES]).collect();
        let held = blocks.pop();
        drop(blocks);
        let before = resident_bytes();
        give_back();
        let freed = before.saturating_sub(resident_bytes());
        assert!(freed > BLOCKS * BLOCK_BYTES / 2, "{freed} of {before}");
        drop(held);
    }
}
