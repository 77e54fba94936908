//! Which sensors are switched off for a while, without being detached: a word for each, in a map that their programs look at
//! first. User space changes it; the programs only read. Switches of tasks have none: all others are attributed by them.

/// Index of the word of the programs of page allocation and resident pages.
pub const SWITCH_MEM: u32 = 0;
/// Index of the word of the programs of packets and connections.
pub const SWITCH_NET: u32 = 1;
/// Words.
pub const SWITCHES_ENTRIES: u32 = 2;
/// The word of a sensor that is switched off; of one that counts it is 0.
pub const OFF: u32 = 1;
