//! Counters of the network sensor, and the arithmetic of roles and turns.

use crate::pod;

/// The role of a socket is not known yet.
pub const ROLE_UNKNOWN: u8 = 0;
/// The socket was opened from here (`connect`, or a UDP socket that sent first).
pub const ROLE_OPENED: u8 = 1;
/// The socket was accepted here (`accept`, or a UDP socket that received first).
pub const ROLE_ACCEPTED: u8 = 2;

/// No data has crossed the socket yet.
pub const DIRECTION_NONE: u8 = 0;
/// The last data came in.
pub const DIRECTION_IN: u8 = 1;
/// The last data went out.
pub const DIRECTION_OUT: u8 = 2;

/// Flag: a connection attempt is under way.
pub const PENDING_ATTEMPT: u8 = 1;
/// Flag: its attempt or accept is not counted yet. The first packet tells the socket's cgroup, and counts it: at
/// `connect` only the cgroup of the task on the CPU is known, which may be a moment old, and at accept not even that.
pub const UNCOUNTED: u8 = 2;
/// Flag: no attempt or accept was counted for this socket (UDP, or older than the agent), so its first turn is work
/// of its own.
pub const NO_CONNECTION_COUNTED: u8 = 4;

/// Index of traffic that leaves or enters the host in [`NetCounters::traffic`].
pub const PATH_EXTERNAL: usize = 0;
/// Index of loopback traffic.
pub const PATH_LOOPBACK: usize = 1;

/// Packets and bytes over one path. A packet is a segment on the wire (GSO and GRO aggregates count their segments),
/// a byte is counted from the IP header on, as the socket's host sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets received.
    pub ingress_packets: u64,
    /// Bytes received.
    pub ingress_bytes: u64,
    /// Packets sent.
    pub egress_packets: u64,
    /// Bytes sent.
    pub egress_bytes: u64,
}

/// What one CPU counted for one slot.
///
/// A turn is the first data of a socket after the direction changed: a request or a response.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetCounters {
    /// Traffic by path: [`PATH_EXTERNAL`], [`PATH_LOOPBACK`].
    pub traffic: [Traffic; 2],
    /// Turns sent on opened sockets: requests.
    pub opened_turns_out: u64,
    /// Turns received on opened sockets: responses.
    pub opened_turns_in: u64,
    /// Turns received on accepted sockets: requests.
    pub accepted_turns_in: u64,
    /// Turns sent on accepted sockets: responses.
    pub accepted_turns_out: u64,
    /// Opened sockets that sent their first request.
    pub opened_first_turns: u64,
    /// Accepted sockets that received their first request.
    pub accepted_first_turns: u64,
    /// TCP connection attempts.
    pub connect_attempts: u64,
    /// Attempts that ended before they were established.
    pub connect_failures: u64,
    /// Attempts that were established.
    pub connects: u64,
    /// TCP connections accepted.
    pub accepts: u64,
    /// TCP segments retransmitted on sockets that were opened or accepted since the start.
    pub retransmits: u64,
    /// TCP resets received.
    pub resets_in: u64,
    /// TCP resets sent.
    pub resets_out: u64,
    /// UDP packets received.
    pub udp_ingress_packets: u64,
    /// UDP packets sent.
    pub udp_egress_packets: u64,
    /// Opened TCP connections that ended after a request without an answer to it: given up here, or cut off there.
    pub given_up: u64,
}

/// Hands the fields of [`NetCounters`] that are plain sums to a macro: `net_counters!(with)` becomes `with!(a, b, …)`,
/// so that adding one up, or taking its difference, cannot be forgotten in one place.
#[macro_export]
macro_rules! net_counters {
    ($with:ident) => {
        $with!(
            opened_turns_out,
            opened_turns_in,
            accepted_turns_in,
            accepted_turns_out,
            opened_first_turns,
            accepted_first_turns,
            connect_attempts,
            connect_failures,
            connects,
            accepts,
            retransmits,
            resets_in,
            resets_out,
            udp_ingress_packets,
            udp_egress_packets,
            given_up
        )
    };
}

/// What is kept with each socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketState {
    /// cgroup the socket belongs to; 0 means not resolved.
    pub cgroup_id: u64,
    /// Slot of that cgroup when it was resolved.
    pub slot: u32,
    /// [`ROLE_UNKNOWN`], [`ROLE_OPENED`] or [`ROLE_ACCEPTED`].
    pub role: u8,
    /// [`DIRECTION_NONE`], [`DIRECTION_IN`] or [`DIRECTION_OUT`].
    pub direction: u8,
    /// Bits: [`PENDING_ATTEMPT`], [`UNCOUNTED`], [`NO_CONNECTION_COUNTED`].
    pub flags: u8,
    /// Padding.
    pub _pad: u8,
    /// Bytes received.
    pub ingress_bytes: u64,
    /// Bytes sent.
    pub egress_bytes: u64,
    /// Packets received.
    pub ingress_packets: u32,
    /// Packets sent.
    pub egress_packets: u32,
    /// Turns received.
    pub turns_in: u32,
    /// Turns sent.
    pub turns_out: u32,
}

/// A destination, as the key under which attempts to it are counted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Address in network order; an IPv4 address fills the first four bytes.
    pub address: [u8; 16],
    /// Slot that connects.
    pub slot: u32,
    /// Port in host order.
    pub port: u16,
    /// 4 or 6.
    pub version: u8,
    /// Padding.
    pub _pad: u8,
}

/// Attempts to one destination.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestinationCounters {
    /// Attempts begun.
    pub attempts: u64,
    /// Attempts that failed.
    pub failures: u64,
}

/// Entries of the table of destinations: least recently used ones make room.
pub const DESTINATIONS_ENTRIES: u32 = 4096;

pod!(NetCounters, SocketState, Destination, DestinationCounters);
const _: () = assert!(size_of::<Traffic>() == 32);
const _: () = assert!(size_of::<NetCounters>() == 192);
const _: () = assert!(size_of::<SocketState>() == 48);
const _: () = assert!(size_of::<Destination>() == 24);
const _: () = assert!(size_of::<DestinationCounters>() == 16);

impl SocketState {
    /// Takes note of data in a direction; true when this is a turn.
    #[inline(always)]
    pub const fn turn(&mut self, direction: u8) -> bool {
        let turned = self.direction != direction;
        self.direction = direction;
        turned
    }
}

/// Units of work from three counters: every connection is at least one, and on each the first turn is the work the
/// connection was made for, so it is not counted twice.
#[inline(always)]
#[must_use]
pub const fn work(connections: u64, turns: u64, first_turns: u64) -> u64 {
    connections.saturating_add(turns.saturating_sub(first_turns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_the_first_data_after_the_direction_changed() {
        let mut socket = SocketState::default();
        let seen: [bool; 6] = [
            DIRECTION_OUT,
            DIRECTION_OUT,
            DIRECTION_IN,
            DIRECTION_IN,
            DIRECTION_OUT,
            DIRECTION_IN,
        ]
        .map(|direction| socket.turn(direction));
        assert_eq!(seen, [true, false, true, false, true, true]);
    }

    #[test]
    fn four_attempts_without_an_answer_are_four_units_of_work() {
        assert_eq!(work(4, 0, 0), 4);
        assert_eq!(work(1, 1, 1), 1, "one request on its own connection is one unit");
        assert_eq!(work(1, 100, 1), 100, "a kept connection counts its requests");
        assert_eq!(
            work(0, 3, 0),
            3,
            "a connection older than the window counts its requests"
        );
    }
}
