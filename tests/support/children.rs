//! The child processes of an isolated run, as the operating system shows them.

use std::fs;
use std::os::unix::fs::FileExt as _;

/// Its process id and what it is for.
pub(crate) struct IsolatedChild {
    pub(crate) id: u32,
    pub(crate) role: String,
}

/// Those of the host with this process id.
pub(crate) fn isolated(host: u32) -> Vec<IsolatedChild> {
    let parent = format!("PPid:\t{host}");
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_ours = |id: &u32| {
        fs::read_to_string(format!("/proc/{id}/status")).is_ok_and(|status| status.lines().any(|line| line == parent))
    };
    let role = |id: u32| {
        let arguments = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
        let mut arguments = arguments.split('\0').skip(1);
        (arguments.next()? == "--isolated").then_some(())?;
        Some(IsolatedChild { id, role: arguments.next()?.to_owned() })
    };
    ids.filter(is_ours).filter_map(role).collect()
}

impl IsolatedChild {
    /// Whether its memory holds these bytes.
    pub(crate) fn holds(&self, needle: &[u8]) -> bool {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.id)).unwrap();
        let memory = fs::File::open(format!("/proc/{}/mem", self.id)).unwrap();
        let finder = memchr::memmem::Finder::new(needle);
        let mut bytes = vec![0; 1 << 20];
        maps.lines().any(|line| {
            let (range, rest) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let [mut at, end] = [start, end].map(|place| u64::from_str_radix(place, 16).unwrap());
            while rest.starts_with('r') && at < end {
                let Ok(read) = memory.read_at(&mut bytes, at) else { return false };
                if read == 0 {
                    return false;
                }
                if finder.find(&bytes[..read]).is_some() {
                    return true;
                }
                // A needle may lie across two pieces.
                let whole = u64::try_from(read).unwrap();
                let overlap = u64::try_from(needle.len()).unwrap();
                at += if at + whole < end { whole.saturating_sub(overlap).max(1) } else { whole };
            }
            false
        })
    }
}
