//! The agent, built with the export to an OpenTelemetry collector.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sentinel::cli::main()
}
