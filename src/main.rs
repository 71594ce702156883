//! The program. Everything is in the library.

fn main() -> std::process::ExitCode {
    consentry::cli::main()
}
