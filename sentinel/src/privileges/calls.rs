//! The system calls that are still answered: a list for the kernel, for every thread there is and will be.
//!
//! What is not listed is answered with "no such call" (`ENOSYS`) and has no effect. The process is not killed: a C
//! library of next year asks for calls of next year first and takes the older one then, and a watcher that dies of an
//! update watches nothing.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition as Condition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// The error of a call that is not listed.
pub const NOT_LISTED: i32 = libc::ENOSYS;

/// Calls with any arguments.
const PLAIN: &[i64] = &[
    // Descriptors that are open, and files: which ones is Landlock's matter and that of their owners.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_openat,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_flock,
    libc::SYS_ftruncate,
    libc::SYS_fchmod,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    // Waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_sched_yield,
    // Sockets that exist, and those who connect to them.
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    // A long record goes to journald in one of these.
    libc::SYS_memfd_create,
    // Memory and threads.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals to itself.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // What only tells.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_getcpu,
    libc::SYS_prlimit64,
];

/// Older names of the same, where the machine has them.
#[cfg(target_arch = "x86_64")]
const OLDER: &[i64] = &[
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_open,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_time,
    libc::SYS_getrlimit,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[i64] = &[];

/// Commands of `bpf(2)` for maps that are open: look up, update, delete, next key; and what an object is.
const BPF_COMMANDS: [u64; 5] = [1, 2, 3, 4, 15];
/// Requests of `ioctl(2)`: stop a perf event, do not block, the size and the settings of a terminal.
const IOCTLS: [u64; 4] = [0x2401, 0x5421, 0x5413, 0x5401];
/// `PR_SET_NAME`, the name of a thread.
const PRCTL_NAME: u64 = 15;

/// Which calls are listed, for a filter. `reaches_out`: a collector elsewhere is connected to, by its name.
fn rules(reaches_out: bool) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        PLAIN.iter().chain(OLDER).map(|call| (*call, Vec::new())).collect();
    let when = |index, operation, value| {
        Condition::new(index, Len::Dword, operation, value).and_then(|condition| SeccompRule::new(vec![condition]))
    };
    let any_of = |index, values: &[u64]| {
        values
            .iter()
            .map(|value| when(index, Op::Eq, *value))
            .collect::<Result<Vec<_>, _>>()
    };
    let unix = u64::from(libc::AF_UNIX.unsigned_abs());
    // journald's is the only socket that is still made, or those to a collector and to who knows its address; and no memory
    // becomes code.
    let inet = [libc::AF_INET, libc::AF_INET6].map(|family| u64::from(family.unsigned_abs()));
    let families = if reaches_out {
        [&[unix][..], &inet].concat()
    } else {
        vec![unix]
    };
    rules.insert(libc::SYS_socket, any_of(0, &families)?);
    if reaches_out {
        rules.insert(libc::SYS_sendmmsg, Vec::new());
    }
    rules.insert(libc::SYS_socketpair, vec![when(0, Op::Eq, unix)?]);
    let code = u64::from(libc::PROT_EXEC.unsigned_abs());
    rules.insert(libc::SYS_mmap, vec![when(2, Op::MaskedEq(code), 0)?]);
    rules.insert(libc::SYS_mprotect, vec![when(2, Op::MaskedEq(code), 0)?]);
    // Threads, and no processes. `clone3` hides its flags behind a pointer, and the C library does without it.
    let thread = u64::from((libc::CLONE_THREAD | libc::CLONE_VM).unsigned_abs());
    rules.insert(libc::SYS_clone, vec![when(0, Op::MaskedEq(thread), thread)?]);
    rules.insert(libc::SYS_tgkill, vec![when(0, Op::Eq, u64::from(std::process::id()))?]);
    rules.insert(libc::SYS_prctl, vec![when(0, Op::Eq, PRCTL_NAME)?]);
    rules.insert(libc::SYS_bpf, any_of(0, &BPF_COMMANDS)?);
    rules.insert(libc::SYS_ioctl, any_of(1, &IOCTLS)?);
    Ok(rules)
}

/// The list as a program for the kernel, and how many calls are on it.
fn program(reaches_out: bool) -> Result<(BpfProgram, usize), seccompiler::BackendError> {
    let rules = rules(reaches_out)?;
    let listed = rules.len();
    let refuse = SeccompAction::Errno(NOT_LISTED.unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch)?;
    Ok((BpfProgram::try_from(filter)?, listed))
}

/// Puts the list in force for all threads of this process, for good. How many calls are on it.
///
/// # Errors
/// The kernel has no filters, or this machine is none they are known for.
pub(super) fn restrict(reaches_out: bool) -> Result<usize, seccompiler::Error> {
    let (program, listed) = program(reaches_out)?;
    seccompiler::apply_filter_all_threads(&program)?;
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_starts_loads_or_reaches_out_is_listed() {
        let rules = rules(true).unwrap();
        let never = [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone3,
            libc::SYS_ptrace,
            libc::SYS_kill,
            libc::SYS_mount,
            libc::SYS_setuid,
            libc::SYS_setns,
            libc::SYS_unshare,
            libc::SYS_init_module,
            libc::SYS_perf_event_open,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_chmod,
            libc::SYS_keyctl,
            libc::SYS_io_uring_setup,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
        ];
        for call in never {
            assert!(!rules.contains_key(&call), "call {call}");
        }
        // Listed, but only with these arguments: an empty list would mean any.
        for call in [
            libc::SYS_socket,
            libc::SYS_mmap,
            libc::SYS_mprotect,
            libc::SYS_clone,
            libc::SYS_bpf,
            libc::SYS_ioctl,
        ] {
            assert!(!rules[&call].is_empty(), "call {call}");
        }
    }

    #[test]
    fn what_is_not_listed_fails_and_the_thread_goes_on() {
        use std::{fs, net::TcpListener, os::unix::net::UnixDatagram, process::Command, thread};

        let (program, _) = program(false).unwrap();
        assert!(program.len() < 4096, "the kernel takes no more: {}", program.len());
        // In force for this thread alone: the other tests go on as they were.
        let restricted = thread::spawn(move || {
            seccompiler::apply_filter(&program).unwrap();
            let started = Command::new("/bin/true").spawn().map(drop);
            let socket = TcpListener::bind("127.0.0.1:0").map(drop);
            let errors = [started, socket].map(|result| result.err().and_then(|error| error.raw_os_error()));
            let journal = UnixDatagram::unbound().is_ok();
            let thread = thread::spawn(|| fs::read("/proc/self/stat").is_ok()).join();
            (errors, journal, thread.is_ok_and(|read| read))
        });
        let (errors, journal, thread) = restricted.join().unwrap();
        assert_eq!(errors, [Some(NOT_LISTED); 2]);
        assert!(journal && thread, "{journal} {thread}");
    }
}
