//! What the running agent may still do.
//!
//! Owns the rights of this process: once everything is loaded, attached and opened, it gives up what is not needed any
//! more, and never takes anything back. In: what the configuration asks for. Out: what was given up and what is kept, as
//! the kernel says; and the same about any process, for `sentinel check --self`. Never loads, opens or reads for others.
#![forbid(unsafe_code)]

mod calls;
mod files;
mod give_up;
mod keep;
mod names;
mod standing;

pub use self::{
    calls::NOT_LISTED,
    files::{Files, Reach},
    give_up::{GivenUp, PrivilegesError, Wanted, give_up},
    keep::{Keep, Kept},
    names::{names, set_of},
    standing::{Held, Standing, StandingError},
};
