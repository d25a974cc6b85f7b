//! Settings of the C library's allocator, so that it keeps no freed memory; and arguments that hide secrets.
//!
//! glibc is optimized for programs that allocate a lot on many processors: eight heaps per processor
//! (two on 32 bits), a cache of freed memory per thread, and up to 40 MB of stacks of threads that have
//! ended. Memory that was freed for a peer stays resident in each of these, and no account counts it.
//! One connection that frees pieces of every small size leaves 236 KB in the cache of its thread alone.
//!
//! These can only be changed by environment variables, before the program starts. So the program
//! executes itself once more, in the same process, with those variables. Measured on x86-64 with 2
//! processors, in kB: idle; with 400 connections that asked to play and 100 that sent half a request;
//! and after three rounds of these, when all are gone. "Own" is the process's private memory, "space" is
//! address space.
//!
//! ```text
//!                                     idle   500 connections     gone afterwards
//!                                      RSS    RSS    space       own      space
//! glibc as it is                      2528  20000  1094216     13000    1060756
//! MALLOC_ARENA_MAX=1                  2504  19716   118276     13484      85196
//! and no stacks kept                  2560  19688   118296      7944      44448
//! and no caches of threads, as here   2444  16760   115472      4368      40764
//! crate dlmalloc, no stacks kept      2480  24708  1126552     13068    1052684
//! musl, static                         812  11804   117188       440      34532
//! ```
//!
//! With dlmalloc as the global allocator, glibc's heaps remain (the C library itself allocates a few
//! bytes for each thread), zeroed memory, including the arena, is filled explicitly, and the program
//! grows by 21 KB.

use std::env;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

use nix::unistd::execve;

use super::arguments;

/// One heap with one lock, which connections take when they begin, end or send a command, but never for
/// media. No caches per thread, and no stacks of ended threads. Large allocations are separate mappings,
/// which are returned to the system when freed (otherwise glibc raises the threshold up to 32 MB, and
/// the arena is placed inside the heap). glibc ignores unknown settings.
const SETTINGS: &str = "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0:\
                        glibc.malloc.mmap_threshold=131072:glibc.pthread.stack_cache_size=0";

/// The environment variable that glibc reads.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// The variable that marks a process as restarted. [`TUNABLES`] can't mark it: glibc hides that variable
/// from a program with more rights than its user, which would restart itself forever. The name doesn't
/// have the prefix of the options, since unknown variables with that prefix are refused.
const DONE: &str = "HEAP_OF_BROOKLET_IS_SETTLED";

/// Executes the program once more with the settings, and without secrets in its arguments, unless that has
/// been done. Continues without them if it isn't possible (QEMU without binfmt, no /proc).
pub(crate) fn settle() {
    if env::var_os(DONE).is_none() {
        let _ = start_again();
    }
}

/// Executes the program once more; returns only on failure. Doesn't use std's `Command`, which would add
/// 24 KB to the program.
fn start_again() -> Option<()> {
    let program = text(env::current_exe().ok()?.into_os_string())?;
    let mut given: Vec<_> = env::args_os().collect();
    let secret = arguments::joined(given.get(1..).unwrap_or_default());
    // musl has a single heap, and returns memory to the system by itself.
    if cfg!(not(target_env = "gnu")) && secret.is_none() {
        return None;
    }
    if secret.is_some() {
        given = arguments::shown(&given);
    }
    let given: Vec<_> = given.into_iter().filter_map(text).collect();
    // The user's own settings come last, because the later of two wins.
    let mut settings = OsString::from(SETTINGS);
    let mut environment = vec![text(OsString::from(DONE.to_owned() + "=1"))?];
    if let Some(secret) = secret {
        environment.extend(variable(arguments::VARIABLE.into(), secret));
    }
    for (name, value) in env::vars_os() {
        if name == arguments::VARIABLE {
            // Those of a program that started this one.
        } else if name == TUNABLES {
            settings.push(":");
            settings.push(value);
        } else {
            environment.extend(variable(name, value));
        }
    }
    environment.extend(variable(TUNABLES.into(), settings));
    execve(&program, &given, &environment).ok()?;
    None
}

fn variable(mut name: OsString, value: OsString) -> Option<CString> {
    name.push("=");
    name.push(value);
    text(name)
}

/// Converts text from the kernel, which contains no zero byte.
fn text(text: OsString) -> Option<CString> {
    CString::new(text.into_vec()).ok()
}
