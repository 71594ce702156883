//! The program. Everything is in the library.

/// Wipes what is freed: a request's bytes must not linger in the memory of a process that has forgotten them.
/// `consentry audit` looks there.
#[global_allocator]
static WIPED: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> std::process::ExitCode {
    consentry::cli::main()
}
