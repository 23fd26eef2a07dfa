//! What a child process gives up before it reads a byte: memory without bounds (rlimits), files (Landlock), and every
//! system call but those that computing and one socket need (seccomp).
//!
//! Must run while the process has one thread: Landlock holds for a thread and those that it starts.

use std::collections::BTreeMap;

use landlock::{ABI, Access as _, AccessFs, AccessNet, Compatible as _, Ruleset, RulesetAttr as _, Scope};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::error::{Error, ErrorKind, Result};

/// Anonymous files in memory, such as a compiled component's image, count as files too.
const LARGEST_FILE: u64 = 1 << 30;
const OPEN_FILES: u64 = 64;

pub(super) fn confine(memory: u64) -> Result<()> {
    let failed = |what: &str, source: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::Internal, format!("this system can't isolate a process: {what}"))
            .with_source(source)
            .with_help("Linux 5.13 or later, with seccomp and Landlock; or run without --isolate")
    };
    limit(memory).map_err(|source| failed("rlimits", source.into()))?;
    shut_files().map_err(|source| failed("Landlock", source.into()))?;
    allow_calls().map_err(|source| failed("seccomp", source))
}

/// `memory`: private memory that can be written to. What a WebAssembly memory reserves, and does not use, is none.
fn limit(memory: u64) -> rustix::io::Result<()> {
    for (resource, most) in
        [(Resource::Data, memory), (Resource::Core, 0), (Resource::Fsize, LARGEST_FILE), (Resource::Nofile, OPEN_FILES)]
    {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// No file, no folder, no TCP, no abstract socket, no signal to others. Landlock refuses what this kernel knows of these; what
/// an older one does not know, seccomp holds.
fn shut_files() -> Result<(), landlock::RulesetError> {
    let known = ABI::V6;
    Ruleset::default()
        .set_compatibility(landlock::CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(landlock::CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(known))?
        .handle_access(AccessNet::from_all(known))?
        .scope(Scope::from_all(known))?
        .create()?
        .restrict_self()?;
    Ok(())
}

/// Memory, threads, time, randomness, and reading and writing what is open already. Anything else is refused with EPERM,
/// which the runtimes take as "not here".
const CALLS: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_pwrite64,
    libc::SYS_fcntl,
    libc::SYS_ftruncate,
    libc::SYS_memfd_create,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_futex,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
];

fn allow_calls() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let thread = libc::CLONE_THREAD as u64;
    let is = |argument, operator, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    // A thread, never a process.
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![is(0, SeccompCmpOp::MaskedEq(thread), thread)?])?]);
    // A signal to itself, as by abort.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![is(0, SeccompCmpOp::Eq, own)?])?]);
    // A thread's name.
    rules.insert(
        libc::SYS_prctl,
        vec![SeccompRule::new(vec![is(0, SeccompCmpOp::Eq, u64::from(libc::PR_SET_NAME.unsigned_abs()))?])?],
    );
    // Its arguments lie in memory, where no filter can look: told that there is none, the C library takes `clone`. Comes
    // first, as no filter can be added after the other one.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    apply(clone3, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.unsigned_abs()))?;
    apply(rules, SeccompAction::Errno(libc::EPERM.unsigned_abs()), SeccompAction::Allow)
}

fn apply(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    then: SeccompAction,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let filter = SeccompFilter::new(rules, otherwise, then, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter(&program)?)
}

#[cfg(test)]
#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "tries what must not work")]
mod tests {
    use std::fs::File;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use super::*;

    #[test]
    fn whoever_is_confined_can_only_compute() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (address, folder) = (listener.local_addr().unwrap(), tempfile::tempdir().unwrap());
        let (there, new) = (folder.path().join("there"), folder.path().join("new"));
        std::fs::write(&there, "words").unwrap();
        let mut open = File::open(&there).unwrap();
        // Both rules hold for one thread and those that it starts.
        let attempts = std::thread::spawn(move || {
            shut_files().unwrap();
            allow_calls().unwrap();
            let computed = std::thread::spawn(|| vec![1_u8; 1 << 20].len()).join().unwrap();
            assert_eq!(computed, 1 << 20);
            assert_eq!(std::io::read_to_string(&mut open).unwrap(), "words", "what was open stays so");
            let killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
            [
                ("to read a file", File::open("/etc/hostname").map(drop)),
                ("to read one that it knows", File::open(&there).map(drop)),
                ("to write a file", File::create(&new).map(drop)),
                ("to list a folder", std::fs::read_dir("/").map(drop)),
                ("to remove a file", std::fs::remove_file(&there)),
                ("to ask about a file", std::fs::metadata(&there).map(drop)),
                ("to connect", TcpStream::connect(address).map(drop)),
                ("to listen", TcpListener::bind(("127.0.0.1", 0)).map(drop)),
                ("to send a datagram", UdpSocket::bind(("127.0.0.1", 0)).map(drop)),
                ("to find a local socket", UnixStream::connect("/run/nobody").map(drop)),
                ("to start a program", Command::new("/bin/true").status().map(drop)),
                ("to send a signal", killed.map_err(Into::into)),
                ("to see other processes", std::fs::read_to_string("/proc/1/cmdline").map(drop)),
            ]
        });
        for (attempt, outcome) in attempts.join().unwrap() {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::PermissionDenied, "{attempt}");
        }
    }
}
