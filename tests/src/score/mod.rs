//! The score: scenarios of the corpus go through the judge that the agent uses, and what it says is held against what
//! is true. Counts and prints; never judges itself.

pub mod bounds;
pub mod forecast;
pub mod outcome;
pub mod picture;
pub mod run;
pub mod table;
pub mod tally;
