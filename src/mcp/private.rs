//! Keeps other processes out of the memory of ours, where environment, tokens and keys lie.

/// Has the system keep this process's memory and environment (`/proc/PID/environ`, `ptrace`, core files) from every
/// process but those of root. Called first in `main`, before a server's command is started. Elsewhere than on Linux it
/// does nothing.
pub fn keep_memory_private() {
    // It fails on no system that knows it; then the process is as any other.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
